"""What the README tells QA to do: two callers without browsers, a recording by consent, and a verdict."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from relay.recording.limits import VerificationLimits
from relay.recording.verify import verify
from relay.recording.verify.reference import ReferencePlan, write_reference
from tests.kit.children import child
from tests.kit.recorded import finished_capture
from tests.kit.server import RunningRelay

CALL = 60.0
"""Seconds for a call of six; only ever used up by a test that fails."""


@pytest.mark.settings(assemblers=0)
async def test_the_recording_of_two_headless_callers_has_each_frame_in_its_time(relay: RunningRelay, tmp_path: Path) -> None:
    talk = tmp_path / "talk.webm"
    await asyncio.to_thread(write_reference, talk, ReferencePlan(duration=6.0))
    options = f"--url {relay.url} --as student_456 --to tutor_789 --answer --request-recording --consent yes --media {talk}"
    async with child(sys.executable, "-m", "relay", "call", *options.split(), stdout=PIPE, stderr=STDOUT) as caller:
        said, _ = await asyncio.wait_for(caller.communicate(), CALL)
    assert caller.returncode == 0, said.decode()
    capture = await finished_capture(tmp_path / "recordings")
    assert f"recorded by the relay: {capture.stem}" in said.decode()
    # The offset of the source is 0: a flash and a tone begin together.
    limits = VerificationLimits(max_av_offset=0.010, max_missing_frames=0, min_psnr=60.0)
    result = await asyncio.to_thread(verify, capture, reference=talk, limits=limits, out=tmp_path / "report")
    assert (result.verdict, result.reasons) == ("passed", ())
    offsets = [offset for one in result.report.av_offsets.values() for _, offset in one.seconds]
    assert len(offsets) >= 2 * 5
    assert max(map(abs, offsets)) <= 0.010, "in every second, of both parties"
