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
from relay.errors import RelayError, SignalingError, Unavailable
from relay.ids import Profile
from relay.media.api import (
    WORKER_LOST,
    CaptureEnded,
    MediaEngine,
    MediaEvent,
    Route,
    TransportClosed,
    TransportEvent,
    TransportReport,
    TransportUp,
)
from relay.records.profiles import ProfileCard
from relay.settings.calls import CallSettings
from relay.settings.recording import RecordingSettings
from relay.signaling.calls import notices
from relay.signaling.calls.call import EndReason, State
from relay.signaling.calls.context import CallContext, Ports
from relay.signaling.calls.draining import Draining
from relay.signaling.calls.enforcement import Enforcement
from relay.signaling.calls.incall import InCall
from relay.signaling.calls.invitations import Invitations
from relay.signaling.calls.live import LiveCall
from relay.signaling.calls.negotiation import Negotiation
from relay.signaling.calls.paths import RoundTrips, sessions_by_route
from relay.signaling.calls.recordings import Recordings
from relay.signaling.calls.rejoining import Rejoining
from relay.signaling.calls.termination import Termination
from relay.signaling.calls.welcome import welcome
from relay.signaling.log.heartbeat import Heartbeat
from relay.signaling.log.writebehind import WriteBehind
from relay.signaling.messages import incoming, outgoing
from relay.signaling.ports import Action, Connection
from relay.signaling.presence.devices import OPTIONAL_TYPES, Device, Devices
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
        public_addresses: what the operator says media is reachable at; may be empty.
        recording: None: no call is recorded.
        recording_key: what recordings are sealed with, 32 bytes; None: they are not.

    Attributes:
        recordings: of the calls.
        sessions: also for what negotiates without a call, such as the connection test.
        draining: of this server, once it is told to.
        refused: messages answered with an error, by code.
    """

    def __init__(
        self,
        *,
        ports: Ports,
        engine: MediaEngine,
        timers: CallSettings,
        public_addresses: tuple[str, ...] = (),
        clock: Clock | None = None,
        recording: RecordingSettings | None = None,
        recording_key: bytes | None = None,
    ) -> None:
        clock = clock or Clock()
        devices = Devices(timers.signaling_grace, self._gone)
        self.sessions = SessionManager(engine, public_addresses)
        self._context = context = CallContext(ports, self.sessions, devices, timers, clock)
        self.draining = Draining(context)
        self.recordings = recordings = Recordings(context, recording or RecordingSettings(), recording_key)
        self._termination = termination = Termination(context, recordings)
        self._invitations = invitations = Invitations(context, termination, recordings)
        self.enforcement = Enforcement(context, termination, invitations)
        self._in_call = in_call = InCall(context, termination, recordings)
        negotiation = Negotiation(context, termination, recordings)
        self._rejoining = rejoining = Rejoining(context, negotiation, recordings)
        self._heartbeat = Heartbeat(ports.logs, lambda kind: context.live.beats(kind, clock.now()), termination.taken_over)
        context.log.on_lost, context.log.on_taken_over = termination.lost, termination.taken_over
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

    def devices_of(self, card: ProfileCard) -> int:
        """How many devices of a profile are connected."""
        return len(self._context.devices.of(card.profile))

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

    async def close(self) -> None:
        """End every call and tell everyone."""
        context = self._context
        context.closing = True
        await self.draining.close()
        await self._heartbeat.stop()
        await asyncio.gather(*context.tasks, return_exceptions=True)
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
        devices = self._context.devices
        known = devices.resumable(resume, card.profile, last_seq) if resume else None
        if known is None:
            device, missed = devices.open(card.profile, version, connection, issued_at), []
        else:
            device, missed = known, known.missed(last_seq) or []
            devices.attach(device, connection)
            device.issued_at = issued_at
        device.takes = OPTIONAL_TYPES.intersection(takes)
        device.send(self._welcome(card, device, resumed=known is not None))
        for frame in missed:
            connection.send(frame)
        try:
            await self._meet_call(device)
            if known is None:
                await self._tell_missed(device)
        except BaseException:
            await self.disconnected(device, connection)
            raise
        return device

    async def _meet_call(self, device: Device) -> None:
        """A device has come: it rings if its profile is being called, and has its call again."""
        context = self._context
        live = context.live.of(device.profile)
        if live is None:
            return
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if not device.connected or call.state is State.ENDED:
                return
            if party.device_id == device.device_id:
                self._termination.hand_over(live, party, device)
                context.tell_state(live, party)
            elif device.device_id in live.ringing:
                self._invitations.look_at_ringing(live)
            elif not call.answered and party is call.callee:
                waking = call.state is State.INVITED
                async with self._termination.ended_on_error(live):
                    await self._invitations.ring(live, device)
                if waking:
                    context.tell_state(live, call.caller)
            elif call.answered and party.signaling_lost_at is not None:
                yours = party.device_id is None
                if yours:
                    self._termination.hand_over(live, party, device)
                    await self.recordings.joined(live, party, device)
                elif device not in live.waiting:
                    live.waiting.append(device)
                recording = context.recording_of(live, party)
                device.send(notices.state(call, party, live.answered_at, context.time_of(live), yours=yours, **recording))
            elif call.answered:
                context.tell_elsewhere(live, party, device)

    async def _tell_missed(self, device: Device) -> None:
        await self.written()
        try:
            unseen = await self._context.ports.missed.unseen(device.profile, MISSED_SHOWN)
        except Unavailable:  # no reason to turn the device away: it may be here for its call
            return
        if unseen.count:
            device.send(notices.missed_calls(unseen))

    def _welcome(self, card: ProfileCard, device: Device, *, resumed: bool) -> outgoing.Welcome:
        grace, timers = self._context.devices.grace, self._context.timers
        policy, now = self.recordings.server_policy, self._time_for(device)
        return welcome(card, device, now, resumed=resumed, resume_seconds=grace, timers=timers, recording=policy)

    def _time_for(self, device: Device) -> datetime:
        """The date that it is now: for a device in a call, that of the call, by which it counts how long that lasts."""
        live = self._context.live.of(device.profile)
        return self._context.clock.utcnow() if live is None else self._context.time_of(live)

    async def disconnected(self, device: Device, connection: Connection) -> None:
        """A connection is over; its device may come back on another one, or has already."""
        context = self._context
        if device.connection is not connection:
            return
        context.devices.lose(device)
        live = context.live.of(device.profile)
        if live is None:
            return
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if device.connected or call.state is State.ENDED:  # while this waited for the lock
                return
            if party.device_id == device.device_id:
                call.signaling_lost(party, context.clock.now(), resumable=device.resumable)
                self._termination.set_timer(live)
            elif device.device_id in live.ringing:
                if not device.resumable:
                    await self._invitations.stop_ringing(live, device.device_id)
                self._invitations.look_at_ringing(live)
            await self._rejoining.device_lost(live, device)

    def _gone(self, device: Device) -> None:
        live = self._context.live.of(device.profile)
        if live is not None:
            self._context.spawn(self._forget(live, device))

    async def _forget(self, live: LiveCall, device: Device) -> None:
        """A device has not come back: it rings no more, and any other of its profile may take its place in the call."""
        async with live.lock:
            call, party = live.call, live.call.party(device.profile)
            if call.state is State.ENDED:
                return
            if device.device_id in live.ringing:
                await self._invitations.stop_ringing(live, device.device_id)
                self._invitations.look_at_ringing(live)
            elif party.device_id == device.device_id:
                party.device_id = None

    # -- messages -----------------------------------------------------------------------------------------------------

    async def receive(self, device: Device, frame: str | bytes) -> None:
        """Take one frame of a device. What is wrong with it is answered with an `error`; nothing is raised."""
        if device.dropped:
            return
        try:
            self._context.check_rate(device, Action.MESSAGE)
            message = incoming.decode(frame)
            await self._take[type(message)](device, message)
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
        if isinstance(event, CaptureEnded):
            self.recordings.capture_ended(event)
            return
        live = self._context.live.with_transport(event.transport_id)
        if live is None or self._context.closing:
            return
        if isinstance(event, TransportReport):
            self._in_call.report(live, event)
            return
        party = live.call.party_with(event.transport_id)
        if isinstance(event, TransportUp) and party is not None:
            # Not in its turn but now: a report may come before that, and know better.
            self._context.paths.seen(live.media(party), event.remote)
        self._context.spawn(self._take_media_event(live, event))

    async def _take_media_event(self, live: LiveCall, event: TransportEvent) -> None:
        async with live.lock:
            call = live.call
            if isinstance(event, TransportClosed) and event.reason == WORKER_LOST:
                # All of its transports are lost, so this is the end at any stage; unless one was closed a moment before.
                if self._context.live.with_transport(event.transport_id) is live:
                    await self._termination.end(live, EndReason.WORKER_LOST)
                return
            party = call.party_with(event.transport_id)
            if party is None or not call.answered:
                return
            if isinstance(event, TransportClosed) and event.reason == "dtls_failed":
                await self._termination.end(live, EndReason.ICE_FAILED)
                return
            now = self._context.clock.now()
            if call.media_changed(party, up=isinstance(event, TransportUp), now=now):
                live.course.note(call.state, now)
                self._context.tell_state(live)
            self._termination.set_timer(live)
