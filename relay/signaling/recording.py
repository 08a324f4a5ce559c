"""Who may record a call: policy and consent as a table, stage × event → stage. Pure: times come in as arguments.

A party asks and has consented by that; the other one is asked, and has consented once it agrees. The service asks neither.
Nothing is written while `PAUSED`: the call is held, or a device that has taken the call over has not consented yet.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from relay.errors import SignalingError
from relay.ids import Profile
from relay.records.recordings import RecordingPolicy

CONSENT_TIMEOUT: Final = 30.0
"""Seconds that a party may think about being recorded."""

HOLD: Final = "hold"
CONSENT: Final = "consent"
"""What a recording is paused for."""


class RecordingStage(StrEnum):
    """`state` of `call_recording`."""

    IDLE = "idle"
    """None was asked for yet."""
    ASKED = "asked"
    DECLINED = "declined"
    RECORDING = "recording"
    PAUSED = "paused"
    STOPPED = "stopped"


class RecordingEvent(StrEnum):
    ASK = "ask"
    """A party asks that the call be recorded."""
    ORDER = "order"
    """The service records the call, without asking."""
    AGREE = "agree"
    DECLINE = "decline"
    """The party that is asked does not want it, or did not answer in time; or the one that asked takes it back."""
    PAUSE = "pause"
    CONTINUE = "continue"
    STOP = "stop"
    """By a party, by the service, by the withdrawal of a consent, by the media plane, or with the call."""


_BEGINNING: Final = {RecordingEvent.ASK: RecordingStage.ASKED, RecordingEvent.ORDER: RecordingStage.RECORDING}

RECORDING_TRANSITIONS: Final[Mapping[RecordingStage, Mapping[RecordingEvent, RecordingStage]]] = {
    RecordingStage.IDLE: {**_BEGINNING},
    RecordingStage.ASKED: {
        RecordingEvent.AGREE: RecordingStage.RECORDING,
        RecordingEvent.ORDER: RecordingStage.RECORDING,
        RecordingEvent.DECLINE: RecordingStage.DECLINED,
        RecordingEvent.STOP: RecordingStage.DECLINED,
    },
    RecordingStage.DECLINED: {**_BEGINNING},
    RecordingStage.RECORDING: {
        RecordingEvent.PAUSE: RecordingStage.PAUSED,
        RecordingEvent.STOP: RecordingStage.STOPPED,
    },
    RecordingStage.PAUSED: {
        RecordingEvent.PAUSE: RecordingStage.PAUSED,
        RecordingEvent.CONTINUE: RecordingStage.RECORDING,
        RecordingEvent.STOP: RecordingStage.STOPPED,
    },
    RecordingStage.STOPPED: {**_BEGINNING},
}

PERMITTED: Final[Mapping[RecordingPolicy, frozenset[RecordingEvent]]] = {
    RecordingPolicy.OFF: frozenset(),
    RecordingPolicy.CONSENT: frozenset({RecordingEvent.ASK, RecordingEvent.ORDER}),
    RecordingPolicy.ALWAYS: frozenset({RecordingEvent.ORDER}),
}
"""What may begin a recording under each policy. What ends one is always permitted to who began it, and to the service."""


class Terms(NamedTuple):
    """The operator's policy, as those who are asked get it."""

    policy_version: str = ""
    policy_text: str = ""
    """May be empty."""


NO_TERMS: Final = Terms()

Origin = Literal["party", "service"]


MAX_REQUESTS: Final = 5
"""Times that a party may ask in a call: the other one is not to be worn down."""


@dataclass(slots=True)
class CallRecording:
    """The recording of one call: whether there is one, and who has said what about it.

    A call may be recorded several times, one after the other. What is said here is about the latest one.
    """

    policy: RecordingPolicy = RecordingPolicy.OFF
    """Of this call: that of the server, or of its scope where that is stricter."""
    consent_only: bool = False
    """The scope itself wants consent, so the service may not order a recording."""
    terms: Terms = NO_TERMS
    answer_timeout: float = CONSENT_TIMEOUT
    """Seconds in which a party that is asked is to answer."""
    stage: RecordingStage = RecordingStage.IDLE
    since: float = 0.0
    """When that began; seconds, monotonic."""
    reason: str | None = None
    origin: Origin = "party"
    recording_id: str | None = None
    asker: Profile | None = None
    """The party that asked; None: the service has ordered it."""
    asked: Profile | None = None
    """The party that is to answer."""
    asked_device: str | None = None
    """Its device that was asked."""
    expires_at: float | None = None
    """When that counts as declined; seconds, monotonic."""
    devices: dict[Profile, str | None] = field(default_factory=dict)
    """The device of each party that has consented, or was shown that the call is recorded."""
    pauses: set[str] = field(default_factory=set)
    requests: Counter[Profile] = field(default_factory=Counter)
    """How often each party has asked."""
    ordered: bool = False
    """The service wants the call to be recorded from its answer on."""

    @property
    def certain(self) -> bool:
        """It begins with the answer."""
        return self.policy is RecordingPolicy.ALWAYS or (self.ordered and self._permits(RecordingEvent.ORDER))

    def may_ask(self, profile: Profile) -> bool:
        """Whether that party may ask now."""
        possible = self._permits(RecordingEvent.ASK) and RecordingEvent.ASK in RECORDING_TRANSITIONS[self.stage]
        return possible and self.requests[profile] < MAX_REQUESTS

    def _permits(self, event: RecordingEvent) -> bool:
        return event in PERMITTED[self.policy] and not (event is RecordingEvent.ORDER and self.consent_only)

    @property
    def active(self) -> bool:
        """There is a capture, be it paused."""
        return self.stage in (RecordingStage.RECORDING, RecordingStage.PAUSED)

    def check(self, event: RecordingEvent) -> None:
        """Make sure that a recording may begin by that event.

        Raises:
            SignalingError: `not_allowed`, `wrong_state`.
        """
        if not self._permits(event):
            always = self.policy is RecordingPolicy.ALWAYS
            raise SignalingError("not_allowed", _BY_SERVICE if always else "this call may not be recorded")
        if event not in RECORDING_TRANSITIONS[self.stage]:
            raise SignalingError("wrong_state", f"the recording of this call is {self.stage}")

    def ask(self, recording_id: str, asker: tuple[Profile, str | None], asked: tuple[Profile, str | None], now: float) -> None:
        """A party asks, and has consented by that.

        Args:
            asker: the party, and its device in the call; `asked` likewise.

        Raises:
            SignalingError: `not_allowed`, `wrong_state`.
        """
        self.check(RecordingEvent.ASK)
        profile, device_id = asker
        if self.requests[profile] >= MAX_REQUESTS:
            raise SignalingError("not_allowed", f"this party has asked {MAX_REQUESTS} times in this call")
        self.requests[profile] += 1
        self._begin(recording_id, "party")
        self.asker, self.devices = profile, {profile: device_id}
        (self.asked, self.asked_device), self.expires_at = asked, now + self.answer_timeout
        self._apply(RecordingEvent.ASK, None, now)

    def order(self, recording_id: str, devices: Mapping[Profile, str | None], now: float) -> None:
        """The service records the call.

        Raises:
            SignalingError: `not_allowed`, `wrong_state`.
        """
        self.check(RecordingEvent.ORDER)
        self._begin(recording_id, "service")
        self.asker, self.devices = None, dict(devices)
        self._apply(RecordingEvent.ORDER, None, now)

    def agreed(self, profile: Profile, device_id: str | None, now: float) -> bool:
        """A party consents: the recording begins, or goes on after another device has joined.

        Returns:
            Whether nothing else keeps it from being written.

        Raises:
            SignalingError: `wrong_state`: it was not asked.
        """
        if self.asked != profile:
            raise SignalingError("wrong_state", "this party was not asked whether the call may be recorded")
        self.asked = self.expires_at = None
        self.devices[profile] = device_id
        if self.stage is RecordingStage.ASKED:
            self._apply(RecordingEvent.AGREE, None, now)
        else:
            self.resume(CONSENT, now)
        return self.stage is RecordingStage.RECORDING

    def refused(self, profile: Profile, now: float) -> RecordingStage:
        """A party does not consent, or not any more; what the recording was before.

        Raises:
            SignalingError: `wrong_state`: there is nothing to refuse. `not_allowed`: its consent is not needed.
        """
        before = self.stage
        if before is RecordingStage.ASKED:
            self.end("declined" if self.asked == profile else "cancelled", now)
        elif self.active:
            self.check_ending()
            self.end("consent_withdrawn", now)
        else:
            raise SignalingError("wrong_state", "this call is not recorded, and this party was not asked")
        return before

    def check_ending(self) -> None:
        """Make sure that a party may end the recording.

        Raises:
            SignalingError: `not_allowed`, `wrong_state`.
        """
        if not self.active:
            raise SignalingError("wrong_state", "this call is not recorded")
        if self.origin == "service":
            raise SignalingError("not_allowed", _BY_SERVICE)

    def expired(self, now: float) -> None:
        """The party that is asked has not answered in time."""
        self.end("expired" if self.stage is RecordingStage.ASKED else "consent_withdrawn", now)

    def end(self, reason: str, now: float) -> None:
        """It is over, or comes to nothing."""
        self._apply(RecordingEvent.STOP, reason, now)
        self._clear()

    def pause(self, why: str, now: float) -> None:
        """Nothing is written from now on. Does nothing if there is no recording."""
        if self.active:
            self.pauses.add(why)
            self._apply(RecordingEvent.PAUSE, self._why_paused(), now)

    def resume(self, why: str, now: float) -> None:
        """One of the pauses is over."""
        if self.active and why in self.pauses:
            self.pauses.remove(why)
            self._apply(RecordingEvent.PAUSE if self.pauses else RecordingEvent.CONTINUE, self._why_paused(), now)

    def joined(self, profile: Profile, device_id: str, now: float, *, informed: bool) -> bool:
        """A device is in the call for a party from now on.

        Args:
            informed: it shows that the call is recorded.

        Returns:
            Whether that device is to be asked.
        """
        if self.asked == profile and (self.stage is RecordingStage.ASKED or self.asked_device == device_id):
            again, self.asked_device = self.asked_device != device_id, device_id
            return again
        if self.devices.get(profile) == device_id:
            return False
        if self.stage is RecordingStage.ASKED:  # the device that asked, and has consented by that, is not in the call any more
            self.end("cancelled", now)
        if not self.active:
            return False
        if self.origin == "service":
            if informed:
                self.devices[profile] = device_id
                self.resume(CONSENT, now)
            else:
                self.pause(CONSENT, now)
            return False
        if self.asked not in (None, profile):  # both parties have taken other devices: one after the other is too much to ask
            self.end("consent_withdrawn", now)
            return False
        self.asked, self.asked_device, self.expires_at = profile, device_id, now + self.answer_timeout
        self.pause(CONSENT, now)
        return True

    def _begin(self, recording_id: str, origin: Origin) -> None:
        self.recording_id, self.origin = recording_id, origin
        self._clear()

    def _clear(self) -> None:
        self.asked = self.expires_at = None
        self.pauses.clear()

    def _why_paused(self) -> str | None:
        return CONSENT if CONSENT in self.pauses else next(iter(self.pauses), None)

    def _apply(self, event: RecordingEvent, reason: str | None, now: float) -> None:
        target = RECORDING_TRANSITIONS[self.stage].get(event)
        if target is None:
            raise SignalingError("wrong_state", f"the recording of this call is {self.stage}")
        if target is not self.stage:
            self.since = now
        self.stage, self.reason = target, reason


_BY_SERVICE: Final = "calls are recorded by the service here, which asks for no consent"
