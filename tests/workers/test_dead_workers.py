"""The death of a worker, and one that hangs: its own calls end, the others go on."""

import asyncio
import contextlib
import os
import signal
import socket

import pytest

from relay.media.api import WorkerLost
from relay.workers.pool import WorkerPool
from tests.kit.media import IPV4, still_talk
from tests.kit.wait import eventually
from tests.workers.kit import RunningPool, free_ports, is_running, port_of, running, stops_answering

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("dead_workers")]


# -- the death of a worker --------------------------------------------------------------------------------------------


async def test_a_worker_that_is_killed_ends_its_own_calls_and_no_other(relay: RunningPool) -> None:
    await relay.call_of("one")
    others = await relay.call_of("other")
    os.kill(relay.pids[0], signal.SIGKILL)
    await relay.ended("one first", "one second")
    await still_talk(*others)


async def test_another_process_takes_calls_on_the_port_of_the_dead_one() -> None:
    port = free_ports(2)
    async with running(port=port) as relay:
        victim = relay.pids[1]
        await relay.pool.open_transport("at the first", "transport")
        os.kill(victim, signal.SIGKILL)
        await relay.replaced(victim)
        first, second = await relay.call_of("new")
        assert port_of(first.relay) == port_of(second.relay) == port + 1
        await still_talk(first, second)


async def test_new_calls_go_to_the_others_meanwhile() -> None:
    async with running(restart_first=60.0) as relay:
        survivor = relay.pids[1]
        port = port_of(await relay.pool.open_transport("first", "first"))
        os.kill(relay.pids[0], signal.SIGKILL)
        await relay.ended("first")
        opened = [await relay.pool.open_transport(f"call {number}", f"transport {number}") for number in range(3)]
        assert port not in map(port_of, opened)
        assert relay.pids == [survivor]


async def test_a_call_whose_worker_has_died_is_lost_until_it_is_closed(relay: RunningPool) -> None:
    first, _ = await relay.call_of("call")
    os.kill(relay.pids[0], signal.SIGKILL)
    await relay.ended("call first", "call second")
    with pytest.raises(WorkerLost):
        await relay.pool.open_transport("call", "late")
    with pytest.raises(WorkerLost):
        await relay.pool.route("call", ("call first", "call second"))
    with pytest.raises(WorkerLost):
        await relay.pool.connect_transport("call first", first.parameters, ())
    await relay.pool.close_transport("call first")
    await relay.pool.close_router("call")
    await relay.pool.open_transport("call", "anew")


async def test_a_call_under_way_when_its_worker_dies_gets_an_error(relay: RunningPool) -> None:
    os.kill(relay.pids[0], signal.SIGSTOP)
    opening = asyncio.create_task(relay.pool.open_transport("call", "transport"))
    await eventually(lambda: relay.pool.workers[0].transports == 1, "the call is under way")
    os.kill(relay.pids[0], signal.SIGKILL)
    with pytest.raises(WorkerLost):
        await opening
    assert relay.events == []
    await relay.pool.close_router("call")


async def test_a_call_waits_for_the_restart_when_no_worker_is_there() -> None:
    async with running(workers=1, open_patience=20.0) as relay:
        [victim] = relay.pids
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: not relay.pids, "the death is noticed")
        await asyncio.gather(relay.pool.open_transport("call", "one"), relay.pool.open_transport("call", "two"))
        assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(1, 2)]


async def test_a_call_is_refused_when_no_worker_comes_back() -> None:
    async with running(workers=1, open_patience=0.1, restart_first=60.0) as relay:
        os.kill(relay.pids[0], signal.SIGKILL)
        await eventually(lambda: not relay.pids, "the death is noticed")
        with pytest.raises(WorkerLost, match="no media worker is running"):
            await relay.pool.open_transport("call", "one")


async def test_what_a_worker_counted_outlives_it(relay: RunningPool) -> None:
    await relay.pool.open_transport("one", "a")
    await relay.pool.open_transport("other", "b")
    assert (await relay.counted())["transports_opened"] == 2
    victim = relay.pids[0]
    os.kill(victim, signal.SIGKILL)
    await relay.replaced(victim)
    counted = await relay.counted()
    assert (counted["transports_opened"], counted["workers_lost"]) == (2, 1)


async def test_a_worker_that_hangs_is_killed_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    async with running(answer_timeout=0.2) as relay:
        await relay.pool.open_transport("call", "transport")
        victim = relay.pids[0]
        os.kill(victim, signal.SIGSTOP)
        await relay.ended("transport")
        await relay.replaced(victim)
        assert not is_running(victim)
    assert f"media worker 0 (process {victim}) hangs, and is killed" in caplog.text
    assert f"media worker 0 (process {victim}) has died (SIGKILL): 1 calls lost" in caplog.text


async def test_a_port_that_another_process_takes_meanwhile_is_tried_again_until_it_is_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = free_ports(1)
    async with running(workers=1, port=port) as relay:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            os.kill(relay.pids[0], signal.SIGKILL)

            def take() -> bool:
                with contextlib.suppress(OSError):
                    taken.bind((IPV4, port))
                    return True
                return False

            await eventually(take, "the port is free")
            await eventually(lambda: "does not start again" in caplog.text, "the first attempt fails")
            assert "Address already in use" in caplog.text
        await eventually(lambda: relay.pids, "the worker is back")


async def test_a_sink_that_fails_does_not_keep_workers_from_restarting(caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("not now")

    pool = WorkerPool(refuse, 1, [IPV4])
    await pool.start()
    try:
        await pool.open_transport("call", "transport")
        [victim] = pool.workers
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        await eventually(lambda: pool.workers[0].pid not in (None, victim.pid), "another worker takes its place")
        assert "the loss of transport transport could not be taken" in caplog.text
    finally:
        await pool.close()


# -- a worker that hangs ----------------------------------------------------------------------------------------------


async def test_new_calls_go_to_the_workers_that_answer(relay: RunningPool) -> None:
    await stops_answering(relay)
    opened = await asyncio.gather(*(relay.pool.open_transport(f"call {n}", f"transport {n}") for n in range(4)))
    assert {port_of(one) for one in opened} == {relay.pool.ports[1]}
    assert [(worker.routers, worker.answering) for worker in relay.pool.workers] == [(0, False), (4, True)]


async def test_a_worker_that_goes_on_gets_calls_again(relay: RunningPool, caplog: pytest.LogCaptureFixture) -> None:
    pid = await stops_answering(relay)
    await eventually(lambda: "media worker 0 does not answer" in caplog.text, "it is said")
    os.kill(pid, signal.SIGCONT)
    await eventually(lambda: relay.pool.workers[0].answering, "it answers again")
    opened = [await relay.pool.open_transport(f"call {n}", f"transport {n}") for n in range(2)]
    assert {port_of(one) for one in opened} == set(relay.pool.ports)
    assert relay.pids[0] == pid
    counted = await relay.counted()
    assert counted["workers_unresponsive"] == 1


async def test_a_call_that_a_worker_does_not_open_is_opened_by_another_one(relay: RunningPool) -> None:
    """It hangs, and the pool has not noticed yet."""
    pid = relay.pids[0]
    os.kill(pid, signal.SIGSTOP)
    assert relay.pool.workers[0].answering
    opened = await relay.pool.open_transport("call", "transport")
    assert port_of(opened) == relay.pool.ports[1]
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(0, 0), (1, 1)]
    os.kill(pid, signal.SIGCONT)
    await eventually(lambda: relay.pool.workers[0].answering, "it answers again")

    async def forgotten() -> bool:
        counted = await relay.counted()
        return (counted["transports_opened"], counted["transports_closed"], counted["calls_rehomed"]) == (2, 1, 1)

    await eventually(forgotten, "what it opened late is closed")
    await relay.pool.open_transport("call", "other device")
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(0, 0), (1, 2)]


async def test_a_call_is_refused_while_no_worker_answers() -> None:
    async with running(workers=1, open_patience=0.1) as relay:
        pid = await stops_answering(relay)
        with pytest.raises(WorkerLost, match="no media worker answers"):
            await relay.pool.open_transport("call", "transport")
        os.kill(pid, signal.SIGCONT)
        await eventually(lambda: relay.pool.workers[0].answering, "it answers again")
        await relay.pool.open_transport("call", "transport")
