"""What is sent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from relay.ids import Profile, Scope, ScopeKind
from relay.push.message import encrypt, missed, ringing
from relay.records.profiles import ProfileCard
from relay.signaling.ports import MissedCallRecord
from tests.push.service import Browser

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
RINGS_FOR = timedelta(seconds=45)
CALLER = ProfileCard(Profile("tutor", 789), "Daniel Okafor", "/avatars/daniel.png", 1789)
CALL = MissedCallRecord("0123456789abcdef0123456789abcdef", Scope(ScopeKind.CONVERSATION, 7), "video", CALLER, "", T0)
ABOUT = {
    "call_id": CALL.call_id,
    "from_name": "Daniel Okafor",
    "from_profile_type": "tutor",
    "from_profile_id": 789,
    "call_type": "video",
}


def test_a_message_says_who_calls_from_where() -> None:
    assert msgspec.json.decode(ringing(CALL, RINGS_FOR).payload) == {"type": "call", **ABOUT, "conversation_id": 7}


def test_a_message_says_who_has_called_from_which_whiteboard() -> None:
    call = replace(CALL, scope=Scope(ScopeKind.WHITEBOARD_SESSION, 3))
    assert msgspec.json.decode(missed(call, T0).payload) == {"type": "missed_call", **ABOUT, "whiteboard_session_id": 3}


@pytest.mark.parametrize(("seconds", "ttl"), [(0, 45), (4.5, 41), (44.9, 1), (45, 0), (60, -15)])
def test_the_message_of_a_ringing_call_expires_with_the_ringing(seconds: float, ttl: int) -> None:
    assert ringing(CALL, RINGS_FOR).ttl(T0 + timedelta(seconds=seconds)) == ttl


def test_the_message_of_a_missed_call_expires_after_a_day() -> None:
    later = T0 + timedelta(minutes=10)
    assert missed(CALL, later).ttl(later) == 86_400


def test_a_message_replaces_another_of_the_same_call_only() -> None:
    other = replace(CALL, call_id="f" * 32)
    assert ringing(CALL, RINGS_FOR).topic == missed(CALL, T0).topic != missed(other, T0).topic


def test_a_browser_can_read_it() -> None:
    browser = Browser("https://push.example/to/one")
    body = encrypt(ringing(CALL, RINGS_FOR), browser.subscription)
    assert b"Daniel" not in body
    assert browser.read(body)["from_name"] == "Daniel Okafor"


@pytest.mark.parametrize("character", ["\N{PARTY POPPER}", "\x00", '"', "n"])
def test_a_name_of_any_length_fits_into_a_message(character: str) -> None:
    browser = Browser("https://push.example/to/one")
    call = replace(CALL, caller=replace(CALLER, name=character * 10_000))
    body = encrypt(ringing(call, RINGS_FOR), browser.subscription)
    assert len(body) <= 4096
    assert browser.read(body)["from_name"].startswith(character)


def test_encryption_needs_valid_keys() -> None:
    with pytest.raises(ValueError):
        encrypt(ringing(CALL, RINGS_FOR), replace(Browser("https://push.example/").subscription, p256dh="AAAA"))
