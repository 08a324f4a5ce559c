import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import SqlHistory
from relay.db.models import OF_KIND, ChatRow, PushSubscriptionRow
from relay.db.platform import SqlPlatform
from relay.db.push import SqlPushSubscriptions
from relay.db.retention import BATCH, SqlRetention
from relay.ids import Scope, ScopeKind
from relay.records.calls import Purged
from relay.records.profiles import ProfileCard
from relay.settings.base import names_of
from relay.settings.retention import RetentionSettings
from tests.db.calls import call, columns, plans, row, say, scanned
from tests.db.people import STUDENT, T0, TUTOR, after

DAY = 86_400.0


def day(number: float) -> datetime:
    return T0 + timedelta(days=number)


@pytest.fixture
def retention(engine: AsyncEngine) -> SqlRetention:
    return SqlRetention(engine)


def days_of(kind: ScopeKind, days: int) -> RetentionSettings:
    return (
        RetentionSettings(retain_calls_days=days)
        if kind is ScopeKind.CONVERSATION
        else RetentionSettings(retain_whiteboard_calls_days=days)
    )


def purged(kind: ScopeKind, number: int) -> Purged:
    return Purged(calls=number) if kind is ScopeKind.CONVERSATION else Purged(whiteboard_calls=number)


async def texts(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list((await connection.execute(select(ChatRow.text).order_by(ChatRow.sent_at))).scalars())


async def keep(engine: AsyncEngine, scope: Scope, call_id: str) -> None:
    table: Any = OF_KIND[scope.kind].calls
    async with engine.begin() as connection:
        await connection.execute(update(table).where(table.call_id == call_id).values(keep=True))


async def test_by_default_all_data_are_kept(retention: SqlRetention, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope)
    assert await retention.apply(RetentionSettings(), day(10_000)) == Purged()
    assert await row(engine, call_id) is not None


async def test_old_calls_are_removed_with_their_chat_messages_and_younger_ones_stay(
    retention: SqlRetention, scope: Scope, engine: AsyncEngine
) -> None:
    old, young = await call(engine, scope), await call(engine, scope, started=2 * DAY)
    for call_id, said in ((old, "old"), (young, "young")):
        await say(engine, scope, call_id, STUDENT.profile, said)
    assert await retention.apply(days_of(scope.kind, 30), day(31)) == purged(scope.kind, 1)
    assert await row(engine, old) is None
    assert await row(engine, young) is not None
    assert await texts(engine) == ["young"]
    assert await retention.apply(days_of(scope.kind, 30), day(31)) == Purged()


async def test_calls_of_the_other_kind_have_days_of_their_own(retention: SqlRetention, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope)
    other_kind = next(kind for kind in ScopeKind if kind is not scope.kind)
    assert await retention.apply(days_of(other_kind, 30), day(31)) == Purged()
    assert await row(engine, call_id) is not None


async def test_open_calls_and_those_to_be_kept_are_not_touched(
    retention: SqlRetention, scope: Scope, engine: AsyncEngine
) -> None:
    ringing, kept = await call(engine, scope, reason=None), await call(engine, scope)
    talking = await call(engine, scope, answered=1, reason=None)
    await say(engine, scope, kept, STUDENT.profile, "evidence")
    await keep(engine, scope, kept)
    everything = RetentionSettings(**dict.fromkeys(names_of(RetentionSettings), 1))
    before = [await row(engine, call_id) for call_id in (ringing, talking, kept)]
    assert await retention.apply(everything, day(100)) == Purged()
    assert [await row(engine, call_id) for call_id in (ringing, talking, kept)] == before
    assert await texts(engine) == ["evidence"]


async def test_names_go_before_the_calls_do(retention: SqlRetention, scope: Scope, engine: AsyncEngine) -> None:
    await SqlPlatform(engine).put_profiles([ProfileCard(TUTOR.profile, "Émile", "", 1789)])
    old = await call(engine, scope, answered=1, reason="hangup")
    young = await call(engine, scope, started=2 * DAY)
    before = await row(engine, old), await row(engine, young)
    assert await retention.apply(RetentionSettings(retain_identities_days=30), day(31)) == Purged(identities=1)
    assert before[0] is not None
    nothing = {name: None for name in before[0] if name.endswith(("_user_id", "_name", "_avatar")) or name == "participants"}
    assert len(nothing) == (2 if scope.kind is ScopeKind.CONVERSATION else 7)
    assert await row(engine, old) == {**before[0], **nothing}
    assert await row(engine, young) == before[1]
    assert await retention.apply(RetentionSettings(retain_identities_days=30), day(31)) == Purged()
    [*_, record] = (await SqlHistory(engine, scope.kind).calls(STUDENT.profile, limit=50)).calls
    assert (record.id, record.duration_seconds) == (old, 59)


async def test_what_was_said_by_declining_is_kept_no_longer_than_the_names(
    retention: SqlRetention, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope, reason="rejected", decline_message="In 10 minutes")
    await retention.apply(RetentionSettings(retain_identities_days=30), day(31))
    assert await columns(engine, call_id, "end_reason", "decline_message") == {"end_reason": "rejected", "decline_message": None}


async def test_chat_messages_are_removed_by_their_own_age(retention: SqlRetention, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope)
    await say(engine, scope, call_id, STUDENT.profile, "old")
    await say(engine, scope, call_id, STUDENT.profile, "young", at=2 * DAY)
    assert await retention.apply(RetentionSettings(retain_chat_days=30), day(31)) == Purged(chat=1)
    assert await texts(engine) == ["young"]
    assert await row(engine, call_id) is not None


async def test_what_was_said_by_declining_is_removed_with_the_chat_messages(
    retention: SqlRetention, scope: Scope, engine: AsyncEngine
) -> None:
    old = await call(engine, scope, reason="rejected", decline_message="In 10 minutes")
    young = await call(engine, scope, started=2 * DAY, reason="rejected", decline_message="In an hour")
    assert await retention.apply(RetentionSettings(retain_chat_days=30), day(31)) == Purged(chat=1)
    assert await columns(engine, old, "end_reason", "decline_message") == {"end_reason": "rejected", "decline_message": None}
    assert await columns(engine, young, "decline_message") == {"decline_message": "In an hour"}


async def test_unused_subscriptions_are_removed(retention: SqlRetention, platform: SqlPlatform, engine: AsyncEngine) -> None:
    push = SqlPushSubscriptions(engine)
    for name in ("unused", "used"):
        await push.add(TUTOR.profile, name, "key", "secret", T0)
    await push.delivered("used", after(2 * DAY))
    assert await retention.apply(RetentionSettings(retain_push_subscriptions_days=30), day(31)) == Purged(push_subscriptions=1)
    assert [one.endpoint for one in await push.of(TUTOR.profile)] == ["used"]


async def test_large_amounts_are_removed_in_bounded_batches(retention: SqlRetention, scope: Scope, engine: AsyncEngine) -> None:
    found = await row(engine, await call(engine, scope))
    assert found is not None
    table: Any = OF_KIND[scope.kind].calls
    rows = [{**found, "id": number, "call_id": f"{number:032x}"} for number in range(1000, 1000 + 2 * BATCH)]
    sizes: list[int] = []
    async with engine.begin() as connection:
        await connection.execute(table.__table__.insert(), rows)
    event.listen(engine.sync_engine, "commit", lambda _: sizes.append(1))
    assert await retention.apply(RetentionSettings(retain_identities_days=30), day(31)) == Purged(identities=2 * BATCH + 1)
    assert len(sizes) >= 3
    assert await retention.apply(days_of(scope.kind, 30), day(31)) == purged(scope.kind, 2 * BATCH + 1)


async def test_servers_that_clean_up_together_remove_each_row_once(
    retention: SqlRetention, scope: Scope, engine: AsyncEngine
) -> None:
    for number in range(20):
        await say(engine, scope, await call(engine, scope), STUDENT.profile, "hello")
        await SqlPushSubscriptions(engine).add(TUTOR.profile, str(number % 5), "key", "secret", T0)
    days = RetentionSettings(**dict.fromkeys(names_of(RetentionSettings), 1))
    reports = await asyncio.gather(*(retention.apply(days, day(100)) for _ in range(4)))
    assert sum(report.calls + report.whiteboard_calls for report in reports) == 20
    assert sum(report.push_subscriptions for report in reports) == 5
    async with engine.connect() as connection:
        for table in (OF_KIND[scope.kind].calls, ChatRow, PushSubscriptionRow):
            assert (await connection.execute(select(table.__table__))).all() == []


async def test_old_rows_are_found_by_index(retention: SqlRetention, scope: Scope, engine: AsyncEngine) -> None:
    # A planner chooses an index by what is in the table: few of many calls are old, and it is told so.
    found = await row(engine, await call(engine, scope))
    assert found is not None
    many = [{**found, "id": 1000 + hour, "call_id": f"{hour:032x}", "started_at": after(hour * 3600)} for hour in range(1000)]
    async with engine.begin() as connection:
        for tables in OF_KIND.values():
            table: Any = tables.calls.__table__
            rows = [{name: value for name, value in one.items() if name in table.columns} for one in many]
            await connection.execute(table.insert(), rows)
        await connection.execute(text("ANALYZE"))
    days = RetentionSettings(**dict.fromkeys(names_of(RetentionSettings), 1))
    plan = await plans(engine, retention.apply(days, day(2)))
    assert scanned(plan) == set()
    for index in (
        *(f"ix_{tables.calls.__tablename__}_{name}" for tables in OF_KIND.values() for name in ("started_at", "named", "worded")),
        "ix_call_chat_messages_sent_at",
        "ix_push_subscriptions_last_used_at",
    ):
        assert index in plan
