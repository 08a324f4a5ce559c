"""What happens to calls is told at once, and written when the database takes it: in order, late, and truly."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from relay.errors import LostRace, Unavailable
from relay.ids import ScopeKind
from relay.records.profiles import ProfileCard
from relay.signaling.log.entries import Answered, Ended, Entry, Opened, Said
from relay.signaling.log.writebehind import RETRY_LAST, WriteBehind
from relay.signaling.ports import UNKNOWN_PATH, ChatMessage, NewCall
from tests.kit.clock import in_virtual_time
from tests.kit.memory import CallEntry, MemoryCallLog, MemoryChatLog
from tests.signaling.harness import EPOCH, MemoryHarness, in_memory
from tests.signaling.people import HANG_UP, LESSON, STUDENT, TUTOR, answer, frame, invitation

KIND = ScopeKind.CONVERSATION
FIGURES = {"status": "ended", "reason": "hangup", "seconds": 11}


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


class Unsteady(MemoryCallLog):
    """A table that cannot be written for a while: it says so at once, or `hangs`."""

    def __init__(self) -> None:
        super().__init__(KIND)
        self.away = False
        self.hangs = 0.0
        """Seconds until it says so."""
        self.attempts = 0

    async def opened(self, call: NewCall) -> None:
        await self._reached()
        await super().opened(call)

    async def answered(self, call_id: str, at: datetime) -> None:
        await self._reached()
        await super().answered(call_id, at)

    async def ended(self, call_id: str, at: datetime, reason: str, **known: Any) -> int | None:
        await self._reached()
        return await super().ended(call_id, at, reason, **known)

    async def _reached(self) -> None:
        self.attempts += 1
        if self.away:
            await asyncio.sleep(self.hangs)
            raise Unavailable("the database is away")


class Notebook:
    """A journal that is a list."""

    def __init__(self, left: Mapping[str, Collection[Entry]] | None = None) -> None:
        self.left = left or {}
        self.lines: list[str] = []

    async def open(self) -> Mapping[str, Collection[Entry]]:
        return self.left

    def append(self, entry: Entry) -> None:
        self.lines.append(f"{entry.call_id} {entry.__struct_config__.tag}")

    def written(self, call_id: str) -> None:
        self.lines.append(f"{call_id} written")

    def sync(self) -> None:
        self.lines.append("sync")

    async def close(self) -> None:
        self.lines.append("close")


def opened(call_id: str) -> Opened:
    caller, callee = ProfileCard(STUDENT, "Maya", ""), ProfileCard(TUTOR, "Daniel", "")
    return Opened(kind=KIND, call_id=call_id, call=NewCall(call_id, LESSON, "voice", caller, callee, at(0)))


def answered(call_id: str) -> Answered:
    return Answered(kind=KIND, call_id=call_id, at=at(2))


def ended(call_id: str, answered_at: datetime | None = None) -> Ended:
    return Ended(
        kind=KIND, call_id=call_id, at=at(13), reason="hangup", answered_at=answered_at, caller=UNKNOWN_PATH, callee=UNKNOWN_PATH
    )


def said(call_id: str, text: str = "hello") -> Said:
    return Said(kind=KIND, call_id=call_id, scope=LESSON, message=ChatMessage(text, STUDENT, text, at(3)))


def life_of(call_id: str) -> list[Entry]:
    return [opened(call_id), answered(call_id), said(call_id), ended(call_id, at(2))]


def figures(row: CallEntry) -> dict[str, Any]:
    return {"status": row.status, "reason": row.end_reason, "seconds": row.duration_seconds}


def unsteady(harness: MemoryHarness) -> Unsteady:
    log = Unsteady()
    harness.logs[KIND] = log  # the port's dictionary is this one
    return log


# -- who talks does not wait -------------------------------------------------------------------------------------------


@in_memory
async def test_answer_text_and_end_arrive_at_once_although_the_database_hangs(harness: MemoryHarness) -> None:
    log = unsteady(harness)
    caller, callee = await harness.ringing()
    await harness.rows()
    log.away, log.hangs = True, 10.0
    loop = asyncio.get_running_loop()
    began = loop.time()
    await harness.say(callee, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]
    await harness.say(caller, frame("call_chat", text="hello"))
    assert callee.last("call_chat")["text"] == "hello"
    await harness.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert (await harness.engine.counters())["transports_closed"] == 2, "media has stopped"
    assert loop.time() == began, "no caller has waited"
    log.away = False
    await asyncio.sleep(60)
    assert (await harness.rows())[0].duration_seconds == 0, "waiting for the database is no part of the call"


@in_memory
async def test_who_was_hung_up_on_can_be_called_again_while_the_end_waits_for_the_database(harness: MemoryHarness) -> None:
    log = unsteady(harness)
    caller, callee = await harness.connected()
    log.away, log.hangs = True, 10.0
    await harness.say(caller, HANG_UP)
    await harness.say(callee, invitation(STUDENT))
    assert caller.types()[-1] == "call_invitation"
    log.away = False
    await harness.say(callee, HANG_UP)
    await asyncio.sleep(60)
    assert [(row.status, row.end_reason) for row in await harness.rows()] == [("ended", "hangup"), ("missed", "cancelled")]


@in_memory
async def test_a_call_that_outlives_an_outage_and_one_that_ends_in_it_have_true_rows(harness: MemoryHarness) -> None:
    log = unsteady(harness)
    caller, callee = await harness.connected()
    await asyncio.sleep(3)
    log.away = True
    await asyncio.sleep(8)
    await harness.say(caller, HANG_UP)
    told = callee.last("call_ended")["duration_seconds"]
    await asyncio.sleep(600)
    log.away = False
    await asyncio.sleep(RETRY_LAST + 1)
    [row] = await harness.rows()
    assert row.duration_seconds == told == 11
    assert row.ended_at == pytest.approx(at(11), abs=timedelta(seconds=0.1))
    assert harness.calls.writes.counters == {"late": 1}


# -- the order, and the journal ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_each_call_is_written_in_order_and_the_journal_hears_when_all_of_it_is() -> None:
    log, chat, journal = Unsteady(), MemoryChatLog([LESSON]), Notebook()
    writes = WriteBehind({KIND: log}, chat, journal)
    await writes.start()
    log.away = True
    for entry in life_of("a"):
        writes.add(entry)
    await asyncio.sleep(60)
    assert (log.entries, chat.texts, writes.waiting) == ({}, [], 4)
    assert journal.lines == ["a opened", "a answered", "a ended", "sync"], "no text"
    writes.add(opened("b"))
    assert journal.lines[4:] == ["b opened", "sync"]
    log.away = False
    await asyncio.sleep(RETRY_LAST)
    assert figures(log.entries["a"]) == FIGURES
    assert (len(chat.texts), writes.waiting) == (1, 0)
    assert sorted(journal.lines[6:]) == ["a written", "b written"]


@in_virtual_time
async def test_a_database_that_is_away_is_tried_every_few_seconds_and_not_once_for_each_call() -> None:
    log = Unsteady()
    writes = WriteBehind({KIND: log}, MemoryChatLog())
    log.away = True
    for number in range(1000):
        writes.add(opened(f"{number}"))
    await asyncio.sleep(60)
    assert 60 / RETRY_LAST <= log.attempts <= 3 * 60 / RETRY_LAST
    log.away = False
    await asyncio.sleep(RETRY_LAST)
    assert len(log.entries) == 1000


@in_virtual_time
async def test_what_an_earlier_life_left_in_the_journal_is_written_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryCallLog(KIND)
    await log.opened(opened("half").call)
    await log.answered("half", at(2))  # and the process died before it said so
    left: dict[str, list[Entry]] = {"whole": life_of("whole"), "half": life_of("half"), "end": [ended("end")]}
    journal = Notebook(left)
    writes = WriteBehind({KIND: log}, MemoryChatLog(), journal)
    lost: list[str] = []
    writes.on_lost = lost.append
    await writes.start()
    assert figures(log.entries["whole"]) == figures(log.entries["half"]) == FIGURES
    assert lost == []
    assert "3 calls of an earlier run were in the journal; 0 of them still are" in caplog.text
    assert "another hand" not in caplog.text


@in_virtual_time
async def test_a_server_that_stops_gives_a_database_that_is_away_a_moment_and_leaves_the_rest_to_the_journal() -> None:
    log, journal = Unsteady(), Notebook()
    writes = WriteBehind({KIND: log}, MemoryChatLog(), journal)
    log.away, log.hangs = True, 1000.0
    writes.add(opened("a"))
    await writes.close(4.0)
    assert asyncio.get_running_loop().time() == 4
    assert journal.lines == ["a opened", "close"]


# -- what cannot be written --------------------------------------------------------------------------------------------


@in_virtual_time
async def test_an_entry_that_the_database_does_not_take_is_given_up_and_the_next_ones_are_written(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Picky(MemoryCallLog):
        async def opened(self, call: NewCall) -> None:
            if call.call_id == "bad":
                raise ValueError("a name that is too long")
            await super().opened(call)

    log = Picky(KIND)
    writes = WriteBehind({KIND: log}, MemoryChatLog())
    writes.add(opened("bad"))
    writes.add(ended("bad"))
    writes.add(opened("good"))
    await writes.settled(1.0)
    assert (list(log.entries), writes.waiting) == (["good"], 0)
    assert writes.counters["refused"] == 1
    assert "does not take that call bad has opened" in caplog.text


@in_virtual_time
async def test_who_has_a_call_hears_that_another_hand_closed_its_row() -> None:
    log = MemoryCallLog(KIND)
    writes = WriteBehind({KIND: log}, MemoryChatLog())
    lost: list[str] = []
    writes.on_lost = lost.append
    writes.add(opened("a"))
    await writes.settled(1.0)
    log.entries["a"].close(at(1), "by hand")
    with pytest.raises(LostRace):
        await log.answered("a", at(2))
    writes.add(answered("a"))
    await writes.settled(1.0)
    assert lost == ["a"]


@in_virtual_time
async def test_the_memory_for_what_waits_is_bounded_and_the_journal_keeps_what_it_has_no_room_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log, journal = Unsteady(), Notebook()
    writes = WriteBehind({KIND: log}, MemoryChatLog(), journal, max_waiting=10)
    log.away = True
    for number in range(8):
        writes.add(opened(f"{number}"))
        writes.add(ended(f"{number}"))
    assert writes.waiting <= 10
    assert (writes.counters["overflowed"], caplog.text.count("wait for the database")) == (3, 1)
    log.away = False
    await asyncio.sleep(60)
    assert list(log.entries) == ["3", "4", "5", "6", "7"]
    assert sorted(line for line in journal.lines if "written" in line) == [f"{number} written" for number in range(3, 8)]
