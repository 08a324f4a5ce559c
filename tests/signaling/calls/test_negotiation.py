"""Offers and answers in mid-call, in virtual time: changed media, ICE restarts, pages that were loaded anew."""

import asyncio

import pytest

from relay.media.api import TransportUp
from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_OFFER, plain, seen
from tests.signaling.calls.negotiating import REJECT, RESTART, given, setup, version
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    HANG_UP,
    STUDENT,
    TUTOR,
    answer,
    answered,
    error,
    invitation,
    offered,
)

# -- a party changes its media ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_from_voice_to_video(harness: MemoryHarness, side: int) -> None:
    parties = await harness.connected()
    mine, theirs = parties[side], parties[1 - side]
    await harness.say(mine, offered(VIDEO_OFFER, call_type="video"))
    offer = theirs.last("call_update")
    assert (theirs.types()[-1], offer["call_type"]) == ("call_update offer", "video")
    assert len(seen(offer["offer"]["sdp"])) == 2
    assert "call_update answer" not in mine.types()
    await harness.say(theirs, answered(VIDEO_ANSWER))
    assert mine.types()[-2:] == ["call_update answer", "call_state connected"]
    assert len(seen(given(mine, "answer"))) == 2
    assert mine.last("call_state")["call_type"] == theirs.last("call_state")["call_type"] == "video"
    [row] = await harness.rows()
    assert row.call_type == "video"


@in_memory
async def test_a_change_that_leaves_the_calls_type_alone_changes_no_row(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"
    [row] = await harness.rows()
    assert row.call_type == "voice"


@in_memory
async def test_each_side_sees_the_relays_own_transport_and_never_the_other_sides(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    first = seen(callee.last("call_invitation")["offer"]["sdp"])[0]
    await harness.say(caller, offered(VIDEO_OFFER))
    again = seen(given(callee, "offer"))[0]
    assert (again.ufrag, again.pwd, again.fingerprints) == (first.ufrag, first.pwd, first.fingerprints)
    await harness.say(callee, answered(VIDEO_ANSWER))
    mine, before = seen(given(caller, "answer"))[0], seen(caller.last("call_answer")["answer"]["sdp"])[0]
    assert (mine.ufrag, mine.pwd) == (before.ufrag, before.pwd)


@in_memory
async def test_the_version_of_the_session_rises_and_the_dtls_role_stays(harness: MemoryHarness) -> None:
    """RFC 3264 section 8; RFC 8842 section 5.5."""
    caller, callee = await harness.connected()
    to_caller = [caller.last("call_answer")["answer"]["sdp"]]
    to_callee = [callee.last("call_invitation")["offer"]["sdp"]]
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, answered(VIDEO_ANSWER))
    to_callee.append(given(callee, "offer"))
    to_caller.append(given(caller, "answer"))
    await harness.say(callee, offered(VIDEO_OFFER))
    to_caller.append(given(caller, "offer"))
    # Now the caller's answer names the role that it has had all the time.
    await harness.say(caller, answered(VIDEO_ANSWER))
    to_callee.append(given(callee, "answer"))
    assert [version(one) for one in to_caller] == [1, 2, 3]
    assert [version(one) for one in to_callee] == [1, 2, 3]
    assert [setup(one) for one in to_caller] == ["active", "active", "actpass"]
    # It answered as the active one at first. The relay is passive ever since, and the caller has the other role.
    assert [setup(one) for one in to_callee] == ["actpass", "actpass", "passive"]


@in_memory
async def test_an_offer_that_is_rejected_changes_nothing_and_the_next_is_free(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER, call_type="video"))
    await harness.say(callee, REJECT)
    assert caller.types()[-1] == "call_update rejected"
    assert caller.last("call_update")["call_type"] == "voice"
    await harness.say(callee, offered(VOICE_OFFER))
    assert caller.types()[-1] == "call_update offer"
    [row] = await harness.rows()
    assert row.call_type == "voice"


@in_memory
async def test_of_two_offers_that_cross_the_first_stays(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await asyncio.gather(
        harness.say(caller, offered(VIDEO_OFFER, ref="mine")), harness.say(callee, offered(VIDEO_OFFER, ref="theirs"))
    )
    # The offer says enough. With an error behind it, a client that rolls back at errors would throw the other's offer away.
    assert callee.types()[-2:] == ["call_state connected", "call_update offer"]
    await harness.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"
    await harness.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"
    assert not [one for one in caller.types() + callee.types() if one.startswith("error")]


@pytest.mark.parametrize("said", [REJECT, None], ids=["rejects the other's", "does not react"])
@in_memory
async def test_an_overtaken_offer_is_given_back_when_the_other_one_comes_to_nothing(
    harness: MemoryHarness, said: str | None
) -> None:
    """By then there is no offer of the other party left that a rollback could throw away."""
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, offered(VIDEO_OFFER, ref="theirs"))
    if said is None:
        await asyncio.sleep(15.1)
        assert callee.types()[-2:] == ["call_update expired", "error update_glare"]
    else:
        await harness.say(callee, said)
    assert error(callee) == "update_glare"
    assert callee.last("error")["ref"] == "theirs"
    await harness.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_an_offer_during_an_own_one_or_during_a_restart_of_the_other_party_gets_the_error_and_nothing_else(
    harness: MemoryHarness,
) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(caller, offered(VIDEO_OFFER, ref="again"))
    assert error(caller) == "update_glare"
    await harness.say(callee, REJECT)
    await harness.say(caller, RESTART)
    heard = len(callee.received)
    await harness.say(callee, offered(VIDEO_OFFER, ref="crossed"))
    assert error(callee) == "update_glare"
    assert len(callee.received) == heard + 1
    # The restart is the party's own affair: its own offer is overtaken by the server's.
    await harness.say(caller, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_an_offer_without_an_answer_is_given_up_after_15_seconds(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER, ref="mine"))
    await asyncio.sleep(14.9)
    assert caller.types()[-1] == "call_state connected"
    given_offer = callee.last("call_update")
    assert given_offer["expires_at"] - given_offer["server_time"] == 15_000
    await asyncio.sleep(0.2)
    assert error(caller) == "update_timeout"
    assert caller.last("error")["ref"] == "mine"
    assert "call_update rejected" not in caller.types()
    assert callee.types()[-1] == "call_update expired"
    assert callee.last("call_update")["update_id"] == given_offer["update_id"]
    await harness.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@pytest.mark.parametrize("names_it", [True, False])
@in_memory
async def test_after_an_answer_that_came_too_late_both_have_the_same_description_again(
    harness: MemoryHarness, names_it: bool
) -> None:
    """The answerer cannot take its answer back, and the offerer has rolled back: the server offers it what the answerer has."""
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    which = {"update_id": callee.last("call_update")["update_id"]} if names_it else {}
    await asyncio.sleep(15.6)
    await harness.say(callee, answered(VIDEO_ANSWER, **which))
    assert "error" not in [one["type"] for one in callee.received]
    assert caller.types()[-2:] == ["error update_timeout", "call_update offer"]
    assert len(seen(given(caller, "offer"))) == 2
    await harness.say(caller, answered(VIDEO_ANSWER))
    assert callee.types()[-1] == "call_update offer"
    assert len(seen(given(callee, "offer"))) == 2
    await harness.say(callee, answered(VIDEO_ANSWER))
    await harness.say(caller, offered(VIDEO_OFFER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_what_a_late_answer_has_added_comes_before_the_next_offer(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await asyncio.sleep(15.1)
    await harness.say(callee, answered(VIDEO_ANSWER))
    await asyncio.sleep(15.1)
    assert caller.types()[-1] == "call_update expired"
    heard = len(callee.received)
    await harness.say(caller, offered(VOICE_OFFER))
    assert caller.types()[-1] == "call_update offer", "it overtakes the caller's own, which knows too little"
    assert len(callee.received) == heard
    await harness.say(caller, answered(VIDEO_ANSWER))
    await harness.say(callee, answered(VIDEO_ANSWER))
    await harness.say(caller, offered(VIDEO_OFFER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_a_version_1_client_that_offers_all_the_same_cannot_be_realigned(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT, version=1), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    await harness.say(callee, answer())
    await harness.media(*(TransportUp(transport) for transport in harness.engine.opened))
    await harness.say(caller, offered(VIDEO_OFFER))
    await asyncio.sleep(15.1)
    await harness.say(callee, answered(VIDEO_ANSWER))
    await harness.say(caller, offered(VOICE_OFFER))
    assert error(caller) == "invalid_sdp"
    await harness.say(caller, offered(VIDEO_OFFER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_an_answer_to_another_offer_than_the_last_is_not_taken_for_its_answer(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, answered(VIDEO_ANSWER, update_id="another"))
    assert error(callee) == "wrong_state"
    await harness.say(callee, answered(VIDEO_ANSWER, update_id=callee.last("call_update")["update_id"]))
    assert caller.types()[-1] == "call_update answer"


@in_memory
async def test_an_answer_to_a_restart_is_taken_late_too(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, RESTART)
    await asyncio.sleep(15.1)
    assert caller.types()[-1] == "call_update expired"
    await harness.say(caller, answered(plain("audio", setup="active", ufrag="Efgh")))
    assert caller.types()[-1] == "call_update expired"
    assert callee.types()[-1] == "call_state connected"


@in_memory
async def test_an_answer_in_time_leaves_no_timer_behind(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, answered(VIDEO_ANSWER))
    await harness.say(callee, offered(VIDEO_OFFER))
    await asyncio.sleep(10)
    await harness.say(caller, answered(VIDEO_ANSWER))
    await asyncio.sleep(30)
    assert "error update_timeout" not in caller.types() + callee.types()


@in_memory
async def test_a_version_1_client_is_not_asked(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected(version=1)
    await harness.say(caller, offered(VIDEO_OFFER))
    assert error(caller) == "unsupported"
    assert callee.types()[-1] == "call_state connected"


@pytest.mark.parametrize("said", [answered(VIDEO_ANSWER), REJECT], ids=["answers", "rejects"])
@in_memory
async def test_a_party_cannot_decide_on_its_own_offer_or_on_none(harness: MemoryHarness, said: str) -> None:
    caller, callee = await harness.connected()
    for client in (caller, callee):
        await harness.say(client, said)
        assert error(client) == "wrong_state"
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(caller, said)
    assert error(caller) == "wrong_state"


@in_memory
async def test_a_call_may_end_while_an_offer_is_under_way(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    await harness.say(callee, answered(VIDEO_ANSWER))
    assert error(callee) == "no_call"
    await asyncio.sleep(60)
    assert caller.types()[-1] == "call_ended hangup"


@in_memory
async def test_an_offer_to_a_device_that_is_away_is_there_when_it_comes_back(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.lose(callee)
    await harness.say(caller, offered(VIDEO_OFFER))
    await asyncio.sleep(10)
    await harness.resume(callee)
    assert callee.types()[-2:] == ["call_update offer", "call_state connected"]
    await harness.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"


@pytest.mark.parametrize("offered_role", ["active", "passive"])
@in_memory
async def test_a_caller_that_insists_on_a_role_gets_it_and_the_callee_the_other(
    harness: MemoryHarness, offered_role: str
) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR, sdp=plain("audio", setup=offered_role)))
    assert setup(callee.last("call_invitation")["offer"]["sdp"]) == offered_role
    await harness.say(callee, answer(sdp=plain("audio", setup=offered_role)))
    assert error(callee) == "invalid_sdp"
    left = {"active": "passive", "passive": "active"}[offered_role]
    await harness.say(callee, answer(sdp=plain("audio", setup=left)))
    assert setup(caller.last("call_answer")["answer"]["sdp"]) == left
