"""`/api/admin/recordings`: all recordings, with their captures; legal holds, and who has used a recording."""

from typing import Annotated, Final

from aiohttp import web
from msgspec import Meta

from relay.http.access.service_token import guarded
from relay.http.admin.tickets import Tickets, platform_or_ticket
from relay.http.api import Access, Operation, Parameter, delete, get, post, put
from relay.http.parameters import RECORDING, cursor_in, flag_in, limit_in
from relay.http.recordings import routes as recordings
from relay.http.recordings.desk import RecordingDesk
from relay.http.recordings.routes import FILE, FILTER, MAX_LIMIT, filter_in
from relay.http.recordings.views import RecordingAccessList, RecordingList, Ticket, access_of
from relay.http.responses import answer


async def listed(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return await desk.page(request, None, filter_in(request, None), limit_in(request, MAX_LIMIT), cursor_in(request, "after"))


async def read(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return await desk.read(request, None)


async def remove(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return await desk.delete(request, None)


async def download(request: web.Request, *, desk: RecordingDesk) -> web.StreamResponse:
    return await desk.download(request, None, request.match_info["file_name"])


async def report(request: web.Request, *, desk: RecordingDesk) -> web.StreamResponse:
    return await desk.report(request, None)


async def report_page(request: web.Request, *, desk: RecordingDesk) -> web.StreamResponse:
    return await desk.report_page(request, None)


async def assemble(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return await desk.assemble(request, None, mp4=flag_in(request, "mp4"))


async def verify(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return await desk.verify(request, None)


async def set_hold(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return await desk.hold(request, held=True)


async def lift_hold(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return await desk.hold(request, held=False)


async def accesses(request: web.Request, *, desk: RecordingDesk) -> web.Response:
    return answer(RecordingAccessList([access_of(used) for used in await desk.accesses(request)]))


async def issue_ticket(request: web.Request, *, desk: RecordingDesk, tickets: Tickets) -> web.Response:
    record = await desk.find(request, None)
    ticket, ends = tickets.issue(record.recording_id)
    return answer(Ticket(ticket, ends * 1000), 201)


def _with_ticket(operation: Operation) -> Operation:
    kind = Annotated[str, Meta(max_length=100)]
    return Operation(
        operation.summary,
        operation.answer,
        media_type=operation.media_type,
        replies=operation.replies,
        errors=operation.errors,
        query=(Parameter("ticket", kind, "Instead of the service token: a ticket for this recording."),),
    )


_ONE: Final = f"/api/admin/recordings/{RECORDING}"

ROUTES: Final = [
    *guarded(
        [
            get(
                "/api/admin/recordings",
                listed,
                Operation(
                    "All recordings, newest first; those that are being deleted with `state` only.", RecordingList, query=FILTER
                ),
            ),
            get(_ONE, read, recordings.READ),
            delete(_ONE, remove, recordings.REMOVE),
            post(f"{_ONE}/assemble", assemble, recordings.ASSEMBLE),
            post(f"{_ONE}/verify", verify, recordings.VERIFY),
            put(f"{_ONE}/hold", set_hold, Operation("Sets the legal hold: nothing deletes the recording any more.")),
            delete(f"{_ONE}/hold", lift_hold, Operation("Lifts the legal hold.")),
            get(f"{_ONE}/accesses", accesses, Operation("Who has used the recording, latest first.", RecordingAccessList)),
            post(
                f"{_ONE}/ticket",
                issue_ticket,
                Operation("A ticket for URLs of the recording's files, good for an hour.", Ticket, status=201),
            ),
        ]
    ),
    *(
        one.guarded(platform_or_ticket, Access.PLATFORM)
        for one in (
            get(f"{_ONE}/files/{FILE}", download, _with_ticket(recordings.DOWNLOAD)),
            get(f"{_ONE}/report", report, _with_ticket(recordings.REPORT)),
            get(f"{_ONE}/report.html", report_page, _with_ticket(recordings.REPORT_PAGE)),
        )
    ),
]
