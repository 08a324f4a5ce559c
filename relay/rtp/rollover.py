"""SRTP's rollover counter, where packets are missing.

An RTP packet has the lower 16 bits of its index only. Either end of SRTP guesses the upper ones, the rollover counter (RFC 3711
section 3.3.1), from the newest packet that it has seen, and guesses wrong once it has missed 2^15 sequence numbers. From then on
packets fail, for minutes or for ever: 11 minutes of held audio are enough, or 22 s of a 4K camera.

- Towards a receiver, the relay fills such a gap with a few empty packets before it goes on. Only the distance modulo 2^16 has to
  be filled: the counter of each leg is its own, so a hold of a day takes no more packets than one of an hour.
- From a sender that was away, the relay tries the counters that are possible by now.

Sans-IO: numbers and bytes.
"""

from struct import Struct
from typing import Final

STEP: Final = 2**12
"""Sequence numbers from one filling packet to the next. Seven of them in a row may be lost before a receiver guesses wrong."""

WORTH_FILLING: Final = 2 * STEP
"""Sequence numbers missing, below which nothing is filled: a receiver that has also lost some before is still far from 2^15."""

LATE: Final = 1024
"""Sequence numbers behind the newest that a late packet may still have: libsrtp's replay window, as aiortc sets it. None of them
is filled, since two packets with one index would be encrypted by the same key stream."""

MAX_RATE: Final = 3_000
"""Packets per second of a stream, at most: twice what a 4K camera sends. Bounds how far a sender may have gone on unheard."""

MAX_GUESSES: Final = 4_096
"""Rollover counters that are tried for one packet, at 1 to 2 µs each: a day at `MAX_RATE`."""

_CYCLE: Final = 2**16

_header = Struct("!BBHII").pack


def filling(last: int, newest: int) -> list[int]:
    """The sequence numbers to send empty packets with, so that what comes after `newest` follows from what was sent last.

    Args:
        last: of the last packet that was sent, unwrapped.
        newest: of the last packet that was not sent, unwrapped.

    Returns:
        In order; the lower 16 bits of each count. At most 17 of them.
    """
    ahead = newest - last
    if ahead < WORTH_FILLING:
        return []
    if ahead >= _CYCLE:
        ahead %= _CYCLE
        if ahead < WORTH_FILLING:
            # A late packet must not fall behind what was sent last.
            ahead += _CYCLE
    return [last + offset for offset in range(STEP, ahead - LATE + 1, STEP)]


def guesses(counter: int, silence: float, rate: int = MAX_RATE) -> range:
    """The rollover counters that a sender may have reached that was at `counter` when it fell silent, nearest first.

    Args:
        silence: seconds.
        rate: packets a second that it may have sent at most.
    """
    return range(counter, counter + 2 + min(int(silence * rate) // _CYCLE, MAX_GUESSES))


def empty_packet(payload_type: int, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """An RTP packet that carries nothing, as RFC 6263 section 4.6 has it: with a payload type that was not negotiated, receivers
    authenticate it, and hand it to no decoder and no jitter buffer."""
    return _header(0x80, payload_type, sequence & 0xFFFF, timestamp, ssrc)
