"""Video calls over UDP, from whatever network lets UDP through."""

from functools import partial
from pathlib import Path

import pytest

from relay.recording.assemble import assemble
from tests.kit.recorded import NOTE_FRAMES, finished_capture, missing_frames
from tests.lab.calls import A_SECOND, LabCall, Record, video_call
from tests.lab.gateways import Access
from tests.lab.network import SERVER
from tests.lab.pages import BrowserKind
from tests.lab.shared import Lab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def see_and_hear_each_other_over_udp(call: LabCall, record: Record) -> None:
    both = await call.goes_on(2 * A_SECOND)
    assert await call.routes() == ("udp", "udp")
    assert {one.remote[0] for one in both} == {SERVER}
    await call.record_first_frames(record)


@pytest.mark.parametrize(
    ("access", "kind"),
    [
        (Access.OPEN, BrowserKind.DESKTOP_CHROMIUM),
        (Access.FULL_CONE, BrowserKind.CHROMIUM),
        (Access.SYMMETRIC, BrowserKind.CHROMIUM),
    ],
    ids=["open", "full cone", "symmetric"],
)
async def test_two_clients_of_the_same_kind_of_network_see_and_hear_each_other(
    lab: Lab, record_property: Record, access: Access, kind: BrowserKind
) -> None:
    caller, callee = lab.site(access), lab.site(access)
    async with video_call(lab, caller, callee, (kind, kind)) as call:
        await see_and_hear_each_other_over_udp(call, record_property)


async def test_a_server_behind_nat_is_reached_at_the_address_that_it_advertises(tmp_path: Path, record_property: Record) -> None:
    async with Lab.built(tmp_path, server_behind_nat=True) as lab:
        caller, callee = lab.site(Access.OPEN), lab.site(Access.OPEN)
        async with video_call(lab, caller, callee, public_address=SERVER) as call:
            await see_and_hear_each_other_over_udp(call, record_property)


@pytest.mark.parametrize(
    "browsers",
    [(BrowserKind.FIREFOX, BrowserKind.CHROMIUM), (BrowserKind.CHROMIUM, BrowserKind.FIREFOX)],
    ids=["Firefox calls Chromium", "Chromium calls Firefox"],
)
async def test_firefox_and_chromium_see_and_hear_each_other_and_the_recording_has_what_chromium_showed(
    lab: Lab, tmp_path: Path, record_property: Record, browsers: tuple[BrowserKind, BrowserKind]
) -> None:
    first, second = lab.site(Access.OPEN), lab.site(Access.OPEN)
    # Firefox on the client of the first site, where other tests have started it: that takes as long as this call.
    caller, callee = (first, second) if browsers[0] is BrowserKind.FIREFOX else (second, first)
    recordings = tmp_path / "recordings"
    recordings.mkdir(mode=0o700)
    record_all = partial(video_call, recording="always", recording_directory=str(recordings), assemblers="0")
    async with record_all(lab, caller, callee, browsers) as call:
        chromium = call.callee if browsers[1] is BrowserKind.CHROMIUM else call.caller
        await chromium.run(NOTE_FRAMES)
        await see_and_hear_each_other_over_udp(call, record_property)
        shown = await chromium.run("() => shownFrames")
    capture = await finished_capture(recordings)
    result = assemble(capture, tmp_path / "assembled")
    assert missing_frames(shown, result.folder / ("A.webm" if chromium is call.callee else "B.webm"), capture) == []
