"""What a pool can be asked, how it starts its worker processes, and that none of them outlives it."""

import asyncio
import inspect
import logging
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from relay.errors import ConfigurationError
from relay.media.api import MediaEngine
from relay.workers.pool import WorkerPool
from tests.kit.children import child
from tests.kit.media import IPV4
from tests.kit.wait import eventually
from tests.workers.kit import free_ports, is_running, note_processes, port_of, read_process, running

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("name", [name for name, _ in inspect.getmembers(MediaEngine, inspect.iscoroutinefunction)])
def test_the_pool_has_every_method_of_the_interface(name: str) -> None:
    assert inspect.signature(getattr(WorkerPool, name)) == inspect.signature(getattr(MediaEngine, name))


async def test_each_worker_has_its_own_port_from_the_first_on() -> None:
    port = free_ports(3)
    # A machine that is busy may keep a worker from answering, and then calls go elsewhere.
    async with running(workers=3, port=port, answer_fresh=60.0) as relay:
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
from relay.media.api import MediaEngine
from relay.workers.pool import WorkerPool
from relay.interpreter import fastest_loop

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
    async with child(sys.executable, "-c", PARENT.replace("LOOP", loop), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in (await parent.stdout.readline()).split()]
        assert len(pids) == 2
        assert all(map(is_running, pids))
        parent.kill()
        await eventually(lambda: not any(map(is_running, pids)), "the workers end")


FORKING_PARENT = """
import os, socket, subprocess, sys, time
from relay.workers.assignment import Assignment
import msgspec
ours, theirs = socket.socketpair()
what = Assignment(
    number=0, parent=os.getpid(), descriptor=theirs.fileno(), hosts=("127.0.0.1",), port=0, log_level=30
)
command = [sys.executable, "-m", "relay.workers", msgspec.json.encode(what)]
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
    async with child(sys.executable, "-c", FORKING_PARENT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        worker, _ = map(int, (await parent.stdout.readline()).split())
        assert is_running(worker)
        parent.kill()
        await eventually(lambda: not is_running(worker), "the worker ends")
