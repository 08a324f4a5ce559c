"""Export and erasure of the data of one profile."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, null, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from relay.db.history import SqlHistory
from relay.db.models import OF_KIND, ChatRow, KnownProfileRow, ProfileRow
from relay.db.models.calls import ANSWERED, ENDED, INITIATED, MISSED
from relay.db.naming import layout_of
from relay.db.platform import SqlPlatform
from relay.db.profiles import columns as columns_of
from relay.db.profiles import names, same
from relay.db.push import SqlPushSubscriptions
from relay.db.ratings import SqlRatings
from relay.db.recordings.people import SqlRecordingPeople
from relay.db.settings import SqlSettings
from relay.ids import Profile, ScopeKind
from relay.records.calls import CallRecord

BATCH = 200
"""Rows per transaction, or per page."""


class SqlPersonalData:
    """Export and deletion per profile."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._recordings = SqlRecordingPeople(engine)
        self._ratings = SqlRatings(engine)

    async def export(self, profile: Profile) -> dict[str, Any] | None:
        """The data of a profile as JSON values; times in ISO 8601. None if there is none.

        An object of `profile` (an object, or None), `settings` (an object) and lists of objects: `blocks`, `connections`,
        `conversations`, `whiteboard_sessions`, `calls`, `whiteboard_calls`, `chat`, `push_subscriptions`, `recordings`,
        `recording_consents`, `call_ratings`. Calls and recordings are as the
        profile may see them; chat messages are its own; push subscriptions come without their keys.
        """
        subscriptions = [_plain(one) for one in await SqlPushSubscriptions(self._engine).of(profile)]
        lists = {
            "blocks": [_plain(one) for one in await SqlSettings(self._engine).blocks(profile)],
            "connections": [_plain(one) for one in await SqlPlatform(self._engine).connections(profile)],
            "conversations": await self._scopes(profile, ScopeKind.CONVERSATION),
            "whiteboard_sessions": await self._scopes(profile, ScopeKind.WHITEBOARD_SESSION),
            "calls": [_plain(one) for one in await self._calls(profile, ScopeKind.CONVERSATION)],
            "whiteboard_calls": [_plain(one) for one in await self._calls(profile, ScopeKind.WHITEBOARD_SESSION)],
            "chat": await self._chat(profile),
            "push_subscriptions": [
                {name: value for name, value in one.items() if name not in ("p256dh", "auth")} for one in subscriptions
            ],
            "recordings": [_plain(one) for one in await self._recordings.recordings(profile)],
            "recording_consents": [_plain(one) for one in await self._recordings.consents(profile)],
            "call_ratings": [_flat(_plain(one)) for one in await self._ratings.of(profile)],
        }
        known = await self._profile(profile)
        if known is None and not any(lists.values()):
            return None
        return {"profile": known, "settings": _plain(await SqlSettings(self._engine).settings(profile)), **lists}

    async def erase(self, profile: Profile, at: datetime) -> bool:
        """Delete a profile, and all that tells about it.

        The profile goes with its settings, blocks, connections, memberships, push subscriptions and its own chat messages. Its
        calls belong to the other party too: their rows stay, without its name, avatar and user id, and are invisible to this
        profile, should it come back. Recordings that it is heard in are deleted, but for those under legal hold, and its consents
        go. May be repeated if it was interrupted.

        Returns:
            Whether there was anything to erase.
        """
        # First of all: then it begins no more calls.
        deleted = await SqlPlatform(self._engine).forget_profile(profile)
        deleted = await self._recordings.erase(profile) or deleted
        return await self._erase_history(profile, at, (INITIATED, ANSWERED, MISSED, ENDED)) or deleted

    async def erase_history(self, profile: Profile, at: datetime) -> bool:
        """Take a profile out of the calls that it had; delete its own chat messages, and recordings of its calls by consent.

        The other parties' rows stay, without its name, avatar and user id, and are invisible to this profile. Calls that have not
        ended stay as they are.

        Returns:
            Whether there was anything to erase.
        """
        deleted = await self._recordings.erase_own(profile)
        return await self._erase_history(profile, at, (MISSED, ENDED)) or deleted

    async def _erase_history(self, profile: Profile, at: datetime, statuses: Sequence[str]) -> bool:
        erased = await self._ratings.erase(profile)
        while await self._erase_texts(profile):
            erased = True
        for kind in ScopeKind:
            for role in ("caller", "callee"):
                while await self._erase_from_calls(profile, kind, role, at, statuses):
                    erased = True
        return erased

    async def _profile(self, profile: Profile) -> dict[str, Any] | None:
        row = KnownProfileRow
        columns: list[Any] = [row.profile_type, row.profile_id, row.name, row.avatar, row.user_id]
        query = select(*columns).where(names(row, profile))
        if "profiles" not in layout_of(self._engine).views:
            own = aliased(ProfileRow)  # the same table then
            query = query.add_columns(own.created_at).join(own, same(columns_of(row), columns_of(own)))
        async with self._engine.connect() as connection:
            found = (await connection.execute(query)).one_or_none()
        return None if found is None else _plain(found._asdict())

    async def _scopes(self, profile: Profile, kind: ScopeKind) -> list[dict[str, Any]]:
        tables = OF_KIND[kind]
        query = select(tables.scope_id(tables.known_members)).where(names(tables.known_members, profile)).order_by(tables.key)
        async with self._engine.connect() as connection:
            return [{tables.key: scope_id} for scope_id in (await connection.execute(query)).scalars()]

    async def _calls(self, profile: Profile, kind: ScopeKind) -> list[CallRecord]:
        history = SqlHistory(self._engine, kind)
        page = await history.calls(profile, limit=BATCH)
        found = [*page.calls]
        while page.next_cursor is not None:
            page = await history.calls(profile, limit=BATCH, cursor=page.next_cursor)
            found += page.calls
        return found

    async def _chat(self, profile: Profile) -> list[dict[str, Any]]:
        query = (
            select(ChatRow.call_id, ChatRow.message_id, ChatRow.text, ChatRow.sent_at)
            .where(names(ChatRow, profile, "author_"))
            .order_by(ChatRow.sent_at)
        )
        async with self._engine.connect() as connection:
            return [_plain(row._asdict()) for row in await connection.execute(query)]

    async def _erase_texts(self, profile: Profile) -> int:
        mine = aliased(ChatRow)
        own = select(mine.call_id, mine.message_id).where(names(mine, profile, "author_")).limit(BATCH)
        erasing = delete(ChatRow).where(names(ChatRow, profile, "author_"), tuple_(ChatRow.call_id, ChatRow.message_id).in_(own))
        async with self._engine.begin() as connection:
            return (await connection.execute(erasing)).rowcount

    async def _erase_from_calls(self, profile: Profile, kind: ScopeKind, role: str, at: datetime, statuses: Sequence[str]) -> int:
        row: Any = OF_KIND[kind].calls
        mine: Any = aliased(row)
        # Locked in the order that the other party's erasure has too, so that the two cannot block each other.
        some = (
            select(mine.id)
            .where(names(mine, profile, f"{role}_"), getattr(mine, f"{role}_deleted_at").is_(None), mine.status.in_(statuses))
            .order_by(mine.started_at, mine.id)
            .limit(BATCH)
            .with_for_update()
        )
        identity = [f"{role}_user_id", f"{role}_name", f"{role}_avatar", *(["decline_message"] if role == "callee" else [])]
        nameless = {name: null() for name in identity if name in row.__table__.columns}
        hiding = update(row).where(row.id.in_(some)).values({f"{role}_deleted_at": at, **nameless})
        async with self._engine.begin() as connection:
            hidden = (await connection.execute(hiding.returning(row.id, row.participants))).all()
            changes = [{"row": one.id, "without": _without(one.participants, profile, role)} for one in hidden]
            if changes:
                forgetting = update(row).where(row.id == bindparam("row"))
                await connection.execute(forgetting.values(participants=bindparam("without")), changes)
        return len(hidden)


def _without(participants: object, profile: Profile, role: str) -> Sequence[object] | None:
    """The participants, of whom one has no name.

    They may be any JSON in a row that the relay did not write. What is no list of objects goes as a whole: who could say whom
    it names.
    """
    if not isinstance(participants, list) or not all(isinstance(entry, dict) for entry in participants):
        return None
    erased = {**profile._asdict(), "name": "", "role": role}
    return [
        erased if entry.get("role") == role or (entry.get("profile_type"), entry.get("profile_id")) == profile else entry
        for entry in participants
    ]


def _flat(rated: dict[str, Any]) -> dict[str, Any]:
    """A `RatedCall` in one object."""
    return {"call_id": rated["call_id"], **rated["rating"], "rated_at": rated["rated_at"]}


def _plain(value: Any) -> Any:
    """A record in values that JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
