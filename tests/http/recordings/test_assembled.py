"""From a capture on the disk to a file that plays, over HTTP: by the processes that do it, not by stand-ins."""

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from relay.records.recordings import RecordingState
from relay.sealed import is_sealed
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN
from tests.http.conftest import SECRET, bearer
from tests.http.recordings.recorded import KEY, NODE, Recorded, recordings_of
from tests.http.records import MAYA, asked
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually
from tests.recording.kit import captured, decoded_frames

pytestmark = pytest.mark.servers
"""Each recording starts a program or two."""

SETTINGS: dict[str, Any] = {
    "media_host": "127.0.0.1",
    "node": NODE,
    "jwt_secret": SECRET,
    "service_token": SERVICE_TOKEN,
}


@contextlib.asynccontextmanager
async def relay_with(
    folder: Path, capture: bytes, key: str = "", **settings: Any
) -> AsyncIterator[tuple[RunningRelay, Recorded, str, aiohttp.ClientSession]]:
    """A relay that has started with one recording that was captured before."""
    async with running_relay(folder, **SETTINGS, assemblers=0) as before, recordings_of(before, folder) as recorded:
        recording_id = await recorded.add(since=datetime.now(UTC), state=RecordingState.CAPTURED, capture=capture, key=key)
    async with (
        running_relay(folder, **SETTINGS, recording_key=key, **settings) as relay,
        recordings_of(relay, folder) as recorded,
        aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        yield relay, recorded, recording_id, http
        assert relay.contract is not None
        assert not relay.contract.breaches


async def settled(http: aiohttp.ClientSession, recording_id: str, state: str = "ready") -> Any:
    async def reached() -> Any:
        status, found = await asked(http, "GET", f"/api/recordings/{recording_id}", MAYA)
        assert status == 200, found
        return found["recording"] if (found["recording"]["state"], found["recording"]["job"]) == (state, None) else None

    return await eventually(reached, f"it is {state}", within=60.0)


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "sealed"])
async def test_a_start_assembles_what_was_captured_and_its_party_plays_it(
    tmp_path: Path, no_errors_logged: None, key: str
) -> None:
    capture = captured(tmp_path / "capture")
    async with relay_with(tmp_path, capture, key) as (relay, recorded, recording_id, http):
        recording = await settled(http, recording_id)
        names = {one["name"] for one in recording["files"]}
        assert {"A.webm", "B.webm", "call.mkv", "sidecar.json", "report.json", "report.html"} <= names
        assert (recording["verdict"], recording["note"]) == ("passed", None)
        folder = recorded.directory / recording_id
        assert {is_sealed(file) for file in folder.iterdir()} == {bool(key)}
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700
        for one in recording["files"]:
            async with http.get(f"/api/recordings/{recording_id}/files/{one['name']}", headers=bearer(MAYA)) as response:
                content = await response.read()
                assert (response.status, len(content)) == (200, one["size"]), one["name"]
                (tmp_path / one["name"]).write_bytes(content)
        assert len(decoded_frames(tmp_path / "A.webm")) == 25
        assert len(decoded_frames(tmp_path / "call.mkv")) == 25
        path = f"/api/admin/recordings/{recording_id}/files/{recording_id}.pcapng"
        async with http.get(path, headers=PLATFORM) as response:
            assert await response.read() == capture
        assert (await relay.counters())["relay_recording_assembled_total"] == 1
        assert not [file for file in recorded.directory.iterdir() if file.name not in (recording_id, f"{recording_id}.pcapng")]


async def test_a_recording_is_assembled_anew_on_request_while_a_download_goes_on(tmp_path: Path, no_errors_logged: None) -> None:
    async with relay_with(tmp_path, captured(tmp_path / "capture")) as (_, recorded, recording_id, http):
        await settled(http, recording_id)
        path = f"/api/recordings/{recording_id}"
        async with http.get(f"{path}/files/A.webm", headers={**bearer(MAYA), "Range": "bytes=0-9"}) as response:
            tag = response.headers["ETag"]
        status, answer = await asked(http, "POST", f"{path}/assemble", MAYA)
        assert (status, answer["recording"]["job"]["kind"]) == (202, "assemble")
        await settled(http, recording_id)
        headers = {**bearer(MAYA), "Range": "bytes=10-19", "If-Range": tag}
        async with http.get(f"{path}/files/A.webm", headers=headers) as response:
            assert response.status == 200, "a download is not continued with another version"
        assert (await recorded.get(recording_id)).attempts == 2


@pytest.mark.parametrize("key", ["", KEY], ids=["plain", "sealed"])
async def test_a_recording_is_verified_on_request_and_its_report_is_replaced(
    tmp_path: Path, no_errors_logged: None, key: str
) -> None:
    async with relay_with(tmp_path, captured(tmp_path / "capture"), key) as (_, recorded, recording_id, http):
        await settled(http, recording_id)
        path = f"/api/recordings/{recording_id}"
        async with http.get(f"{path}/report", headers=bearer(MAYA)) as response:
            tag, first = response.headers["ETag"], await response.json()
        assert first["verdict"] == "passed"
        status, answer = await asked(http, "POST", f"{path}/verify", MAYA)
        assert (status, answer["recording"]["job"]["kind"]) == (202, "verify")
        recording = await settled(http, recording_id)
        assert (recording["verdict"], recording["note"]) == ("passed", None)
        async with http.get(f"{path}/report", headers=bearer(MAYA)) as response:
            assert response.headers["ETag"] != tag
        folder = recorded.directory / recording_id
        assert {is_sealed(file) for file in folder.iterdir()} == {bool(key)}
        assert not (recorded.directory / f"{recording_id}.verify").exists()


async def test_the_limits_of_the_server_are_those_of_every_verification_and_each_report_names_them(
    tmp_path: Path, no_errors_logged: None
) -> None:
    limits = "max-loss=50% max-av-offset=80ms"
    async with relay_with(tmp_path, captured(tmp_path / "capture"), verify_limits=limits) as (_, _, recording_id, http):
        path = f"/api/recordings/{recording_id}"
        for by_request in (False, True):
            if by_request:
                assert (await asked(http, "POST", f"{path}/verify", MAYA))[0] == 202
            recording = await settled(http, recording_id)
            assert recording["verdict"] == "unreadable", "there is no counter by which the offset could be judged"
            async with http.get(f"{path}/report", headers=bearer(MAYA)) as response:
                report = await response.json()
            set_ = {name: value for name, value in report["limits"].items() if value is not None}
            assert set_ == {"max_loss": 50, "max_av_offset": 0.08}
            assert {one["state"] for one in report["findings"] if one["name"] == "max_loss"} == {"passed"}
            async with http.get(f"{path}/files/report.html", headers=bearer(MAYA)) as response:
                read = re.sub(r"<[^>]*>", "", await response.text())
            assert "max-loss 50.0 %, max-av-offset 80 ms" in read


async def test_a_product_that_was_damaged_is_unreadable_to_the_verification(tmp_path: Path, no_errors_logged: None) -> None:
    async with relay_with(tmp_path, captured(tmp_path / "capture")) as (_, recorded, recording_id, http):
        await settled(http, recording_id)
        (recorded.directory / recording_id / "A.webm").write_bytes(b"not a video any more")
        status, answer = await asked(http, "POST", f"/api/recordings/{recording_id}/verify", MAYA)
        assert status == 202, answer
        recording = await settled(http, recording_id)
        assert (recording["state"], recording["verdict"]) == ("ready", "unreadable")


async def test_a_capture_that_is_none_fails_with_the_reason_and_stays(tmp_path: Path) -> None:
    async with relay_with(tmp_path, b"this is no capture", assemblers=1) as (_, recorded, recording_id, http):

        async def told() -> Any:
            status, found = await asked(http, "GET", f"/api/recordings/{recording_id}", MAYA)
            assert status == 200, found
            return found["recording"]["note"]

        assert "no recording of a relay" in await eventually(told, "the first attempt has failed", within=60.0)
        assert recorded.files(recording_id) == [f"{recording_id}.pcapng"]
        assert (await recorded.get(recording_id)).state is RecordingState.CAPTURED, "it is tried again in a minute"
