"""The service behind every WebSocket: takes what clients, media and time do, and hands it to the part that it concerns.

One lock per call puts everything that happens to it in order; nothing is shared between calls but the indexes, which change
without waiting.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final

from relay.clock import Clock
from relay.cluster.api import Cluster
from relay.cluster.values import Claim
from relay.errors import RelayError, SignalingError, Unavailable
from relay.ids import Profile
from relay.media.api import (
    MediaEngine,
    MediaEvent,
    Route,
)
from relay.records.profiles import ProfileCard
from relay.settings.calls import CallSettings
from relay.settings.recording import RecordingSettings
from relay.signaling.calls import notices
from relay.signaling.calls.arrivals import Arrivals
from relay.signaling.calls.call import EndReason
from relay.signaling.calls.context import CallContext, Ports
from relay.signaling.calls.draining import COME_BACK, Draining
from relay.signaling.calls.enforcement import Enforcement
from relay.signaling.calls.home import Home
from relay.signaling.calls.incall import InCall
from relay.signaling.calls.invitations import Invitations
from relay.signaling.calls.live import CallMoved
from relay.signaling.calls.mediaevents import MediaEvents
from relay.signaling.calls.membership import Membership
from relay.signaling.calls.moving import Moving
from relay.signaling.calls.negotiation import Negotiation
from relay.signaling.calls.orders import Orders
from relay.signaling.calls.owner import Owner
from relay.signaling.calls.paths import RoundTrips, sessions_by_route
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.rejoining import Rejoining
from relay.signaling.calls.succession import Succession
from relay.signaling.calls.termination import Termination
from relay.signaling.calls.welcome import welcome
from relay.signaling.log.heartbeat import Heartbeat
from relay.signaling.log.writebehind import WriteBehind
from relay.signaling.messages import incoming, outgoing
from relay.signaling.ports import Action, Connection
from relay.signaling.presence.device import Device
from relay.signaling.presence.devices import OPTIONAL_TYPES, RESUMED_ELSEWHERE, Devices
from relay.signaling.sessions.session import SessionManager

logger = logging.getLogger(__name__)

LAST_WRITES: Final = 4.0
"""Seconds that a server which stops gives the database to take the ends of its calls; the journal keeps what it does not."""

LAST_CAPTURES: Final = 2.0
"""Seconds that the captures of a server which stops have to write what they still have."""

READ_AFTER_WRITE: Final = 1.0
"""Seconds that who reads the history waits for what has just happened to be in it."""

MISSED_SHOWN: Final = 20
"""Missed calls that a device gets when it connects; the rest is in its history."""


class Calls:
    """The calls of this server.

    Args:
        cluster: the servers that calls are made across.
        public_addresses: what the operator says media is reachable at; may be empty.
        recording: None: no call is recorded.
        recording_key: what recordings are sealed with, 32 bytes; None: they are not.

    Attributes:
        enforcement: of what is allowed, in the calls of this server.
        orders: of the platform, for the calls of the whole cluster.
        recordings: of the calls.
        sessions: also for what negotiates without a call, such as the connection test.
        draining: of this server, once it is told to.
        membership: of this server in its cluster.
        refused: messages answered with an error, by code.
    """

    def __init__(
        self,
        *,
        ports: Ports,
        engine: MediaEngine,
        cluster: Cluster,
        timers: CallSettings,
        public_addresses: tuple[str, ...] = (),
        clock: Clock | None = None,
        recording: RecordingSettings | None = None,
        recording_key: bytes | None = None,
    ) -> None:
        clock = clock or Clock()
        devices = Devices(timers.signaling_grace, self._gone, cluster.post)
        self.sessions = SessionManager(engine, public_addresses)
        self._context = context = CallContext(ports, self.sessions, devices, timers, clock, cluster)
        self.recordings = recordings = Recordings(context, recording or RecordingSettings(), recording_key)
        self._termination = termination = Termination(context, recordings)
        self._moving = moving = Moving(context, termination, recordings)
        self.draining = Draining(context, moving)
        invitations = Invitations(context, termination, recordings)
        in_call = InCall(context, termination, recordings)
        negotiation = Negotiation(context, termination, recordings)
        rejoining = Rejoining(context, negotiation, recordings)
        self._arrivals = arrivals = Arrivals(context, termination, recordings, invitations, negotiation, rejoining)
        self._home = home = Home(context, arrivals)
        self.enforcement = Enforcement(context, termination, arrivals, home)
        self.orders = Orders(context, self.enforcement, recordings)
        self._succession = succession = Succession(
            context, termination, invitations, negotiation, recordings, home, self.enforcement
        )
        self._media_events = MediaEvents(context, termination, recordings, in_call, succession)
        owner = Owner(context, arrivals, self._receive_from_home)
        self.membership = Membership(context, termination, home, owner, succession, self.orders, moving)
        cluster.attach(self.membership)
        taken_over = self.membership.taken_over
        self._heartbeat = Heartbeat(ports.logs, lambda kind: context.live.beats(kind, clock.now()), taken_over)
        self.membership.look = self._heartbeat.look
        context.log.on_lost, context.log.on_taken_over = termination.lost, taken_over
        self.refused: Counter[str] = Counter()
        self._take: Final[dict[type[incoming.FromClient], Callable[[Device, Any], Awaitable[None]]]] = {
            incoming.CallInvitation: invitations.take_invitation,
            incoming.CallAnswer: invitations.take_answer,
            incoming.TrickledCandidate: invitations.take_candidate,
            incoming.CallDeclined: invitations.take_declined,
            incoming.CallEnded: invitations.take_ended,
            incoming.CallUpdate: negotiation.take_update,
            incoming.CallRestart: negotiation.take_restart,
            incoming.CallRejoin: rejoining.take_rejoin,
            incoming.CallRejoinAnswer: rejoining.take_answer,
            incoming.CallMediaState: in_call.take_media_state,
            incoming.CallHold: in_call.take_hold,
            incoming.CallResume: in_call.take_resume,
            incoming.CallChat: in_call.take_chat,
            incoming.CallTransfer: in_call.take_transfer,
            incoming.CallTransferAnswer: in_call.take_transfer_answer,
            incoming.CallTransferTargets: in_call.take_transfer_targets,
            incoming.RecordCall: recordings.take_record,
            incoming.CallRecordAnswer: recordings.take_record_answer,
            incoming.Ping: self._take_ping,
        }

    @property
    def call_count(self) -> int:
        """Calls that have not ended."""
        return len(self._context.live)

    @property
    def device_count(self) -> int:
        """Devices that are connected."""
        return len(self._context.devices)

    @property
    def ended(self) -> Counter[str]:
        """Calls that have ended, by reason."""
        return self._context.ended

    @property
    def sessions_by_route(self) -> Counter[Route]:
        """Sessions of calls that have not ended, by the route of their media."""
        return sessions_by_route(self._context.live)

    @property
    def sessions_connected(self) -> Counter[Route]:
        """Sessions that were connected by a route, or moved to it."""
        return self._context.paths.connected

    @property
    def round_trips(self) -> Mapping[Route, RoundTrips]:
        """Of the sessions with media by each route, measured every few seconds."""
        return self._context.paths.round_trips

    @property
    def accepting(self) -> bool:
        """Calls may begin: the server neither stops nor drains."""
        return not (self._context.closing or self._context.draining)

    @property
    def writes(self) -> WriteBehind:
        """By which calls are written down."""
        return self._context.log

    async def devices_of(self, profile: Profile) -> int:
        """How many devices of a profile are connected, at all nodes; at this one, while it cannot be known of others."""
        return await self._context.connected(profile)

    def card_in_call(self, profile: Profile) -> ProfileCard | None:
        """A profile as its present call knows it, without its `user_id`; None if it is in none."""
        live = self._context.live.of(profile)
        if live is None:
            return None
        party = live.call.party(profile)
        return ProfileCard(profile, party.name, party.avatar)

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Write what an earlier life of this server left unwritten, close what it left open, and begin."""
        await self._context.log.start()
        await self._heartbeat.start()
        self._succession.start()

    async def close(self) -> None:
        """End every call and tell everyone."""
        context = self._context
        context.closing = True
        await self.draining.close()
        await self._heartbeat.stop()
        await self._succession.stop()
        await asyncio.gather(*context.tasks, return_exceptions=True)
        await self._moving.close()
        await asyncio.gather(*(self._termination.end_locked(one, EndReason.SERVER_SHUTDOWN) for one in list(context.live)))
        await asyncio.gather(*context.tasks, return_exceptions=True)
        await self.recordings.captures.settled(LAST_CAPTURES)
        context.devices.close()
        await context.log.close(LAST_WRITES)

    async def written(self) -> None:
        """Wait until what has happened so far is in the database; not long, and not for one that is away."""
        await self._context.log.settled(READ_AFTER_WRITE)

    # -- connections --------------------------------------------------------------------------------------------------

    async def connect(
        self,
        card: ProfileCard,
        connection: Connection,
        *,
        version: int = 1,
        resume: str = "",
        last_seq: int = 0,
        issued_at: float | None = None,
        takes: Collection[str] = (),
    ) -> Device:
        """A client of a profile has connected, or come back.

        Args:
            version: of the protocol that the client speaks: 1 or 2.
            resume: the token of the device that it was before.
            last_seq: the number of the last message that it had.
            issued_at: when its credential was issued, in seconds since 1970; None: that is not known.
            takes: message types beyond those of its version; unknown ones do not count.

        Returns:
            Its device.
        """
        devices, replaces = self._context.devices, None
        known = devices.resumable(resume, card.profile, last_seq) if resume else None
        if known is None and resume:
            known, replaces = await self._home.resume(card.profile, resume, last_seq)
        if known is None:
            device, last_seq = devices.open(card.profile, version, None), 0
            device.replaces = replaces
        else:
            device = known
            devices.expect(device)
        device.issued_at, device.takes = issued_at, OPTIONAL_TYPES.intersection(takes)
        try:
            # Before it is welcomed: whichever node calls it next must find it.
            elsewhere = await self._home.announce(device)
        except BaseException:
            devices.give_up(device)
            raise
        if devices.with_id(device.device_id) is not device or device.remote is not None:  # while this waited
            resumed_elsewhere = device.remote is not None
            connection.drop(*(RESUMED_ELSEWHERE, "resumed elsewhere") if resumed_elsewhere else (COME_BACK, "come back"))
            return device
        devices.attach(device, connection)
        try:
            missed = device.catch_up(last_seq)
            device.send(self._welcome(card, device, elsewhere, resumed=known is not None))
            for frame in missed or ():
                connection.send(frame)
            if replaces is not None:
                self._context.spawn(self._succession.came_back(card.profile))
                await self._arrivals.replaced(device, replaces)
            await self._arrivals.came(device)
            if known is None:
                await self._tell_missed(device)
        except BaseException:
            await self.disconnected(device, connection)
            raise
        return device

    async def _tell_missed(self, device: Device) -> None:
        await self.written()
        try:
            unseen = await self._context.ports.missed.unseen(device.profile, MISSED_SHOWN)
        except Unavailable:  # no reason to turn the device away: it may be here for its call
            return
        if unseen.count:
            device.send(notices.missed_calls(unseen))

    def _welcome(self, card: ProfileCard, device: Device, elsewhere: Claim | None, *, resumed: bool) -> outgoing.Welcome:
        context = self._context
        return welcome(
            card,
            device,
            self._time_for(device),
            resumed=resumed,
            resume_seconds=context.devices.grace,
            timers=context.timers,
            recording=self.recordings.server_policy,
            elsewhere=elsewhere,
        )

    def _time_for(self, device: Device) -> datetime:
        """The date that it is now: for a device in a call, that of the call, by which it counts how long that lasts."""
        live = self._context.live.of(device.profile)
        return self._context.clock.utcnow() if live is None else self._context.time_of(live)

    async def disconnected(self, device: Device, connection: Connection) -> None:
        """A connection is over; its device may come back on another one, or has already."""
        if device.connection is not connection:
            return
        self._context.devices.lose(device)
        await self._arrivals.lost(device)
        await self._home.lost(device)

    def _gone(self, device: Device) -> None:
        self._context.spawn(self._forget(device))

    async def _forget(self, device: Device) -> None:
        await self._arrivals.gone(device)
        await self._home.gone(device)

    # -- messages -----------------------------------------------------------------------------------------------------

    async def receive(self, device: Device, frame: str | bytes) -> None:
        """Take one frame of a device of this node. What is wrong with it is answered with an `error`; nothing is raised."""
        if not device.dropped:
            await self._attempt(device, frame, self._take_frame)

    async def _take_frame(self, device: Device, frame: str | bytes) -> None:
        self._context.check_rate(device, Action.MESSAGE)
        message = incoming.decode(frame)
        await self._context.arrived(device.profile)
        if self._context.live.owned(device.profile) is None and await self._home.forwarded(device, message, frame):
            return
        await self._take_here(device, message, frame)

    async def _receive_from_home(self, device: Device, frame: bytes) -> None:
        """Take one frame of a device of another node, which has counted it against its limits."""
        await self._attempt(device, frame, self._take_counted)

    async def _take_counted(self, device: Device, frame: str | bytes) -> None:
        message = incoming.decode(frame)
        await self._context.arrived(device.profile)
        if self._context.live.of(device.profile) is None and (owner := self._moving.owner_of(device.profile)) is not None:
            self._context.forward(device, owner, frame)
        else:
            await self._take_here(device, message, frame)

    async def _take_here(self, device: Device, message: incoming.FromClient, frame: str | bytes) -> None:
        try:
            await self._take[type(message)](device, message)
        except CallMoved as moved:  # while it waited for its turn
            self._context.forward(device, moved.to, frame)

    async def _attempt(self, device: Device, frame: str | bytes, take: Callable[[Device, str | bytes], Awaitable[None]]) -> None:
        try:
            await take(device, frame)
        except SignalingError as error:
            self._refuse(device, frame, error.code, str(error))
        except Unavailable as error:
            self._refuse(device, frame, "unavailable", str(error))
        except RelayError as error:  # a media worker that died a moment ago, say: not a bug
            logger.warning("a message of %s could not be taken: %s", device.profile.key, error)
            self._refuse(device, frame, "unavailable", "the server could not do this now; try again")
        except Exception:
            logger.exception("a message of %s could not be handled", device.profile.key)
            self._refuse(device, frame, "unavailable", "the server could not do this now; try again")

    def _refuse(self, device: Device, frame: str | bytes, code: str, text: str) -> None:
        self.refused[code] += 1
        device.send(outgoing.Error(code=code, message=text, ref=incoming.ref_of(frame)))

    async def _take_ping(self, device: Device, message: incoming.Ping) -> None:
        if message.last_seq is not None:
            device.arrived(message.last_seq)
        device.send(outgoing.Pong(server_time=notices.milliseconds(self._time_for(device)), ref=message.ref))

    # -- media --------------------------------------------------------------------------------------------------------

    def media_event(self, event: MediaEvent) -> None:
        """Take what the media engine says (`relay.media.api.MediaEventSink`)."""
        self._media_events.take(event)
