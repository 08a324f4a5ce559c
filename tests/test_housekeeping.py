"""Old data goes once a day."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.clock import Clock
from relay.errors import Unavailable
from relay.housekeeping import DAY, RETRY, WATCH, Housekeeping, RecordingWatch
from relay.records.calls import Purged
from relay.settings.retention import RetentionSettings
from tests.kit.clock import in_virtual_time
from tests.kit.server import running_relay
from tests.kit.wait import eventually

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = RetentionSettings(retain_calls_days=90, retain_chat_days=30)


class Calendar(Clock):
    """The virtual time, as a date."""

    def utcnow(self) -> datetime:
        return T0 + timedelta(seconds=self.now())


@dataclass
class Counting:
    """Counts the runs, and how many there are at a time."""

    lasts: float = 1.0
    fails: int = 0
    """That many runs fail first."""
    purged: Purged = field(default_factory=Purged)
    runs: list[float] = field(default_factory=list)
    """When each began, in seconds."""
    days: set[RetentionSettings] = field(default_factory=set)
    at_a_time: int = 0
    most: int = 0

    async def apply(self, days: RetentionSettings, now: datetime) -> Purged:
        self.runs.append((now - T0).total_seconds())
        self.days.add(days)
        self.at_a_time += 1
        self.most = max(self.most, self.at_a_time)
        try:
            await asyncio.sleep(self.lasts)
            if len(self.runs) <= self.fails:
                raise OSError("the database is away")
            return self.purged
        finally:
            self.at_a_time -= 1


@contextlib.asynccontextmanager
async def kept(retention: Counting, days: RetentionSettings = DAYS) -> AsyncIterator[None]:
    housekeeping = Housekeeping(retention, days, Calendar())
    await housekeeping.start()
    try:
        yield
    finally:
        await housekeeping.close()


@in_virtual_time
async def test_old_data_goes_at_the_start_and_once_a_day() -> None:
    retention = Counting()
    async with kept(retention):
        await asyncio.sleep(3.5 * DAY)
    assert retention.runs == [0, DAY + 1, 2 * (DAY + 1), 3 * (DAY + 1)]
    assert retention.days == {DAYS}
    assert DAY == 24 * 60 * 60


@in_virtual_time
async def test_a_run_that_takes_days_is_not_overtaken_by_the_next_one() -> None:
    retention = Counting(lasts=2.5 * DAY)
    async with kept(retention):
        await asyncio.sleep(10 * DAY)
    assert retention.runs == [0, 3.5 * DAY, 7 * DAY]
    assert retention.most == 1


@in_virtual_time
async def test_housekeeping_deletes_nothing_without_retention_settings() -> None:
    retention = Counting()
    async with kept(retention, RetentionSettings()):
        await asyncio.sleep(10 * DAY)
    assert not retention.runs


def test_a_run_that_fails_is_logged_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    retention = Counting(fails=3)

    @in_virtual_time
    async def four_runs() -> None:
        async with kept(retention):
            await asyncio.sleep(DAY)

    four_runs()
    assert retention.runs == [number * (RETRY + 1) for number in range(4)]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_failures_that_come_back_are_logged_again(caplog: pytest.LogCaptureFixture) -> None:
    @in_virtual_time
    async def good_between() -> None:
        retention = Counting(fails=1)
        async with kept(retention):
            await asyncio.sleep(DAY)
            retention.fails = 4
            await asyncio.sleep(DAY)

    good_between()
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.ERROR]


def test_deleted_rows_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @in_virtual_time
    async def one_run() -> None:
        async with kept(Counting(purged=Purged(calls=12, chat=3))):
            await asyncio.sleep(10)

    one_run()
    assert [record.getMessage() for record in caplog.records] == ["old data removed, in rows: 12 calls, 3 chat"]


@in_virtual_time
async def test_stopping_waits_for_no_run() -> None:
    retention = Counting(lasts=10 * DAY)
    async with kept(retention):
        await asyncio.sleep(1)
    assert (retention.at_a_time, asyncio.get_running_loop().time()) == (0, 1)


@pytest.mark.parametrize(("days", "left"), [(0, 1), (30, 0)])
async def test_a_relay_deletes_expired_data_as_it_starts(tmp_path: Path, no_errors_logged: None, days: int, left: int) -> None:
    def rows() -> int:
        with contextlib.closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
            return int(connection.execute("SELECT count(*) FROM push_subscriptions").fetchone()[0])

    quiet = {"media_host": "127.0.0.1"}
    async with running_relay(tmp_path, **quiet):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "relay.db")) as connection, connection:
        connection.execute(
            "INSERT INTO push_subscriptions "
            "(profile_type, profile_id, endpoint, p256dh, auth, created_at, last_used_at, failures) VALUES "
            "('student', 456, 'https://push.example/', 'p', 'a', '2020-01-01 00:00:00', '2020-01-01 00:00:00', 0)"
        )
    async with running_relay(tmp_path, retain_push_subscriptions_days=days, **quiet):
        await eventually(lambda: rows() == left, f"{left} subscription(s) are left")
    assert rows() == left


@dataclass
class Rows:
    """What `RecordingWatch` asks of rows and captures, noted with the time."""

    lost: list[str]
    fails: int = 0
    asked: list[float] = field(default_factory=list)
    watched: list[float] = field(default_factory=list)

    def concerns(self, recording_id: str) -> bool:
        return recording_id == "going"

    async def watch(self, now: float) -> None:
        self.watched.append(now)

    async def close_lost(self, concerns: Callable[[str], bool], at: datetime) -> Sequence[str]:
        assert concerns("going")
        self.asked.append((at - T0).total_seconds())
        if len(self.asked) <= self.fails:
            raise Unavailable("the database is away")
        lost, self.lost = self.lost, []
        return lost


@in_virtual_time
async def test_recordings_that_lost_their_server_are_looked_for_at_a_start_and_from_time_to_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows, closed = Rows(["r1", "r2"], fails=1), list[bool]()
    watch = RecordingWatch(rows, rows, lambda: closed.append(True), clock=Calendar())
    await watch.start()
    await asyncio.sleep(2.5 * WATCH)
    await watch.close()
    assert rows.asked == rows.watched == [0, WATCH, 2 * WATCH]
    assert closed == [True]
    assert "2 recordings were not ended" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
