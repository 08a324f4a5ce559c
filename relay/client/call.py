"""One call, as its party sees it: signaling and media together."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, Unpack

from av import AudioFrame, VideoFrame

from relay.client.call_media import CallMedia, CallOptions, Media
from relay.client.connection import ServerMessage, SignalingSocket
from relay.client.errors import CallOver, ClientError, Disconnected, Refused
from relay.client.events import (
    CallFinished,
    ClientEvent,
    QualityMeasured,
    Reconnected,
    RecordingChanged,
    event_of,
)
from relay.client.figures import StreamFigures
from relay.client.messages import CallMessages, MediaStateFields, answer, invitation
from relay.client.progress import CallProgress
from relay.client.recorder import PacketRecorder
from relay.client.rejoin import Rejoin
from relay.client.tracks import ReceivedFrames
from relay.ids import Profile, Scope

UPDATE_TIMEOUT: Final = 20.0
"""Seconds for the other party to answer an offer: the relay gives it 15."""

CONSENT_TIMEOUT: Final = 315.0
"""Seconds for the other party to answer a request to record: the relay gives it 30, or what it was set to, at most 300."""

_log = logging.getLogger(__name__)


class ClientCall:
    """A call that this party makes or gets. Made by `CallClient.call`, or by `CallClient.incoming`.

    Attributes:
        other: the other party.
        kind: `voice` or `video`.
        outgoing: this party called.
        media: what it sends and receives.
    """

    def __init__(
        self,
        signaling: SignalingSocket,
        own: Profile,
        other: Profile,
        scope: Scope,
        kind: str,
        *,
        outgoing: bool,
        options: CallOptions,
        record: PacketRecorder | None = None,
    ) -> None:
        self.own, self.other, self.scope, self.kind, self.outgoing = own, other, scope, kind, outgoing
        self._messages = CallMessages(signaling, scope, other, self._check_going)
        self._options = options
        self._offer: Mapping[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._progress = CallProgress()
        self._updating = asyncio.Lock()
        self._rejoin = Rejoin(self._start, self._ask_back, self._come_back)
        self.media = CallMedia(self._start, options, record)

    @property
    def call_id(self) -> str:
        """The relay's id of it; empty until the relay has said."""
        return self._messages.call_id

    @property
    def state(self) -> str:
        """`new`, `invited`, `ringing`, `answered`, `connected`, `reconnecting` or `ended`."""
        return self._progress.state

    @property
    def reason(self) -> str:
        """Why it ended; empty before."""
        return self._progress.reason

    @property
    def held_by(self) -> Sequence[str]:
        """Of `you` and `other`: which parties hold the call."""
        return self._progress.held_by

    @property
    def recording(self) -> RecordingChanged:
        """The latest state of its recording."""
        return self._progress.recording

    @property
    def quality(self) -> Mapping[str, QualityMeasured]:
        """The relay's latest measurement of each party's path: by `yours` and `other`."""
        return self._progress.quality

    @property
    def times(self) -> Mapping[str, float]:
        """Seconds of the event loop at which this party `called`, and at which each state began first."""
        return self._progress.times

    @property
    def audio(self) -> ReceivedFrames[AudioFrame]:
        """The decoded audio of the other party: `async for frame in call.audio`."""
        return self.media.audio

    @property
    def video(self) -> ReceivedFrames[VideoFrame]:
        """Its decoded video."""
        return self.media.video

    # -- the life of the call -----------------------------------------------------------------------------------------

    async def answer(self, media: Media = None, *, codecs: Collection[str] = ()) -> None:
        """Take the call, and send `media` (None: silence).

        Args:
            codecs: only these, such as `VP8` and `opus`; empty: those of the offer, and of the file that is sent.

        Raises:
            Refused, CallOver, UnusableMedia, ClientError: it does not work.
        """
        self._check_going()
        description = await self.media.answer(self._offer, media, codecs)
        await self._messages.ask(
            answer(description, can_show_recording=self._options.can_show_recording),
            lambda message: message.get("type") == "call_state",
        )

    async def decline(self, reason: str = "rejected", message: str | None = None) -> None:
        """Do not take the call. `reason`: `rejected`, `busy`, `offline` or `media_unavailable`. `message` (1 to 200 characters):
        for the caller."""
        if self.state != "ended":
            await self._messages.tell("call_declined", reason=reason, message=message)
            self._finish(CallFinished(reason))

    async def hang_up(self) -> None:
        """End the call, whatever state it is in; nothing happens if it has ended. Waits until the relay has confirmed it."""
        if self.state == "ended":
            return
        with contextlib.suppress(Refused, Disconnected, CallOver):
            await self._messages.ask({"type": "call_ended"}, lambda message: message.get("state") == "ended")
        self._finish(CallFinished("hangup"))
        await self.closed()

    async def answered(self) -> None:
        """Wait until the callee has answered.

        Raises:
            CallOver: the call ended before.
        """
        await self._progress.reach({"answered", "connected", "reconnecting"})

    async def connected(self) -> None:
        """Wait until media flows both ways.

        Raises:
            CallOver: the call ended before.
        """
        await self._progress.reach({"connected"})

    async def ended(self) -> str:
        """Wait until the call is over; returns the reason."""
        await self._progress.reach({"ended"})
        return self.reason

    async def closed(self) -> None:
        """Wait until the call's media is freed. Call it after the end."""
        await asyncio.gather(*(self._tasks - {asyncio.current_task()}), return_exceptions=True)

    async def finished(self) -> None:
        """Wait until the file that is sent has been sent once; returns at once without a file."""
        if self.media.playback is not None:
            await self.media.playback.finished()

    # -- during the call ----------------------------------------------------------------------------------------------

    def events(self) -> AsyncGenerator[ClientEvent, None]:
        """What happens from now on; ends with `CallFinished`. A program that reads slowly misses the oldest events."""
        return self._progress.events()

    async def send_chat(self, text: str, message_id: str | None = None) -> None:
        """Send a chat message; waits until the relay has taken it.

        Raises:
            Refused, CallOver: it was not.
        """
        named = {} if message_id is None else {"message_id": message_id}
        await self._messages.ask(
            {"type": "call_chat", "text": text, **named},
            lambda message: message.get("type") == "call_chat" and message.get("own") is True and message.get("text") == text,
        )

    async def hold(self) -> None:
        """Hold the call: no media is forwarded.

        Raises:
            Refused, CallOver: it is held already, or not answered.
        """
        await self._messages.ask({"type": "call_hold"}, lambda message: "you" in (message.get("held_by") or ()))

    async def resume(self) -> None:
        """End one's own hold."""
        await self._messages.ask(
            {"type": "call_resume"},
            lambda message: message.get("type") == "call_state" and "you" not in message.get("held_by", ()),
        )

    async def set_media_state(self, **state: Unpack[MediaStateFields]) -> None:
        """Tell the other party what this one does with its media, and which devices it lacks. What is left out is false."""
        await self._messages.tell("call_media_state", **state)

    async def transfer(self, target: Profile) -> None:
        """Ask the other party to call a third profile instead. The call ends as `transferred` if it agrees."""
        await self._messages.tell("call_transfer", target_profile_id=target.profile_id, target_profile_type=target.profile_type)

    async def answer_transfer(self, accepted: bool) -> None:
        """Answer a `TransferRequested`."""
        await self._messages.tell("call_transfer_answer", accepted=accepted)

    async def send(self, media: Media, kind: str | None = None) -> None:
        """Send other media from now on: an offer in mid-call where it has a kind that was not sent before.

        Args:
            kind: what the call is from then on, if the other party takes it: `voice` or `video`.

        Raises:
            Refused: the relay or the other party does not take the offer.
        """
        self._check_going()
        async with self._updating:
            offer = await self.media.replace(media)
            if offer is None:
                return
            named = {} if kind is None else {"call_type": kind}
            message = await self._messages.ask(
                {"type": "call_update", "offer": offer, **named},
                lambda message: message.get("type") == "call_update" and bool(message.get("answer") or message.get("rejected")),
                UPDATE_TIMEOUT,
            )
            if not message.get("answer"):
                raise Refused("rejected", "the other party does not take the offer")
            await self.media.accept(message["answer"])
            self.kind = kind or self.kind

    # -- recording ----------------------------------------------------------------------------------------------------

    async def record(self) -> str:
        """Ask for a recording of this call; waits until the other party has agreed to it, which it has 30 s for.

        Returns:
            The id of the recording.

        Raises:
            Refused: it is not recorded; `code` is the reason: `declined`, `expired`, `not_supported`…
        """
        message = await self._messages.ask(
            {"type": "call_record", "action": "start"},
            lambda message: message.get("type") == "call_recording" and message.get("state") not in {"asked", "idle"},
            CONSENT_TIMEOUT,
        )
        if message.get("state") != "recording":
            raise Refused(str(message.get("reason") or message.get("state")), "the call is not recorded")
        return str(message.get("recording_id"))

    async def stop_recording(self) -> None:
        """End the recording that this party has asked for."""
        await self._messages.ask(
            {"type": "call_record", "action": "stop"},
            lambda message: message.get("type") == "call_recording" and message.get("state") != "recording",
        )

    async def consent(self, accepted: bool) -> None:
        """Answer a `RecordingRequested`. False withdraws an earlier consent, and ends the recording."""
        await self._messages.tell("call_record_answer", accepted=accepted)

    # -- figures ------------------------------------------------------------------------------------------------------

    def figures(self, kind: str) -> StreamFigures | None:
        """Of the received stream of that kind with the most packets; None: none."""
        return self.media.figures(kind)

    @property
    def packets(self) -> int:
        """RTP packets received so far, retransmissions included."""
        return sum(one.packets + one.duplicates + one.resent for one in self.media.streams)

    @property
    def octets(self) -> int:
        """Bytes of RTP payload received so far."""
        return sum(one.octets for one in self.media.streams)

    @property
    def first_packets(self) -> Mapping[str, float]:
        """Seconds of the event loop at which the first packet came, by kind."""
        return self.media.first

    # -- for the client -----------------------------------------------------------------------------------------------

    async def invite(self, media: Media, codecs: Collection[str]) -> None:
        """Send the invitation. `CallClient.call` does it."""
        kinds = ("audio", "video") if self.kind == "video" else ("audio",)
        offer = await self.media.offer(media, kinds, codecs)
        self._progress.times["called"] = asyncio.get_running_loop().time()
        try:
            message = await self._messages.ask(
                invitation(self.kind, offer, can_show_recording=self._options.can_show_recording),
                lambda message: message.get("type") in {"call_state", "call_declined", "call_ended"},
            )
        except ClientError:
            self._finish(CallFinished("unavailable"))
            raise
        self._messages.call_id = str(message.get("call_id", ""))
        if self.state == "ended":
            raise CallOver(self.reason)

    def rings(self, message: ServerMessage) -> None:
        """Take the invitation to an incoming call: the latest offer is the one to answer."""
        self._messages.call_id = str(message.get("call_id", ""))
        self._offer = message.get("offer") or {}
        self._progress.enter("ringing")

    def reconnected(self, resumed: bool) -> None:
        """The WebSocket is back."""
        self._progress.take(Reconnected(resumed))
        self._rejoin.connection_is_back()

    def lost(self) -> None:
        """The WebSocket is lost for good."""
        self._finish(CallFinished("signaling_lost"))

    def handle(self, message: ServerMessage) -> None:
        """Take a message about this call."""
        event = event_of(message)
        self._messages.call_id = self.call_id or str(message.get("call_id", ""))
        match message.get("type"):
            case "call_answer":
                self._start(self._accept(message.get("answer") or {}))
                return
            case "call_update" if message.get("offer"):
                if self.media.is_for_another(message["offer"]):
                    self._rejoin.take(message)
                else:
                    self._start(self._update(message))
                return
            case "call_record_request" if self._options.consent is not None:
                self._start(self.consent(self._options.consent))
            case "call_state" if message.get("yours") is False and self.media.has_begun:
                # The call is at another server, or this device is new to the relay: it comes back with a new peer connection.
                self._rejoin.begin()
        if isinstance(event, CallFinished):
            self._finish(event)
        else:
            self._progress.take(event)

    # -- negotiation --------------------------------------------------------------------------------------------------

    async def _accept(self, description: Mapping[str, str]) -> None:
        try:
            await self.media.accept(description)
        except ClientError as error:
            _log.warning("call %s: %s", self.call_id, error)
            await self.hang_up()

    async def _update(self, message: ServerMessage) -> None:
        """Answer an offer during the call. Answers to one's own are waited for where it is made."""
        async with self._updating:
            try:
                description = await self.media.answer_update(message["offer"])
            except ClientError as error:
                _log.warning("call %s: %s", self.call_id, error)
                await self._messages.tell("call_update", rejected=True, **_named(message))
            else:
                await self._messages.tell("call_update", answer=description, **_named(message))

    async def _ask_back(self) -> ServerMessage:
        return await self._messages.ask(
            {"type": "call_rejoin", "can_show_recording": self._options.can_show_recording},
            lambda one: one.get("type") == "call_update" and bool(one.get("offer")) and self.media.is_for_another(one["offer"]),
        )

    async def _come_back(self, message: ServerMessage) -> None:
        """Take the call over with a new peer connection, as a page does that was loaded anew."""
        async with self._updating:
            description = await self.media.rejoin(message["offer"])
            await self._messages.tell("call_update", answer=description, **_named(message))

    def _check_going(self) -> None:
        if self.state == "ended":
            raise CallOver(self.reason)

    def _finish(self, event: CallFinished) -> None:
        if self.state == "ended":
            return
        self._progress.take(event)
        self._rejoin.end()
        self._start(self.media.close())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            level = logging.INFO if isinstance(error, ClientError) else logging.ERROR
            _log.log(level, "call %s: %s", self.call_id, error, exc_info=None if isinstance(error, ClientError) else error)


def _named(offer: ServerMessage) -> dict[str, Any]:
    return {"update_id": offer["update_id"]} if "update_id" in offer else {}
