"""The gaps in sequence numbers that SRTP's rollover counter has to be led over, against libsrtp itself."""

import struct
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pylibsrtp import Policy, Session

from relay.media.net.dtls_srtp import unprotect_after
from relay.rtp.packet import peek
from relay.rtp.rollover import LATE, STEP, WORTH_FILLING, empty_packet, filling, guesses
from tests.kit.wires import Cipher

NUMBERS = st.integers(0, 3 * 2**16)
GAPS = st.integers(0, 10 * 2**16) | st.integers(-2000, 2000).map(lambda near: 5 * 2**16 + near)


def packet(number: int) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, number & 0xFFFF, number * 100 & 0xFFFFFFFF, 7) + b"sound"


def pair() -> tuple[Cipher, Session, Cipher]:
    """The two ends of one direction; the receiving one as libsrtp has it, too."""
    sessions = []
    for kind in (Policy.SSRC_ANY_OUTBOUND, Policy.SSRC_ANY_INBOUND):
        policy = Policy(key=bytes(range(28)), ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
        policy.allow_repeat_tx, policy.window_size = kind == Policy.SSRC_ANY_OUTBOUND, LATE
        sessions.append(Session(policy))
    return Cipher(sessions[0]), sessions[1], Cipher(sessions[1])


@given(NUMBERS, GAPS, st.integers(0, 2**32))
def test_packets_after_any_gap_decrypt_though_most_of_the_filling_packets_are_lost(last: int, gap: int, seed: int) -> None:
    sender, _, receiver = pair()
    for number in range(last % 2**15, last, STEP):
        receiver.unprotect(sender.protect(packet(number)))
    receiver.unprotect(sender.protect(packet(last)))
    filled = [sender.protect(empty_packet(127, number, 0, 7)) for number in filling(last, last + gap)]
    assert len(filled) <= 18
    first = Random(seed).randrange(len(filled) + 1)
    for datagram in filled[:first] + filled[first + 5 :]:
        receiver.unprotect(datagram)
    for number in range(last + gap + 1, last + gap + 5):
        assert receiver.unprotect(sender.protect(packet(number))) == packet(number)


@given(NUMBERS, GAPS)
def test_no_number_is_filled_that_a_late_packet_may_still_have(last: int, gap: int) -> None:
    filled = filling(last, last + gap)
    ahead = gap % 2**16 if gap >= 2**16 else gap
    ahead += 2**16 if gap >= 2**16 and ahead < WORTH_FILLING else 0
    assert all(last < number <= last + ahead - LATE for number in filled)
    assert len(set(filled)) == len(filled)


def test_a_short_gap_is_left_as_it_is() -> None:
    assert filling(100, 100 + WORTH_FILLING - 1) == []


def test_a_packet_that_fills_has_no_payload() -> None:
    assert len(empty_packet(127, 70_000, 5, 7)) == 12
    assert peek(empty_packet(127, 70_000, 5, 7)) == (0x80, 127, 70_000 - 2**16, 5, 7)


@pytest.mark.parametrize("jump", [33_000, 65_000, 65_536, 200_000])
def test_a_sender_that_went_on_unheard_is_found_and_older_packets_are_not_taken_again(jump: int) -> None:
    sender, session, receiver = pair()
    receiver.unprotect(caught := sender.protect(packet(40_000)))
    for number in range(40_000, 40_000 + jump, STEP):
        sender.protect(packet(number))
    raw = session._srtp[0]
    datagram = sender.protect(packet(40_000 + jump))
    forged = datagram[:-1] + bytes([datagram[-1] ^ 1])
    assert unprotect_after(raw, forged, 7, lambda counter: guesses(counter, 60)) is None
    assert unprotect_after(raw, datagram, 7, lambda counter: guesses(counter, 60)) == (
        packet(40_000 + jump),
        (40_000 + jump) >> 16,
    )
    for old in (caught, datagram):
        assert unprotect_after(raw, old, 7, lambda counter: guesses(counter, 60)) is None
    for number in range(40_001 + jump, 240_000 + jump, STEP):
        assert receiver.unprotect(sender.protect(packet(number))) == packet(number), "it goes on over the next cycles"


def test_an_ssrc_that_was_never_heard_is_not_searched_for() -> None:
    sender, session, _ = pair()
    assert unprotect_after(session._srtp[0], sender.protect(packet(1)), 7, lambda counter: guesses(counter, 60)) is None


def test_the_longer_the_silence_the_more_counters_are_possible() -> None:
    assert list(guesses(3, 1.0)) == [3, 4]
    assert 3 + 86_400 * 50 // 2**16 in guesses(3, 86_400)
    assert len(guesses(0, 1e9)) <= 4_100
