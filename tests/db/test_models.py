from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.models import CallRow, ConversationRow, ProfileRow
from tests.db.people import T0

CONTRACT = [
    "id",
    "conversation_id",
    "caller_profile_id",
    "caller_profile_type",
    "caller_user_id",
    "call_type",
    "status",
    "started_at",
    "answered_at",
    "ended_at",
    "duration_seconds",
    "participants",
    "created_at",
]


def legacy_call(**values: Any) -> dict[str, Any]:
    """A row as the backend that the relay replaces wrote it."""
    return {
        "caller_profile_id": 456,
        "caller_profile_type": "student",
        "call_type": "voice",
        "status": "ended",
        "started_at": T0,
        **values,
    }


def test_call_logs_begins_with_the_columns_that_other_software_reads() -> None:
    assert [column.name for column in CallRow.__table__.columns][: len(CONTRACT)] == CONTRACT


async def test_a_row_without_any_of_the_relays_own_columns_fits(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(CallRow).values(legacy_call()))
        row = (await connection.execute(select(CallRow.call_id, CallRow.node, CallRow.participants))).one()
    assert tuple(row) == (None, None, None)


async def test_several_rows_without_a_call_id_fit(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(CallRow), [legacy_call(), legacy_call()])
        assert len((await connection.execute(select(CallRow.id))).all()) == 2


@pytest.mark.parametrize("wrong", [{"status": "ringing"}, {"call_type": "fax"}, {"conversation_id": 999}])
async def test_a_value_outside_the_contract_is_refused(engine: AsyncEngine, wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        async with engine.begin() as connection:
            await connection.execute(insert(CallRow).values(legacy_call(**wrong)))


async def test_deleting_a_conversation_keeps_its_calls(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(ConversationRow).values(id=123))
        await connection.execute(insert(CallRow).values(legacy_call(conversation_id=123)))
        await connection.execute(text("DELETE FROM conversations"))
        assert (await connection.execute(select(CallRow.conversation_id))).all() == [(None,)]


async def test_times_are_stored_as_utc_without_a_zone_and_come_back_with_one(engine: AsyncEngine) -> None:
    noon_in_moscow = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=3)))
    async with engine.begin() as connection:
        await connection.execute(insert(CallRow).values(legacy_call(started_at=noon_in_moscow)))
        stored = (await connection.execute(text("SELECT CAST(started_at AS varchar(19)) FROM call_logs"))).scalar_one()
        read = (await connection.execute(select(CallRow.started_at))).scalar_one()
    assert stored.startswith("2026-03-01 09:00:00")
    assert read == noon_in_moscow
    assert read.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(engine: AsyncEngine) -> None:
    naive = T0.replace(tzinfo=None)
    with pytest.raises((AssertionError, StatementError), match="naive"):
        async with engine.connect() as connection:
            await connection.execute(select(CallRow.id).where(CallRow.started_at < naive))


async def test_rows_written_by_hand_get_a_creation_time_in_utc(engine: AsyncEngine) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    async with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(text("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
        await connection.execute(text("INSERT INTO profiles (profile_type, profile_id, name) VALUES ('tutor', 789, 'Ada')"))
        row = (await connection.execute(select(ProfileRow.created_at, ProfileRow.avatar))).one()
    assert before <= row.created_at <= datetime.now(UTC) + timedelta(seconds=2)
    assert row.avatar == ""
