"""Calls whose server says no more of them: heartbeats, the clean-up, and what corrects it."""

import asyncio

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.call_log import HEARTBEAT_BATCH
from relay.db.models import OF_KIND
from relay.errors import LostRace
from relay.ids import new_id
from tests.db.calls import Log, columns, crowd, plans
from tests.db.people import T0, after

# -- heartbeats and abandoned calls -----------------------------------------------------------------------------------


async def test_a_heartbeat_is_noted_for_every_open_call_that_it_names(log: Log, engine: AsyncEngine) -> None:
    ringing, talking, closed, unnamed = [await log.call() for _ in range(4)]
    await log.answered(talking, after(1))
    await log.ended(closed, after(1), "cancelled")
    await log.heartbeat([ringing, talking, closed, new_id()], after(10))
    beats = [(await columns(engine, call_id))["heartbeat_at"] for call_id in (ringing, talking, closed, unnamed)]
    assert beats == [after(10), after(10), None, None]


async def test_a_heartbeat_without_calls_is_nothing(log: Log) -> None:
    await log.heartbeat([], T0)


async def test_a_heartbeat_may_name_more_calls_than_a_statement_takes_parameters(log: Log, engine: AsyncEngine) -> None:
    first, last = await log.call(), await log.call()
    await log.heartbeat([first, *(new_id() for _ in range(2 * HEARTBEAT_BATCH)), last], after(10))
    assert await columns(engine, first, "heartbeat_at") == await columns(engine, last, "heartbeat_at")
    assert await columns(engine, last, "heartbeat_at") == {"heartbeat_at": after(10)}


async def test_a_node_that_starts_again_closes_what_its_earlier_life_left_open(log: Log, engine: AsyncEngine) -> None:
    ringing, talking = await log.call(), await log.call()
    await log.answered(talking, after(5))
    await log.heartbeat([ringing, talking], after(20.7))
    assert await log.close_own() == 2
    closing = ("status", "ended_at", "duration_seconds", "end_reason")
    assert await columns(engine, ringing, *closing) == {
        "status": "missed",
        "ended_at": after(20.7),
        "duration_seconds": None,
        "end_reason": "expired",
    }
    assert await columns(engine, talking, *closing) == {
        "status": "ended",
        "ended_at": after(20.7),
        "duration_seconds": 15,
        "end_reason": "expired",
    }


async def test_a_call_without_a_heartbeat_ends_at_its_last_sign_of_life(log: Log, engine: AsyncEngine) -> None:
    ringing, talking, answered_since = [await log.call() for _ in range(3)]
    await log.answered(talking, after(5))
    await log.heartbeat([answered_since], after(6))
    await log.answered(answered_since, after(7))
    await log.close_own()
    closing = ("ended_at", "duration_seconds")
    assert await columns(engine, ringing, *closing) == {"ended_at": T0, "duration_seconds": None}
    assert await columns(engine, talking, *closing) == {"ended_at": after(5), "duration_seconds": 0}
    assert await columns(engine, answered_since, *closing) == {"ended_at": after(7), "duration_seconds": 0}


async def test_a_node_that_starts_again_leaves_the_calls_of_others_and_closed_ones(
    log: Log, other_log: Log, engine: AsyncEngine
) -> None:
    theirs, closed = await other_log.call(), await log.call()
    await log.ended(closed, after(1), "cancelled")
    assert await log.close_own() == 0
    assert await columns(engine, theirs, "status") == {"status": "initiated"}
    assert await columns(engine, closed, "end_reason") == {"end_reason": "cancelled"}


async def test_the_signs_of_life_are_of_all_open_calls_but_those_that_were_just_noted(log: Log, other_log: Log) -> None:
    mine, mine_new, mine_left, theirs, theirs_new, closed = [
        await node.call(started=number) for number, node in enumerate((log, log, log, other_log, other_log, log))
    ]
    await log.heartbeat([mine_left], after(30))
    await other_log.heartbeat([theirs], after(30))
    await log.heartbeat([mine], after(60))
    await other_log.answered(theirs_new, after(40))
    await log.ended(closed, after(6), "cancelled")
    signs = await log.signs([after(60), after(61)])
    assert signs == {mine_new: after(1), mine_left: after(30), theirs: after(30), theirs_new: after(40)}
    assert (await log.signs([])).keys() == signs.keys() | {mine}


async def test_calls_of_any_node_are_closed_if_their_last_sign_of_life_is_still_the_same(
    log: Log, other_log: Log, engine: AsyncEngine
) -> None:
    mine, theirs, alive, unasked = [await node.call() for node in (log, other_log, other_log, other_log)]
    signs = dict(await log.signs([]))
    del signs[unasked]
    await other_log.heartbeat([alive], after(60))
    assert await log.close_stale(signs) == 2
    for call_id, status in [(mine, "missed"), (theirs, "missed"), (alive, "initiated"), (unasked, "initiated")]:
        assert await columns(engine, call_id, "status") == {"status": status}
    assert await columns(engine, theirs, "ended_at", "end_reason") == {"ended_at": T0, "end_reason": "expired"}


# -- what another server took for abandoned ---------------------------------------------------------------------------


ENDING = ("status", "answered_at", "ended_at", "duration_seconds", "end_reason")


async def expired(log: Log, *, answered: float | None = None) -> str:
    """A call that another server has closed."""
    call_id = await log.call()
    if answered is not None:
        await log.answered(call_id, after(answered))
    assert await log.close_stale(await log.signs([])) == 1
    return call_id


@pytest.mark.parametrize("answered", [None, 2.0])
async def test_the_server_of_an_expired_call_corrects_its_end(log: Log, engine: AsyncEngine, answered: float | None) -> None:
    call_id = await expired(log, answered=answered)
    assert await log.ended(call_id, after(13), "hangup", answered_at=after(2)) == 11
    assert tuple((await columns(engine, call_id, *ENDING)).values()) == ("ended", after(2), after(13), 11, "hangup")
    with pytest.raises(LostRace):
        await log.ended(call_id, after(14), "cancelled")


async def test_the_server_of_an_expired_call_corrects_its_end_to_no_answer(log: Log, engine: AsyncEngine) -> None:
    call_id = await expired(log)
    assert await log.ended(call_id, after(45), "no_answer") is None
    assert tuple((await columns(engine, call_id, *ENDING)).values()) == ("missed", None, after(45), None, "no_answer")


async def test_a_call_that_was_taken_for_abandoned_can_still_be_answered(log: Log, engine: AsyncEngine) -> None:
    call_id = await expired(log)
    await log.answered(call_id, after(3))
    assert tuple((await columns(engine, call_id, *ENDING)).values()) == ("answered", after(3), None, None, None)


@pytest.mark.parametrize(("answered", "status"), [(None, "initiated"), (2.0, "answered")])
async def test_a_heartbeat_opens_a_call_again_that_was_taken_for_abandoned(
    log: Log, engine: AsyncEngine, answered: float | None, status: str
) -> None:
    call_id, closed = await expired(log, answered=answered), await log.call()
    await log.ended(closed, after(1), "cancelled")
    await log.heartbeat([call_id, closed], after(60))
    answered_at = None if answered is None else after(answered)
    assert tuple((await columns(engine, call_id, *ENDING)).values()) == (status, answered_at, None, None, None)
    assert await columns(engine, closed, "end_reason") == {"end_reason": "cancelled"}


async def test_an_attempt_whose_answer_did_not_come_may_be_made_again(log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    for _ in range(2):
        await log.answered(call_id, after(3))
    for _ in range(2):
        assert await log.ended(call_id, after(8), "hangup") == 5
    with pytest.raises(LostRace):
        await log.answered(call_id, after(3))


async def test_rows_that_the_relay_did_not_write_stay_open(log: Log, engine: AsyncEngine) -> None:
    table = OF_KIND[log.kind].calls
    foreign = {
        "caller_profile_id": 1,
        "caller_profile_type": "tutor",
        "call_type": "voice",
        "status": "initiated",
        "started_at": T0,
    }
    async with engine.begin() as connection:
        await connection.execute(insert(table).values(foreign))
    assert await log.close_own() == 0
    assert await log.signs([]) == {}


async def test_servers_that_clean_up_together_close_each_call_once(log: Log, other_log: Log) -> None:
    for _ in range(10):
        await log.call()
    signs = await log.signs([])
    closed = await asyncio.gather(*(node.close_stale(signs) for node in (log, other_log, log, other_log)))
    assert sum(closed) == 10


@pytest.mark.parametrize("clean_up", ["close_own", "close_stale", "signs"])
async def test_looking_for_abandoned_calls_reads_the_index_of_open_ones_only(
    log: Log, engine: AsyncEngine, clean_up: str
) -> None:
    await crowd(engine)
    looking = (
        log.close_own() if clean_up == "close_own" else log.close_stale({}) if clean_up == "close_stale" else log.signs([T0])
    )
    assert f"ix_{OF_KIND[log.kind].calls.__tablename__}_open" in await plans(engine, looking)
