"""Signs of life, in virtual time."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from relay.errors import Unavailable
from relay.ids import Profile, ScopeKind
from relay.signaling.log.heartbeat import INTERVAL, LOOKS, STALE_AFTER, Heartbeat
from relay.signaling.ports import NewCall
from tests.kit.clock import in_virtual_time

CONVERSATION = ScopeKind.CONVERSATION
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)

Beats = Mapping[datetime, Sequence[str]]


def now() -> float:
    return round(asyncio.get_running_loop().time(), 6)


def beating(*ids: str, also: Sequence[str] = ()) -> Callable[[ScopeKind], Beats]:
    """For these calls; `also` may grow."""
    return lambda _: {T0 + timedelta(seconds=now()): [*ids, *also]} if ids else {}


class Diary:
    """A `CallLog` that notes when it was asked for what; a real database would need real time.

    Attributes:
        theirs: the calls of other servers that are open, and the last sign of life of each.
    """

    def __init__(self) -> None:
        self.beats: list[tuple[float, list[str]]] = []
        self.theirs: dict[str, datetime] = {}
        self.closed: list[tuple[float, dict[str, datetime]]] = []
        self.failure: Exception | None = None
        self.left_open = 0
        self.taken_over: set[str] = set()

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> Collection[str]:
        if self.failure:
            raise self.failure
        self.beats.append((now(), list(call_ids)))
        return self.taken_over & {*call_ids}

    async def take_over(self, call_ids: Sequence[str]) -> None:
        raise AssertionError("a heartbeat takes no call over")

    async def succeed(self, call_id: str, dead: int) -> bool:
        raise AssertionError("a heartbeat takes no call over")

    async def signs(self, beats: Collection[datetime]) -> Mapping[str, datetime]:
        if self.failure:
            raise self.failure
        return dict(self.theirs)

    async def close_stale(self, signs: Mapping[str, datetime]) -> int:
        self.closed.append((now(), dict(signs)))
        for call_id in signs:
            del self.theirs[call_id]
        return len(signs)

    async def close_own(self) -> int:
        return self.left_open

    async def opened(self, call: NewCall) -> None:
        raise AssertionError("a heartbeat opens no call")

    async def answered(self, call_id: str, at: datetime) -> None:
        raise AssertionError("a heartbeat answers no call")

    async def updated(self, call_id: str, call_type: str) -> None:
        raise AssertionError("a heartbeat changes no call")

    async def ended(
        self, call_id: str, at: datetime, reason: str, *, answered_at: datetime | None = None, **known: Any
    ) -> int | None:
        raise AssertionError("a heartbeat ends no call")

    async def was_transferred(self, call_id: str, profile: Profile) -> bool:
        raise AssertionError("a heartbeat asks for no call")


@in_virtual_time
async def test_it_beats_every_five_seconds_for_the_calls_that_there_are_then() -> None:
    diary, more = Diary(), list[str]()
    heartbeat = Heartbeat({CONVERSATION: diary}, beating("a", also=more))
    await heartbeat.start()
    await asyncio.sleep(INTERVAL + 1)
    more.append("b")
    await asyncio.sleep(2 * INTERVAL)
    await heartbeat.stop()
    assert diary.beats == [(5.0, ["a"]), (10.0, ["a", "b"]), (15.0, ["a", "b"])]


@in_virtual_time
async def test_it_beats_in_each_table_for_the_calls_of_that_kind() -> None:
    diaries = {kind: Diary() for kind in ScopeKind}
    heartbeat = Heartbeat(diaries, lambda kind: beating(kind.value)(kind))
    await heartbeat.start()
    await asyncio.sleep(INTERVAL + 1)
    await heartbeat.stop()
    assert [diary.beats for diary in diaries.values()] == [[(5.0, [kind.value])] for kind in ScopeKind]


@in_virtual_time
async def test_calls_of_others_are_stale_after_thirty_seconds_without_a_new_sign_whatever_their_clock_says() -> None:
    diary = Diary()
    diary.theirs = {"silent": T0 - timedelta(days=1), "alive": T0 + timedelta(days=1), "mine": T0}
    heartbeat = Heartbeat({CONVERSATION: diary}, beating("mine"))
    await heartbeat.start()
    for _ in range(3 * LOOKS):
        await asyncio.sleep(INTERVAL)
        diary.theirs["alive"] += timedelta(seconds=INTERVAL)
    await heartbeat.stop()
    [(at, signs)] = diary.closed
    assert signs == {"silent": T0 - timedelta(days=1)}
    assert STALE_AFTER < at <= STALE_AFTER + INTERVAL


@in_virtual_time
async def test_after_an_outage_the_calls_of_others_have_the_time_to_give_a_sign() -> None:
    """The first server that reaches the database again would close the live calls of the others."""
    diary = Diary()
    diary.theirs = {"theirs": T0}
    heartbeat = Heartbeat({CONVERSATION: diary}, beating())
    await heartbeat.start()
    await asyncio.sleep(STALE_AFTER)
    diary.failure = Unavailable("away")
    await asyncio.sleep(10 * STALE_AFTER)
    diary.failure = None
    back = now()
    await asyncio.sleep(2 * STALE_AFTER)
    await heartbeat.stop()
    [(at, _)] = diary.closed
    assert at >= back + STALE_AFTER


@pytest.mark.parametrize(("failure", "lines"), [(Unavailable("away"), 0), (RuntimeError("ours"), 2)])
@in_virtual_time
async def test_it_outlives_a_database_that_is_away(caplog: pytest.LogCaptureFixture, failure: Exception, lines: int) -> None:
    diary = Diary()
    diary.failure = failure
    heartbeat = Heartbeat({CONVERSATION: diary}, beating("a"))
    await heartbeat.start()
    await asyncio.sleep(2 * INTERVAL + 1)
    diary.failure = None
    await asyncio.sleep(INTERVAL)
    await heartbeat.stop()
    assert diary.beats == [(15.0, ["a"])]
    assert caplog.text.count("the heartbeat could not be written") == lines


@in_virtual_time
async def test_it_says_which_calls_another_server_has_taken_over() -> None:
    diary, said = Diary(), list[str]()
    diary.taken_over = {"b"}
    heartbeat = Heartbeat({CONVERSATION: diary}, beating("a", "b"), said.append)
    await heartbeat.start()
    await asyncio.sleep(INTERVAL + 1)
    await heartbeat.stop()
    assert said == ["b"]


@in_virtual_time
async def test_it_stops(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    diary.left_open = 3
    heartbeat = Heartbeat({CONVERSATION: diary}, beating("a"))
    await heartbeat.stop()
    await heartbeat.start()
    await heartbeat.stop()
    await asyncio.sleep(10 * INTERVAL)
    assert diary.beats == []
    assert "3 calls of an earlier run" in caplog.text
