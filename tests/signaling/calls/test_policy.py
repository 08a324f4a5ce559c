"""Who may call whom."""

from itertools import product

import pytest

from relay.records.profiles import Privacy, ProfileCard
from relay.signaling.calls.call import EndReason
from relay.signaling.calls.notices import DECLINING
from relay.signaling.calls.policy import refusal
from relay.signaling.ports import Eligibility
from tests.signaling.people import STUDENT, TUTOR

EVERYONE, CONNECTIONS, NOBODY = Privacy


def eligibility(
    *,
    members: bool = True,
    blocked: bool = False,
    connected: bool = False,
    privacy: Privacy = EVERYONE,
    do_not_disturb: bool = False,
) -> Eligibility:
    cards = ProfileCard(STUDENT, "Maya", ""), ProfileCard(TUTOR, "Daniel", "")
    return Eligibility(*cards, members, blocked, connected, privacy, do_not_disturb)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (eligibility(), None),
        (eligibility(connected=True), None),
        (eligibility(members=False), EndReason.REJECTED),
        (eligibility(members=False, connected=True), EndReason.REJECTED),
        (eligibility(members=False, blocked=True), EndReason.BLOCKED),
        (eligibility(blocked=True), EndReason.BLOCKED),
        (eligibility(blocked=True, connected=True), EndReason.BLOCKED),
        (eligibility(privacy=CONNECTIONS), EndReason.REJECTED),
        (eligibility(privacy=CONNECTIONS, connected=True), None),
        (eligibility(privacy=NOBODY), EndReason.REJECTED),
        (eligibility(privacy=NOBODY, connected=True), EndReason.REJECTED),
        (eligibility(do_not_disturb=True), EndReason.BUSY),
        (eligibility(do_not_disturb=True, privacy=CONNECTIONS, connected=True), EndReason.BUSY),
    ],
)
def test_the_rules(given: Eligibility, reason: EndReason | None) -> None:
    assert refusal(given) is reason


ALL = [
    eligibility(members=members, blocked=blocked, connected=connected, privacy=privacy, do_not_disturb=dnd)
    for members, blocked, connected, dnd in product([False, True], repeat=4)
    for privacy in Privacy
]


@pytest.mark.parametrize("given", ALL)
def test_a_blocked_caller_cannot_tell_it_from_a_refusal(given: Eligibility) -> None:
    """Nor by whether the callee wants to be disturbed, which only those learn who may call."""
    reason = refusal(given)
    if given.blocked or not given.members:
        assert reason is not None
        assert DECLINING[reason] == "rejected"


@pytest.mark.parametrize("given", ALL)
def test_only_those_who_may_call_learn_that_a_profile_does_not_want_to_be_disturbed(given: Eligibility) -> None:
    if refusal(given) is EndReason.BUSY:
        assert given.members
        assert not given.blocked
        assert given.privacy is not NOBODY
