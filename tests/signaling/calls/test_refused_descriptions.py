"""Offers and answers that the relay cannot take, in virtual time."""

import asyncio

import pytest

from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_ANSWER, VOICE_OFFER, plain
from tests.signaling.calls.negotiating import RESTART, in_video
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    answered,
    error,
    offered,
)


@in_memory
async def test_an_offer_that_takes_sections_away_is_refused(harness: MemoryHarness) -> None:
    """RFC 9429 section 5.2.2."""
    caller, callee = await harness.connected()
    await in_video(harness, caller, callee)
    await harness.say(caller, offered(VOICE_OFFER))
    assert error(caller) == "invalid_sdp"
    await harness.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_an_offer_of_another_peer_connection_is_refused(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(plain("audio", certificate="0D")))
    assert error(caller) == "invalid_sdp"
    assert callee.types()[-1] == "call_state connected"


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(VOICE_ANSWER, id="fewer sections than the offer"),
        pytest.param("v=0\r\n", id="no description"),
        pytest.param(VIDEO_OFFER, id="no decision on the role"),
        pytest.param(plain("video", "audio", setup="active"), id="another order"),
        pytest.param(VIDEO_ANSWER.replace("mid:1", "mid:2").replace("BUNDLE 0 1", "BUNDLE 0 2"), id="another mid"),
        pytest.param(plain("audio", "video", setup="active", certificate="0D"), id="another peer connection"),
        pytest.param(VIDEO_ANSWER + "a=candidate 1 1 udp 1 203.0.113.9 9 typ host\r\n", id="an attribute that is none"),
    ],
)
@in_memory
async def test_an_answer_that_cannot_be_taken_may_be_given_again_in_time(harness: MemoryHarness, spoilt: str) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, answered(spoilt))
    assert error(callee) == "invalid_sdp"
    await harness.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"


@in_memory
async def test_an_answer_that_cannot_be_taken_does_not_stop_the_clock(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, answered(VIDEO_OFFER))
    await asyncio.sleep(15.1)
    assert error(caller) == "update_timeout"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(plain("video", "audio"), id="another order"),
        pytest.param(VIDEO_OFFER.replace("mid:0", "mid:a").replace("BUNDLE 0", "BUNDLE a"), id="another mid"),
        pytest.param(VIDEO_OFFER + "a=candidate 1 1 udp 1 203.0.113.9 9 typ host\r\n", id="an attribute that is none"),
    ],
)
@in_memory
async def test_an_offer_that_the_other_party_would_refuse_is_told_to_its_sender(harness: MemoryHarness, changed: str) -> None:
    caller, callee = await harness.connected()
    await in_video(harness, caller, callee)
    heard = len(callee.received)
    await harness.say(caller, offered(changed))
    assert error(caller) == "invalid_sdp"
    assert len(callee.received) == heard


@in_memory
async def test_an_answer_to_a_restart_comes_from_the_same_peer_connection(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    await harness.say(caller, RESTART)
    await harness.say(caller, answered(plain("audio", setup="active", certificate="0D")))
    assert error(caller) == "invalid_sdp"
    await harness.say(caller, answered(plain("audio", setup="active", ufrag="Efgh")))
    assert caller.types()[-1] == "error invalid_sdp", "and no other error"
