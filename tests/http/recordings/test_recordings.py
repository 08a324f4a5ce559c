"""A profile's own recordings, and no others."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.records.recordings import RecordingPolicy, RecordingState
from tests.http.conftest import bearer
from tests.http.recordings.recorded import (
    NODE,
    UNKNOWN,
    VIDEO,
    Recorded,
    accesses,
    file_of,
    listed,
    quiet,
    recorded,
    recordings_of,
)
from tests.http.records import DANIEL, ELENA, MAYA, VICTOR, WHITEBOARD, asked, milliseconds
from tests.kit.outages import locked
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually

__all__ = ["recorded"]


@quiet
async def test_a_profile_sees_the_recordings_of_its_calls_newest_first(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    first, second = await recorded.add(0), await recorded.add(5, caller=MAYA, callee=DANIEL)
    foreign = await recorded.add(2, caller=ELENA, callee=DANIEL)
    for who in (MAYA, DANIEL):
        assert [one for one in await listed(http, who) if one != foreign] == [second, first]
    assert await listed(http, VICTOR) == []
    status, answer = await asked(http, "GET", f"/api/recordings/{first}", MAYA)
    assert status == 200
    recording = answer["recording"]
    assert recording == {
        "recording_id": first,
        "call_id": (await recorded.get(first)).call_id,
        "conversation_id": 123,
        "caller": {"profile_type": "tutor", "profile_id": 789, "name": "Daniel Okafor", "avatar": ""},
        "callee": {"profile_type": "student", "profile_id": 456, "name": "Maya Lindgren", "avatar": ""},
        "state": "ready",
        "end_reason": "call_ended",
        "started_at": milliseconds(0),
        "ended_at": milliseconds(1),
        "duration_seconds": 60.0,
        "packets": 100,
        "bytes": 11,
        "dropped": 0,
        "files": recording["files"],
        "verdict": "none",
        "policy": "consent",
        "consented": True,
        "legal_hold": False,
        "note": None,
        "job": None,
        "can_delete": True,
    }
    assert recording["files"][0] == {"name": "A.webm", "size": len(VIDEO), "content_type": "video/webm"}
    assert [one["name"] for one in recording["files"]] == ["A.webm", "report.html", "report.json", "sidecar.json"]


@quiet
@pytest.mark.parametrize("how", ["of others", "without consent", "being deleted", "never was", "no id"])
async def test_what_is_not_the_profiles_own_is_not_found(http: aiohttp.ClientSession, recorded: Recorded, how: str) -> None:
    match how:
        case "of others":
            named = await recorded.add(caller=ELENA)
        case "without consent":
            named = await recorded.add(policy=RecordingPolicy.ALWAYS)
        case "being deleted":
            named = await recorded.add()
            # Under another server's name: this one removes only what is its own, or lies here.
            assert await recorded.store.begin_deletion(named)
        case "never was":
            named = UNKNOWN
        case _:
            named = "no-such-recording"
    who = VICTOR if how == "of others" else MAYA
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/files/A.webm"),
        ("GET", "/report"),
        ("GET", "/report.html"),
        ("POST", "/assemble"),
        ("POST", "/verify"),
    ):
        status, answer = await asked(http, method, f"/api/recordings/{named}{path}", who)
        assert (status, answer["error"]["code"]) == (404, "not_found"), path
    assert await listed(http, who) == []


@quiet
async def test_lists_are_filtered_and_paged(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    minutes = [await recorded.add(minute) for minute in range(4)]
    drawing = await recorded.add(10, scope=WHITEBOARD, caller=MAYA, callee=DANIEL)
    failed = await recorded.add(11, state=RecordingState.FAILED)
    with_elena = await recorded.add(12, caller=ELENA, callee=DANIEL)
    assert await listed(http, DANIEL, "?conversation_id=123") == [with_elena, failed, *reversed(minutes)]
    assert await listed(http, DANIEL, "?whiteboard_session_id=900") == [drawing]
    assert await listed(http, DANIEL, f"?profile={ELENA}") == [with_elena]
    assert await listed(http, DANIEL, "?state=failed") == [failed]
    assert await listed(http, DANIEL, f"?from={milliseconds(1)}&to={milliseconds(3)}") == [minutes[2], minutes[1]]
    assert await listed(http, DANIEL, f"?call_id={(await recorded.get(drawing)).call_id}") == [drawing]
    assert await listed(http, DANIEL, "?verdict=passed") == []
    found, after = [], ""
    while True:
        status, page = await asked(http, "GET", f"/api/recordings?limit=3{after}", DANIEL)
        assert status == 200
        found += [one["recording_id"] for one in page["recordings"]]
        if page["next_cursor"] is None:
            break
        after = f"&after={page['next_cursor']}"
    assert found == [with_elena, failed, drawing, *reversed(minutes)]


@pytest.mark.changes_nothing
@quiet
@pytest.mark.parametrize(
    "query",
    [
        "conversation_id=x",
        "conversation_id=1&whiteboard_session_id=1",
        "profile=maya",
        "from=yesterday",
        "to=99999999999999999",
        "state=lost",
        "state=deleting%00",
        "verdict=good",
        "after=x",
        f"after={'x' * 300}",
        "limit=101",
        "limit=0",
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(http: aiohttp.ClientSession, query: str) -> None:
    status, answer = await asked(http, "GET", f"/api/recordings?{query}", MAYA)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


@quiet
async def test_every_use_is_written_down_before_the_first_byte(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path
) -> None:
    recording_id = await recorded.add()
    await listed(http, MAYA, "?state=ready")
    for _ in range(3):  # as a page does that shows progress: one view
        await asked(http, "GET", f"/api/recordings/{recording_id}", MAYA)
    await asked(http, "GET", f"/api/recordings/{recording_id}", DANIEL)
    async with http.get(file_of(recording_id), headers={**bearer(MAYA), "Range": "bytes=10-19"}) as response:
        assert response.status == 206
    await asked(http, "DELETE", f"/api/recordings/{recording_id}", MAYA)
    found = accesses(tmp_path)
    assert [(one["action"], one["profile_id"], one["detail"], one["first_byte"], one["last_byte"]) for one in found] == [
        ("list", 456, "state=ready", None, None),
        ("view", 456, None, None, None),
        ("view", 789, None, None, None),
        ("download", 456, "A.webm", 10, 19),
        ("delete", 456, None, None, None),
    ]
    assert [one["recording_id"] for one in found] == [None, *[recording_id] * 4]
    [hashed] = {one["address_hash"] for one in found}
    assert len(hashed) == 32
    assert "127.0.0.1" not in hashed


@quiet
async def test_nothing_is_shown_or_sent_while_a_use_cannot_be_written_down(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording_id = await recorded.add()
    async with locked(tmp_path / "relay.db"):
        paths = ("", f"/{recording_id}", f"/{recording_id}/files/A.webm", f"/{recording_id}/report")
        answers = await asyncio.gather(*(asked(http, "GET", f"/api/recordings{path}", MAYA) for path in paths))
    assert [(status, answer["error"]["code"]) for status, answer in answers] == [(503, "unavailable")] * len(paths)
    assert accesses(tmp_path) == []
    assert await listed(http, MAYA) == [recording_id]
    caplog.clear()  # the outage was logged, as it is to be


@quiet
async def test_a_deleted_recording_loses_its_files_and_then_its_row(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path, relay: RunningRelay
) -> None:
    recording_id, other = await recorded.add(), await recorded.add(1)
    assert (await asked(http, "DELETE", f"/api/recordings/{recording_id}", MAYA)) == (204, None)
    assert (await asked(http, "GET", f"/api/recordings/{recording_id}", MAYA))[0] == 404
    await eventually(lambda: not recorded.files(recording_id), "its files are gone")

    async def gone() -> bool:
        return await recorded.store.get(recording_id) is None

    await eventually(gone, "its row is gone")
    assert len(recorded.files(other)) > 3
    assert (await relay.counters())["relay_recording_removed_total"] == 1


@quiet
async def test_what_is_under_legal_hold_or_still_recorded_is_not_deleted(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    held, recording = await recorded.add(), await recorded.add(1, state=RecordingState.CAPTURING)
    await recorded.store.set_legal_hold(held, True)
    for recording_id, code in ((held, "legal_hold"), (recording, "busy")):
        status, answer = await asked(http, "DELETE", f"/api/recordings/{recording_id}", MAYA)
        assert (status, answer["error"]["code"]) == (409, code)
        status, answer = await asked(http, "GET", f"/api/recordings/{recording_id}", MAYA)
        assert (status, answer["recording"]["can_delete"]) == (200, False)


@pytest.mark.settings(node=NODE, recording_directory="", recording="off", dev=False)
async def test_without_a_directory_there_are_lists_and_no_files(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    recording_id = await recorded.add()
    assert await listed(http, MAYA) == [recording_id]
    for method, path in (("GET", "files/A.webm"), ("POST", "assemble")):
        status, answer = await asked(http, method, f"/api/recordings/{recording_id}/{path}", MAYA)
        assert status == 404
        assert NODE in answer["error"]["message"]


@quiet
async def test_a_profile_that_erases_its_history_loses_its_recordings_and_their_files(
    http: aiohttp.ClientSession, recorded: Recorded, relay: RunningRelay
) -> None:
    own, others = await recorded.add(), await recorded.add(caller=ELENA, callee=DANIEL)
    status, export = await asked(http, "GET", "/api/me/export", MAYA)
    assert (status, [one["recording_id"] for one in export["recordings"]]) == (200, [own])
    assert (await asked(http, "DELETE", "/api/me/history", MAYA))[0] == 204
    assert await listed(http, MAYA) == []
    assert await listed(http, DANIEL) == [others]


@pytest.mark.settings(node=NODE, assemblers=0, retain_recordings_days=30)
async def test_a_start_removes_what_is_too_old_and_what_a_stop_left_half_deleted(tmp_path: Path, no_errors_logged: None) -> None:
    settings = {"media_host": "127.0.0.1", "node": NODE, "assemblers": 0}
    async with running_relay(tmp_path, **settings) as relay, recordings_of(relay, tmp_path) as recorded:
        pass
    async with recordings_of(relay, tmp_path) as recorded:
        old, held, half = [await recorded.add() for _ in range(3)]  # in March
        young = await recorded.add(since=datetime.now(UTC))
        await recorded.store.set_legal_hold(held, True)
        await recorded.store.begin_deletion(half)
        (tmp_path / "recordings" / f"{half}.pcapng").unlink()
        async with running_relay(tmp_path, retain_recordings_days=30, **settings):
            await eventually(lambda: not recorded.files(old) and not recorded.files(half), "their files are gone")

            async def gone() -> bool:
                return [await recorded.store.get(one) for one in (old, half)] == [None, None]

            await eventually(gone, "their rows are gone")
            assert recorded.files(held)
            assert recorded.files(young)


@pytest.mark.settings(node=NODE)
async def test_assembling_is_busy_while_it_goes_on(http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path) -> None:
    """The capture is none, so that it fails; what is asked for is tried once, and says why."""
    recording_id = await recorded.add(state=RecordingState.FAILED)
    path = f"/api/recordings/{recording_id}"
    status, answer = await asked(http, "POST", f"{path}/assemble", MAYA)
    assert status == 202
    assert answer["recording"]["job"]["kind"] == "assemble"
    status, answer = await asked(http, "POST", f"{path}/assemble?mp4=1", MAYA)
    assert (status, answer["error"]["code"]) == (409, "busy")

    async def settled() -> Any:
        _, found = await asked(http, "GET", path, MAYA)
        return found["recording"] if found["recording"]["job"] is None else None

    recording = await eventually(settled, "the attempt is over")
    assert (recording["state"], recording["files"]) == ("failed", [])
    assert recording["note"]
    assert [one["action"] for one in accesses(tmp_path)] == ["assemble", "assemble", "view"]
    assert (await asked(http, "POST", f"{path}/assemble?mp4=perhaps", MAYA))[0] == 400


@quiet
async def test_what_is_being_captured_is_neither_assembled_nor_verified(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    recording_id = await recorded.add(state=RecordingState.CAPTURING)
    status, answer = await asked(http, "POST", f"/api/recordings/{recording_id}/assemble", MAYA)
    assert (status, answer["error"]["code"]) == (409, "busy")


@pytest.mark.settings(node=NODE)
@pytest.mark.parametrize("what", ["assemble", "verify"])
async def test_a_server_without_the_capture_of_a_recording_leaves_it_as_it_is(
    http: aiohttp.ClientSession, recorded: Recorded, what: str
) -> None:
    """It is on the disk of another one."""
    recording_id = await recorded.add()
    (recorded.directory / f"{recording_id}.pcapng").unlink()
    before = await recorded.get(recording_id)
    status, answer = await asked(http, "POST", f"/api/recordings/{recording_id}/{what}", MAYA)
    assert status == 404
    assert NODE in answer["error"]["message"]
    assert await recorded.get(recording_id) == before


@quiet
async def test_a_client_that_goes_before_the_answer_leaves_no_error_in_the_log(
    relay: RunningRelay, http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path
) -> None:
    recording_id = await recorded.add()
    host, port = relay.url.removeprefix("http://").split(":")
    request = [f"GET {file_of(recording_id)} HTTP/1.1", f"Host: {host}:{port}"]
    request += [f"{name}: {value}" for name, value in bearer(MAYA).items()]

    async def looked_up() -> bool:
        # A server that learns of the end before it has begun with the request does not look the file up.
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write("\r\n".join([*request, "", ""]).encode())
        writer.transport.close()  # what was written is sent
        return len(accesses(tmp_path)) >= 5

    await eventually(looked_up, "the relay has found the file five times")
    async with http.get(file_of(recording_id), headers=bearer(MAYA)) as response:
        assert await response.read() == VIDEO
