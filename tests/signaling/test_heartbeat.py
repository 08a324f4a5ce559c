"""Signs of life, in virtual time."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from relay.ids import PlaceKind, Profile
from relay.signaling.clock import Clock
from relay.signaling.heartbeat import INTERVAL, STALE_AFTER, Heartbeat
from relay.signaling.ports import MediaPath, NewCall
from tests.kit.clock import in_virtual_time

CONVERSATION = PlaceKind.CONVERSATION


class Diary:
    """A `CallLog` that notes when it was asked for what; a real database would need real time."""

    def __init__(self) -> None:
        self.beats: list[tuple[float, list[str]]] = []
        self.stale: list[tuple[datetime, datetime]] = []
        self.fails = 0
        self.left_open = 0

    async def heartbeat(self, call_ids: Sequence[str], at: datetime) -> None:
        if self.fails:
            self.fails -= 1
            raise OSError("the database is away")
        self.beats.append((round(asyncio.get_running_loop().time(), 6), list(call_ids)))
        self.stale.append((at, at))

    async def close_stale(self, stale_before: datetime) -> int:
        self.stale[-1] = (self.stale[-1][0], stale_before)
        return 0

    async def close_own(self) -> int:
        return self.left_open

    async def opened(self, call: NewCall) -> None:
        raise AssertionError("a heartbeat opens no call")

    async def answered(self, call_id: str, at: datetime) -> None:
        raise AssertionError("a heartbeat answers no call")

    async def updated(self, call_id: str, call_type: str) -> None:
        raise AssertionError("a heartbeat changes no call")

    async def ended(self, call_id: str, at: datetime, reason: str, **paths: MediaPath) -> int | None:
        raise AssertionError("a heartbeat ends no call")

    async def was_transferred(self, call_id: str, profile: Profile) -> bool:
        raise AssertionError("a heartbeat asks for no call")


@in_virtual_time
async def test_it_beats_every_five_seconds_for_the_calls_that_there_are_then() -> None:
    diary, calls = Diary(), ["a"]
    heartbeat = Heartbeat({CONVERSATION: diary}, lambda _: calls, Clock())
    await heartbeat.start()
    await asyncio.sleep(INTERVAL + 1)
    calls.append("b")
    await asyncio.sleep(2 * INTERVAL)
    await heartbeat.stop()
    assert diary.beats == [(5.0, ["a"]), (10.0, ["a", "b"]), (15.0, ["a", "b"])]


@in_virtual_time
async def test_it_beats_in_each_table_for_the_calls_of_that_kind() -> None:
    diaries = {kind: Diary() for kind in PlaceKind}
    heartbeat = Heartbeat(diaries, lambda kind: [kind.value], Clock())
    await heartbeat.start()
    await asyncio.sleep(INTERVAL + 1)
    await heartbeat.stop()
    assert [diary.beats for diary in diaries.values()] == [[(5.0, [kind.value])] for kind in PlaceKind]


@in_virtual_time
async def test_calls_of_others_are_stale_after_thirty_seconds() -> None:
    diary = Diary()
    heartbeat = Heartbeat({CONVERSATION: diary}, lambda _: [], Clock())
    await heartbeat.start()
    await asyncio.sleep(INTERVAL + 1)
    await heartbeat.stop()
    [(at, before)] = diary.stale
    assert at - before == timedelta(seconds=STALE_AFTER)
    assert at.tzinfo is not None


@in_virtual_time
async def test_it_outlives_a_database_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    diary.fails = 2
    heartbeat = Heartbeat({CONVERSATION: diary}, lambda _: ["a"], Clock())
    await heartbeat.start()
    await asyncio.sleep(3 * INTERVAL + 1)
    await heartbeat.stop()
    assert diary.beats == [(15.0, ["a"])]
    assert caplog.text.count("the heartbeat could not be written") == 2


@in_virtual_time
async def test_it_stops(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    diary.left_open = 3
    heartbeat = Heartbeat({CONVERSATION: diary}, lambda _: [], Clock())
    await heartbeat.stop()
    await heartbeat.start()
    await heartbeat.stop()
    await asyncio.sleep(10 * INTERVAL)
    assert diary.beats == []
    assert "3 calls of an earlier run" in caplog.text
