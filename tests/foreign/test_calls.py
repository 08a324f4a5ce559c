"""WebRTC implementations that share no code with this project call a default Chromium through the relay, and are called by it."""

from pathlib import Path

import pytest

from tests.browser.conftest import OpenPage
from tests.browser.pages import STUDENT, TUTOR, DataPage
from tests.foreign.client import PROGRAMS, ForeignClient
from tests.kit.browsers import LOOK
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ENOUGH = 20
"""Frames, and packets of audio: more than a decoder shows of one key frame."""


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_foreign_client_calls_chromium_with_audio_video_and_a_data_channel(
    relay: RunningRelay, open_page: OpenPage[DataPage], media: Path, program: str
) -> None:
    page = await open_page(DataPage, TUTOR)
    async with ForeignClient.started(program, relay.url, STUDENT, media) as client:
        await client.call(TUTOR, 123)
        await page.ringing()
        await page.accept()
        await client.accept_answer()
        await both_understand_each_other(page, client)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_chromium_calls_a_foreign_client_with_audio_video_and_a_data_channel(
    relay: RunningRelay, open_page: OpenPage[DataPage], media: Path, program: str
) -> None:
    page = await open_page(DataPage, STUDENT)
    async with ForeignClient.started(program, relay.url, TUTOR, media) as client:
        await page.call("video")
        await client.answer_call()
        await both_understand_each_other(page, client)


async def test_gstreamer_with_its_own_bundle_policy_calls_with_voice_alone(
    relay: RunningRelay, open_page: OpenPage[DataPage], media: Path
) -> None:
    page = await open_page(DataPage, TUTOR)
    async with ForeignClient.started("GStreamer", relay.url, STUDENT, media, BUNDLE_POLICY="none") as client:
        await client.call(TUTOR, 123, "voice", kind="voice")
        await page.ringing()
        await page.accept()
        await client.accept_answer()

        async def both_hear() -> bool:
            return (await page.talking()).audio_energy > 0 and (await client.heard()).audio > ENOUGH

        await eventually(both_hear, "both hear each other", every=LOOK)


async def both_understand_each_other(page: DataPage, client: ForeignClient) -> None:
    """Wait until audio, video and a text have crossed both ways."""

    async def page_sees_and_hears() -> bool:
        statistics = await page.talking()
        return statistics.frames_decoded > ENOUGH and statistics.audio_energy > 0

    async def client_sees_and_hears() -> bool:
        heard = await client.heard()
        return min(heard.audio, heard.video) > ENOUGH

    await eventually(page_sees_and_hears, "Chromium decodes audio and video", every=LOOK)
    await eventually(client_sees_and_hears, "audio and video arrive at the client", every=LOOK)
    await client.write("from afar")
    assert await page.receive() == "from afar"
    await page.send("from Chromium")

    async def client_reads() -> bool:
        return (await client.heard()).texts == ("from Chromium",)

    await eventually(client_reads, "the text arrives at the client")
