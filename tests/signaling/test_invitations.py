"""From the invitation to the answer, where the order of things matters; in virtual time. (What needs a database: test_calls.)"""

import asyncio

from tests.signaling.exchange import MemoryExchange, in_memory
from tests.signaling.people import HANG_UP, STUDENT, TUTOR, answer, invitation


@in_memory
async def test_a_caller_who_calls_again_just_when_the_callee_answers_hangs_up(exchange: MemoryExchange) -> None:
    """The answer was first: what was answered cannot be cancelled."""
    caller, callee = await exchange.ringing()
    await asyncio.gather(exchange.say(caller, invitation(TUTOR)), exchange.say(callee, answer()))
    first, second = await exchange.ends()
    assert first == (456, "ended", "hangup")
    assert second == (456, "initiated", None)
    assert callee.types()[-2:] == ["call_ended hangup", "call_invitation"]


@in_memory
async def test_a_tab_that_hangs_up_for_a_device_that_is_gone_is_told_of_the_end(exchange: MemoryExchange) -> None:
    """Clients of five messages cannot come back; the call is anybody's of their profile."""
    tab = await exchange.connect(STUDENT, version=1)
    caller, callee = await exchange.answered(version=1)
    await exchange.lose(caller)
    await exchange.say(tab, HANG_UP)
    assert tab.types() == ["call_state ended"]
    assert callee.types()[-1] == "call_ended hangup"
