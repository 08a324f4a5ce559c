"""Which server may change the row of a call: the incarnation that owns it, and no other, whatever its name."""

import asyncio

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.incarnations import SqlIncarnations
from relay.db.models import OF_KIND
from relay.errors import LostRace, TakenOver
from relay.ids import ScopeKind
from tests.db.calls import Log, columns, log_of, plans
from tests.db.people import after
from tests.kit.cluster import ThisNode


@pytest.fixture
def namesake(engine: AsyncEngine, kind: ScopeKind) -> Log:
    """The log of a server of the same name as `log`'s, which does not know whether that one has ended."""
    return log_of(ThisNode("here", 3), engine, kind)


@pytest.fixture
def successor(engine: AsyncEngine, kind: ScopeKind) -> Log:
    """The log of a server that knows that `log`'s has ended."""
    return log_of(ThisNode("here", 4, predecessors=[1]), engine, kind)


async def test_no_two_starts_of_servers_get_the_same_incarnation_and_a_later_one_gets_a_higher_one(engine: AsyncEngine) -> None:
    at_once = await asyncio.gather(*(SqlIncarnations(engine).next_incarnation() for _ in range(8)))
    assert len({*at_once}) == 8
    assert await SqlIncarnations(engine).next_incarnation() > max(at_once)


async def test_a_server_of_the_same_name_changes_nothing_of_a_call(log: Log, namesake: Log, engine: AsyncEngine) -> None:
    ringing, talking = await log.call(), await log.call()
    await log.answered(talking, after(1))
    await log.heartbeat([talking], after(5))
    before = [await columns(engine, call_id) for call_id in (ringing, talking)]
    assert await namesake.close_own() == 0
    await namesake.take_over([ringing, talking])
    await namesake.updated(ringing, "voice")
    assert {*await namesake.heartbeat([ringing, talking], after(10))} == {ringing, talking}
    with pytest.raises(TakenOver):
        await namesake.answered(ringing, after(2))
    for call_id in (ringing, talking):
        with pytest.raises(TakenOver):
            await namesake.ended(call_id, after(3), "hangup")
    assert [await columns(engine, call_id) for call_id in (ringing, talking)] == before


async def test_a_successor_closes_what_the_server_before_it_left_open(log: Log, successor: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(1))
    await log.heartbeat([call_id], after(5))
    assert await successor.close_own() == 1
    closing = ("status", "ended_at", "duration_seconds", "end_reason")
    assert tuple((await columns(engine, call_id, *closing)).values()) == ("ended", after(5), 4, "expired")


async def test_one_that_is_stopped_and_wakes_up_after_a_takeover_writes_nothing(
    log: Log, successor: Log, engine: AsyncEngine
) -> None:
    call_id = await log.call()
    await successor.take_over([call_id])
    await successor.answered(call_id, after(2))
    before = await columns(engine, call_id)
    assert before["owner_epoch"] == 4
    with pytest.raises(TakenOver):
        await log.answered(call_id, after(3))
    with pytest.raises(TakenOver):
        await log.ended(call_id, after(4), "hangup")
    assert [*await log.heartbeat([call_id], after(5))] == [call_id]
    assert await columns(engine, call_id) == before
    assert await successor.ended(call_id, after(12), "hangup") == 10


async def test_what_another_server_took_for_abandoned_still_is_its_owners(log: Log, other_log: Log, engine: AsyncEngine) -> None:
    call_id = await log.call()
    assert await other_log.close_stale(await other_log.signs([])) == 1
    with pytest.raises(TakenOver):
        await other_log.ended(call_id, after(4), "hangup")
    assert [*await log.heartbeat([call_id], after(5))] == []
    assert await columns(engine, call_id, "status", "owner_epoch") == {"status": "initiated", "owner_epoch": 1}


async def test_a_call_that_was_taken_over_meanwhile_is_not_closed_as_stale(log: Log, other_log: Log, successor: Log) -> None:
    call_id = await log.call()
    found = await other_log._open_calls(OF_KIND[log.kind].calls.call_id == call_id)
    await successor.take_over([call_id])
    assert await other_log._close(found) == 0


async def test_of_two_servers_that_succeed_one_that_died_in_mid_call_one_has_the_call(
    log: Log, other_log: Log, namesake: Log, engine: AsyncEngine
) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(1))
    won = await asyncio.gather(other_log.succeed(call_id, 1), namesake.succeed(call_id, 1))
    assert sorted(won) == [False, True]
    winner, loser = (other_log, namesake) if won[0] else (namesake, other_log)
    with pytest.raises(TakenOver):
        await log.ended(call_id, after(3), "hangup")
    with pytest.raises(TakenOver):
        await loser.ended(call_id, after(3), "hangup")
    assert await winner.ended(call_id, after(11), "hangup") == 10
    assert not await loser.succeed(call_id, 1)


async def test_a_call_that_was_closed_as_expired_before_it_was_succeeded_is_open_again(
    log: Log, other_log: Log, namesake: Log, engine: AsyncEngine
) -> None:
    call_id = await log.call()
    await log.answered(call_id, after(1))
    assert await other_log.close_stale(await other_log.signs([])) == 1
    assert await namesake.succeed(call_id, 1)
    assert await columns(engine, call_id, "status", "ended_at", "owner_epoch") == {
        "status": "answered",
        "ended_at": None,
        "owner_epoch": 3,
    }


async def test_a_call_that_has_ended_or_never_was_is_not_succeeded(log: Log, namesake: Log) -> None:
    call_id = await log.call()
    await log.ended(call_id, after(3), "cancelled")
    assert not await namesake.succeed(call_id, 1)
    assert not await namesake.succeed("5c" * 16, 1)


async def test_a_row_that_is_gone_is_not_another_servers(log: Log) -> None:
    with pytest.raises(LostRace) as raised:
        await log.answered("5c" * 16, after(1))
    assert not isinstance(raised.value, TakenOver)
    assert [*await log.heartbeat(["5c" * 16], after(1))] == []


async def test_calls_of_an_earlier_version_are_closed_by_the_name_of_their_server(
    log: Log, other_log: Log, namesake: Log, engine: AsyncEngine
) -> None:
    """That version wrote no incarnation."""
    table = OF_KIND[log.kind].calls
    here, there = await log.call(), await other_log.call()
    async with engine.begin() as connection:
        await connection.execute(update(table).values(owner_epoch=None))
    assert await namesake.close_own() == 1
    assert await columns(engine, here, "end_reason") == {"end_reason": "expired"}
    assert await columns(engine, there, "status") == {"status": "initiated"}


async def test_what_an_earlier_version_left_in_its_journal_is_written_by_this_one(
    other_log: Log, namesake: Log, engine: AsyncEngine
) -> None:
    call_id = await other_log.call()
    async with engine.begin() as connection:
        await connection.execute(update(OF_KIND[other_log.kind].calls).values(owner_epoch=None))
    await namesake.take_over([call_id])
    assert await namesake.ended(call_id, after(4), "hangup", answered_at=after(1)) == 3


@pytest.mark.parametrize("changing", ["answered", "ended", "heartbeat"])
async def test_the_fence_costs_no_other_look_at_the_table(log: Log, engine: AsyncEngine, changing: str) -> None:
    call_id = await log.call()
    if changing == "answered":
        plan = await plans(engine, log.answered(call_id, after(1)))
    elif changing == "ended":
        plan = await plans(engine, log.ended(call_id, after(1), "hangup"))
    else:
        plan = await plans(engine, log.heartbeat([call_id], after(1)))
    assert "Seq Scan" not in plan
    assert "SCAN" not in plan
