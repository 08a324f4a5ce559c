import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.call_log import SqlCallLog
from relay.db.engine import create_engine
from relay.db.models import OF_KIND
from relay.db.models.calls import MAX_END_REASON_LENGTH
from relay.db.platform import SqlPlatform
from relay.errors import ConfigurationError, LostRace
from relay.ids import Scope, ScopeKind, new_id
from relay.media.api import Route
from relay.signaling.ports import MediaPath, NewCall
from tests.db.calls import Log, columns, log_of
from tests.db.people import STUDENT, T0, TUTOR, after
from tests.kit.cluster import ThisNode


async def outcome(action: Awaitable[Any]) -> str:
    try:
        await action
    except LostRace:
        return "lost"
    return "won"


def test_a_nodes_name_must_fit_its_column(engine: AsyncEngine) -> None:
    SqlCallLog(engine, ThisNode("n" * 100), ScopeKind.CONVERSATION)
    with pytest.raises(ConfigurationError, match="longer than 100 characters"):
        SqlCallLog(engine, ThisNode("n" * 101), ScopeKind.CONVERSATION)


# -- the life of a call -----------------------------------------------------------------------------------------------


COMMON = {
    "caller_profile_id": 456,
    "caller_profile_type": "student",
    "caller_user_id": 1456,
    "callee_profile_id": 789,
    "callee_profile_type": "tutor",
    "callee_seen_at": None,
    "caller_deleted_at": None,
    "callee_deleted_at": None,
    "call_type": "video",
    "status": "initiated",
    "started_at": T0,
    "answered_at": None,
    "ended_at": None,
    "duration_seconds": None,
    "participants": [
        {"profile_type": "student", "profile_id": 456, "name": "Maya", "role": "caller"},
        {"profile_type": "tutor", "profile_id": 789, "name": "Émile", "role": "callee"},
    ],
    "end_reason": None,
    "node": "here",
    "owner_epoch": 1,
    "heartbeat_at": None,
    "transferred_from": "a" * 32,
    "keep": False,
    "caller_route": None,
    "caller_family": None,
    "caller_rtt_ms": None,
    "caller_score": None,
    "callee_route": None,
    "callee_family": None,
    "callee_rtt_ms": None,
    "callee_score": None,
    "hidden_from_callee": False,
    "decline_message": None,
}

SNAPSHOT = {
    "caller_name": "Maya",
    "caller_avatar": "/avatars/maya.png",
    "caller_seen_at": None,
    "callee_user_id": None,
    "callee_name": "Émile",
    "callee_avatar": "",
    "recording_id": None,
}


async def test_a_new_call_is_initiated_with_everything_known_of_it(log: Log, engine: AsyncEngine) -> None:
    platform = SqlPlatform(engine)
    await platform.put_profiles([STUDENT, TUTOR])
    scope = Scope(log.kind, 7)
    await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile])
    call_id = new_id()
    await log.opened(NewCall(call_id, scope, "video", STUDENT, TUTOR, T0, transferred_from="a" * 32))
    found = await columns(engine, call_id)
    assert found.pop("id")
    assert found.pop("created_at")
    assert found == {
        **COMMON,
        "call_id": call_id,
        **({"conversation_id": 7} if log.kind is ScopeKind.CONVERSATION else {"session_id": 7, **SNAPSHOT}),
    }


async def test_a_call_at_no_scope_is_logged_without_one(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call(scope_id=999)
    await log.ended(call_id, T0, "rejected")
    assert await columns(engine, call_id, OF_KIND[log.kind].key, "status", "end_reason") == {
        OF_KIND[log.kind].key: None,
        "status": "missed",
        "end_reason": "rejected",
    }


async def test_calls_of_one_kind_are_not_in_the_table_of_the_other(engine: AsyncEngine) -> None:
    logs = [log_of(ThisNode("here"), engine, kind) for kind in ScopeKind]
    for log in logs:
        await log.call()
    for log in logs:
        assert await log.close_own() == 1


async def test_a_voice_call_becomes_a_video_call(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call(call_type="voice")
    await log.answered(call_id, after(1))
    await log.updated(call_id, "video")
    assert await columns(engine, call_id, "call_type", "status") == {"call_type": "video", "status": "answered"}


async def test_a_closed_call_keeps_its_type(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call(call_type="voice")
    await log.ended(call_id, after(1), "cancelled")
    await log.updated(call_id, "video")
    assert await columns(engine, call_id, "call_type") == {"call_type": "voice"}


async def test_a_call_opened_twice_is_refused(log: Log) -> None:
    call = NewCall(new_id(), Scope(log.kind, 1), "voice", STUDENT, TUTOR, T0)
    await log.opened(call)
    with pytest.raises(LostRace):
        await log.opened(call)


async def test_an_answered_call_ends_with_its_duration_in_whole_seconds(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(10.5))
    assert await columns(engine, call_id, "status", "answered_at") == {"status": "answered", "answered_at": after(10.5)}
    assert await log.ended(call_id, after(73.4), "hangup") == 62
    assert await columns(engine, call_id, "status", "ended_at", "duration_seconds", "end_reason") == {
        "status": "ended",
        "ended_at": after(73.4),
        "duration_seconds": 62,
        "end_reason": "hangup",
    }


async def test_an_unanswered_call_ends_as_missed_without_a_duration(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    assert await log.ended(call_id, after(45), "no_answer") is None
    assert await columns(engine, call_id, "status", "answered_at", "ended_at", "duration_seconds", "end_reason") == {
        "status": "missed",
        "answered_at": None,
        "ended_at": after(45),
        "duration_seconds": None,
        "end_reason": "no_answer",
    }


PATHS = tuple(f"{role}_{name}" for role in ("caller", "callee") for name in ("route", "family", "rtt_ms", "score"))


async def test_the_path_to_each_party_is_written_down_at_the_end(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(1))
    await log.ended(
        call_id,
        after(60),
        "hangup",
        caller=MediaPath(Route("turn-tls", "ipv4"), 0.04212, 4.1234),
        callee=MediaPath(Route("udp", "ipv6"), 0.0004),
    )
    assert tuple((await columns(engine, call_id, *PATHS)).values()) == ("turn-tls", "ipv4", 42.1, 4.12, "udp", "ipv6", 0.4, None)


async def test_unknown_fields_of_a_path_stay_null(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(1))
    await log.ended(call_id, after(60), "ice_failed", callee=MediaPath(Route("tcp", "ipv4"), None))
    assert tuple((await columns(engine, call_id, *PATHS)).values()) == (None, None, None, None, "tcp", "ipv4", None, None)


async def test_a_call_whose_server_died_has_no_paths(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(1))
    await log.close_own()
    assert set((await columns(engine, call_id, *PATHS)).values()) == {None}


async def test_what_the_callee_said_by_declining_is_written_down_with_the_end(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.ended(call_id, after(9), "rejected", decline_message="In 10\0 minutes 👋")
    assert await columns(engine, call_id, "end_reason", "decline_message") == {
        "end_reason": "rejected",
        "decline_message": "In 10\ufffd minutes 👋",
    }


async def test_a_clock_that_was_set_back_makes_no_negative_duration(log: Log) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(10))
    assert await log.ended(call_id, after(5), "hangup") == 0


async def test_the_longest_reason_that_a_client_may_give_fits(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.ended(call_id, T0, "é" * MAX_END_REASON_LENGTH)
    assert await columns(engine, call_id, "end_reason") == {"end_reason": "é" * MAX_END_REASON_LENGTH}


async def test_a_call_cannot_be_answered_twice(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(1))
    with pytest.raises(LostRace):
        await log.answered(call_id, after(2))
    assert await columns(engine, call_id, "answered_at") == {"answered_at": after(1)}


async def test_a_closed_call_can_neither_be_answered_nor_ended_again(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.ended(call_id, after(1), "cancelled")
    with pytest.raises(LostRace):
        await log.answered(call_id, after(2))
    with pytest.raises(LostRace):
        await log.ended(call_id, after(2), "hangup")
    assert await columns(engine, call_id, "status", "end_reason") == {"status": "missed", "end_reason": "cancelled"}


async def test_an_unknown_call_can_neither_be_answered_nor_ended(log: Log) -> None:
    with pytest.raises(LostRace):
        await log.answered(new_id(), T0)
    with pytest.raises(LostRace):
        await log.ended(new_id(), T0, "hangup")


# -- races ------------------------------------------------------------------------------------------------------------


async def test_of_many_answers_at_once_exactly_one_wins(log: Log, other_log: Log, engine: AsyncEngine) -> None:
    for _ in range(5):
        call_id = await log.call()
        answers = [(log, other_log)[number % 2].answered(call_id, after(number)) for number in range(6)]
        outcomes = await asyncio.gather(*map(outcome, answers))
        assert sorted(outcomes) == ["lost"] * 5 + ["won"]
        assert await columns(engine, call_id, "answered_at") == {"answered_at": after(outcomes.index("won"))}


@pytest.mark.parametrize("answered", [False, True])
async def test_of_many_ends_at_once_exactly_one_wins(log: Log, engine: AsyncEngine, answered: bool) -> None:
    for _ in range(5):
        call_id = await log.call()
        if answered:
            await log.answered(call_id, T0)
        ends = [log.ended(call_id, after(number), f"reason {number}") for number in range(6)]
        outcomes = await asyncio.gather(*map(outcome, ends))
        assert sorted(outcomes) == ["lost"] * 5 + ["won"]
        winner = outcomes.index("won")
        assert await columns(engine, call_id, "end_reason", "ended_at", "duration_seconds") == {
            "end_reason": f"reason {winner}",
            "ended_at": after(winner),
            "duration_seconds": winner if answered else None,
        }


async def test_an_end_that_meets_an_answer_always_closes_the_call(log: Log, engine: AsyncEngine) -> None:
    for _ in range(10):
        call_id = await log.call()
        answer, end = await asyncio.gather(
            outcome(log.answered(call_id, after(1))), outcome(log.ended(call_id, after(4), "cancelled"))
        )
        assert end == "won"
        assert await columns(engine, call_id, "status", "duration_seconds") == (
            {"status": "ended", "duration_seconds": 3} if answer == "won" else {"status": "missed", "duration_seconds": None}
        )


async def test_an_end_that_is_overtaken_by_an_answer_takes_it_into_account(
    log: Log, engine: AsyncEngine, database_url: str
) -> None:
    call_id = await log.call()
    overtaken = create_engine(database_url)

    async with engine.begin() as faster:
        # SQLite's one writer is this transaction, and on PostgreSQL it holds the row: the end has read the row, and waits.
        await faster.execute(
            text(
                f"UPDATE {OF_KIND[log.kind].calls.__tablename__} SET status = 'answered', answered_at = :at WHERE call_id = :id"
            ),
            {"at": after(1).replace(tzinfo=None), "id": call_id},
        )
        reached = asyncio.Event()
        loop = asyncio.get_running_loop()

        def note(*arguments: Any) -> None:
            if arguments[2].startswith("UPDATE"):
                loop.call_soon(reached.set)

        event.listen(overtaken.sync_engine, "before_cursor_execute", note)
        ending = asyncio.create_task(log_of(ThisNode("here"), overtaken, log.kind).ended(call_id, after(4), "cancelled"))
        await reached.wait()
    assert await ending == 3
    assert await columns(engine, call_id, "status", "duration_seconds") == {"status": "ended", "duration_seconds": 3}
    await overtaken.dispose()
