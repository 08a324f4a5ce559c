"""Several worker processes: calls are spread over them, and the death of one is the end of its own calls only."""

import asyncio
import contextlib
import inspect
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from relay.errors import ConfigurationError
from relay.media.api import MediaEngine, TransportClosed, TransportParameters, WorkerLost
from relay.media.engine import LocalEngine
from relay.workers import pool as pool_module
from relay.workers import process as process_module
from relay.workers.pool import WorkerPool
from tests.kit.media import IPV4, MediaPeer, RunningEngine, rtp_packet, still_talk
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers


class RunningPool(RunningEngine):
    """A pool that serves until its context ends, and the peers that tests made for it."""

    def __init__(self, workers: int, port: int = 0) -> None:
        super().__init__()
        self.pool = WorkerPool(self.events.append, workers, [IPV4], port)
        self.engine = cast(LocalEngine, self.pool)  # the same interface

    @property
    def pids(self) -> list[int]:
        """Of the workers that are up."""
        return [one.pid for one in self.pool.workers if one.pid is not None]

    async def call_of(self, router: str) -> tuple[MediaPeer, MediaPeer]:
        """Two peers that are routed and up."""
        names = f"{router} first", f"{router} second"
        first, second = [await self.peer(name, router=router) for name in names]
        await self.pool.route(router, names)
        await self.connect(first, second)
        return first, second

    async def replaced(self, pid: int) -> None:
        """Wait until another process is in the place of that one."""
        count = len(self.pool.workers)
        await eventually(lambda: pid not in self.pids and len(self.pids) == count, "another worker takes its place")

    async def ended(self, *transport_ids: str) -> None:
        """Wait until these, and only these, were said to be gone with their worker."""
        expected = {TransportClosed(one, "worker_lost") for one in transport_ids}

        def gone() -> set[TransportClosed]:
            return {one for one in self.events if isinstance(one, TransportClosed)}

        await eventually(lambda: len(gone()) >= len(expected), lambda: f"{expected}, but {self.events}")
        assert gone() == expected


@contextlib.asynccontextmanager
async def running(workers: int = 2, port: int = 0) -> AsyncIterator[RunningPool]:
    """A pool on this machine's loopback address."""
    self = RunningPool(workers, port)
    try:
        await self.pool.start()
        yield self
    finally:
        for peer in self._peers:
            await peer.vanish()
        await self.pool.close()


@pytest.fixture
async def relay() -> AsyncIterator[RunningPool]:
    async with running() as relay:
        yield relay


def port_of(parameters: TransportParameters) -> int:
    [candidate] = parameters.candidates
    return candidate.port


def free_ports(count: int) -> int:
    """The first of so many UDP ports in a row that nobody uses."""
    for first in range(random.randrange(20_000, 30_000), 60_000, count):
        with contextlib.ExitStack() as opened, contextlib.suppress(OSError):
            for port in range(first, first + count):
                opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind((IPV4, port))
            return first
    raise AssertionError("no free ports")


def read_process(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return read_process(pid, "stat").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- the interface ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, _ in inspect.getmembers(MediaEngine, inspect.iscoroutinefunction)])
def test_the_pool_has_every_method_of_the_interface(name: str) -> None:
    assert inspect.signature(getattr(WorkerPool, name)) == inspect.signature(getattr(MediaEngine, name))


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


async def test_what_is_unknown_is_an_error_but_for_those_who_close_it(relay: RunningPool) -> None:
    with pytest.raises(KeyError):
        await relay.pool.route("nothing", ("one", "two"))
    first = await relay.peer("one", router="call")
    with pytest.raises(KeyError):
        await relay.pool.connect_transport("nobody", first.parameters, ())
    await relay.pool.close_transport("nobody")
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


async def test_new_calls_go_to_the_others_meanwhile(relay: RunningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "RESTART_FIRST", 60.0)
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


async def test_a_call_waits_for_the_restart_when_no_worker_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "OPEN_PATIENCE", 20.0)
    async with running(workers=1) as relay:
        [victim] = relay.pids
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: not relay.pids, "the death is noticed")
        await asyncio.gather(relay.pool.open_transport("call", "one"), relay.pool.open_transport("call", "two"))
        assert [(worker.routers, worker.transports) for worker in relay.pool.workers] == [(1, 2)]


async def test_a_call_is_refused_when_no_worker_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "OPEN_PATIENCE", 0.1)
    monkeypatch.setattr(pool_module, "RESTART_FIRST", 60.0)
    async with running(workers=1) as relay:
        os.kill(relay.pids[0], signal.SIGKILL)
        await eventually(lambda: not relay.pids, "the death is noticed")
        with pytest.raises(WorkerLost, match="no media worker is running"):
            await relay.pool.open_transport("call", "one")


async def test_a_worker_that_hangs_is_killed_and_replaced(
    relay: RunningPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process_module, "ANSWER_TIMEOUT", 0.2)
    await relay.pool.open_transport("call", "transport")
    victim = relay.pids[0]
    os.kill(victim, signal.SIGSTOP)
    await relay.ended("transport")
    await relay.replaced(victim)
    assert not is_running(victim)
    assert f"media worker 0 (process {victim}) hangs, and is killed" in caplog.text
    assert f"media worker 0 (process {victim}) has died (SIGKILL): 1 calls lost" in caplog.text


async def test_a_port_that_somebody_takes_meanwhile_is_tried_again_until_it_is_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
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


async def test_a_sink_that_fails_keeps_nobody_from_restarting(caplog: pytest.LogCaptureFixture) -> None:
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


async def stops_answering(relay: RunningPool, number: int = 0) -> int:
    """Stop a worker, and wait until it is known; its process."""
    pid = relay.pids[number]
    os.kill(pid, signal.SIGSTOP)
    await eventually(lambda: not relay.pool.workers[number].answering, "it is known to hang")
    return pid


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
    """It hangs, and nobody knows it yet."""
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


async def test_a_call_is_refused_while_no_worker_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "OPEN_PATIENCE", 0.1)
    async with running(workers=1) as relay:
        pid = await stops_answering(relay)
        with pytest.raises(WorkerLost, match="no media worker answers"):
            await relay.pool.open_transport("call", "transport")
        os.kill(pid, signal.SIGCONT)
        await eventually(lambda: relay.pool.workers[0].answering, "it answers again")
        await relay.pool.open_transport("call", "transport")


# -- counters ---------------------------------------------------------------------------------------------------------


async def test_counters_add_up_over_the_workers(relay: RunningPool, no_errors_logged: None) -> None:
    for router in ("one", "other"):
        first, second = await relay.call_of(router)
        await still_talk(first, second)
    counted = await relay.counted()
    assert counted["transports_opened"] == counted["dtls_handshakes"] == 4
    assert counted["packets_received"] == counted["packets_sent"] == 4
    assert "workers_lost" not in counted


async def test_what_a_worker_counted_outlives_it(relay: RunningPool) -> None:
    await relay.pool.open_transport("one", "a")
    await relay.pool.open_transport("other", "b")
    assert (await relay.counted())["transports_opened"] == 2
    victim = relay.pids[0]
    os.kill(victim, signal.SIGKILL)
    await relay.replaced(victim)
    counted = await relay.counted()
    assert (counted["transports_opened"], counted["workers_lost"]) == (2, 1)


async def test_counters_are_read_even_if_nobody_asks(relay: RunningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_module, "POLL_INTERVAL", 0.05)
    await relay.pool.open_transport("call", "transport")
    await eventually(lambda: relay.pool._alive[0].counted.get("transports_opened") == 1, "the counters are read")


async def test_a_worker_that_hangs_does_not_hold_up_the_counters(relay: RunningPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "SCRAPE_TIMEOUT", 0.1)
    await relay.pool.open_transport("one", "a")
    await relay.pool.open_transport("other", "b")
    assert (await relay.counted())["transports_opened"] == 2
    os.kill(relay.pids[0], signal.SIGSTOP)
    assert (await relay.counted())["transports_opened"] == 2


# -- start and end ----------------------------------------------------------------------------------------------------


async def test_each_worker_has_its_own_port_from_the_first_on() -> None:
    port = free_ports(3)
    async with running(workers=3, port=port) as relay:
        opened = [await relay.pool.open_transport(f"call {n}", f"transport {n}") for n in range(3)]
        assert [port_of(one) for one in opened] == [port, port + 1, port + 2]


async def test_a_port_that_is_taken_stops_the_start_and_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = note_processes(monkeypatch)
    port = free_ports(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((IPV4, port + 1))
        with pytest.raises(
            ConfigurationError, match=f"^media cannot listen on UDP 127.0.0.1 port {port + 1}: Address already in use$"
        ):
            async with running(port=port):
                pass
    assert len(started) == 2
    assert not any(map(is_running, started))


async def test_ports_that_do_not_exist_stop_the_start() -> None:
    with pytest.raises(ConfigurationError, match="2 media workers need the UDP ports up to 65536, above 65535"):
        async with running(port=65_535):
            pass


async def test_a_program_that_cannot_be_started_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigurationError, match=r"no worker process can be started: .*No such file"):
        async with running():
            pass


async def test_a_worker_that_ends_before_it_listens_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ConfigurationError, match=r"worker 0 ended \(status 1\) before it listened"):
        async with running():
            pass


async def test_a_start_that_is_given_up_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = note_processes(monkeypatch)
    pool = WorkerPool(lambda _: None, 2, [IPV4])
    starting = asyncio.create_task(pool.start())
    await eventually(lambda: len(started) == 2, "the processes are started")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not any(map(is_running, started))


async def test_closing_leaves_no_process_and_frees_the_ports_within_a_second() -> None:
    port = free_ports(2)
    async with running(port=port) as relay:
        await relay.call_of("call")
        pids = relay.pids
        began = time.monotonic()
        await relay.pool.close()
        assert time.monotonic() - began < 1
    assert len(pids) == 2
    assert not any(map(is_running, pids))
    for number in (port, port + 1):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind((IPV4, number))


async def test_closing_does_not_wait_for_a_worker_that_hangs() -> None:
    async with running() as relay:
        pids = relay.pids
        os.kill(pids[0], signal.SIGSTOP)
        began = time.monotonic()
        await relay.pool.close()
        assert time.monotonic() - began < 1
    assert not any(map(is_running, pids))


async def test_closing_in_the_middle_of_a_restart_leaves_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(workers=1) as relay:
        started = note_processes(monkeypatch)
        os.kill(relay.pids[0], signal.SIGKILL)
        await eventually(lambda: started, "another process is started")
    assert len(started) == 1
    assert not is_running(started[0])


async def test_workers_get_our_log_level_and_none_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setenv("RELAY_JWT_SECRET", "s" * 32)
    monkeypatch.setenv("SOMETHING_ELSE", "stays")
    async with running(workers=1) as relay:
        environment, command = read_process(relay.pids[0], "environ"), read_process(relay.pids[0], "cmdline")
    assert f'"log_level":{logging.WARNING}' in command
    assert "SOMETHING_ELSE=stays" in environment
    assert "RELAY_" not in environment


PARENT = """
import asyncio
from relay.workers.pool import WorkerPool
from relay.workers.worker import fastest_loop

async def main():
    pool = WorkerPool(print, 2, ["127.0.0.1"])
    await pool.start()
    for number in range(4):
        await pool.open_transport(f"call {number}", f"transport {number}")
    print(*(one.pid for one in pool.workers), flush=True)
    await asyncio.Event().wait()

with asyncio.Runner(loop_factory=LOOP) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop", ["None", "fastest_loop()"])
async def test_no_worker_outlives_the_process_that_started_it(loop: str) -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT.replace("LOOP", loop), stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
    assert len(pids) == 2
    assert all(map(is_running, pids))
    parent.kill()
    await parent.communicate()
    await eventually(lambda: not any(map(is_running, pids)), "the workers end")


FORKING_PARENT = """
import os, socket, subprocess, sys, time
from relay.workers.worker import Assignment
import msgspec
ours, theirs = socket.socketpair()
what = Assignment(
    number=0, parent=os.getpid(), descriptor=theirs.fileno(), hosts=("127.0.0.1",), port=0, log_level=30
)
command = [sys.executable, "-m", "relay.workers.worker", msgspec.json.encode(what)]
worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
theirs.close()
fork = os.fork()
if fork == 0:
    os.close(1)
    time.sleep(60)
print(worker.pid, fork, flush=True)
time.sleep(60)
"""


async def test_a_worker_outlives_its_parent_not_even_if_a_fork_keeps_the_channel_open() -> None:
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", FORKING_PARENT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    worker, fork = map(int, (await parent.stdout.readline()).split())
    try:
        assert is_running(worker)
        parent.kill()
        await parent.wait()
        await eventually(lambda: not is_running(worker), "the worker ends")
    finally:
        os.kill(fork, signal.SIGKILL)
        await parent.communicate()


def note_processes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the processes that are started from here on."""
    started = []
    create = asyncio.create_subprocess_exec

    async def noted(*args: Any, **kwargs: Any) -> asyncio.subprocess.Process:
        process = await create(*args, **kwargs)
        started.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
    return started
