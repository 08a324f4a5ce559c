"""A page that was loaded anew, or another device, takes its call over, in virtual time."""

import asyncio

import pytest

from relay.media.api import TransportDown, TransportUp, WorkerLost
from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_ANSWER, VOICE_OFFER, plain, seen
from tests.signaling.calls.negotiating import PASSIVE_ANSWER, REJECT, REJOIN, RESTART, given, in_video, setup, version
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    HANG_UP,
    LESSON,
    STUDENT,
    TUTOR,
    answer,
    answered,
    error,
    frame,
    invitation,
    offered,
)


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_a_page_that_was_loaded_anew_has_its_call_back(harness: MemoryHarness, side: int) -> None:
    parties = await harness.connected()
    mine, theirs = parties[side], parties[1 - side]
    old = harness.transport_of(mine.profile)
    await harness.lose(mine)
    await asyncio.sleep(2)
    await harness.resume(mine)
    assert mine.types()[-1] == "call_state connected"
    await harness.say(mine, REJOIN)
    assert mine.types()[-2:] == ["call_update offer", "call_state connected"]
    assert version(given(mine, "offer")) == 1, "a new peer connection has a new session"
    assert harness.transport_of(mine.profile) == old

    # The other party keeps the role that it has, and the new page gets the opposite one (RFC 8832 section 6).
    role = ("active", "passive")[side]
    assert setup(given(mine, "offer")) == role
    await harness.say(mine, answered(plain("audio", setup=role, ufrag="Efgh", certificate="0D")))
    assert error(mine) == "invalid_sdp"
    free = {"active": "passive", "passive": "active"}[role]
    await harness.say(mine, answered(plain("audio", setup=free, ufrag="Efgh", certificate="0D")))
    new = harness.transport_of(mine.profile)
    assert new != old
    assert mine.types()[-1] == "call_state reconnecting"
    assert theirs.types()[-2:] == ["call_state reconnecting", "call_update offer"], "of the new page's streams"
    counters = await harness.engine.counters()
    assert (counters["transports_opened"], counters["transports_closed"]) == (3, 1)
    await harness.say(theirs, answered(VOICE_ANSWER))
    assert mine.types()[-1] == "call_state reconnecting"

    assert new is not None
    await harness.media(TransportUp(new))
    assert [one.types()[-1] for one in parties] == ["call_state connected"] * 2
    await harness.say(mine, offered(plain("audio", "video", ufrag="Efgh", certificate="0D")))
    assert theirs.types()[-1] == "call_update offer"


@in_memory
async def test_each_offer_says_whether_it_is_for_a_new_peer_connection(harness: MemoryHarness) -> None:
    """A client that has asked twice, or whose question has crossed an ICE restart, could not tell."""
    caller, callee = await harness.connected()
    for said in (RESTART, REJOIN, REJOIN, answered(PASSIVE_ANSWER)):
        await harness.say(caller, said)
    assert [one["rejoin"] for one in caller.said("call_update")] == [False, True, True]
    assert [one["rejoin"] for one in callee.said("call_update")] == [False], "of the new streams"
    await harness.say(callee, answered(VOICE_ANSWER))
    await harness.say(callee, offered(VIDEO_OFFER))
    assert caller.last("call_update")["rejoin"] is False
    await harness.say(caller, answered(VIDEO_ANSWER))
    assert "rejoin" not in callee.last("call_update"), "it is an answer"


@in_memory
async def test_what_the_old_transport_still_says_changes_nothing(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    old, _ = harness.engine.opened
    await harness.say(caller, REJOIN)
    await harness.say(caller, answered(PASSIVE_ANSWER))
    await harness.say(callee, answered(VOICE_ANSWER))
    await harness.media(TransportUp(harness.engine.opened[-1]), TransportDown(old))
    assert caller.types()[-1] == "call_state connected"


@in_memory
async def test_a_page_that_does_not_finish_rejoining_leaves_the_old_transport(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    await harness.say(caller, REJOIN)
    await asyncio.sleep(15.1)
    counters = await harness.engine.counters()
    assert (counters["transports_opened"], counters["transports_closed"]) == (3, 1)
    assert harness.transport_of(STUDENT) == harness.engine.opened[0]
    assert caller.types()[-1] == "call_update expired"
    await harness.say(caller, answered(PASSIVE_ANSWER))
    assert error(caller) == "wrong_state", "its leg is gone"


@in_memory
async def test_a_page_that_is_loaded_again_and_again_gets_a_new_offer_each_time(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    for _ in range(3):
        await harness.say(caller, REJOIN)
    offers = [seen(one["offer"]["sdp"])[0].ufrag for one in caller.said("call_update") if "offer" in one]
    assert len(set(offers)) == 3
    counters = await harness.engine.counters()
    assert (counters["transports_opened"], counters["transports_closed"]) == (5, 2)


@in_memory
async def test_a_page_that_rejoins_breaks_off_an_offer_that_is_under_way(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(callee, offered(VIDEO_OFFER))
    await harness.say(caller, REJOIN)
    assert callee.types()[-1] == "call_update rejected"
    await harness.say(caller, answered(VIDEO_ANSWER))
    assert error(caller) == "invalid_sdp", "it was offered what there was before"
    await harness.say(caller, answered(PASSIVE_ANSWER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_an_answer_to_rejoin_that_leaves_the_role_open_may_be_given_again_in_time(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, REJOIN)
    await harness.say(caller, answered(VOICE_OFFER))
    assert error(caller) == "invalid_sdp"
    await asyncio.sleep(15.1)
    await harness.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer", "the rejoining was given up"


@in_memory
async def test_another_device_takes_the_place_of_one_that_is_away(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.lose(caller)
    tablet = await harness.connect(STUDENT)
    assert tablet.types() == ["call_state connected"]
    assert tablet.last("call_state")["yours"] is False
    await harness.say(tablet, HANG_UP)
    assert error(tablet) == "not_in_call"
    await harness.say(tablet, REJOIN)
    assert tablet.types()[-2:] == ["call_update offer", "call_state connected"]
    assert tablet.last("call_state")["yours"] is True
    await harness.say(tablet, answered(PASSIVE_ANSWER))
    await harness.resume(caller)
    assert caller.types()[-1] == "call_ended answered_elsewhere"
    await harness.say(caller, REJOIN)
    assert error(caller) == "not_in_call"
    await harness.say(tablet, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert caller.types().count("call_ended answered_elsewhere") == 1
    assert "call_ended hangup" not in caller.types()


@in_memory
async def test_a_device_that_might_have_taken_the_call_is_told_that_its_own_is_back(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    await harness.lose(caller)
    tablet = await harness.connect(STUDENT)
    await harness.resume(caller)
    assert tablet.types() == ["call_state connected", "call_ended answered_elsewhere"]
    await harness.say(caller, HANG_UP)
    assert tablet.types() == ["call_state connected", "call_ended answered_elsewhere"]


@in_memory
async def test_a_device_that_might_have_taken_the_call_is_told_of_its_end(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.lose(caller)
    tablet = await harness.connect(STUDENT)
    await harness.say(callee, HANG_UP)
    assert tablet.types() == ["call_state connected", "call_ended hangup"]


@in_memory
async def test_another_device_cannot_take_a_call_whose_own_device_is_there(harness: MemoryHarness) -> None:
    tab = await harness.connect(STUDENT)
    caller, _ = await harness.connected()
    await harness.say(tab, REJOIN)
    assert error(tab) == "not_in_call"
    assert caller.types()[-1] == "call_state connected"


@pytest.mark.parametrize("said", [REJOIN, RESTART, offered(VIDEO_OFFER), answered(VIDEO_ANSWER), REJECT])
@in_memory
async def test_a_call_that_rings_has_nothing_to_negotiate(harness: MemoryHarness, said: str) -> None:
    for client in await harness.ringing():
        await harness.say(client, said)
        assert error(client) == "wrong_state"


@in_memory
async def test_a_version_1_client_hears_nothing_of_the_other_sides_new_page(harness: MemoryHarness) -> None:
    callee = await harness.connect(TUTOR, version=1)
    caller = await harness.connect(STUDENT)
    await harness.say(caller, invitation(TUTOR))
    await harness.say(callee, answer())
    await harness.say(caller, REJOIN)
    await harness.say(caller, answered(PASSIVE_ANSWER))
    assert not callee.said("call_update")
    await harness.say(caller, RESTART)
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_a_page_rejoins_a_call_that_is_held_and_it_stays_held(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(callee, frame("call_hold"))
    await harness.say(caller, REJOIN)
    await harness.say(caller, answered(PASSIVE_ANSWER))
    assert not harness.engine.flows()
    await harness.say(callee, answered(VOICE_ANSWER))
    await harness.say(callee, frame("call_resume"))
    assert harness.engine.flows()


@in_memory
async def test_a_page_that_cannot_have_a_new_transport_is_told_so_and_may_try_again(
    harness: MemoryHarness,
) -> None:
    caller, _ = await harness.connected()
    good = harness.engine.open_transport

    async def fail(*_: str) -> None:
        raise WorkerLost("no process takes a new transport")

    harness.engine.open_transport = fail  # type: ignore[method-assign,assignment]
    await harness.say(caller, REJOIN)
    assert error(caller) == "unavailable"
    harness.engine.open_transport = good  # type: ignore[method-assign]
    await harness.say(caller, REJOIN)
    assert caller.types()[-2:] == ["call_update offer", "call_state connected"]


@in_memory
async def test_a_change_of_type_that_cannot_be_written_down_happens_all_the_same(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()

    async def fail(*_: str) -> None:
        raise OSError("the database is away")

    harness.logs[LESSON.kind].updated = fail  # type: ignore[method-assign,assignment]
    await in_video(harness, caller, callee)
    assert caller.types()[-2:] == ["call_update answer", "call_state connected"]
    assert callee.types()[-1] == "call_state connected"
    assert callee.last("call_state")["call_type"] == "video"
