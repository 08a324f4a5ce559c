"""Who may call whom."""

from itertools import product

import pytest

from relay.signaling.calls.call import EndReason
from relay.signaling.calls.notices import DECLINING
from relay.signaling.calls.policy import refusal
from relay.signaling.ports import Privacy, ProfileCard, Standing
from tests.signaling.people import STUDENT, TUTOR

EVERYONE, CONNECTIONS, NOBODY = Privacy


def standing(
    *,
    members: bool = True,
    blocked: bool = False,
    connected: bool = False,
    privacy: Privacy = EVERYONE,
    do_not_disturb: bool = False,
) -> Standing:
    cards = ProfileCard(STUDENT, "Maya", ""), ProfileCard(TUTOR, "Daniel", "")
    return Standing(*cards, members, blocked, connected, privacy, do_not_disturb)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (standing(), None),
        (standing(connected=True), None),
        (standing(members=False), EndReason.REJECTED),
        (standing(members=False, connected=True), EndReason.REJECTED),
        (standing(members=False, blocked=True), EndReason.BLOCKED),
        (standing(blocked=True), EndReason.BLOCKED),
        (standing(blocked=True, connected=True), EndReason.BLOCKED),
        (standing(privacy=CONNECTIONS), EndReason.REJECTED),
        (standing(privacy=CONNECTIONS, connected=True), None),
        (standing(privacy=NOBODY), EndReason.REJECTED),
        (standing(privacy=NOBODY, connected=True), EndReason.REJECTED),
        (standing(do_not_disturb=True), EndReason.BUSY),
        (standing(do_not_disturb=True, privacy=CONNECTIONS, connected=True), EndReason.BUSY),
    ],
)
def test_the_rules(given: Standing, reason: EndReason | None) -> None:
    assert refusal(given) is reason


ALL = [
    standing(members=members, blocked=blocked, connected=connected, privacy=privacy, do_not_disturb=dnd)
    for members, blocked, connected, dnd in product([False, True], repeat=4)
    for privacy in Privacy
]


@pytest.mark.parametrize("given", ALL)
def test_a_blocked_caller_cannot_tell_it_from_a_refusal(given: Standing) -> None:
    """Nor by whether the callee wants to be disturbed, which only those learn who may call."""
    reason = refusal(given)
    if given.blocked or not given.members:
        assert reason is not None
        assert DECLINING[reason] == "rejected"


@pytest.mark.parametrize("given", ALL)
def test_only_those_who_may_call_learn_that_somebody_does_not_want_to_be_disturbed(given: Standing) -> None:
    if refusal(given) is EndReason.BUSY:
        assert given.members
        assert not given.blocked
        assert given.privacy is not NOBODY
