"""Files of recordings: whole and in ranges, sealed and not, and never one that is not in the row."""

from pathlib import Path

import aiohttp
import pytest

from relay.http.recordings.downloads import MAX_DOWNLOADS
from tests.http.conftest import bearer
from tests.http.recordings.recorded import KEY, NODE, VIDEO, Recorded, file_of, quiet, recorded, sealed
from tests.http.records import DANIEL, MAYA, asked
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

__all__ = ["recorded"]

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
async def test_a_range_that_is_not_there_is_refused_and_the_size_is_said(http: aiohttp.ClientSession, recorded: Recorded) -> None:
    recording_id = await recorded.add()
    for wanted in ("bytes=204800-", "bytes=5-4", "bytes=-0", "bytes=0-1,4-5", "bytes=x-", "bytes=-"):
        async with http.get(file_of(recording_id), headers={**bearer(MAYA), "Range": wanted}) as response:
            assert (response.status, response.headers.get("Content-Range")) == (416, f"bytes */{len(VIDEO)}"), wanted
            assert (await response.json())["error"]["code"] == "range_not_satisfiable", wanted


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
