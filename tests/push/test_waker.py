"""Profiles without a connection hear of their calls."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.clock import Clock
from relay.db.engine import create_engine
from relay.db.platform import SqlPlatform
from relay.db.push import SqlPushSubscriptions
from relay.db.schema import migrate
from relay.ids import Profile, Scope, ScopeKind, new_id
from relay.push.waker import CONNECTIONS, MAX_WAITING, PushWaker, Subscriptions
from relay.records.calls import PushSubscription
from relay.records.profiles import ProfileCard
from relay.signaling.ports import MissedCallRecord
from tests.kit.wait import eventually
from tests.push.service import KEY, Browser, LocalPushService, is_loopback, push_service

STUDENT, TUTOR = Profile("student", 456), Profile("tutor", 789)
CALLER = ProfileCard(TUTOR, "Daniel Okafor", "")
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
RING = 45.0


CONVERSATION = Scope(ScopeKind.CONVERSATION, 7)


def call(scope: Scope = CONVERSATION, *, reason: str = "") -> MissedCallRecord:
    return MissedCallRecord(new_id(), scope, "video", CALLER, reason, T0)


class ManualClock(Clock):
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.date = T0

    def utcnow(self) -> datetime:
        return self.date

    def pass_by(self, seconds: float) -> None:
        self.date += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}")
    await migrate.upgrade(engine)
    await SqlPlatform(engine).put_profiles([ProfileCard(STUDENT, "Maya", ""), CALLER])
    yield engine
    await engine.dispose()


@pytest.fixture
def subscriptions(database: AsyncEngine) -> SqlPushSubscriptions:
    return SqlPushSubscriptions(database)


@pytest.fixture
async def waker(local: LocalPushService, subscriptions: SqlPushSubscriptions, clock: ManualClock) -> AsyncIterator[PushWaker]:
    async with started(local, subscriptions, clock) as waker:
        yield waker


@contextlib.asynccontextmanager
async def started(local: LocalPushService, subscriptions: Subscriptions, clock: ManualClock) -> AsyncIterator[PushWaker]:
    waker = PushWaker(subscriptions, KEY, RING, clock=clock, allowed=is_loopback, tls=local.tls, ports={local.port})
    await waker.start()
    try:
        yield waker
    finally:
        await waker.close()


async def subscribed(subscriptions: SqlPushSubscriptions, browser: Browser) -> Browser:
    await subscriptions.add(STUDENT, browser.endpoint, browser.p256dh, browser.auth, T0)
    return browser


async def over(waker: PushWaker, number: int) -> None:
    await eventually(lambda: waker.outcomes.total() == number, f"{number} message(s) are over")


async def test_a_browser_without_a_page_gets_the_callers_name(
    local: LocalPushService, subscriptions: SqlPushSubscriptions, waker: PushWaker, clock: ManualClock
) -> None:
    browser = await subscribed(subscriptions, local.browser())
    ringing = call()
    clock.pass_by(4.5)
    assert await waker.wake(ringing, STUDENT)
    [got] = await eventually(lambda: local.received, "a message")
    assert browser.read(got.body) == {
        "type": "call",
        "call_id": ringing.call_id,
        "from_name": "Daniel Okafor",
        "from_profile_type": "tutor",
        "from_profile_id": 789,
        "call_type": "video",
        "conversation_id": 7,
    }
    assert got.headers["TTL"] == "41"
    assert got.headers["Urgency"] == "high"


async def test_the_message_that_a_call_was_missed_replaces_the_one_that_it_rings(
    local: LocalPushService, subscriptions: SqlPushSubscriptions, waker: PushWaker
) -> None:
    browser = await subscribed(subscriptions, local.browser())
    record = call(Scope(ScopeKind.WHITEBOARD_SESSION, 3))
    await waker.wake(record, STUDENT)
    await over(waker, 1)
    await waker.missed(record, STUDENT)
    await over(waker, 2)
    first, second = local.received
    assert first.headers["Topic"] == second.headers["Topic"]
    assert browser.read(second.body) == {
        "type": "missed_call",
        "call_id": record.call_id,
        "from_name": "Daniel Okafor",
        "from_profile_type": "tutor",
        "from_profile_id": 789,
        "call_type": "video",
        "whiteboard_session_id": 3,
    }
    assert second.headers["TTL"] == "86400"


async def test_a_profile_without_a_subscription_cannot_be_woken(waker: PushWaker) -> None:
    assert not await waker.wake(call(), STUDENT)
    await waker.missed(call(), STUDENT)
    assert not waker.outcomes


async def test_all_browsers_of_the_profile_get_the_message_and_no_others(
    local: LocalPushService, subscriptions: SqlPushSubscriptions, waker: PushWaker
) -> None:
    for name in ("one", "two"):
        await subscribed(subscriptions, local.browser(name))
    other = local.browser("other")
    await subscriptions.add(TUTOR, other.endpoint, other.p256dh, other.auth, T0)
    assert await waker.wake(call(), STUDENT)
    await over(waker, 2)
    assert {got.path for got in local.received} == {"/to/one", "/to/two"}


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_its_push_service_reports_gone_is_removed(
    local: LocalPushService, subscriptions: SqlPushSubscriptions, waker: PushWaker, status: int
) -> None:
    await subscribed(subscriptions, local.browser())
    local.status = status
    await waker.wake(call(), STUDENT)

    async def forgotten() -> bool:
        return not await subscriptions.of(STUDENT)

    await eventually(forgotten, "the subscription is removed")
    assert not await waker.wake(call(), STUDENT)


async def test_a_failure_is_counted_and_a_success_resets_the_count(
    local: LocalPushService, subscriptions: SqlPushSubscriptions, waker: PushWaker, clock: ManualClock
) -> None:
    await subscribed(subscriptions, local.browser())

    async def noted(failures: int) -> PushSubscription | None:
        [one] = await subscriptions.of(STUDENT)
        return one if one.failures == failures else None

    local.status = 503
    await waker.wake(call(), STUDENT)
    await eventually(lambda: noted(1), "the failure is noted")
    local.status = 201
    clock.pass_by(1)
    await waker.wake(call(), STUDENT)
    assert (await eventually(lambda: noted(0), "the success is noted")).last_used_at == clock.date


async def test_a_call_that_has_stopped_ringing_sends_no_message(
    local: LocalPushService, subscriptions: SqlPushSubscriptions, waker: PushWaker, clock: ManualClock
) -> None:
    await subscribed(subscriptions, local.browser())
    clock.pass_by(RING)
    await waker.wake(call(), STUDENT)
    await over(waker, 1)
    assert waker.outcomes == {"late": 1}
    assert not local.received


async def test_queued_messages_are_sent_before_the_server_stops(
    local: LocalPushService, subscriptions: SqlPushSubscriptions, clock: ManualClock
) -> None:
    await subscribed(subscriptions, local.browser())
    async with started(local, subscriptions, clock) as waker:
        await waker.missed(call(reason="server_shutdown"), STUDENT)
    assert len(local.received) == 1


class Many:
    """As many browsers as the test wants, in no database."""

    def __init__(self, *browsers: Browser) -> None:
        self._browsers = browsers

    async def of(self, profile: Profile) -> Sequence[PushSubscription]:
        return [browser.subscription for browser in self._browsers]

    async def gone(self, endpoint: str) -> None: ...

    async def delivered(self, endpoint: str, at: datetime) -> None:
        raise OSError("the database is away")

    async def failed(self, endpoint: str) -> bool:
        return False


async def test_a_message_for_a_full_queue_is_dropped_and_counted(local: LocalPushService, clock: ManualClock) -> None:
    """It is not started, so that nothing is taken from the queue."""
    waker = PushWaker(Many(*[local.browser()] * MAX_WAITING), KEY, RING, clock=clock)
    assert await waker.wake(call(), STUDENT)
    assert not waker.outcomes
    assert not await waker.wake(call(), STUDENT)
    assert waker.outcomes == {"dropped": MAX_WAITING}


async def test_a_database_that_is_away_stops_no_message(
    tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    number = 2 * CONNECTIONS
    async with push_service(tmp_path) as local, started(local, Many(local.browser()), clock) as waker:
        for _ in range(number):
            await waker.wake(call(), STUDENT)
        await eventually(lambda: len(local.received) == number, "all messages are sent")
    assert "could not be accounted for" in caplog.text
    assert local.url("one") not in caplog.text
