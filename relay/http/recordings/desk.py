"""What clients do with recordings, for the parties of a call and for the platform alike. Each use is written down first.

An asker is a profile, which sees the recordings by consent of calls that it took part in, or None: the platform, which sees all.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from relay.errors import RelayError
from relay.http.proxies import remote_address
from relay.http.recordings.downloads import Downloads
from relay.http.recordings.ports import (
    OpenedFile,
    ProfileNames,
    RecordingAccesses,
    RecordingCatalogue,
    RecordingFiles,
    RecordingJob,
    RecordingWork,
)
from relay.http.recordings.ranges import ByteRange, NotSatisfiable, range_in
from relay.http.recordings.views import (
    CAPTURE_SUFFIX,
    RecordingDetails,
    RecordingList,
    content_type_of,
    files_of,
    may_delete,
    view_of,
)
from relay.http.responses import answer, problem
from relay.ids import Profile
from relay.ip import network_of
from relay.records.recordings import AccessAction, RecordingAccess, RecordingFilter, RecordingRecord, RecordingState
from relay.sealed import SealError

logger = logging.getLogger(__name__)

VIEW_LASTS: Final = 600.0
"""Seconds in which a recording that is looked at again, as by a page that shows the progress of a job, is one view."""

MAX_VIEWS: Final = 4096
"""Views that are remembered for that."""

REPORT: Final = "report.json"
REPORT_PAGE: Final = "report.html"

_REPORT_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox"
"""Content Security Policy of a report: it has styles and images of its own, and runs nothing. A page of the relay frames it."""


class RecordingDesk:
    """The recordings of this server.

    Args:
        files: None: this server has no directory of recordings.
        work: None likewise.
        secret: what addresses are hashed with; the same for all servers of a database.
    """

    def __init__(
        self,
        catalogue: RecordingCatalogue,
        accesses: RecordingAccesses,
        names: ProfileNames,
        downloads: Downloads,
        *,
        files: RecordingFiles | None,
        work: RecordingWork | None,
        secret: str,
    ) -> None:
        self.downloads = downloads
        self._catalogue = catalogue
        self._accesses = accesses
        self._names = names
        self._files = files
        self._work = work
        self._key = hashlib.sha256(b"relay recording accesses" + secret.encode()).digest()
        self._views: dict[tuple[Profile | None, str], float] = {}
        """Asker and recording → when that was written down, by the monotonic clock. Oldest first."""

    # -- looking ------------------------------------------------------------------------------------------------------

    async def page(
        self, request: web.Request, asker: Profile | None, wanted: RecordingFilter, limit: int, cursor: str | None
    ) -> web.Response:
        """A page of recordings.

        Raises:
            RelayError: the cursor is none of ours.
        """
        await self._used(request, asker, AccessAction.LIST, None, request.query_string[:500] or None)
        jobs = self._jobs()
        try:
            page = await self._catalogue.page(wanted, limit=limit, cursor=cursor)
        except ValueError as error:
            raise RelayError(f"after: {error}") from None
        return answer(RecordingList(await self._views_of(page.entries, asker, jobs), page.next_cursor))

    async def read(self, request: web.Request, asker: Profile | None) -> web.Response:
        jobs = self._jobs()
        record = await self.find(request, asker)
        await self._viewed(request, asker, record.recording_id)
        return await self._answer(record, asker, jobs)

    async def find(self, request: web.Request, asker: Profile | None) -> RecordingRecord:
        """The recording of the path.

        Raises:
            HTTPNotFound: there is none, or the asker may not see it.
        """
        record = await self._catalogue.get(request.match_info["recording_id"], participant=asker)
        if record is None:
            raise web.HTTPNotFound(text="there is no such recording" if asker is None else "you have no such recording")
        return record

    async def accesses(self, request: web.Request) -> Sequence[RecordingAccess]:
        """Who has used a recording. Also of one that is deleted: this outlives it."""
        return await self._accesses.of(request.match_info["recording_id"])

    # -- files --------------------------------------------------------------------------------------------------------

    async def download(self, request: web.Request, asker: Profile | None, name: str) -> web.StreamResponse:
        """A file, or a range of it, to be kept or played."""
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return await self._send(request, asker, name, content_type_of(name), disposition)

    async def report(self, request: web.Request, asker: Profile | None) -> web.StreamResponse:
        """What the verification has found, as JSON."""
        return await self._send(request, asker, REPORT, "application/json", {})

    async def report_page(self, request: web.Request, asker: Profile | None) -> web.StreamResponse:
        """The same as a page, which may stand in a frame of this server's own pages."""
        return await self._send(request, asker, REPORT_PAGE, "text/html", {"Content-Security-Policy": _REPORT_POLICY})

    async def _send(
        self, request: web.Request, asker: Profile | None, name: str, content_type: str, headers: dict[str, str]
    ) -> web.StreamResponse:
        record = await self.find(request, asker)
        files = self._files
        if name not in files_of(record, asker):
            raise web.HTTPNotFound(text="the recording has no such file")
        if files is None:
            raise self._elsewhere(record)
        response = web.StreamResponse(
            headers={"Cache-Control": "private, no-store", "X-Content-Type-Options": "nosniff", **headers}
        )
        response.content_type = content_type
        if content_type.startswith("text/"):
            response.charset = "utf-8"
        with self.downloads.slot(asker):
            try:
                if name.endswith(CAPTURE_SUFFIX) and await asyncio.to_thread(files.is_sealed, record.recording_id, name):
                    await self._used(request, asker, AccessAction.EXPORT, record.recording_id, name)
                    return await self.downloads.stream(request, response, files.chunks_of_capture(record.recording_id))
                version = await asyncio.to_thread(files.version, record.recording_id, name)
                opened = await asyncio.to_thread(files.open, record.recording_id, name)
            except FileNotFoundError:
                raise self._elsewhere(record) from None
            except (OSError, ValueError, SealError) as error:
                return self._unreadable(record, name, error)
            try:
                return await self._send_opened(request, response, asker, record, name, opened, version)
            finally:
                opened.close()

    async def _send_opened(
        self,
        request: web.Request,
        response: web.StreamResponse,
        asker: Profile | None,
        record: RecordingRecord,
        name: str,
        opened: OpenedFile,
        version: str,
    ) -> web.StreamResponse:
        size, tag = opened.size, f'"{record.recording_id}-{opened.size:x}-{version}"'
        try:
            wanted = range_in(request.headers.get("Range"), request.headers.get("If-Range"), size, tag)
        except NotSatisfiable as error:
            refusal = problem(416, "range_not_satisfiable", str(error))
            refusal.headers["Content-Range"] = f"bytes */{size}"
            return refusal
        action = AccessAction.EXPORT if name.endswith(CAPTURE_SUFFIX) else AccessAction.DOWNLOAD
        await self._used(request, asker, action, record.recording_id, name, wanted)
        response.headers["ETag"] = tag
        response.headers["Accept-Ranges"] = "bytes"
        if wanted is not None:
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
        return await self.downloads.send(request, response, opened, wanted or ByteRange(0, size))

    def _elsewhere(self, record: RecordingRecord) -> web.HTTPNotFound:
        return web.HTTPNotFound(text=f"the file is not on this server; the recording was made by {record.node}")

    def _unreadable(self, record: RecordingRecord, name: str, error: Exception) -> web.Response:
        logger.error("recording %s: %s cannot be read: %s", record.recording_id, name, error)
        return problem(500, "internal", "the file cannot be read; the log of the server says why")

    # -- doing something about it -------------------------------------------------------------------------------------

    async def assemble(self, request: web.Request, asker: Profile | None, *, mp4: bool) -> web.Response:
        """Have a recording assembled, also again."""
        record = await self.find(request, asker)
        work = self._work_on(record)
        await self._used(request, asker, AccessAction.ASSEMBLE, record.recording_id, "mp4" if mp4 else None)
        if record.state in _UNSETTLED:
            return _busy(record)
        await self._require_capture(record)
        if not work.assemble(record.recording_id, _seconds(record), mp4=mp4):
            return _busy(record)
        return await self._answer(record, asker, self._jobs(), 202)

    async def verify(self, request: web.Request, asker: Profile | None) -> web.Response:
        """Have a recording verified, also again."""
        record = await self.find(request, asker)
        work = self._work_on(record)
        if not work.verifies:
            raise web.HTTPNotFound(text="verification is not installed; try: pip install 'call-relay[verify]'")
        if record.state is RecordingState.FAILED:
            raise web.HTTPNotFound(text="there is nothing to verify: the recording was not assembled")
        await self._used(request, asker, AccessAction.VERIFY, record.recording_id)
        if record.state is not RecordingState.READY:
            return _busy(record)
        await self._require_capture(record)
        if not work.verify(record.recording_id, _seconds(record)):
            return _busy(record)
        return await self._answer(record, asker, self._jobs(), 202)

    async def delete(self, request: web.Request, asker: Profile | None) -> web.Response:
        """Delete a recording with its files. What is being done with it ends."""
        record = await self.find(request, asker)
        if record.state is not RecordingState.DELETING:
            await self._used(request, asker, AccessAction.DELETE, record.recording_id)
            if not may_delete(record, asker) or not await self._catalogue.begin_deletion(record.recording_id):
                if record.legal_hold:
                    return problem(409, "legal_hold", "the recording is under legal hold")
                return problem(409, "busy", "the call is still being recorded")
            if self._work is not None:
                await self._work.cancel(record.recording_id)
                self._work.wake()
        return web.Response(status=204)

    async def hold(self, request: web.Request, *, held: bool) -> web.Response:
        """Set or lift the legal hold of a recording."""
        record = await self.find(request, None)
        await self._used(request, None, AccessAction.HOLD, record.recording_id, "set" if held else "lifted")
        if not await self._catalogue.set_legal_hold(record.recording_id, held):
            raise web.HTTPNotFound(text="the recording is being deleted")
        return web.Response(status=204)

    def _work_on(self, record: RecordingRecord) -> RecordingWork:
        if self._work is None:
            raise self._elsewhere(record)
        return self._work

    async def _require_capture(self, record: RecordingRecord) -> None:
        """A server without it would find nothing, and write that into the row."""
        if self._files is None or not await asyncio.to_thread(self._files.has_capture, record.recording_id):
            raise self._elsewhere(record)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _jobs(self) -> Mapping[str, RecordingJob]:
        """To be read before the rows: a client that sees no job is to see what the job has written."""
        return {} if self._work is None else self._work.under_way()

    async def _answer(
        self, record: RecordingRecord, asker: Profile | None, jobs: Mapping[str, RecordingJob], status: int = 200
    ) -> web.Response:
        [shown] = await self._views_of([record], asker, jobs)
        return answer(RecordingDetails(shown), status)

    async def _views_of(
        self, records: Sequence[RecordingRecord], asker: Profile | None, jobs: Mapping[str, RecordingJob]
    ) -> list[Any]:
        cards = await self._names.cards({party for one in records for party in (one.caller, one.callee)})
        return [view_of(one, cards, jobs.get(one.recording_id), asker) for one in records]

    async def _viewed(self, request: web.Request, asker: Profile | None, recording_id: str) -> None:
        key, now = (asker, recording_id), time.monotonic()
        if now - self._views.get(key, -VIEW_LASTS) < VIEW_LASTS:
            return
        await self._used(request, asker, AccessAction.VIEW, recording_id)
        self._views.pop(key, None)
        if len(self._views) >= MAX_VIEWS:
            del self._views[next(iter(self._views))]
        self._views[key] = now

    async def _used(
        self,
        request: web.Request,
        asker: Profile | None,
        action: AccessAction,
        recording_id: str | None,
        detail: str | None = None,
        wanted: ByteRange | None = None,
    ) -> None:
        used = RecordingAccess(
            recording_id=recording_id,
            profile=asker,
            action=action,
            at=datetime.now(UTC),
            detail=detail,
            first_byte=None if wanted is None else wanted.start,
            last_byte=None if wanted is None else wanted.stop - 1,
            address_hash=self._hash(remote_address(request)),
        )
        await self._accesses.add(used)

    def _hash(self, address: str | None) -> str | None:
        """An address as the log of accesses has it. With a key: without one, all addresses could be tried."""
        if address is None:
            return None
        try:
            network = network_of(address)
        except ValueError:
            network = address.encode()
        return hmac.new(self._key, network, hashlib.sha256).hexdigest()[:32]


_UNSETTLED: Final = (RecordingState.CAPTURING, RecordingState.ASSEMBLING, RecordingState.DELETING)


def _busy(record: RecordingRecord) -> web.Response:
    return problem(409, "busy", f"something is being done with the recording, or waits for it ({record.state})")


def _seconds(record: RecordingRecord) -> float:
    return 0.0 if record.ended_at is None else (record.ended_at - record.started_at).total_seconds()
