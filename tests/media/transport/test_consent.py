"""Consent (RFC 7675) and liveness, in explicit time: when the relay asks, when it stops sending, and what silence means."""

import random
from itertools import pairwise

import pytest
from aioice import stun

from relay.media.transport.consent import (
    CONSENT_INTERVAL,
    CONSENT_LIFETIME,
    RETRY_INTERVAL,
    Consent,
)
from relay.media.transport.ice import IceAgent, IceCredentials
from relay.media.transport.liveness import Liveness
from relay.media.transport.timing import CONSENT_SILENCE, QUIET_SILENCE

PWD = "the peer's password, say"


def agent() -> IceAgent:
    made = IceAgent()
    made.peer = IceCredentials("theirs", PWD)
    return made


def answer_to(check: bytes | None, pwd: str = PWD, kind: stun.Class = stun.Class.RESPONSE) -> stun.Message:
    assert check is not None, "it was asked"
    answer = stun.Message(stun.Method.BINDING, kind, stun.parse_message(check).transaction_id)
    answer.add_message_integrity(pwd.encode())
    return stun.parse_message(bytes(answer))


def asked_at(consent: Consent, until: float, *, answers: bool) -> list[float]:
    """When the relay asks, looking every second, a peer that answers all or nothing."""
    ice, times, now = agent(), [], 0.0
    while now < until:
        if consent.due(now):
            times.append(now)
            check = consent.check(ice, now)
            if answers:
                assert consent.answered(answer_to(check), now)
        now += 1
    return times


def test_a_peer_that_answers_is_asked_every_ten_seconds_or_so_and_never_loses_its_consent() -> None:
    consent = Consent()
    times = asked_at(consent, 600, answers=True)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(0.8 * CONSENT_INTERVAL <= pause <= 1.2 * CONSENT_INTERVAL + 1 for pause in pauses)
    assert not consent.expires(600)


def test_a_peer_that_does_not_answer_is_asked_more_often_but_no_more_than_the_rfc_allows() -> None:
    times = asked_at(Consent(), 60, answers=False)
    assert all(later - earlier >= RETRY_INTERVAL for earlier, later in pairwise(times))
    assert len(times) >= 60 / (RETRY_INTERVAL + 2)


def test_each_check_has_a_transaction_of_its_own_so_that_no_old_answer_counts() -> None:
    consent, ice = Consent(), agent()
    first = consent.check(ice, 0.0)
    assert consent.answered(answer_to(first), 1.0)
    second = consent.check(ice, 10.0)
    assert consent.answered(answer_to(first), 11.0) is None
    assert consent.answered(answer_to(second), 12.0)


def test_consent_runs_out_once_thirty_seconds_after_the_last_answer() -> None:
    consent = Consent()
    consent.grant(100.0)
    assert not consent.expires(100 + CONSENT_LIFETIME)
    assert consent.expires(100 + CONSENT_LIFETIME + 0.1)
    assert not consent.expires(100 + CONSENT_LIFETIME + 1), "it is said once"
    consent.grant(200.0)
    assert consent.expires(200 + CONSENT_LIFETIME + 0.1)


@pytest.mark.parametrize(
    ("pwd", "kind"), [("another password", stun.Class.RESPONSE), (PWD, stun.Class.ERROR)], ids=["forged", "an error"]
)
def test_only_an_authentic_success_is_consent(pwd: str, kind: stun.Class) -> None:
    consent = Consent()
    consent.grant(0.0)
    check = consent.check(agent(), 10.0)
    assert consent.answered(answer_to(check, pwd, kind), 10.1) is False
    assert consent.expires(CONSENT_LIFETIME + 1)


# -- liveness ---------------------------------------------------------------------------------------------------------


def downs(checks: list[float], media: list[float], until: float) -> list[float]:
    """When a path would be said to be down, looking every second: the moments at which it has been silent for too long."""
    liveness, found, was_down = Liveness(), [], False
    for now in range(1, int(until)):
        checked = max((one for one in checks if one <= now), default=0.0)
        heard = max([checked, *(one for one in media if one <= now)])
        liveness.look(heard, checked, now)
        down = now - heard > liveness.patience
        if down and not was_down:
            found.append(float(now))
        was_down = down
    return found


def test_a_peer_that_only_checks_is_not_said_to_be_down_though_every_third_check_is_lost() -> None:
    rng, now, checks = random.Random(6), 0.0, []
    for n in range(150):
        now += rng.uniform(4, 6)
        if n % 3:
            checks.append(now)
    assert not downs(checks, [], checks[-1])


def test_reports_every_few_seconds_are_no_media() -> None:
    reports = [2.0 + 5 * n for n in range(20)]
    assert not downs([4.0 + 10 * n for n in range(10)], [one for one in reports if one % 3], 90)


@pytest.mark.parametrize("pause", [0.02, 0.4], ids=["audio", "audio of a silent microphone (DTX)"])
def test_a_path_that_media_flowed_on_is_found_dead_as_fast_as_ever(pause: float) -> None:
    media = [pause * n for n in range(int(10 / pause))]
    checks = [2.5 * n for n in range(5) if 2.5 * n < 10]
    [down] = downs(checks, media, 60)
    assert max(media) + CONSENT_SILENCE < down <= max(media) + CONSENT_SILENCE + 2


def test_a_path_with_nothing_but_checks_is_found_dead_after_a_longer_while() -> None:
    [down] = downs([5.0 * n for n in range(6)], [], 60)
    assert 25 + QUIET_SILENCE < down <= 25 + QUIET_SILENCE + 2


def test_media_that_stops_while_checks_go_on_leaves_a_quiet_path() -> None:
    media = [0.02 * n for n in range(500)]
    assert not downs([12.0, 14.0, 16.0, 25.0, 36.0], media, 40)
