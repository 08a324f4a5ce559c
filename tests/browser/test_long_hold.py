"""A hold that is longer than SRTP's 16 bits of sequence numbers, as Chromium's own SRTP takes it."""

import struct
from collections import defaultdict

import pytest
from aiortc import RTCPeerConnection

from relay.rtp.packet import is_rtcp
from tests.browser.conftest import OpenPage
from tests.browser.pages import TUTOR, RelayPage
from tests.kit.peer import RED, Peer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

STEP = 8_000
"""Numbers between two packets of a stream: what a sender has sent in 160 s of audio."""

HELD = 5 * STEP
"""Numbers of a whole hold: 13 minutes of audio."""


class LongHold:
    """Makes a client's packets those of one that has been on hold for long: while it is on, numbers are skipped."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        self.skipped: defaultdict[bytes, int] = defaultdict(int)
        """Numbers, by SSRC."""
        self.on = False
        for transport in {sender.transport for sender in connection.getSenders()}:
            self._send = transport._send_rtp
            transport._send_rtp = self._send_later  # type: ignore[method-assign,assignment]

    async def _send_later(self, packet: bytes) -> None:
        if not is_rtcp(packet[1]):
            ssrc = packet[8:12]
            if self.on and self.skipped[ssrc] < HELD:
                self.skipped[ssrc] += STEP
            sequence = int.from_bytes(packet[2:4], "big") + self.skipped[ssrc]
            packet = packet[:2] + struct.pack("!H", sequence & 0xFFFF) + packet[4:]
        await self._send(packet)

    @property
    def over(self) -> bool:
        """Whether every stream has skipped its numbers."""
        return len(self.skipped) >= 2 and min(self.skipped.values()) >= HELD


async def hears_and_sees(page: RelayPage) -> None:
    """Wait until the page has played a little more, and decoded a few frames more."""
    before = await page.talking()

    async def more() -> bool:
        now = await page.talking()
        return now.audio_energy > before.audio_energy + 0.01 and now.frames_decoded > before.frames_decoded + 5

    await eventually(more, "the page hears and sees the other party")


async def test_chromium_hears_and_sees_the_other_party_after_a_long_hold(
    relay: RunningRelay, open_page: OpenPage[RelayPage]
) -> None:
    page = await open_page(RelayPage, TUTOR)
    async with Peer.connected(relay.url, "student_456", colour=RED, tone=440.0) as caller:
        await caller.call(TUTOR, 123, "video", codecs=("VP8", "opus"))
        await page.ringing()
        await page.accept()
        await caller.accept_answer()
        hold = LongHold(caller.connection)
        await hears_and_sees(page)

        await page.press_more("hold")
        await page.shows("resume")
        hold.on = True
        await eventually(lambda: hold.over, "the hold was long")
        await page.press("resume")
        await hears_and_sees(page)
        counted = await relay.counters()
        assert counted["relay_media_gaps_filled_total"] >= 2 * 7
        assert counted["relay_media_dropped_unprotectable_total"] == 0
