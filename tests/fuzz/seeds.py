"""What fuzzing starts from: the committed corpus, and changes to it."""

from functools import cache
from random import Random
from struct import pack, unpack_from
from typing import Final

from aioice import stun

from tests.fuzz.make_corpus import FOLDER

_DESCRIPTIONS: Final = FOLDER.parents[1] / "sdp" / "corpus"

MAX_LENGTH: Final = 4096
"""Bytes that a mutation may grow to, or its seed's length if that is more."""

_INTERESTING: Final = (0, 1, 3, 4, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF)
"""Lengths and counts at which parsers go wrong."""

_BITS: Final = tuple(1 << bit for bit in range(8))


@cache
def seeds(target: str) -> dict[str, bytes]:
    """The corpus of one target, by name."""
    found = {file.stem: file.read_bytes() for file in sorted((FOLDER / target).glob("*.bin"))}
    if target == "sdp":
        found |= {file.stem: file.read_bytes() for file in sorted(_DESCRIPTIONS.glob("*.sdp"))}
    return found


def mutated(rng: Random, originals: list[bytes]) -> bytes:
    """One of the originals with a few changes: bits, bytes, lengths, cuts, insertions, repetitions, the end of another one."""
    original = rng.choice(originals)
    spoiled = bytearray(original)
    for _ in range(1 + int(rng.random() * rng.random() * 5)):
        length = len(spoiled)
        position = int(rng.random() * length)
        match int(rng.random() * 9):
            case 0 | 1 if length:
                spoiled[position] ^= _BITS[int(rng.random() * 8)]
            case 2 if length:
                spoiled[position] = int(rng.random() * 256)
            case 3 | 4:  # a length field: wherever it is, it is likely to lie at an even place
                value = (
                    rng.choice(_INTERESTING) if rng.random() < 0.5 else (length - position + int(rng.random() * 9) - 4) & 0xFFFF
                )
                even = position & ~1
                spoiled[even : even + 2] = value.to_bytes(2) if rng.random() < 0.8 else (value & 0xFF).to_bytes(1)
            case 5:
                del spoiled[position:]
            case 6:
                del spoiled[position : position + rng.choice((1, 2, 4, 8, 12))]
            case 7:
                spoiled[position:position] = spoiled[position : position + int(rng.random() * 40)] * rng.choice((1, 1, 2, 9))
            case 8:
                other = rng.choice(originals)
                spoiled[position:] = other[int(rng.random() * len(other)) :]
    return bytes(spoiled[: max(MAX_LENGTH, len(original))])


def signed(datagram: bytes, pwd: str) -> bytes | None:
    """A STUN message with the attributes that are before its MESSAGE-INTEGRITY or FINGERPRINT, and those two as they should be.

    Returns:
        None if it has no header.
    """
    end = position = stun.HEADER_LENGTH
    while position + 4 <= len(datagram):
        kind, length = unpack_from("!HH", datagram, position)
        position += 4 + length + -length % 4
        if kind in (0x0008, 0x8028) or position > len(datagram):
            break
        end = position
    if not stun.HEADER_LENGTH <= end <= 0xFF00 or len(datagram) < stun.HEADER_LENGTH:
        return None
    message = datagram[:end]
    message += pack("!HH", 0x0008, 20) + stun.message_integrity(message, pwd.encode())
    message += pack("!HHI", 0x8028, 4, stun.message_fingerprint(message))
    return stun.set_body_length(message, len(message) - stun.HEADER_LENGTH)
