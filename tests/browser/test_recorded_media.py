"""What a browser showed of a call is in the recording of the call, frame by frame."""

from pathlib import Path

import av
import pytest

from relay.recording.assemble import assemble
from tests.browser.calls import PagesInCall
from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, RelayPage
from tests.kit.browsers import LOOK
from tests.kit.recorded import NOTE_FRAMES, finished_capture, missing_frames
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PREFER = """
(mimeType) => {
  const { codecs } = RTCRtpReceiver.getCapabilities("video");
  const preferred = [true, false].flatMap((first) => codecs.filter((codec) => (codec.mimeType === mimeType) === first));
  const offer = RTCPeerConnection.prototype.createOffer;
  RTCPeerConnection.prototype.createOffer = function (...options) {
    const video = this.getTransceivers().filter(({ receiver }) => receiver.track.kind === "video");
    video.forEach((transceiver) => transceiver.setCodecPreferences(preferred));
    return offer.apply(this, options);
  };
}
"""
"""Prefer a codec, as a page may: to be set before the offer is made."""

FRAMES = 80


@pytest.mark.settings(recording="always", assemblers=0)
@pytest.mark.parametrize(
    "codec", ["", "video/VP9", "video/H264", "video/AV1"], ids=["as the browser has it", "VP9", "H.264", "AV1"]
)
async def test_each_frame_that_a_browser_showed_is_in_the_recording(
    relay: RunningRelay, open_page: OpenPage[RelayPage], tmp_path: Path, codec: str
) -> None:
    caller, callee = await open_page(RelayPage, STUDENT), await open_page(RelayPage, TUTOR)
    if codec:
        await caller.page.evaluate(PREFER, codec)
    await PagesInCall.connected(relay, "video", caller, callee)
    await callee.page.evaluate(NOTE_FRAMES)

    async def seen() -> bool:
        return int(await callee.page.evaluate("shownFrames.length")) > FRAMES

    await eventually(seen, f"{FRAMES} frames of the caller were shown", within=60, every=LOOK)
    shown = await callee.page.evaluate("shownFrames")
    await caller.hang_up()
    await relay.finished_call()
    capture = await finished_capture(tmp_path / "recordings")
    [video] = assemble(capture, tmp_path / "assembled").folder.glob("A.*")
    if codec:
        with av.open(video) as container:
            assert container.streams.video[0].codec_context.name in {codec.removeprefix("video/").lower(), "libdav1d", "h264"}
    assert missing_frames(shown, video, capture) == []
