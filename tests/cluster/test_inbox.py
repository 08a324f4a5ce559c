"""An inbox: each message once and in order, and a gap is seen."""

from hypothesis import given
from hypothesis import strategies as st

from relay.cluster.inbox import Inbox, SeqCheck
from relay.cluster.values import NodeRef

NORTH, SOUTH = NodeRef("north", 1), NodeRef("north", 2)


def test_messages_in_order_are_the_next_ones() -> None:
    inbox = Inbox()
    assert [inbox.take(NORTH, seq) for seq in (1, 2, 3)] == [SeqCheck.NEXT] * 3


def test_a_message_that_was_sent_again_is_a_duplicate() -> None:
    inbox = Inbox()
    assert [inbox.take(NORTH, seq) for seq in (1, 2, 1, 2, 3)] == [
        *(SeqCheck.NEXT, SeqCheck.NEXT, SeqCheck.DUPLICATE, SeqCheck.DUPLICATE, SeqCheck.NEXT),
    ]


def test_a_gap_is_seen_once_also_before_the_first_message() -> None:
    inbox = Inbox()
    assert [inbox.take(NORTH, seq) for seq in (2, 3, 7, 8)] == [
        *(SeqCheck.AFTER_GAP, SeqCheck.NEXT, SeqCheck.AFTER_GAP, SeqCheck.NEXT),
    ]


def test_processes_of_one_name_count_for_themselves() -> None:
    inbox = Inbox()
    assert inbox.take(NORTH, 1) is inbox.take(SOUTH, 1) is SeqCheck.NEXT
    assert inbox.senders() == (NORTH, SOUTH)


def test_a_node_that_is_lost_and_comes_back_is_known_to_have_a_gap() -> None:
    inbox = Inbox()
    inbox.take(NORTH, 1)
    inbox.forget(NORTH)
    assert inbox.senders() == ()
    assert inbox.take(NORTH, 2) is SeqCheck.AFTER_GAP


@st.composite
def retried(draw: st.DrawFn) -> tuple[list[int], set[int]]:
    """What arrives of 1, 2, 3, … of a sender that sends batches again, and whose engine loses some; and what is lost."""
    arriving: list[int] = []
    lost: set[int] = set()
    seq = 0
    for size in draw(st.lists(st.integers(1, 5), min_size=1, max_size=20)):
        batch = range(seq + 1, seq + 1 + size)
        seq += size
        if draw(st.integers(0, 5)) == 0:
            lost |= {*batch}
            continue
        for _ in range(draw(st.integers(0, 3))):
            arriving += batch[: draw(st.integers(0, size))]
        arriving += batch
    return arriving, lost


@given(retried())
def test_each_message_is_taken_once_in_order_and_a_loss_before_it_is_told(case: tuple[list[int], set[int]]) -> None:
    arriving, lost = case
    inbox = Inbox()
    taken = [(seq, arrival) for seq in arriving if (arrival := inbox.take(NORTH, seq)) is not SeqCheck.DUPLICATE]
    assert [seq for seq, _ in taken] == sorted({*arriving})
    for seq, arrival in taken:
        assert (arrival is SeqCheck.AFTER_GAP) == (seq - 1 in lost)
