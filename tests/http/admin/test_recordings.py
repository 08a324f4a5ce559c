"""The platform sees and keeps all recordings, and opens their files to elements of a page by tickets."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from relay.http.admin import tickets
from relay.http.admin.tickets import Tickets
from relay.records.recordings import RecordingPolicy, RecordingState
from tests.http.admin.conftest import PLATFORM, Admin
from tests.http.conftest import bearer
from tests.http.recordings.recorded import KEY, NODE, Recorded, accesses, recordings_of
from tests.http.records import DANIEL, ELENA, MAYA, asked
from tests.kit.server import RunningRelay

quiet = pytest.mark.settings(node=NODE, assemblers=0)
sealed = pytest.mark.settings(node=NODE, assemblers=0, recording_key=KEY)


@pytest.fixture
async def recorded(relay: RunningRelay, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with recordings_of(relay, tmp_path) as recorded:
        yield recorded


@quiet
async def test_the_platform_sees_all_recordings_and_their_captures(admin: Admin, recorded: Recorded) -> None:
    by_consent, always = await recorded.add(), await recorded.add(1, caller=ELENA, policy=RecordingPolicy.ALWAYS)
    status, answer = await admin("GET", "/recordings")
    assert status == 200
    assert [one["recording_id"] for one in answer["recordings"]] == [always, by_consent]
    assert all(f"{one['recording_id']}.pcapng" in {file["name"] for file in one["files"]} for one in answer["recordings"])
    status, answer = await admin("GET", f"/recordings?profile={ELENA}")
    assert [one["recording_id"] for one in answer["recordings"]] == [always]
    assert (await admin("GET", f"/recordings/{always}"))[0] == 200


@quiet
async def test_none_of_this_is_for_a_profile(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    recording_id = await recorded.add()
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", f"/files/{recording_id}.pcapng"),
        ("GET", "/accesses"),
        ("POST", "/ticket"),
        ("PUT", "/hold"),
    ):
        status, _ = await asked(http, method, f"/api/admin/recordings/{recording_id}{path}", MAYA)
        assert status == 401, path


@pytest.mark.parametrize("key", [pytest.param("", marks=quiet, id="plain"), pytest.param(KEY, marks=sealed, id="sealed")])
async def test_a_capture_is_exported_as_it_was_before_it_was_sealed(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path, key: str
) -> None:
    capture = b"the packets" * 1000
    recording_id = await recorded.add(capture=capture, key=key)
    path = f"/api/admin/recordings/{recording_id}/files/{recording_id}.pcapng"
    async with http.get(path, headers=PLATFORM) as response:
        assert (response.status, await response.read()) == (200, capture)
        assert response.content_type == "application/x-pcapng"
        assert response.headers["Content-Disposition"] == f'attachment; filename="{recording_id}.pcapng"'
    [used] = accesses(tmp_path)
    assert (used["action"], used["profile_id"], used["detail"]) == ("export", None, f"{recording_id}.pcapng")
    assert (await asked(http, "GET", path.replace("/admin", ""), MAYA))[0] == 404


@quiet
async def test_a_legal_hold_keeps_a_recording_from_its_parties_and_the_platform(
    http: aiohttp.ClientSession, admin: Admin, recorded: Recorded
) -> None:
    recording_id = await recorded.add()
    assert await admin("PUT", f"/recordings/{recording_id}/hold") == (204, None)
    assert await admin("PUT", f"/recordings/{recording_id}/hold") == (204, None)
    assert (await admin("DELETE", f"/recordings/{recording_id}"))[0] == 409
    assert (await asked(http, "DELETE", f"/api/recordings/{recording_id}", DANIEL))[0] == 409
    assert await admin("DELETE", f"/recordings/{recording_id}/hold") == (204, None)
    assert await admin("DELETE", f"/recordings/{recording_id}") == (204, None)
    assert (await admin("PUT", "/recordings/0123456789abcdef0123456789abcdef/hold"))[0] == 404


@quiet
async def test_the_log_of_accesses_says_who_did_what(http: aiohttp.ClientSession, admin: Admin, recorded: Recorded) -> None:
    recording_id = await recorded.add()
    await asked(http, "GET", f"/api/recordings/{recording_id}", MAYA)
    headers = {**PLATFORM, "Range": "bytes=0-9"}
    async with http.get(f"/api/admin/recordings/{recording_id}/files/A.webm", headers=headers) as response:
        assert response.status == 206
    await admin("PUT", f"/recordings/{recording_id}/hold")
    status, answer = await admin("GET", f"/recordings/{recording_id}/accesses")
    assert status == 200
    found = [(one["action"], one["profile"], one["detail"], one["last_byte"]) for one in answer["accesses"]]
    maya = {"profile_type": "student", "profile_id": 456}
    assert found == [("hold", None, "set", None), ("download", None, "A.webm", 9), ("view", maya, None, None)]


@quiet
async def test_a_ticket_opens_the_files_of_its_recording_and_nothing_else(
    http: aiohttp.ClientSession, admin: Admin, recorded: Recorded
) -> None:
    recording_id, other = await recorded.add(), await recorded.add(1)
    status, answer = await admin("POST", f"/recordings/{recording_id}/ticket")
    assert status == 201
    ticket = answer["ticket"]

    async def opened(path: str, ticket: str) -> int:
        async with http.get(f"/api/admin/recordings/{path}?ticket={ticket}", headers={"Range": "bytes=0-9"}) as response:
            await response.read()
            return response.status

    for file in ("files/A.webm", f"files/{recording_id}.pcapng", "report", "report.html"):
        assert await opened(f"{recording_id}/{file}", ticket) == 206, file
        assert await opened(f"{other}/{file}", ticket) == 401, file
    for path in ("", "/accesses"):
        assert await opened(f"{recording_id}{path}", ticket) == 401
    ends, _, signature = ticket.partition(".")
    for forged in ("", "x", f"{int(ends) + 1}.{signature}", f"{ends}.{'0' * 64}", f"{ends}.{signature}0", "1." + signature):
        assert await opened(f"{recording_id}/files/A.webm", forged) == 401, forged
    async with http.get(f"/api/recordings/{recording_id}/files/A.webm?ticket={ticket}") as response:
        assert response.status == 401


def test_a_ticket_ends_after_an_hour_and_with_the_service_token() -> None:
    now = 1_000_000.0
    issuer, recording_id = Tickets("the token", lambda: now), "0123456789abcdef0123456789abcdef"
    ticket, ends = issuer.issue(recording_id)
    assert ends == now + tickets.LIFETIME == now + 3600
    assert issuer.opens(ticket, recording_id)
    assert not Tickets("another token", lambda: now).opens(ticket, recording_id)
    assert not Tickets("", lambda: now).opens(Tickets("", lambda: now).issue(recording_id)[0], recording_id)
    now += 3600
    assert not issuer.opens(ticket, recording_id)


@quiet
async def test_recordings_that_are_being_deleted_are_listed_on_request_only(admin: Admin, recorded: Recorded) -> None:
    recording_id = await recorded.add(state=RecordingState.CAPTURING)
    await recorded.store.discard(recording_id)
    assert (await admin("GET", "/recordings"))[1]["recordings"] == []
    status, answer = await admin("GET", "/recordings?state=deleting")
    assert status == 200
    assert [one["state"] for one in answer["recordings"]] in ([], ["deleting"])  # or it has gone already


@quiet
async def test_the_platform_downloads_without_a_limit(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    recording_id = await recorded.add(products={"A.webm": bytes(16 * 1024 * 1024)})
    path = f"/api/admin/recordings/{recording_id}/files/A.webm"
    running = [await http.get(path, headers=PLATFORM) for _ in range(8)]
    assert [one.status for one in running] == [200] * 8
    for one in running:
        one.close()
    async with http.get(
        f"/api/recordings/{recording_id}/files/A.webm", headers={**bearer(MAYA), "Range": "bytes=0-0"}
    ) as response:
        assert response.status == 206
