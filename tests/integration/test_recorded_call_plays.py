"""A call that was recorded is a file that plays, for its parties and for no others."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.conftest import Connect
from tests.integration.recorded import SIZE, begun, talking, time_passes
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually
from tests.recording.kit import decoded_frames, level


async def signed_in(http: aiohttp.ClientSession, profile_type: str, profile_id: int) -> dict[str, str]:
    """The header of a profile's requests."""
    body = {"profile_type": profile_type, "profile_id": profile_id}
    async with http.post("/api/dev/login", json=body) as response:
        return {"Authorization": f"Bearer {(await response.json())['token']}"}


@pytest.mark.settings(workers=1, recording_key="MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
async def test_a_recorded_call_is_assembled_verified_and_played_by_its_parties_only(
    relay: RunningRelay, connect: Connect, tmp_path: Path
) -> None:
    caller, callee = await talking(connect)
    recording_id = await begun(caller, callee)
    await time_passes(caller, callee)
    await time_passes(caller, callee)
    await caller.hang_up()
    await callee.expect("call_ended")
    path = f"/api/recordings/{recording_id}"
    async with aiohttp.ClientSession(relay.url, cookie_jar=aiohttp.DummyCookieJar()) as http:
        student, parent = await signed_in(http, "student", 456), await signed_in(http, "parent", 321)

        async def ready() -> Any:
            async with http.get(path, headers=student) as response:
                recording = (await response.json())["recording"]
            return recording if recording["state"] in ("ready", "failed") and recording["job"] is None else None

        recording = await eventually(ready, "it is assembled", within=60.0)
        assert (recording["state"], recording["end_reason"]) == ("ready", "call_ended"), recording["note"]
        assert recording["verdict"] in ("passed", "failed"), recording["note"]
        for party in "AB":
            [name] = [one["name"] for one in recording["files"] if one["name"].startswith(f"{party}.")]
            async with http.get(f"{path}/files/{name}", headers=student) as response:
                (tmp_path / name).write_bytes(await response.read())
            frames = decoded_frames(tmp_path / name)
            assert len(frames) > 10
            assert (frames[-1].width, frames[-1].height) == SIZE
            assert level(tmp_path / name, 0.0, 60.0) > 0.01
        for one in (path, f"{path}/files/A.webm", f"{path}/report"):
            async with http.get(one, headers=parent) as response:
                assert response.status == 404
