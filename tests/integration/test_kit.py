"""The instruments of these tests, tested."""

import asyncio

import pytest

from tests.kit.clock import NothingLeftToHappen, in_virtual_time
from tests.kit.wait import eventually


@in_virtual_time
async def test_virtual_time_jumps_to_the_next_timer() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(3600)
    assert loop.time() == pytest.approx(3600)


@in_virtual_time
async def test_timers_fire_in_the_order_of_their_deadlines() -> None:
    fired: list[tuple[str, float]] = []
    loop = asyncio.get_running_loop()

    async def note(name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        fired.append((name, round(loop.time(), 6)))

    await asyncio.gather(note("ring", 45), note("grace", 5), note("consent", 0.5))
    assert fired == [("consent", 0.5), ("grace", 5.0), ("ring", 45.0)]


@in_virtual_time
async def test_a_timeout_expires_in_virtual_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == pytest.approx(30)


@in_virtual_time
async def test_work_that_is_ready_runs_before_time_moves() -> None:
    steps: list[int] = []

    async def step_by_step() -> None:
        for number in range(100):
            await asyncio.sleep(0)
            steps.append(number)

    task = asyncio.create_task(step_by_step())
    await asyncio.sleep(0.001)
    assert task.done()
    assert len(steps) == 100


def test_waiting_for_an_event_that_cannot_happen_fails_at_once() -> None:
    @in_virtual_time
    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(NothingLeftToHappen):
        wait_for_ever()


@in_virtual_time
async def test_eventually_returns_the_value_that_became_true() -> None:
    answers = iter([None, None, "yes"])
    assert await eventually(lambda: next(answers), "an answer") == "yes"


@in_virtual_time
async def test_eventually_awaits_a_coroutine_function() -> None:
    async def number() -> int:
        await asyncio.sleep(1)
        return 42

    assert await eventually(number, "a number") == 42


@in_virtual_time
async def test_eventually_names_the_condition_that_did_not_become_true() -> None:
    with pytest.raises(AssertionError, match=r"not within 5 s: the call is over \(last seen: 0\)"):
        await eventually(lambda: 0, "the call is over", within=5)
