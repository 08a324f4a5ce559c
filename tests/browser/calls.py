"""A whole call between two pages, whichever they are."""

import contextlib
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tests.browser.pages import CallPage, CallType
from tests.kit.browsers import LOOK, Statistics
from tests.kit.server import RunningRelay
from tests.kit.wait import PATIENCE, eventually

A_SECOND = 20
"""Frames of the browser's camera."""

Record = Callable[[str, object], None]
"""pytest's `record_property`."""


@dataclass(frozen=True)
class PagesInCall:
    relay: RunningRelay
    kind: CallType
    caller: CallPage
    callee: CallPage

    @classmethod
    async def connected(cls, relay: RunningRelay, kind: CallType, caller: CallPage, callee: CallPage) -> "PagesInCall":
        """Call, answer, and wait until both peer connections are up."""
        await caller.call(kind)
        await callee.ringing()
        await callee.accept()
        call = cls(relay, kind, caller, callee)
        await call.statistics()
        return call

    async def statistics(self) -> tuple[Statistics, Statistics]:
        """The caller's and the callee's."""
        return await self.caller.talking(), await self.callee.talking()

    async def media_flows(self) -> None:
        """Wait until both hear each other, and see each other where there is video, through the relay and without a loss."""

        async def both_ways() -> bool:
            caller, callee = await self.statistics()
            heard = min(caller.audio_energy, callee.audio_energy) > 0
            seen = min(caller.frames_decoded, callee.frames_decoded) > A_SECOND
            as_sent = (caller.size_received, callee.size_received) == (callee.size_sent, caller.size_sent)
            return heard and (self.kind == "voice" or (seen and as_sent))

        await eventually(both_ways, "both sides hear (and see) each other", every=LOOK)
        for one in await self.statistics():
            assert one.remote in one.offered, f"{one.remote} is not the relay"
        caller, callee = await self.statistics()
        assert caller.remote[1] == callee.remote[1], "the relay has one media port"

        async def relayed() -> bool:
            return (await self.relay.counters())["relay_media_packets_sent_total"] > 100

        await eventually(relayed, "the relay has sent 100 packets", every=LOOK)
        losses = await self.relay.losses()
        assert losses == {}, f"lost in the relay: {losses}"

    async def video_goes_on(self, frames: int) -> tuple[Statistics, Statistics]:
        """Wait until each has decoded so many frames more."""
        before = await self.statistics()

        async def seen() -> tuple[Statistics, Statistics] | None:
            now = await self.statistics()
            enough = all(one.frames_decoded >= old.frames_decoded + frames for one, old in zip(now, before, strict=True))
            return now if enough else None

        return await eventually(seen, f"both have decoded {frames} more frames", within=2 * PATIENCE, every=LOOK)

    @contextlib.asynccontextmanager
    async def uninterrupted(self) -> AsyncIterator[None]:
        """Meanwhile each page receives every packet that the other sends, over the peer connection that it has, which is never
        anything but connected.

        Freezes are not judged: Chromium counts one, too, when the machine is too busy to paint.
        """
        pages = (self.caller, self.callee)
        for page in pages:
            watch = "watched.addEventListener('connectionstatechange', () => { troubled = true; })"
            await page.page.evaluate(f"window.troubled = false; window.watched = {page.connection}; {watch}")
        before = await self.statistics()
        yield
        after = await self.statistics()
        for page in pages:
            assert await page.page.evaluate(f"!troubled && watched === {page.connection}"), "the connection is the same"
        assert [one.packets_lost for one in after] == [one.packets_lost for one in before], "each packet has arrived"

    async def hang_up(self, first: CallPage, record: Record) -> None:
        """One hangs up, the other notices, and call_logs tells the same story."""
        second = self.callee if first is self.caller else self.caller
        assert await self.relay.losses() == {}, "nothing was lost in the relay until the end"
        await first.hang_up()
        hung_up, noticed = await first.moment("sent call_ended"), await second.moment(second.end_seen)
        record("hang-up → seen by the other [s]", round(noticed - hung_up, 3))

        row = await self.relay.finished_call()
        assert (row["status"], row["call_type"], row["conversation_id"]) == ("ended", self.kind, 123)
        # The relay took the answer and the end between the page that sent it and the other one; pages tell whole milliseconds.
        least = hung_up - await self.caller.moment("received call_answer") - 0.002
        most = noticed - await self.callee.moment("sent call_answer") + 0.002
        assert math.floor(least) <= row["duration_seconds"] <= most, f"{least} to {most}, rounded down"

    async def more_frames(self, page: CallPage, of: str = "frames_decoded") -> None:
        """Wait until the page has decoded a few more frames."""
        before = getattr(await page.talking(), of)

        async def more() -> bool:
            return bool(getattr(await page.talking(), of) > before + 5)

        await eventually(more, f"{of} grows", every=LOOK)

    async def report_first_frames(self, record: Record) -> None:
        """How long it took from the answer until the first frame of the other was on the screen."""
        answered = await self.callee.moment("sent call_answer")
        for name, page in (("caller", self.caller), ("callee", self.callee)):
            shown = await page.moment("first remote frame")
            record(f"answer → first remote video frame at the {name} [s]", round(shown - answered, 3))
