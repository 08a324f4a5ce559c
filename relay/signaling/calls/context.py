"""What every part of the signaling plane stands on: the outside as ports, who is connected, which calls go on, and the clock."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from relay.clock import Clock, Timeline
from relay.cluster.api import Cluster
from relay.cluster.messages import FromDevice
from relay.cluster.values import Claim, NodeRef
from relay.errors import SignalingError, Unavailable
from relay.ids import Profile, ScopeKind
from relay.media.api import RouteOf
from relay.settings.calls import CallSettings
from relay.signaling.calls import notices
from relay.signaling.calls.call import Party
from relay.signaling.calls.hooks import HookRunner
from relay.signaling.calls.judge import Judge
from relay.signaling.calls.live import LiveCall, LiveCalls
from relay.signaling.calls.paths import Paths
from relay.signaling.log.writebehind import Journal, WriteBehind
from relay.signaling.messages.outgoing import ToClient
from relay.signaling.ports import Action, CallLog, ChatLog, Directory, Limiter, MissedCallStore, RecordingLog, Waker
from relay.signaling.presence.device import Device
from relay.signaling.presence.devices import Devices
from relay.signaling.sessions.addresses import Addresses
from relay.signaling.sessions.session import Session, SessionManager

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ports:
    """What the signaling plane needs from the world.

    Attributes:
        logs: a table of calls for each kind of scope.
        waker: None: profiles without a connection cannot be reached.
        limiter: None: nothing is limited.
        journal: None: what waits for the database is lost when this process dies.
        route_of: None: the routes of media stay unknown.
        judge: who may call whom.
        hooks: notified of what happens to calls.
        recordings: None: no call is recorded.
    """

    directory: Directory
    logs: Mapping[ScopeKind, CallLog]
    chat: ChatLog
    missed: MissedCallStore
    waker: Waker | None = None
    limiter: Limiter | None = None
    route_of: RouteOf | None = None
    journal: Journal | None = None
    judge: Judge = field(default_factory=Judge)
    hooks: HookRunner = field(default_factory=HookRunner)
    recordings: RecordingLog | None = None


@dataclass(frozen=True, slots=True)
class Arriving:
    """A call that is about to go on at this node."""

    profiles: tuple[Profile, Profile]
    settled: asyncio.Event
    """It does, or it will not."""


@dataclass(slots=True, eq=False)
class CallContext:
    """What the parts that handle messages share: ports, sessions, devices, live calls, log and clock."""

    ports: Ports
    sessions: SessionManager
    devices: Devices
    timers: CallSettings
    clock: Clock
    cluster: Cluster
    live: LiveCalls = field(default_factory=LiveCalls)
    paths: Paths = field(init=False)
    log: WriteBehind = field(init=False)
    """Writes calls down in the background: no call waits for it."""
    closing: bool = False
    draining: bool = False
    """No new calls begin; those that there are go on."""
    ended: Counter[str] = field(default_factory=Counter)
    """Calls that have ended, by reason."""
    transferred: dict[str, tuple[Profile, ...]] = field(default_factory=dict)
    """The latest calls that ended as `transferred`, and their parties: their rows may not be written yet."""
    arriving: dict[str, Arriving] = field(default_factory=dict)
    """Calls of other nodes that this one is about to go on with, by their ids."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.paths = Paths(self.ports.route_of)
        self.log = WriteBehind(self.ports.logs, self.ports.chat, self.ports.journal, self.ports.recordings)

    @property
    def me(self) -> NodeRef:
        """This node."""
        return self.cluster.me

    def timeline(self, ahead: float | None = None) -> Timeline:
        """That of a call which begins here, or goes on here.

        Args:
            ahead: as of the timeline that it had at another node.
        """
        return self.clock.timeline().known(self.cluster.ahead()).of(ahead)

    def time_of(self, live: LiveCall) -> datetime:
        """The date that it is now, for that call."""
        return live.timeline.at(self.clock.now())

    def device_of(self, party: Party) -> Device | None:
        """The device that is in the call, connected or away."""
        return self.devices.get(party.profile, party.device_id)

    @property
    def is_open(self) -> bool:
        """Whether calls may begin."""
        return not (self.closing or self.draining) and self.cluster.may_act()

    def check_open(self) -> None:
        """Make sure that calls may begin.

        Raises:
            SignalingError: `unavailable`: the server stops, or is about to, or may not act for the cluster.
        """
        if self.closing or self.draining:
            raise SignalingError("unavailable", "the server is shutting down")
        if not self.cluster.may_act():
            raise SignalingError("unavailable", "no new calls at the moment; try again in a few seconds")

    def check_rate(self, device: Device, action: Action) -> None:
        """Count something that a device of this node does. One of another node has been counted there.

        Raises:
            SignalingError: `rate_limited`.
        """
        if device.remote is not None:
            return
        limiter = self.ports.limiter
        address = device.connection.remote_address if device.connection else None
        if limiter is not None and not limiter.admits(action, device.profile, address):
            raise SignalingError("rate_limited", f"too many {action.value}s; wait a little")

    # -- other nodes --------------------------------------------------------------------------------------------------

    async def learn(self, *profiles: Profile) -> None:
        """Know the devices that profiles have at other nodes. Those that come later, their homes report."""
        for profile in profiles:
            for card in await self.cluster.devices_of(profile):
                self.devices.meet(card, self.me)

    def forget(self, *profiles: Profile) -> None:
        """Of those that are in no call of this node, devices of other nodes are nothing to this one."""
        for profile in profiles:
            if self.live.of(profile) is None:
                self.devices.forget(profile)

    @contextmanager
    def coming(self, claim: Claim) -> Iterator[None]:
        """Meanwhile a call of another node comes to this one: what its devices say waits for it."""
        arriving = self.arriving[claim.call_id] = Arriving(claim.profiles, asyncio.Event())
        try:
            yield
        finally:
            if self.arriving.get(claim.call_id) is arriving:
                del self.arriving[claim.call_id]
            arriving.settled.set()

    async def arrived(self, profile: Profile) -> None:
        """Wait for a call of that profile that is about to come here."""
        for one in [*self.arriving.values()]:
            if profile in one.profiles:
                await one.settled.wait()

    def forward(self, device: Device, owner: NodeRef, frame: str | bytes) -> None:
        """Give a message of a device to the owner of its profile's call."""
        home = self.me if device.remote is None else device.remote.node
        self.cluster.post(owner, FromDevice(device.card(home), frame if isinstance(frame, bytes) else frame.encode()))

    async def handed_on(self, device: Device, frame: bytes) -> bool:
        """Give a message of a device to the owner of its profile's call, if that is another node; whether it is.

        Raises:
            Unavailable: that cannot be found out now.
        """
        claim = None if self.live.of(device.profile) else await self.cluster.call_of(device.profile)
        if claim is None or claim.owner == self.me:
            return False
        self.forward(device, claim.owner, frame)
        return True

    async def connected(self, profile: Profile) -> int:
        """How many devices of a profile are connected, at all nodes; at this one, while it cannot be known of others."""
        here = sum(one.remote is None for one in self.devices.of(profile))
        try:
            return here + sum(one.connected for one in await self.cluster.devices_of(profile))
        except Unavailable:
            return here

    async def availability(self, profile: Profile) -> Literal["offline", "busy"] | None:
        """Why a profile cannot be called now; None: it can, unless the rules forbid it.

        Raises:
            Unavailable: that cannot be found out now.
        """
        online = bool(self.devices.of(profile)) or any(one.connected for one in await self.cluster.devices_of(profile))
        busy = self.live.of(profile) is not None or await self.cluster.call_of(profile) is not None
        return "busy" if online and busy else None if online else "offline"

    # -- what parties are told ----------------------------------------------------------------------------------------

    def tell(self, party: Party, message: ToClient) -> None:
        """Send a message to the party's device."""
        device = self.device_of(party)
        if device is not None:
            device.send(message)

    def tell_state(self, live: LiveCall, *parties: Party) -> None:
        """Say where the call stands; without parties: to both."""
        for party in parties or live.call.parties:
            self.tell(
                party, notices.state(live.call, party, live.answered_at, self.time_of(live), **self.recording_of(live, party))
            )

    def tell_elsewhere(self, live: LiveCall, party: Party, *devices: Device) -> None:
        """Tell devices of an answered call that another one of their profile is in it, or, once it has ended, was; without
        devices: all that are connected."""
        if live.answered_at is None:
            return
        holder = self.device_of(party)
        can_move = holder is None or not holder.connected or "call_rejoin_request" in holder.takes
        message = notices.elsewhere(live.call, party, live.answered_at, self.time_of(live), can_move=can_move)
        for device in devices or self.devices.of(party.profile):
            if device is not holder and "call_elsewhere" in device.takes:
                device.send(message)

    def recording_of(self, live: LiveCall, party: Party) -> dict[str, Any]:
        """What `call_state` says to a party about the recording of the call."""
        return notices.recording_state(live.recording, live.call, party, live.timeline)

    async def open_session(self, live: LiveCall, device: Device | None) -> Session:
        """A session of the call for a device; None: the device is gone."""
        session = await self.sessions.open(live.call.call_id, Addresses() if device is None else device.addresses)
        self.live.own_transport(session.transport_id, live)
        return session

    async def close_session(self, session: Session) -> None:
        self.live.disown_transport(session.transport_id)
        await self.sessions.close(session)

    def later(self, delay: float, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.TimerHandle:
        """Do something in that many seconds."""
        return asyncio.get_running_loop().call_later(delay, lambda: self.spawn(work()))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Unavailable):
            logger.error("a call could not be moved along", exc_info=error)
