"""What is kept of messages that are too long, of all sizes, cut into frames and reads in all ways."""

from hypothesis import given
from hypothesis import strategies as st

from relay.signaling.presence.message_limit import MessageLimit

LIMIT, HARD_LIMIT = 200, 70_000
MASK = bytes(4)
TEXT, CONTINUATION, PING = 1, 0, 9


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, masked: bool = True, announced: int | None = None) -> bytes:
    length = len(payload) if announced is None else announced
    flag = 0x80 if masked else 0
    head = bytes([opcode | (0x80 if fin else 0)])
    if length < 126:
        head += bytes([flag | length])
    elif length < 1 << 16:
        head += bytes([flag | 126]) + length.to_bytes(2)
    else:
        head += bytes([flag | 127]) + length.to_bytes(8)
    return head + (MASK if masked else b"") + payload


def frames(data: bytes) -> list[tuple[int, bool, bytes]]:
    """Opcode, whether it is the last, and payload of each frame."""
    found = []
    while data:
        size, at = data[1] & 127, 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width]), 2 + width
        at += 4 if data[1] & 128 else 0
        found.append((data[0] & 15, bool(data[0] & 128), data[at : at + size]))
        data = data[at + size :]
    return found


messages = st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=4), max_size=6)


@given(messages, st.integers(1, 50), st.booleans())
def test_every_message_keeps_at_most_one_byte_more_than_the_limit(sizes: list[list[int]], step: int, masked: bool) -> None:
    data, expected = b"", []
    for number, parts in enumerate(sizes):
        payload = bytes([number]) * sum(parts)
        for index, size in enumerate(parts):
            fin = index == len(parts) - 1
            data += frame(payload[:size], CONTINUATION if index else TEXT, fin=fin, masked=masked)
            data += frame(b"ping", PING, masked=masked)
        expected.append(payload[: LIMIT + 1])
    limit = MessageLimit(LIMIT, HARD_LIMIT)
    kept = b"".join(limit.feed(data[at : at + step]) for at in range(0, len(data), step))
    assert not limit.is_unfinished
    assert limit.finished == len(sizes)
    got: list[bytes] = []
    for opcode, _, payload in frames(kept):
        if opcode == PING:
            assert payload == b"ping"
        elif opcode == TEXT:
            got.append(payload)
        else:
            got[-1] += payload
    assert got == expected


def test_what_is_short_goes_through_as_it_is() -> None:
    data = frame(b"") + frame(b"x" * 125) + frame(b"x" * LIMIT, fin=False) + frame(b"", CONTINUATION)
    assert MessageLimit(LIMIT, HARD_LIMIT).feed(data) == data


def test_a_message_above_the_hard_limit_is_announced_and_not_kept() -> None:
    for data in (
        frame(b"", announced=HARD_LIMIT + 1),
        frame(b"", announced=(1 << 63) - 1),
        frame(b"x" * HARD_LIMIT, fin=False) + frame(b"", CONTINUATION, announced=1),
    ):
        kept = MessageLimit(LIMIT, HARD_LIMIT).feed(data)
        assert kept.endswith((HARD_LIMIT + 1).to_bytes(8) + MASK)
        assert len(kept) < 2 * LIMIT


def test_it_knows_whether_something_is_missing() -> None:
    limit = MessageLimit(LIMIT, HARD_LIMIT)
    for data, unfinished, finished in (
        (b"\x81", True, 0),
        (b"\x83" + MASK + b"ab", True, 1),
        (b"c", False, 1),
        (frame(b"a", fin=False), True, 1),
        (frame(b"", PING), True, 1),
        (frame(b"x" * 999, CONTINUATION)[:-1], True, 2),
        (b"x", False, 2),
    ):
        limit.feed(data)
        assert (limit.is_unfinished, limit.finished) == (unfinished, finished)
