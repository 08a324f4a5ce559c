"""A video call between two clients of the lab."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Literal

from tests.browser.pages import STUDENT, TUTOR
from tests.kit.browsers import LOOK, Statistics
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually
from tests.lab.network import Site
from tests.lab.pages import FRAME_GAPS, ROUTE, BrowserKind, LabPage
from tests.lab.shared import Lab

Record = Callable[[str, object], None]
"""pytest's `record_property`."""

A_SECOND: Final = 20
"""Frames of a browser's fake camera."""


@dataclass(frozen=True)
class LabCall:
    relay: RunningRelay
    caller: LabPage
    callee: LabPage
    earlier: int
    """Calls that the relay had before."""

    @property
    def pages(self) -> tuple[tuple[str, LabPage], tuple[str, LabPage]]:
        return ("caller", self.caller), ("callee", self.callee)

    async def statistics(self) -> tuple[Statistics, Statistics]:
        """The caller's and the callee's, once both peer connections are up."""
        return await self.caller.talking(), await self.callee.talking()

    async def goes_on(self, frames: int) -> tuple[Statistics, Statistics]:
        """Wait until each has decoded so many more frames and has heard audio."""
        before = await self.statistics()

        async def seen() -> tuple[Statistics, Statistics] | None:
            now = await self.statistics()
            enough = all(one.frames_decoded >= old.frames_decoded + frames for one, old in zip(now, before, strict=True))
            return now if enough and all(one.audio_energy > 0 for one in now) else None

        return await eventually(seen, f"both have heard the other, and decoded {frames} more frames", every=LOOK)

    async def record_first_frames(self, record: Record) -> None:
        """Record the time from the answer until each page has shown the first frame of the other party."""
        answered = await self.callee.moment("sent call_answer")
        for name, page in self.pages:
            shown = await page.moment("first remote frame")
            record(f"answer → first remote video frame at the {name} [s]", round(shown - answered, 3))

    @contextlib.asynccontextmanager
    async def gaps(self, record: Record) -> AsyncIterator[dict[str, float]]:
        """The longest time between two video frames at each page meanwhile, in seconds; known at the end."""
        found: dict[str, float] = {}
        for _, page in self.pages:
            await page.run(FRAME_GAPS)
        yield found
        for name, page in self.pages:
            gap = await page.run("() => Math.max(frameGaps.longest, performance.now() - frameGaps.last)")
            found[name] = gap / 1000
            record(f"longest gap in the video at the {name} [s]", round(gap / 1000, 3))

    async def routes(self) -> tuple[str, str]:
        """How the caller's and the callee's media gets to the relay: `udp`, `tcp`, `turn-udp`, `turn-tcp` or `turn-tls`."""
        return await self.caller.run(ROUTE), await self.callee.run(ROUTE)

    async def reaches(self, *callers: str) -> None:
        """Wait until the caller's media takes one of these routes, and goes on."""

        async def there() -> str | None:
            route, _ = await self.routes()
            return route if route in callers else None

        await eventually(there, f"the caller's media goes by {' or '.join(callers)}", every=LOOK)
        await self.goes_on(A_SECOND)

    async def ends(self, by: LabPage) -> None:
        """One hangs up, and both see the end: the call was one, whatever happened in it."""
        await by.hang_up()
        for _, page in self.pages:
            await page.moment("ended card")
        *_, row = await self.relay.finished_calls(self.earlier + 1)
        assert (row["status"], row["end_reason"], row["call_type"]) == ("ended", "hangup", "video")


@contextlib.asynccontextmanager
async def video_call(
    lab: Lab,
    caller: Site,
    callee: Site,
    browsers: tuple[BrowserKind, BrowserKind] = (BrowserKind.CHROMIUM, BrowserKind.CHROMIUM),
    scheme: str = "http",
    hung_up_by: Literal["caller", "callee"] = "callee",
    **settings: str,
) -> AsyncIterator[LabCall]:
    """A call that the caller has made and the callee has accepted, over a relay with these settings; hung up at the end."""
    async with (
        lab.relay(scheme=scheme, **settings) as relay,
        contextlib.AsyncExitStack() as stack,
    ):
        async with asyncio.TaskGroup() as tasks:
            opening = [
                tasks.create_task(stack.enter_async_context(kind.value.at(lab, site, relay.url, key)))
                for kind, site, key in zip(browsers, (caller, callee), (STUDENT, TUTOR), strict=True)
            ]
        first, second = [one.result() for one in opening]
        call = LabCall(relay, first, second, len(await relay.call_logs()))
        await first.call("video")
        await second.ringing()
        await second.accept()
        yield call
        await call.ends(first if hung_up_by == "caller" else second)
