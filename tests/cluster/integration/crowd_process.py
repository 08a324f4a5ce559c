"""A process of people who use a cluster: `python -m tests.cluster.integration.crowd_process`.

It is told what to do by lines on its standard input, and answers each with a line. See `crowd.py`.
"""

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import jwt
import msgspec
from yarl import URL

from relay.client import ClientError
from relay.client.connection import ServerMessage
from relay.ids import Profile
from tests.cluster.integration.crowd import Asked, CrowdPlan, CrowdReport, PartyReport
from tests.cluster.integration.people import Listener, judge_transcript, taken
from tests.kit.light import Beat, LightCall, LightClient

CALLING: Final = 4
"""Calls that are set up at a time."""

CONNECTING: Final = 8
"""Devices that connect at a time."""

CONNECTS: Final = 60.0
"""Seconds for a call to have media."""

LIFE: Final = timedelta(hours=2)
"""Of tokens."""


class CrowdProcess:
    """
    Args:
        plan: who they are.
    """

    def __init__(self, plan: CrowdPlan) -> None:
        self._plan = plan
        self._beat = Beat(plan.rate)
        self._nodes = [URL(f"{one}/") for one in plan.nodes]
        self._parties: list[tuple[Listener, LightCall]] = []
        self._idle: list[Listener] = []
        self._cpu = self._since = 0.0
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())

    async def run(self, commands: asyncio.StreamReader) -> None:
        """Until there is no command any more."""
        does: Mapping[str, Callable[[], Awaitable[object]]] = {
            "connect": self._connect,
            "watch": self._watch,
            "report": self._report,
            "hang_up": self._hang_up,
        }
        beating = asyncio.create_task(self._beat.run())
        async with self._http:
            try:
                while line := await commands.readline():
                    asked = msgspec.json.decode(line, type=Asked)
                    answer = await does[asked.do]()
                    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
                    sys.stdout.flush()
            finally:
                beating.cancel()
                for one in [*self._idle, *(person for person, _ in self._parties)]:
                    await one.client.close()

    # -- what it is asked for -----------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """All are there, and talk."""
        await _each(CALLING, (self._pair(number) for number in self._plan.calls))
        await _each(CONNECTING, (self._wait(number) for number in self._plan.idle))
        # For the minutes that this lasts: a look at all that these people have heard takes a tenth of a second.
        gc.disable()

    async def _watch(self) -> None:
        now = asyncio.get_running_loop().time()
        for _, call in self._parties:
            call.light.begin(now)
        self._beat.late = 0.0
        self._cpu, self._since = time.process_time(), time.monotonic()

    async def _report(self) -> CrowdReport:
        now = asyncio.get_running_loop().time()
        return CrowdReport(
            parties=[_report_of(person, call, now) for person, call in self._parties],
            welcomes=[one.types().count("welcome") for one in self._idle],
            late=self._beat.late,
            cpu=(time.process_time() - self._cpu) / max(1e-9, time.monotonic() - self._since),
        )

    async def _hang_up(self) -> Sequence[str]:
        """End all calls; returns what was wrong with what devices were told."""
        await _each(CALLING, (self._end(*pair) for pair in zip(self._parties[::2], self._parties[1::2], strict=True)))
        faults = []
        for person in [*self._idle, *(person for person, _ in self._parties)]:
            try:
                judge_transcript(person)
            except AssertionError as error:
                faults.append(str(error))
        return faults

    # -- one of them --------------------------------------------------------------------------------------------------

    async def _pair(self, number: int) -> None:
        """Two more people who talk, each at another node."""
        caller = await self._join(Profile("student", number), number)
        callee = await self._join(Profile("tutor", number), number + 1)
        answering = asyncio.create_task(taken(callee))
        call = await caller.client.call(callee.client.profile, "voice", number)
        other = await answering
        async with asyncio.timeout(CONNECTS):
            await call.connected()
        assert isinstance(call, LightCall), "its client makes such"
        assert isinstance(other, LightCall), "its client makes such"
        self._parties += [(caller, call), (callee, other)]

    async def _wait(self, number: int) -> None:
        self._idle.append(await self._join(Profile("student", number), number))

    async def _join(self, profile: Profile, at: int) -> Listener:
        token = jwt.encode({"sub": profile.key, "exp": datetime.now(UTC) + LIFE}, self._plan.secret, algorithm="HS256")
        heard: list[Mapping[str, Any]] = []
        client = LightClient(
            self._http, self._nodes, at % len(self._nodes), profile, token, self._beat, lambda one: heard.append(_short(one))
        )
        await client.open()
        return Listener(client, heard)

    @staticmethod
    async def _end(one: tuple[Listener, LightCall], other: tuple[Listener, LightCall]) -> None:
        await one[1].hang_up()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECTS):
                await other[1].ended()


def _report_of(person: Listener, call: LightCall, now: float) -> PartyReport:
    media = call.light
    return PartyReport(
        key=person.client.profile.key,
        call_id=call.call_id,
        state=call.state,
        reason=call.reason,
        silence=media.heard.at(now),
        missing=media.heard.missing,
        packets=media.heard.packets,
        pause=media.pause,
        moves=media.moves,
        failures=media.failures,
        welcomes=person.types().count("welcome"),
        states=[str(one["state"]) for one in person.heard if one["type"] == "call_state"],
    )


def _short(message: ServerMessage) -> Mapping[str, Any]:
    """Without descriptions, of which nothing is judged."""
    return {name: value for name, value in message.items() if name not in {"offer", "answer", "ice_servers"}}


async def _each(at_once: int, work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it, so much at a time. The first error ends it."""
    waiting = iter(work)

    async def some() -> None:
        for one in waiting:
            await one

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(some())


async def main() -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    plan = msgspec.json.decode(await commands.readline(), type=CrowdPlan)
    with contextlib.suppress(ClientError):
        await CrowdProcess(plan).run(commands)


if __name__ == "__main__":
    asyncio.run(main())
