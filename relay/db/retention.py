"""Removal of data past its retention period."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, null, select, text, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from relay.db.engine import execute
from relay.db.models import OF_KIND, CallRatingRow, ChatRow, PushSubscriptionRow
from relay.db.models.calls import ENDED, IS_NAMED, IS_WORDED, MISSED
from relay.ids import ScopeKind
from relay.records.calls import Purged
from relay.settings.retention import RetentionSettings

BATCH = 200
"""Rows per transaction."""


class SqlRetention:
    """Removes old data in batches, each in its own transaction, so that calls do not wait for it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def apply(self, settings: RetentionSettings, now: datetime) -> Purged:
        """Remove data past its retention period. The next run completes an interrupted one; concurrent runs are safe."""

        async def purge(days: int, step: Callable[[datetime], Awaitable[int]]) -> int:
            return await in_batches(step, now - timedelta(days=days)) if days else 0

        conversations, whiteboards = ScopeKind.CONVERSATION, ScopeKind.WHITEBOARD_SESSION
        return Purged(
            calls=await purge(settings.retain_calls_days, lambda before: self._calls(conversations, before)),
            whiteboard_calls=await purge(settings.retain_whiteboard_calls_days, lambda before: self._calls(whiteboards, before)),
            identities=await purge(settings.retain_identities_days, lambda before: self._identities(conversations, before))
            + await purge(settings.retain_identities_days, lambda before: self._identities(whiteboards, before)),
            chat=await purge(settings.retain_chat_days, self._chat)
            + await purge(settings.retain_chat_days, lambda before: self._refusals(conversations, before))
            + await purge(settings.retain_chat_days, lambda before: self._refusals(whiteboards, before)),
            push_subscriptions=await purge(settings.retain_push_subscriptions_days, self._push_subscriptions),
        )

    async def _calls(self, kind: ScopeKind, before: datetime) -> int:
        row: Any = OF_KIND[kind].calls
        deleting = delete(row).where(row.id.in_(_some_old_calls(row, before))).returning(row.call_id)
        async with self._engine.begin() as connection:
            call_ids = (await connection.execute(deleting)).scalars().all()
            carried = [one for one in call_ids if one is not None]
            for about in (ChatRow, CallRatingRow):
                await connection.execute(delete(about).where(about.call_id.in_(carried)))
        return len(call_ids)

    async def _identities(self, kind: ScopeKind, before: datetime) -> int:
        row: Any = OF_KIND[kind].calls
        nameless = {name: null() for name in _IDENTITY if name in row.__table__.columns}
        return await execute(
            self._engine, update(row).where(row.id.in_(_some_old_calls(row, before, text(IS_NAMED)))).values(nameless)
        )

    async def _chat(self, before: datetime) -> int:
        old: Any = aliased(ChatRow)
        kept = [exists().where(tables.calls.call_id == old.call_id, tables.calls.keep.is_(True)) for tables in OF_KIND.values()]
        key = [column.name for column in ChatRow.__table__.primary_key]
        some = (
            select(*(getattr(old, name) for name in key))
            .where(old.sent_at < before, *(~one for one in kept))
            .order_by(old.sent_at)
            .limit(BATCH)
            .with_for_update(of=old, skip_locked=True)
        )
        return await execute(self._engine, delete(ChatRow).where(tuple_(*(getattr(ChatRow, name) for name in key)).in_(some)))

    async def _refusals(self, kind: ScopeKind, before: datetime) -> int:
        """What was said by declining is as old as its call."""
        row: Any = OF_KIND[kind].calls
        some = _some_old_calls(row, before, text(IS_WORDED))
        return await execute(self._engine, update(row).where(row.id.in_(some)).values(decline_message=null()))

    async def _push_subscriptions(self, before: datetime) -> int:
        old = aliased(PushSubscriptionRow)
        some = select(old.id).where(old.last_used_at < before).order_by(old.last_used_at).limit(BATCH)
        some = some.with_for_update(skip_locked=True)
        return await execute(self._engine, delete(PushSubscriptionRow).where(PushSubscriptionRow.id.in_(some)))


_IDENTITY = frozenset(
    {
        "participants",
        "caller_user_id",
        "caller_name",
        "caller_avatar",
        "callee_user_id",
        "callee_name",
        "callee_avatar",
        "decline_message",
    }
)
"""Columns that say more of a party than its profile's type and id. Not every table has them all."""


async def in_batches(step: Callable[[datetime], Awaitable[int]], before: datetime) -> int:
    """Take a step, which does as much as one transaction should, until it finds less than `BATCH` to do; how much in all."""
    total = 0
    while True:
        done = await step(before)
        total += done
        if done < BATCH:
            return total


def _some_old_calls(row: Any, before: datetime, *conditions: ColumnElement[Any] | Any) -> Any:
    """Ids of the oldest closed calls past their retention period, without those that another server has locked."""
    old = aliased(row)
    return (
        select(old.id)
        .where(old.started_at < before, old.status.in_([MISSED, ENDED]), old.keep.is_(False), *conditions)
        .order_by(old.started_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
