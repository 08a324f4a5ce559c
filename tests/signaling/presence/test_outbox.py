"""What a device may have missed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.signaling.messages.outgoing import Error
from relay.signaling.presence.outbox import MAX_BYTES, MAX_FRAMES, Outbox


def news(text: str = "") -> Error:
    return Error(code="any", message=text, ref=None)


def numbers(frames: list[bytes] | None) -> list[int] | None:
    return None if frames is None else [json.loads(one)["seq"] for one in frames]


def filled(count: int, *, keeps: bool = True) -> Outbox:
    outbox = Outbox(keeps=keeps)
    for _ in range(count):
        outbox.add(news())
    return outbox


def test_the_first_frame_has_number_1_and_each_the_next() -> None:
    outbox = Outbox(keeps=True)
    assert [json.loads(outbox.add(news()))["seq"] for _ in range(3)] == [1, 2, 3]
    assert outbox.seq == 3


def test_a_numbered_frame_says_the_same_as_one_without() -> None:
    assert json.loads(Outbox(keeps=True).add(news("hello"))) == {
        "seq": 1,
        "type": "error",
        "code": "any",
        "message": "hello",
        "ref": None,
    }


@pytest.mark.parametrize(("last_seq", "missed"), [(0, [1, 2, 3]), (1, [2, 3]), (3, []), (4, None), (-1, None)])
def test_what_came_after_a_number_is_given_again(last_seq: int, missed: list[int] | None) -> None:
    assert numbers(filled(3).after(last_seq)) == missed


def test_what_is_given_again_is_not_forgotten_by_that() -> None:
    outbox = filled(3)
    assert outbox.after(1) == outbox.after(1)


def test_what_has_arrived_is_forgotten() -> None:
    outbox = filled(5)
    outbox.arrived(3)
    outbox.arrived(2)
    assert numbers(outbox.after(3)) == [4, 5]
    assert outbox.after(2) is None
    outbox.arrived(2**60)
    assert numbers(outbox.after(5)) == []


def test_frames_for_a_device_that_cannot_come_back_are_numbered_and_not_kept() -> None:
    outbox = filled(3, keeps=False)
    assert outbox.seq == 3
    assert outbox.after(0) is None
    assert outbox.after(3) == []


def test_only_so_many_frames_are_kept() -> None:
    outbox = filled(MAX_FRAMES + 1)
    assert outbox.after(0) is None
    kept = outbox.after(1)
    assert kept is not None
    assert len(kept) == MAX_FRAMES


def test_only_so_many_bytes_are_kept() -> None:
    outbox = Outbox(keeps=True)
    for _ in range(10):
        outbox.add(news("x" * (MAX_BYTES // 4)))
    assert numbers(outbox.after(7)) == [8, 9, 10]
    assert outbox.after(6) is None


@given(st.lists(st.none() | st.integers(0, 40)), st.integers(-2, 45))
def test_after_gives_all_or_nothing(steps: list[int | None], last_seq: int) -> None:
    outbox, confirmed = Outbox(keeps=True), 0
    for step in steps:
        if step is None:
            outbox.add(news())
        else:
            outbox.arrived(step)
            confirmed = max(confirmed, min(step, outbox.seq))
    known = confirmed <= last_seq <= outbox.seq
    assert numbers(outbox.after(last_seq)) == (list(range(last_seq + 1, outbox.seq + 1)) if known else None)
