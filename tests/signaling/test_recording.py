"""Who may record: every stage with every event, under every policy."""

from collections.abc import Callable

import pytest

from relay.errors import SignalingError
from relay.records.recordings import RecordingPolicy
from relay.signaling.recording import (
    CONSENT_TIMEOUT,
    MAX_REQUESTS,
    PERMITTED,
    RECORDING_TRANSITIONS,
    CallRecording,
    RecordingEvent,
    RecordingStage,
)
from tests.signaling.people import STUDENT, TUTOR

OFF, CONSENT, ALWAYS = RecordingPolicy
IDLE, ASKED, DECLINED, RECORDING, PAUSED, STOPPED = RecordingStage

TABLE = """
stage      ask    order      agree      decline   pause   continue   stop
idle       asked  recording  -          -         -       -          -
asked      -      recording  recording  declined  -       -          declined
declined   asked  recording  -          -         -       -          -
recording  -      -          -          -         paused  -          stopped
paused     -      -          -          -         paused  recording  stopped
stopped    asked  recording  -          -         -       -          -
"""


def cells() -> dict[tuple[str, str], str]:
    [_, *events], *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {(stage, event): target for stage, *targets in rows for event, target in zip(events, targets, strict=True)}


def test_the_table_is_this_one() -> None:
    found = {
        (stage.value, event.value): RECORDING_TRANSITIONS[stage].get(event, "-")
        for stage in RecordingStage
        for event in RecordingEvent
    }
    assert found == cells()


def at(stage: RecordingStage, policy: RecordingPolicy = CONSENT, *, service: bool = False) -> CallRecording:
    """A recording that has come to that stage at the time 10."""
    rec = CallRecording(policy=policy if stage is IDLE else CONSENT)
    if stage is IDLE:
        return rec
    if service and stage is not ASKED:
        rec.order("r1", {STUDENT: "s1", TUTOR: "t1"}, 10)
    else:
        rec.ask("r1", (STUDENT, "s1"), (TUTOR, "t1"), 10)
        if stage in (RECORDING, PAUSED, STOPPED):
            rec.agreed(TUTOR, "t1", 10)
    match stage:
        case RecordingStage.DECLINED:
            rec.end("declined", 10)
        case RecordingStage.PAUSED:
            rec.pause("hold", 10)
        case RecordingStage.STOPPED:
            rec.end("stopped", 10)
    rec.policy = policy
    return rec


def outcome(rec: CallRecording, what: Callable[[CallRecording], object]) -> str:
    """The stage after that, or the code of the error; then nothing has changed."""
    before = (rec.stage, rec.since, rec.reason, rec.asked, rec.recording_id)
    try:
        what(rec)
    except SignalingError as error:
        assert before == (rec.stage, rec.since, rec.reason, rec.asked, rec.recording_id)
        return error.code
    return rec.stage.value


BEGINNINGS: dict[str, Callable[[CallRecording], object]] = {
    "ask": lambda rec: rec.ask("r2", (TUTOR, "t1"), (STUDENT, "s1"), 20),
    "order": lambda rec: rec.order("r2", {}, 20),
}


@pytest.mark.parametrize("policy", RecordingPolicy)
@pytest.mark.parametrize("stage", [one for one in RecordingStage if one is not DECLINED])
@pytest.mark.parametrize("event", BEGINNINGS)
def test_a_recording_begins_only_as_the_policy_permits(policy: RecordingPolicy, stage: RecordingStage, event: str) -> None:
    permitted = {(CONSENT, "ask"), (CONSENT, "order"), (ALWAYS, "order")}
    target = cells()[stage.value, event]
    expected = "not_allowed" if (policy, event) not in permitted else "wrong_state" if target == "-" else target
    assert outcome(at(stage, policy), BEGINNINGS[event]) == expected
    assert (RecordingEvent(event) in PERMITTED[policy]) is ((policy, event) in permitted)


def test_the_service_records_nothing_where_the_scope_itself_wants_consent() -> None:
    rec = CallRecording(CONSENT, consent_only=True)
    assert outcome(rec, BEGINNINGS["order"]) == "not_allowed"
    assert outcome(rec, BEGINNINGS["ask"]) == "asked"


SAYINGS = {
    # stage: what comes of an agreement of the tutor, its refusal, a refusal of the student, a wish to stop
    IDLE: ("wrong_state", "wrong_state", "wrong_state", "wrong_state"),
    ASKED: ("recording", "declined", "declined", "wrong_state"),
    DECLINED: ("wrong_state", "wrong_state", "wrong_state", "wrong_state"),
    RECORDING: ("wrong_state", "stopped", "stopped", "ok"),
    PAUSED: ("wrong_state", "stopped", "stopped", "ok"),
    STOPPED: ("wrong_state", "wrong_state", "wrong_state", "wrong_state"),
}


@pytest.mark.parametrize("stage", RecordingStage)
def test_what_parties_say_of_a_recording_by_consent(stage: RecordingStage) -> None:
    agreeing, refusing, retracting, stopping = SAYINGS[stage]
    assert outcome(at(stage), lambda rec: rec.agreed(TUTOR, "t1", 20)) == agreeing
    assert outcome(at(stage), lambda rec: rec.agreed(STUDENT, "s1", 20)) == "wrong_state", "who asks is not asked"
    assert outcome(at(stage), lambda rec: rec.refused(TUTOR, 20)) == refusing
    assert outcome(at(stage), lambda rec: rec.refused(STUDENT, 20)) == retracting
    assert outcome(at(stage), CallRecording.check_ending) == (stage.value if stopping == "ok" else stopping)


@pytest.mark.parametrize("stage", [RECORDING, PAUSED])
def test_no_party_ends_a_recording_of_the_service(stage: RecordingStage) -> None:
    for what in (lambda rec: rec.refused(TUTOR, 20), CallRecording.check_ending):
        assert outcome(at(stage, service=True), what) == "not_allowed"


@pytest.mark.parametrize(
    ("stage", "who", "reason"),
    [
        (ASKED, TUTOR, "declined"),
        (ASKED, STUDENT, "cancelled"),
        (RECORDING, STUDENT, "consent_withdrawn"),
        (PAUSED, TUTOR, "consent_withdrawn"),
    ],
)
def test_a_refusal_has_its_reason(stage: RecordingStage, who: object, reason: str) -> None:
    rec = at(stage)
    assert rec.refused(who, 20) is stage  # type: ignore[arg-type]  # one of the two
    assert (rec.reason, rec.since, rec.asked) == (reason, 20, None)


def test_a_party_that_does_not_answer_has_declined() -> None:
    rec = at(ASKED)
    assert rec.expires_at == 10 + CONSENT_TIMEOUT
    rec.expired(40)
    assert (rec.stage, rec.reason) == (DECLINED, "expired")
    assert rec.asked is None


def test_a_recording_goes_on_when_nothing_pauses_it_any_more() -> None:
    rec = at(RECORDING)
    rec.pause("hold", 20)
    assert (rec.stage, rec.reason, rec.since) == (PAUSED, "hold", 20)
    assert rec.joined(TUTOR, "t2", 25, informed=True)
    assert (rec.stage, rec.reason, rec.asked) == (PAUSED, "consent", TUTOR)
    rec.resume("hold", 30)
    assert (rec.stage, rec.reason) == (PAUSED, "consent")
    assert rec.agreed(TUTOR, "t2", 35)
    assert (rec.stage, rec.reason, rec.since, rec.asked) == (RECORDING, None, 35, None)
    assert not rec.joined(TUTOR, "t2", 40, informed=False), "it has consented"


def test_nothing_is_paused_that_is_not_recorded() -> None:
    for stage in (IDLE, ASKED, DECLINED, STOPPED):
        rec = at(stage)
        rec.pause("hold", 20)
        rec.resume("hold", 20)
        assert rec.stage is stage


def test_the_device_of_a_party_that_is_asked_is_asked_in_place_of_the_former() -> None:
    rec = at(ASKED)
    assert not rec.joined(TUTOR, "t1", 20, informed=True), "it was asked"
    assert rec.joined(TUTOR, "t2", 20, informed=True)
    assert not rec.joined(STUDENT, "s1", 20, informed=True)
    assert (rec.stage, rec.expires_at) == (ASKED, 40)


def test_a_request_of_a_device_that_has_left_the_call_is_taken_back() -> None:
    rec = at(ASKED)
    assert not rec.joined(STUDENT, "s2", 20, informed=True)
    assert (rec.stage, rec.reason, rec.asked) == (DECLINED, "cancelled", None)


def test_a_party_asks_five_times_in_a_call_at_most() -> None:
    rec = CallRecording(CONSENT)
    for number in range(MAX_REQUESTS):
        assert rec.may_ask(STUDENT)
        rec.ask(f"r{number}", (STUDENT, "s1"), (TUTOR, "t1"), number)
        rec.refused(TUTOR, number)
    assert not rec.may_ask(STUDENT)
    assert outcome(rec, lambda one: one.ask("r9", (STUDENT, "s1"), (TUTOR, "t1"), 9)) == "not_allowed"
    assert outcome(rec, lambda one: one.ask("r9", (TUTOR, "t1"), (STUDENT, "s1"), 9)) == "asked"


def test_an_order_that_the_policy_does_not_permit_any_more_is_none() -> None:
    rec = CallRecording(CONSENT, ordered=True)
    assert rec.certain
    rec.consent_only = True
    assert not rec.certain


def test_a_device_that_does_not_consent_in_time_ends_the_recording() -> None:
    rec = at(RECORDING)
    assert rec.joined(STUDENT, "s2", 20, informed=True)
    rec.expired(50)
    assert (rec.stage, rec.reason) == (STOPPED, "consent_withdrawn")


def test_a_device_is_asked_once() -> None:
    rec = at(RECORDING)
    assert rec.joined(TUTOR, "t2", 20, informed=False)
    assert not rec.joined(TUTOR, "t2", 25, informed=True)
    assert rec.expires_at == 50
    assert rec.joined(TUTOR, "t3", 30, informed=True)
    assert rec.expires_at == 60


def test_two_new_devices_at_a_time_end_the_recording() -> None:
    rec = at(RECORDING)
    assert rec.joined(STUDENT, "s2", 20, informed=True)
    assert not rec.joined(TUTOR, "t2", 21, informed=True)
    assert (rec.stage, rec.reason) == (STOPPED, "consent_withdrawn")


def test_a_recording_of_the_service_waits_for_a_device_that_shows_it() -> None:
    rec = at(RECORDING, service=True)
    assert not rec.joined(TUTOR, "t2", 20, informed=False)
    assert (rec.stage, rec.reason, rec.asked) == (PAUSED, "consent", None)
    assert not rec.joined(TUTOR, "t2", 30, informed=True)
    assert (rec.stage, rec.reason) == (RECORDING, None)


def test_the_stricter_policy_counts() -> None:
    assert [ALWAYS.stricter(one) for one in (None, OFF, CONSENT, ALWAYS)] == [ALWAYS, OFF, CONSENT, ALWAYS]
    assert [CONSENT.stricter(one) for one in (None, OFF, CONSENT, ALWAYS)] == [CONSENT, OFF, CONSENT, CONSENT]
    assert [OFF.stricter(one) for one in (None, OFF, CONSENT, ALWAYS)] == [OFF] * 4
