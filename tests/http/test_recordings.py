"""A profile's own recordings, and no others."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from relay.http.downloads import MAX_DOWNLOADS
from relay.signaling.recording_records import RecordingPolicy, RecordingState
from tests.http.conftest import bearer
from tests.http.recorded import KEY, NODE, VIDEO, Recorded, accesses, recordings_of
from tests.http.records import DANIEL, ELENA, MAYA, VICTOR, WHITEBOARD, asked, milliseconds
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

quiet = pytest.mark.settings(node=NODE, assemblers=0)
"""No job touches what a test has written."""
sealed = pytest.mark.settings(node=NODE, assemblers=0, recording_key=KEY)

UNKNOWN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def recorded(relay: RunningRelay, tmp_path: Path) -> AsyncIterator[Recorded]:
    async with recordings_of(relay, tmp_path) as recorded:
        yield recorded


async def listed(http: aiohttp.ClientSession, who: str, query: str = "") -> list[str]:
    status, answer = await asked(http, "GET", f"/api/recordings{query}", who)
    assert status == 200, answer
    return [one["recording_id"] for one in answer["recordings"]]


def file_of(recording_id: str, name: str = "A.webm") -> str:
    return f"/api/recordings/{recording_id}/files/{name}"


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


RANGES = [
    ("bytes=0-9", slice(0, 10)),
    ("bytes=65530-65545", slice(65530, 65546)),
    ("bytes=131072-", slice(131072, None)),
    ("bytes=-5", slice(-5, None)),
    (f"bytes=-{len(VIDEO) + 5}", slice(0, None)),
    (f"bytes=204799-{10**9}", slice(204799, None)),
    ("Bytes=1-1", slice(1, 2)),
]


@pytest.mark.parametrize("key", [pytest.param("", marks=quiet, id="plain"), pytest.param(KEY, marks=sealed, id="sealed")])
async def test_a_file_comes_whole_or_in_a_range(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path, key: str
) -> None:
    recording_id = await recorded.add(key=key)
    assert (key == "") is (VIDEO[:500] in (tmp_path / "recordings" / recording_id / "A.webm").read_bytes())
    async with http.get(file_of(recording_id), headers=bearer(MAYA)) as response:
        assert (response.status, await response.read()) == (200, VIDEO)
        assert response.headers["Content-Disposition"] == 'attachment; filename="A.webm"'
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Cache-Control"] == "private, no-store"
        assert response.headers["Accept-Ranges"] == "bytes"
        assert response.content_type == "video/webm"
        tag = response.headers["ETag"]
        assert recording_id in tag
    for asked_for, expected in RANGES:
        async with http.get(file_of(recording_id), headers={**bearer(MAYA), "Range": asked_for}) as response:
            assert (response.status, await response.read()) == (206, VIDEO[expected]), asked_for
            start, stop, _ = expected.indices(len(VIDEO))
            assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(VIDEO)}"
            assert response.headers["ETag"] == tag
    for same, status in ((tag, 206), ('"another"', 200), ("Sat, 01 Jan 2022 00:00:00 GMT", 200)):
        headers = {**bearer(MAYA), "Range": "bytes=0-9", "If-Range": same}
        async with http.get(file_of(recording_id), headers=headers) as response:
            assert response.status == status, same
            assert await response.read() == VIDEO[: 10 if status == 206 else None]
    async with http.head(file_of(recording_id), headers=bearer(MAYA)) as response:
        assert (response.status, response.content_length, await response.read()) == (200, len(VIDEO), b"")


@quiet
@pytest.mark.parametrize("wanted", ["bytes=204800-", "bytes=5-4", "bytes=-0", "bytes=0-1,4-5", "bytes=x-", "bytes=-"])
async def test_a_range_that_is_not_there_is_refused_and_the_size_is_said(
    http: aiohttp.ClientSession, recorded: Recorded, wanted: str
) -> None:
    recording_id = await recorded.add()
    async with http.get(file_of(recording_id), headers={**bearer(MAYA), "Range": wanted}) as response:
        assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{len(VIDEO)}")
        assert (await response.json())["error"]["code"] == "range_not_satisfiable"


@quiet
async def test_a_range_in_another_unit_is_ignored(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    recording_id = await recorded.add()
    async with http.get(file_of(recording_id), headers={**bearer(MAYA), "Range": "seconds=1-2"}) as response:
        assert (response.status, await response.read()) == (200, VIDEO)


@quiet
async def test_a_file_that_is_not_in_the_row_is_not_found_though_it_lies_there(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path
) -> None:
    recording_id = await recorded.add()
    (tmp_path / "recordings" / recording_id / "secret.txt").write_text("secret")
    for name in ("secret.txt", f"{recording_id}.pcapng", "..", "%2e%2e%2frelay.db", "..%2F..%2Frelay.db", "A.webm%00", "a.webm"):
        async with http.get(file_of(recording_id, name), headers=bearer(MAYA)) as response:
            assert response.status == 404, name
            assert b"secret" not in await response.read()


@quiet
async def test_a_symbolic_link_is_not_followed(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording_id = await recorded.add()
    file = tmp_path / "recordings" / recording_id / "A.webm"
    (tmp_path / "elsewhere").write_text("secret")
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    status, answer = await asked(http, "GET", file_of(recording_id), MAYA)
    assert (status, answer["error"]["code"]) == (500, "internal")
    caplog.clear()  # the error that was logged is what it is for


@quiet
async def test_a_file_that_has_gone_is_not_found(http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path) -> None:
    recording_id = await recorded.add()
    (tmp_path / "recordings" / recording_id / "A.webm").unlink()
    status, answer = await asked(http, "GET", file_of(recording_id), MAYA)
    assert status == 404
    assert NODE in answer["error"]["message"]


@sealed
@pytest.mark.parametrize("damage", ["changed", "cut off", "another key"])
async def test_a_sealed_file_that_is_damaged_is_never_given_out(
    http: aiohttp.ClientSession, recorded: Recorded, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    recording_id = await recorded.add(key=KEY)
    file = tmp_path / "recordings" / recording_id / "A.webm"
    content = bytearray(file.read_bytes())
    content[10 if damage == "another key" else 100_000] ^= 1
    file.write_bytes(content[:150_000] if damage == "cut off" else content)
    got = b""
    try:
        async with http.get(file_of(recording_id), headers=bearer(MAYA)) as response:
            status = response.status
            async for chunk in response.content.iter_any():
                got += chunk
    except aiohttp.ClientPayloadError:
        assert (status, damage) == (200, "changed")  # the connection broke off before the chunk
    else:
        assert status == 500
        got = b""
    assert VIDEO.startswith(got)
    assert len(got) < len(VIDEO)
    assert "cannot be read" in caplog.text or "broke off" in caplog.text
    caplog.clear()  # the error that was logged is what it is for


@quiet
async def test_a_report_is_json_or_a_page_that_runs_nothing(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    recording_id = await recorded.add()
    async with http.get(f"/api/recordings/{recording_id}/report", headers=bearer(MAYA)) as response:
        assert (response.status, await response.json()) == (200, {"verdict": "passed"})
    async with http.get(f"/api/recordings/{recording_id}/report.html", headers=bearer(MAYA)) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert "<title>Report</title>" in await response.text()
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'self'" in response.headers["Content-Security-Policy"]
        assert "Content-Disposition" not in response.headers
    unverified = await recorded.add(products={"A.webm": VIDEO})
    for path in ("report", "report.html"):
        assert (await asked(http, "GET", f"/api/recordings/{unverified}/{path}", MAYA))[0] == 404


@quiet
async def test_a_profile_has_four_downloads_at_a_time(
    http: aiohttp.ClientSession, recorded: Recorded, relay: RunningRelay
) -> None:
    large = await recorded.add(products={"A.webm": bytes(64 * 1024 * 1024)})
    running = [await http.get(file_of(large), headers=bearer(MAYA)) for _ in range(MAX_DOWNLOADS)]
    try:
        assert [one.status for one in running] == [200] * MAX_DOWNLOADS
        async with http.get(file_of(large), headers=bearer(MAYA)) as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
        async with http.get(file_of(large), headers={**bearer(DANIEL), "Range": "bytes=0-0"}) as response:
            assert response.status == 206
    finally:
        for one in running:
            one.close()

    async def free() -> bool:
        return (await asked_range(http, large)) == 206

    await eventually(free, "the places of downloads that were broken off are free")
    assert (await relay.counters())["relay_limited_total"] >= 1


async def asked_range(http: aiohttp.ClientSession, recording_id: str) -> int:
    async with http.get(file_of(recording_id), headers={**bearer(MAYA), "Range": "bytes=0-0"}) as response:
        return response.status


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
