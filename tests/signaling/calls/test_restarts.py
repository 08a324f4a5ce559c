"""ICE restarts within a call, in virtual time."""

import asyncio

import pytest

from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_ANSWER, VOICE_OFFER, plain, seen
from tests.signaling.calls.negotiating import REJECT, RESTART, given, setup
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    answered,
    error,
    offered,
)


@in_memory
async def test_an_offer_with_new_ice_credentials_is_answered_with_new_ones(harness: MemoryHarness) -> None:
    """RFC 8839 section 4.4.1.1.1. The other party hears of the offer and keeps its own."""
    caller, callee = await harness.connected()
    before = seen(caller.last("call_answer")["answer"]["sdp"])[0]
    theirs = seen(callee.last("call_invitation")["offer"]["sdp"])[0]
    await harness.say(caller, offered(plain("audio", ufrag="Efgh")))
    assert seen(given(callee, "offer"))[0].ufrag == theirs.ufrag
    await harness.say(callee, answered(VOICE_ANSWER))
    after = seen(given(caller, "answer"))[0]
    assert after.ufrag != before.ufrag
    assert after.pwd != before.pwd
    assert after.fingerprints == before.fingerprints
    # The next one without a restart keeps them.
    await harness.say(caller, offered(plain("audio", ufrag="Efgh")))
    await harness.say(callee, answered(VOICE_ANSWER))
    assert seen(given(caller, "answer"))[0].ufrag == after.ufrag


@in_memory
async def test_ice_restarts_that_come_to_nothing_leave_the_credentials_that_media_flows_by(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    before = seen(caller.last("call_answer")["answer"]["sdp"])[0]
    for ufrag in ("Efgh", "Ijkl", "Mnop"):
        await harness.say(caller, offered(plain("audio", ufrag=ufrag)))
        await harness.say(callee, REJECT)
    await harness.say(caller, offered(VOICE_OFFER))
    await harness.say(callee, answered(VOICE_ANSWER))
    assert seen(given(caller, "answer"))[0].ufrag == before.ufrag


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_a_party_restarts_ice_on_its_own_leg_and_the_other_hears_nothing(harness: MemoryHarness, side: int) -> None:
    parties = await harness.connected()
    mine, theirs = parties[side], parties[1 - side]
    await harness.say(mine, offered(VIDEO_OFFER))
    await harness.say(theirs, answered(VIDEO_ANSWER))
    heard = len(theirs.received)
    before = seen(given(mine, "answer"))[0]
    await harness.say(mine, RESTART)
    offer = given(mine, "offer")
    assert len(seen(offer)) == 2
    assert seen(offer)[0].ufrag != before.ufrag
    assert setup(offer) == "actpass"
    await harness.say(mine, answered(VIDEO_ANSWER.replace("Abcd", "Efgh")))
    assert len(theirs.received) == heard
    assert mine.types()[-1] == "call_update offer"
    await harness.say(theirs, offered(VIDEO_OFFER))
    assert mine.types()[-1] == "call_update offer"


@in_memory
async def test_a_restart_waits_for_an_offer_that_is_under_way(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    for client in (caller, callee):
        await harness.say(client, RESTART)
        assert error(client) == "update_glare"


@in_memory
async def test_an_unanswered_restart_is_forgotten(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, RESTART)
    await asyncio.sleep(15.1)
    assert caller.types()[-1] == "call_update expired"
    await harness.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"
