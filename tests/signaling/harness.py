"""The service behind every WebSocket on a real media engine, with clients that only keep what they get."""

import asyncio
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from relay.clock import Clock
from relay.cluster.api import Cluster
from relay.ids import Profile, Scope, ScopeKind
from relay.media.api import (
    Address,
    CaptureEnded,
    CaptureOrder,
    CaptureRefused,
    MediaEvent,
    PartyLabel,
    Route,
    RouterKind,
    TransportParameters,
    TransportUp,
    WorkerLost,
)
from relay.media.engine import LocalEngine
from relay.records.profiles import ProfileCard
from relay.settings.calls import CallSettings
from relay.settings.recording import RecordingSettings
from relay.signaling.calls.context import Ports
from relay.signaling.calls.service import Calls
from relay.signaling.ports import Action, MissedCallRecord
from tests.kit.clock import VirtualClockLoop
from tests.kit.cluster import OneNode
from tests.kit.memory import CallEntry, MemoryCallLog, MemoryChatLog, MemoryDirectory, MemoryMissedCalls, MemoryRecordings
from tests.kit.wait import PATIENCE, eventually
from tests.signaling.people import (
    FAMILY,
    LESSON,
    PARENT,
    PARENTS_EVENING,
    STRANGER,
    STUDENT,
    TUTOR,
    WHITEBOARD,
    Client,
    FakeConnection,
    answer,
    invitation,
)

P = ParamSpec("P")

CARDS = {
    STUDENT: ProfileCard(STUDENT, "Maya Lindgren", "", 1456),
    TUTOR: ProfileCard(TUTOR, "Daniel Okafor", "", 1789),
    PARENT: ProfileCard(PARENT, "Elena Lindgren", "", 1321),
    STRANGER: ProfileCard(STRANGER, "Victor Hale", "", 1654),
}
"""As in `relay.db.demo`."""

EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


class NotingEngine(LocalEngine):
    """A media engine that remembers what it was asked for."""

    opened: list[str]
    """Transports, oldest first."""
    orders: list[CaptureOrder]
    """Captures that were started. They write nothing: a disk has no virtual time."""
    captured: list[str]
    """What was done with captures, in order."""
    refuses_transports = False
    """It cannot open any: its worker has just died, say."""
    refuses_captures = ""
    """Why none can be started."""

    async def start(self) -> tuple[int, ...]:
        self.opened, self._routed = [], False
        self.orders, self.captured, self._capturing = [], [], dict[str, str]()
        return await super().start()

    async def open_transport(
        self, router_id: str, transport_id: str, kind: RouterKind = RouterKind.DIRECT
    ) -> TransportParameters:
        if self.refuses_transports:
            raise WorkerLost("its worker has died")
        self.opened.append(transport_id)
        return await super().open_transport(router_id, transport_id, kind)

    async def route(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        await super().route(router_id, transport_ids)
        self._routed = True

    async def unroute(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        await super().unroute(router_id, transport_ids)
        self._routed = False

    async def start_capture(self, router_id: str, order: CaptureOrder) -> None:
        if self.refuses_captures:
            raise CaptureRefused(self.refuses_captures)
        self.orders.append(order)
        self.captured.append(f"start {order.policy}")
        self._capturing[router_id] = order.recording_id

    async def stop_capture(self, router_id: str, reason: str, at: float) -> None:
        if router_id in self._capturing:
            self.captured.append(f"stop {reason}")
            self.end_capture(router_id, reason)

    async def pause_capture(self, router_id: str, paused: bool, reason: str) -> None:
        self.captured.append(f"{'pause' if paused else 'continue'} {reason}")

    async def capture_party(self, router_id: str, transport_id: str, party: PartyLabel) -> None:
        self.captured.append(f"party {party}")

    async def close_router(self, router_id: str) -> None:
        await super().close_router(router_id)
        if router_id in self._capturing:
            self.end_capture(router_id, "call_ended")

    def end_capture(self, router_id: str, reason: str) -> None:
        """A capture ends by itself, say."""
        event = CaptureEnded(router_id, self._capturing.pop(router_id), reason, packets=7, bytes=700)
        asyncio.get_running_loop().call_soon(self._emit, event)

    def flows(self) -> bool:
        """Two transports are routed."""
        return self._routed


class VirtualClock(Clock):
    """The wall's clock goes with the event loop's.

    Attributes:
        ahead: seconds by which a test has set the wall's.
    """

    ahead = 0.0

    def utcnow(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now() + self.ahead)


class FakeWaker:
    """A `relay.signaling.ports.Waker`. It reaches no profile, until it is told which."""

    def __init__(self) -> None:
        self.reaches: set[Profile] = set()
        self.woken: list[tuple[MissedCallRecord, Profile]] = []
        self.told: list[tuple[MissedCallRecord, Profile]] = []

    async def wake(self, call: MissedCallRecord, callee: Profile) -> bool:
        await asyncio.sleep(0)
        self.woken.append((call, callee))
        return callee in self.reaches

    async def missed(self, call: MissedCallRecord, callee: Profile) -> None:
        await asyncio.sleep(0)
        self.told.append((call, callee))


class FakeLimiter:
    """A `relay.signaling.ports.Limiter` that lets everything pass, but what a test says."""

    def __init__(self) -> None:
        self.refuses: set[tuple[Action, Profile]] = set()
        self.asked: list[tuple[Action, Profile, str | None]] = []

    def admits(self, action: Action, profile: Profile, address: str | None) -> bool:
        self.asked.append((action, profile, address))
        return (action, profile) not in self.refuses


class Harness(ABC):
    """`Calls` and everything that it stands on."""

    def __init__(
        self,
        ports: Ports,
        timers: CallSettings,
        clock: Clock | None = None,
        recording: RecordingSettings | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self.cluster = cluster or OneNode()
        self.engine = NotingEngine(lambda event: self.calls.media_event(event), ["127.0.0.1"])  # noqa: PLW0108 - calls comes below
        self.calls = Calls(ports=ports, engine=self.engine, cluster=self.cluster, timers=timers, clock=clock, recording=recording)
        self.clients: list[Client] = []

    async def start(self) -> None:
        await self.engine.start()
        await self.calls.start()

    async def close(self) -> None:
        """Whatever a test did: every call can be ended, and nothing is left of it."""
        await self.calls.close()
        await self.nothing_is_left()
        await self.engine.close()

    @abstractmethod
    async def rows(self) -> Sequence[Any]:
        """`call_logs`, oldest first."""

    async def ends(self) -> list[tuple[int, str, str | None]]:
        """Who called, the status and the reason, of each call."""
        return [(row.caller_profile_id, row.status, row.end_reason) for row in await self.rows()]

    # -- clients ------------------------------------------------------------------------------------------------------

    async def connect(
        self,
        profile: Profile,
        version: int = 2,
        *,
        resume: str = "",
        connection: FakeConnection | None = None,
        takes: tuple[str, ...] = (),
    ) -> Client:
        """A new client.

        Args:
            takes: message types that it asks for beyond those of its version.
        """
        client = Client(profile, version)
        client.takes = takes
        self.clients.append(client)
        await self._connect(client, resume, 0, connection)
        return client

    async def lose(self, client: Client) -> None:
        """The client's connection breaks."""
        await self.calls.disconnected(client.device, client.lost())

    async def resume(self, client: Client) -> None:
        """The client comes back, and says what it has."""
        last_seq = client.last_seq
        before = None if client.connection is None else client.lost()
        await self._connect(client, client.device.resume_token, last_seq)
        assert client.welcome["resumed"], "it is the same device"
        if before is not None:
            await self.calls.disconnected(client.device, before)

    async def _connect(self, client: Client, resume: str, last_seq: int, connection: FakeConnection | None = None) -> None:
        client.connection = connection or FakeConnection()
        client.device = await self.calls.connect(
            CARDS.get(client.profile, ProfileCard(client.profile, "", "")),
            client.connection,
            version=client.version,
            resume=resume,
            last_seq=last_seq,
            takes=client.takes,
        )

    async def say(self, client: Client, frame: str | bytes) -> None:
        await self.calls.receive(client.device, frame)

    # -- calls --------------------------------------------------------------------------------------------------------

    async def ringing(self, version: int = 2, scope: Scope = LESSON) -> tuple[Client, Client]:
        """The student calls the tutor: both clients."""
        caller, callee = await self.connect(STUDENT, version), await self.connect(TUTOR, version)
        await self.say(caller, invitation(TUTOR, scope))
        assert caller.types() == ["call_state ringing"]
        assert callee.types() == ["call_invitation"]
        return caller, callee

    async def answered(self, version: int = 2, scope: Scope = LESSON) -> tuple[Client, Client]:
        """The tutor has answered the student."""
        caller, callee = await self.ringing(version, scope)
        await self.say(callee, answer(scope))
        assert caller.types() == ["call_state ringing", "call_answer", "call_state answered"]
        assert callee.types() == ["call_invitation", "call_state answered"]
        return caller, callee

    async def all_ended(self) -> None:
        """Wait until no call is left, and everyone has been told."""
        await eventually(lambda: self.calls.call_count == 0, "every call ends")
        opened = len(self.engine.opened)
        await eventually(lambda: self._closed(opened), "every transport is closed")

    async def _closed(self, number: int) -> bool:
        return (await self.engine.counters())["transports_closed"] == number

    async def nothing_is_left(self) -> None:
        """No call, no transport."""
        counters = await self.engine.counters()
        assert self.calls.call_count == 0
        assert not self.calls._context.live._by_transport, "or it would be remembered for ever"
        assert counters["transports_opened"] == counters["transports_closed"]


class MemoryHarness(Harness):
    """For virtual time: nothing in it waits for a thread.

    Attributes:
        ports: a test may harness them before anybody connects.
        routes: the route of media from each address; a test fills it.
    """

    def __init__(
        self,
        timers: CallSettings,
        recording: RecordingSettings | None = None,
        cluster: Cluster | None = None,
        beside: "MemoryHarness | None" = None,
    ) -> None:
        """
        Args:
            beside: another node, with which this one shares the database.
        """
        if beside is None:
            self.logs = {kind: MemoryCallLog(kind) for kind in ScopeKind}
            self.directory = MemoryDirectory(
                cards=dict(CARDS),
                members={
                    LESSON: {STUDENT, TUTOR},
                    PARENTS_EVENING: {PARENT, TUTOR},
                    FAMILY: {STUDENT, PARENT},
                    WHITEBOARD: {STUDENT, TUTOR},
                },
            )
            self.chat, self.recordings = MemoryChatLog(keeps=[LESSON]), MemoryRecordings()
            self.waker, self.limiter = FakeWaker(), FakeLimiter()
        else:
            assert cluster is not None, "two nodes make a cluster"
            self.logs = {kind: MemoryCallLog(kind, log, cluster.me.incarnation) for kind, log in beside.logs.items()}
            self.directory, self.chat, self.recordings = beside.directory, beside.chat, beside.recordings
            self.waker, self.limiter = beside.waker, FakeLimiter()
        missed = MemoryMissedCalls(self.logs)
        self.routes: dict[Address, Route] = {}
        ports = Ports(
            *(self.directory, self.logs, self.chat, missed, self.waker, self.limiter, self.routes.get),
            recordings=self.recordings,
        )
        super().__init__(ports, timers, VirtualClock(), recording, cluster)

    async def rows(self) -> list[CallEntry]:
        await self.calls.writes.settled(PATIENCE)
        return list(self.logs[ScopeKind.CONVERSATION].entries.values())

    def transport_of(self, profile: Profile) -> str | None:
        """The transport of the profile's party in its call."""
        live = self.calls._context.live.of(profile)
        return None if live is None else live.call.party(profile).transport_id

    async def connected(self, version: int = 2, scope: Scope = LESSON) -> tuple[Client, Client]:
        """The tutor has answered the student, and media flows both ways. The caller's transport was opened first."""
        parties = await self.answered(version, scope)
        await self.media(*(TransportUp(transport) for transport in self.engine.opened))
        assert [one.types()[-1] for one in parties] == ["call_state connected"] * 2
        return parties

    async def media(self, *events: MediaEvent) -> None:
        """Things happen to transports, and have been taken."""
        for event in events:
            self.calls.media_event(event)
        await asyncio.sleep(MOMENT)


MOMENT = 0.001
"""Seconds: in virtual time, until everything that can happen now has happened."""


_InMemory = Callable[Concatenate[MemoryHarness, P], Coroutine[Any, Any, None]]


def in_memory(test: _InMemory[P]) -> Callable[..., None]:
    """Decorator: run an async test in virtual time, on a `MemoryHarness` that is its first argument. Its fixtures must not be
    async. The fixture `timers` applies. No call is recorded."""
    return in_virtual_time(test, MemoryHarness)


def recording(policy: Literal["consent", "always"] = "consent", **settings: Any) -> Callable[[_InMemory[P]], Callable[..., None]]:
    """The same, where calls may be recorded; with further settings of recording."""
    chosen = RecordingSettings(recording=policy, recording_directory="/srv/recordings", **settings)
    return lambda test: in_virtual_time(test, lambda timers: MemoryHarness(timers, chosen))


class Startable(Protocol):
    """What a test in virtual time runs on."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...


S = TypeVar("S", bound=Startable)


def in_virtual_time(
    test: Callable[Concatenate[S, P], Coroutine[Any, Any, None]], make: Callable[[CallSettings], S]
) -> Callable[..., None]:
    """Have pytest run an async test in virtual time, on what is made of its fixture `timers`, which is its first argument."""

    @functools.wraps(test)
    def run(*, timers: CallSettings, **arguments: Any) -> None:
        async def main() -> None:
            made = make(timers)
            await made.start()
            await test(made, **arguments)  # type: ignore[call-arg]  # pytest gives what the signature names
            await made.close()

        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            runner.run(main())

    _, *others = inspect.signature(test).parameters.values()
    timed = inspect.Parameter("timers", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = inspect.Signature([*others, timed])  # type: ignore[attr-defined]  # what pytest asks for
    return run
