"""ICE restarts within a call, in virtual time."""

import asyncio

import pytest

from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_ANSWER, VOICE_OFFER, plain, seen
from tests.signaling.calls.negotiating import REJECT, RESTART, given, setup
from tests.signaling.exchange import MemoryExchange, in_memory
from tests.signaling.people import (
    answered,
    error,
    offered,
)


@in_memory
async def test_an_offer_with_new_ice_credentials_is_answered_with_new_ones(exchange: MemoryExchange) -> None:
    """RFC 8839 section 4.4.1.1.1. The other party hears of the offer and keeps its own."""
    caller, callee = await exchange.connected()
    before = seen(caller.last("call_answer")["answer"]["sdp"])[0]
    theirs = seen(callee.last("call_invitation")["offer"]["sdp"])[0]
    await exchange.say(caller, offered(plain("audio", ufrag="Efgh")))
    assert seen(given(callee, "offer"))[0].ufrag == theirs.ufrag
    await exchange.say(callee, answered(VOICE_ANSWER))
    after = seen(given(caller, "answer"))[0]
    assert after.ufrag != before.ufrag
    assert after.pwd != before.pwd
    assert after.fingerprints == before.fingerprints
    # The next one without a restart keeps them.
    await exchange.say(caller, offered(plain("audio", ufrag="Efgh")))
    await exchange.say(callee, answered(VOICE_ANSWER))
    assert seen(given(caller, "answer"))[0].ufrag == after.ufrag


@in_memory
async def test_ice_restarts_that_come_to_nothing_leave_the_credentials_that_media_flows_by(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    before = seen(caller.last("call_answer")["answer"]["sdp"])[0]
    for ufrag in ("Efgh", "Ijkl", "Mnop"):
        await exchange.say(caller, offered(plain("audio", ufrag=ufrag)))
        await exchange.say(callee, REJECT)
    await exchange.say(caller, offered(VOICE_OFFER))
    await exchange.say(callee, answered(VOICE_ANSWER))
    assert seen(given(caller, "answer"))[0].ufrag == before.ufrag


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_a_party_restarts_ice_on_its_own_leg_and_the_other_hears_nothing(exchange: MemoryExchange, side: int) -> None:
    parties = await exchange.connected()
    mine, theirs = parties[side], parties[1 - side]
    await exchange.say(mine, offered(VIDEO_OFFER))
    await exchange.say(theirs, answered(VIDEO_ANSWER))
    heard = len(theirs.received)
    before = seen(given(mine, "answer"))[0]
    await exchange.say(mine, RESTART)
    offer = given(mine, "offer")
    assert len(seen(offer)) == 2
    assert seen(offer)[0].ufrag != before.ufrag
    assert setup(offer) == "actpass"
    await exchange.say(mine, answered(VIDEO_ANSWER.replace("Abcd", "Efgh")))
    assert len(theirs.received) == heard
    assert mine.types()[-1] == "call_update offer"
    await exchange.say(theirs, offered(VIDEO_OFFER))
    assert mine.types()[-1] == "call_update offer"


@in_memory
async def test_a_restart_waits_for_an_offer_that_is_under_way(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    for client in (caller, callee):
        await exchange.say(client, RESTART)
        assert error(client) == "update_glare"


@in_memory
async def test_a_restart_that_nobody_answers_is_forgotten(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, RESTART)
    await asyncio.sleep(15.1)
    assert caller.types()[-1] == "call_update expired"
    await exchange.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"
