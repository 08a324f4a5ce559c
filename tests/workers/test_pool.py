"""Several worker processes behind the interface of one: calls are spread over them."""

import asyncio
import os
import signal

import pytest

from tests.kit.media import rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.workers.kit import RunningPool, port_of, running

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("pool")]


async def test_ice_restarts_through_a_worker(relay: RunningPool) -> None:
    before = await relay.pool.open_transport("call", "transport")
    after = await relay.pool.restart_transport("transport")
    assert (before.ufrag, before.pwd) != (after.ufrag, after.pwd)
    assert before.candidates == after.candidates


# -- calls ------------------------------------------------------------------------------------------------------------


async def test_a_call_through_a_worker_is_forwarded_both_ways(relay: RunningPool, no_errors_logged: None) -> None:
    first, second = await relay.call_of("call")
    packets = [rtp_packet(number) for number in range(20)]
    for packet in packets:
        first.send_rtp(packet)
    await second.receives(*packets)
    await still_talk(first, second)


async def test_two_calls_land_on_two_workers(relay: RunningPool) -> None:
    one, other = await relay.pool.open_transport("one", "a"), await relay.pool.open_transport("other", "b")
    assert port_of(one) != port_of(other)
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(1, 1), (1, 1)]


async def test_all_devices_of_a_call_are_with_the_same_worker(relay: RunningPool) -> None:
    opened = await asyncio.gather(*(relay.pool.open_transport("call", f"device {number}") for number in range(5)))
    assert len({port_of(one) for one in opened}) == 1
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(1, 5), (0, 0)]


async def test_a_call_that_ends_makes_room_for_the_next(relay: RunningPool) -> None:
    for number in range(4):
        await relay.pool.open_transport(f"call {number}", f"transport {number}")
    await relay.pool.close_router("call 0")
    await relay.pool.close_transport("transport 2")
    await relay.pool.close_transport("transport 2")
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(1, 0), (2, 2)]
    await relay.pool.open_transport("next", "next")
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(2, 1), (2, 2)]


async def test_two_hundred_calls_opened_at_once_are_spread_evenly(relay: RunningPool, no_errors_logged: None) -> None:
    opened = await asyncio.gather(*(relay.pool.open_transport(f"call {n}", f"transport {n}") for n in range(200)))
    assert len({one.ufrag for one in opened}) == 200
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(100, 100), (100, 100)]
    await asyncio.gather(*(relay.pool.close_router(f"call {n}") for n in range(200)))
    assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(0, 0), (0, 0)]


async def test_an_unknown_name_is_an_error_except_for_closing(relay: RunningPool) -> None:
    with pytest.raises(KeyError):
        await relay.pool.route("nothing", ("one", "two"))
    first = await relay.peer("one", router="call")
    with pytest.raises(KeyError):
        await relay.pool.connect_transport("unknown", first.parameters, ())
    await relay.pool.close_transport("unknown")
    await relay.pool.close_router("nothing")


async def test_an_assertion_that_fails_in_a_worker_fails_here(relay: RunningPool) -> None:
    await relay.pool.open_transport("call", "one")
    with pytest.raises(AssertionError, match="transport ids are used once"):
        await relay.pool.open_transport("call", "one")
    assert relay.pool.workers[0].transports == 1


async def test_nothing_is_heard_of_a_transport_after_it_was_closed(relay: RunningPool) -> None:
    first, second = await relay.call_of("call")
    said = list(relay.events)
    goodbyes = asyncio.gather(first.say_goodbye(), second.say_goodbye())
    await relay.pool.close_router("call")
    await goodbyes
    await relay.pool.counters()
    assert relay.events == said


# -- counters ---------------------------------------------------------------------------------------------------------


async def test_counters_add_up_over_the_workers(relay: RunningPool, no_errors_logged: None) -> None:
    for router in ("one", "other"):
        first, second = await relay.call_of(router)
        await still_talk(first, second)
    counted = await relay.counted()
    assert counted["transports_opened"] == counted["dtls_handshakes"] == 4
    assert counted["packets_received"] == counted["packets_sent"] == 4
    assert "workers_lost" not in counted


async def test_counters_are_read_even_without_a_request() -> None:
    async with running(workers=1, poll_interval=0.05) as relay:
        await relay.pool.open_transport("call", "transport")
        await eventually(lambda: relay.pool._alive[0].counted.get("transports_opened") == 1, "the counters are read")


async def test_a_worker_that_hangs_does_not_hold_up_the_counters() -> None:
    async with running(scrape_timeout=0.1) as relay:
        await relay.pool.open_transport("one", "a")
        await relay.pool.open_transport("other", "b")

        async def all_are_counted() -> bool:
            return (await relay.counted())["transports_opened"] == 2

        await eventually(all_are_counted, "the counters of both workers are known")
        os.kill(relay.pids[0], signal.SIGSTOP)
        assert await all_are_counted()
