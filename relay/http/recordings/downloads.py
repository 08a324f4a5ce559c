"""Files of recordings on their way to a client: whole or a range, sealed or not.

`aiohttp.web.FileResponse` is not used: it takes dates in If-Range only and would continue one version of a file with another, and
under uvloop it has no sendfile either.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from relay.errors import RelayError
from relay.http.limits import HttpLimits, TooMany
from relay.http.recordings.ports import OpenedFile
from relay.http.recordings.ranges import ByteRange
from relay.ids import Profile

logger = logging.getLogger(__name__)

MAX_DOWNLOADS: Final = 4
"""At a time, of one profile: two videos, and the old and the new request of one that seeks."""

CHUNK: Final = 256 * 1024
"""Bytes that are read at a time, in a thread: 4 chunks of a sealed file."""

STALLED: Final = 900.0
"""Seconds that a client may take no byte. A video that is paused does so; it asks for a range when it goes on."""

NAMES: Final = {
    "downloads": "files of recordings, or ranges of them, that were sent",
    "download_bytes": "bytes of recordings that were sent",
}
"""Counters, and what they mean."""


class Downloads:
    """The downloads of this server.

    Attributes:
        counters: by the names in `NAMES`.
    """

    def __init__(self, limits: HttpLimits) -> None:
        self.counters: Counter[str] = Counter(dict.fromkeys(NAMES, 0))
        self._limits = limits
        self._running: Counter[Profile] = Counter()

    @contextlib.contextmanager
    def slot(self, profile: Profile | None) -> Iterator[None]:
        """Around one download. The platform, which is no profile, has no limit.

        Raises:
            TooMany: the profile has as many as it may.
        """
        if profile is None:
            yield
            return
        if self._running[profile] >= MAX_DOWNLOADS:
            self._limits.refused["downloads"] += 1
            raise TooMany(f"at most {MAX_DOWNLOADS} downloads at a time", 1)
        self._running[profile] += 1
        try:
            yield
        finally:
            self._running[profile] -= 1
            if not self._running[profile]:
                del self._running[profile]

    async def send(
        self, request: web.Request, response: web.StreamResponse, opened: OpenedFile, wanted: ByteRange
    ) -> web.StreamResponse:
        """Send bytes of a file. What fails on the way ends the connection: the client has fewer bytes than it was promised."""
        response.content_length = wanted.stop - wanted.start

        def chunks() -> Iterator[bytes]:
            for start in range(wanted.start, wanted.stop, CHUNK):
                data = opened.read(start, min(start + CHUNK, wanted.stop))
                if not data:
                    raise RelayError("the file is shorter than it was")
                yield data

        return await self._send(request, response, chunks())

    async def stream(self, request: web.Request, response: web.StreamResponse, chunks: Iterator[bytes]) -> web.StreamResponse:
        """Send a file whose size is not known. Likewise."""
        response.enable_chunked_encoding()
        return await self._send(request, response, chunks)

    async def _send(self, request: web.Request, response: web.StreamResponse, chunks: Iterator[bytes]) -> web.StreamResponse:
        try:
            await response.prepare(request)  # fails where the client has gone meanwhile
            self.counters["downloads"] += 1
            if request.method == "HEAD":
                return response
            while data := await asyncio.to_thread(next, chunks, b""):  # read in a thread
                async with asyncio.timeout(STALLED):
                    await response.write(data)
                self.counters["download_bytes"] += len(data)
            await response.write_eof()
        except (ConnectionError, TimeoutError):
            _abort(request)
        except (OSError, RelayError) as error:
            logger.error("%s broke off: %s", request.path, error)
            _abort(request)
        return response


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
