"""Offers and answers in mid-call, in virtual time: changed media, ICE restarts, pages that were loaded anew."""

import asyncio
import re

import pytest

from relay.media.api import TransportDown, TransportUp, WorkerLost
from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_ANSWER, VOICE_OFFER, plain, seen
from tests.signaling.exchange import MemoryExchange, in_memory
from tests.signaling.people import (
    HANG_UP,
    LESSON,
    STUDENT,
    TUTOR,
    Client,
    answer,
    answered,
    error,
    frame,
    invitation,
    offered,
)

RESTART = frame("call_restart")
REJOIN = frame("call_rejoin")
REJECT = frame("call_update", rejected=True)

PASSIVE_ANSWER = plain("audio", setup="passive")
"""Of a caller that rejoins: the callee has answered as the active one."""


def given(client: Client, part: str) -> str:
    """The latest description that the client was given in mid-call."""
    return str(client.last("call_update")[part]["sdp"])


def setup(text: str) -> str:
    return str(re.findall(r"a=setup:(\w+)", text)[0])


def version(text: str) -> int:
    return int(re.findall(r"o=- 1 (\d+) ", text)[0])


async def in_video(exchange: MemoryExchange, caller: Client, callee: Client) -> None:
    """The caller turns its camera on."""
    await exchange.say(caller, offered(VIDEO_OFFER, call_type="video"))
    await exchange.say(callee, answered(VIDEO_ANSWER))


# -- a party changes its media ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_from_voice_to_video(exchange: MemoryExchange, side: int) -> None:
    parties = await exchange.connected()
    mine, theirs = parties[side], parties[1 - side]
    await exchange.say(mine, offered(VIDEO_OFFER, call_type="video"))
    offer = theirs.last("call_update")
    assert (theirs.types()[-1], offer["call_type"]) == ("call_update offer", "video")
    assert len(seen(offer["offer"]["sdp"])) == 2
    assert "call_update answer" not in mine.types()
    await exchange.say(theirs, answered(VIDEO_ANSWER))
    assert mine.types()[-2:] == ["call_update answer", "call_state connected"]
    assert len(seen(given(mine, "answer"))) == 2
    assert mine.last("call_state")["call_type"] == theirs.last("call_state")["call_type"] == "video"
    [row] = await exchange.rows()
    assert row.call_type == "video"


@in_memory
async def test_a_change_that_leaves_the_calls_type_alone_changes_no_row(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"
    [row] = await exchange.rows()
    assert row.call_type == "voice"


@in_memory
async def test_each_side_sees_the_relays_own_transport_and_never_the_other_sides(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    first = seen(callee.last("call_invitation")["offer"]["sdp"])[0]
    await exchange.say(caller, offered(VIDEO_OFFER))
    again = seen(given(callee, "offer"))[0]
    assert (again.ufrag, again.pwd, again.fingerprints) == (first.ufrag, first.pwd, first.fingerprints)
    await exchange.say(callee, answered(VIDEO_ANSWER))
    mine, before = seen(given(caller, "answer"))[0], seen(caller.last("call_answer")["answer"]["sdp"])[0]
    assert (mine.ufrag, mine.pwd) == (before.ufrag, before.pwd)


@in_memory
async def test_the_version_of_the_session_rises_and_the_dtls_role_stays(exchange: MemoryExchange) -> None:
    """RFC 3264 section 8; RFC 8842 section 5.5."""
    caller, callee = await exchange.connected()
    to_caller = [caller.last("call_answer")["answer"]["sdp"]]
    to_callee = [callee.last("call_invitation")["offer"]["sdp"]]
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, answered(VIDEO_ANSWER))
    to_callee.append(given(callee, "offer"))
    to_caller.append(given(caller, "answer"))
    await exchange.say(callee, offered(VIDEO_OFFER))
    to_caller.append(given(caller, "offer"))
    # Now the caller's answer names the role that it has had all the time.
    await exchange.say(caller, answered(VIDEO_ANSWER))
    to_callee.append(given(callee, "answer"))
    assert [version(one) for one in to_caller] == [1, 2, 3]
    assert [version(one) for one in to_callee] == [1, 2, 3]
    assert [setup(one) for one in to_caller] == ["active", "active", "actpass"]
    # It answered as the active one at first. The relay is passive ever since, and the caller has the other role.
    assert [setup(one) for one in to_callee] == ["actpass", "actpass", "passive"]


@in_memory
async def test_an_offer_that_is_rejected_changes_nothing_and_the_next_is_free(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER, call_type="video"))
    await exchange.say(callee, REJECT)
    assert caller.types()[-1] == "call_update rejected"
    assert caller.last("call_update")["call_type"] == "voice"
    await exchange.say(callee, offered(VOICE_OFFER))
    assert caller.types()[-1] == "call_update offer"
    [row] = await exchange.rows()
    assert row.call_type == "voice"


@in_memory
async def test_of_two_offers_that_cross_the_first_stays(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await asyncio.gather(
        exchange.say(caller, offered(VIDEO_OFFER, ref="mine")), exchange.say(callee, offered(VIDEO_OFFER, ref="theirs"))
    )
    # The offer says enough. With an error behind it, a client that rolls back at errors would throw the other's offer away.
    assert callee.types()[-2:] == ["call_state connected", "call_update offer"]
    await exchange.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"
    await exchange.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"
    assert not [one for one in caller.types() + callee.types() if one.startswith("error")]


@pytest.mark.parametrize("said", [REJECT, None], ids=["rejects the other's", "does not react"])
@in_memory
async def test_an_overtaken_offer_is_given_back_when_the_other_one_comes_to_nothing(
    exchange: MemoryExchange, said: str | None
) -> None:
    """By then there is no offer of the other party left that a rollback could throw away."""
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, offered(VIDEO_OFFER, ref="theirs"))
    if said is None:
        await asyncio.sleep(15.1)
        assert callee.types()[-2:] == ["call_update expired", "error update_glare"]
    else:
        await exchange.say(callee, said)
    assert error(callee) == "update_glare"
    assert callee.last("error")["ref"] == "theirs"
    await exchange.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_an_offer_during_an_own_one_or_during_a_restart_of_the_other_party_gets_the_error_and_nothing_else(
    exchange: MemoryExchange,
) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(caller, offered(VIDEO_OFFER, ref="again"))
    assert error(caller) == "update_glare"
    await exchange.say(callee, REJECT)
    await exchange.say(caller, RESTART)
    heard = len(callee.received)
    await exchange.say(callee, offered(VIDEO_OFFER, ref="crossed"))
    assert error(callee) == "update_glare"
    assert len(callee.received) == heard + 1
    # The restart is the party's own affair: its own offer is overtaken by the server's.
    await exchange.say(caller, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_an_offer_without_an_answer_is_given_up_after_15_seconds(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER, ref="mine"))
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
    await exchange.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@pytest.mark.parametrize("names_it", [True, False])
@in_memory
async def test_after_an_answer_that_came_too_late_both_have_the_same_description_again(
    exchange: MemoryExchange, names_it: bool
) -> None:
    """The answerer cannot take its answer back, and the offerer has rolled back: the server offers it what the answerer has."""
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    which = {"update_id": callee.last("call_update")["update_id"]} if names_it else {}
    await asyncio.sleep(15.6)
    await exchange.say(callee, answered(VIDEO_ANSWER, **which))
    assert "error" not in [one["type"] for one in callee.received]
    assert caller.types()[-2:] == ["error update_timeout", "call_update offer"]
    assert len(seen(given(caller, "offer"))) == 2
    await exchange.say(caller, answered(VIDEO_ANSWER))
    assert callee.types()[-1] == "call_update offer"
    assert len(seen(given(callee, "offer"))) == 2
    await exchange.say(callee, answered(VIDEO_ANSWER))
    await exchange.say(caller, offered(VIDEO_OFFER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_what_a_late_answer_has_added_comes_before_the_next_offer(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await asyncio.sleep(15.1)
    await exchange.say(callee, answered(VIDEO_ANSWER))
    await asyncio.sleep(15.1)
    assert caller.types()[-1] == "call_update expired"
    heard = len(callee.received)
    await exchange.say(caller, offered(VOICE_OFFER))
    assert caller.types()[-1] == "call_update offer", "it overtakes the caller's own, which knows too little"
    assert len(callee.received) == heard
    await exchange.say(caller, answered(VIDEO_ANSWER))
    await exchange.say(callee, answered(VIDEO_ANSWER))
    await exchange.say(caller, offered(VIDEO_OFFER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_a_client_of_five_messages_that_offers_all_the_same_cannot_be_realigned(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connect(STUDENT, version=1), await exchange.connect(TUTOR)
    await exchange.say(caller, invitation(TUTOR))
    await exchange.say(callee, answer())
    await exchange.media(*(TransportUp(transport) for transport in exchange.engine.opened))
    await exchange.say(caller, offered(VIDEO_OFFER))
    await asyncio.sleep(15.1)
    await exchange.say(callee, answered(VIDEO_ANSWER))
    await exchange.say(caller, offered(VOICE_OFFER))
    assert error(caller) == "invalid_sdp"
    await exchange.say(caller, offered(VIDEO_OFFER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_an_answer_to_another_offer_than_the_last_is_not_taken_for_its_answer(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, answered(VIDEO_ANSWER, update_id="another"))
    assert error(callee) == "wrong_state"
    await exchange.say(callee, answered(VIDEO_ANSWER, update_id=callee.last("call_update")["update_id"]))
    assert caller.types()[-1] == "call_update answer"


@in_memory
async def test_an_answer_to_a_restart_is_taken_late_too(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, RESTART)
    await asyncio.sleep(15.1)
    assert caller.types()[-1] == "call_update expired"
    await exchange.say(caller, answered(plain("audio", setup="active", ufrag="Efgh")))
    assert caller.types()[-1] == "call_update expired"
    assert callee.types()[-1] == "call_state connected"


@in_memory
async def test_an_answer_in_time_leaves_no_timer_behind(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, answered(VIDEO_ANSWER))
    await exchange.say(callee, offered(VIDEO_OFFER))
    await asyncio.sleep(10)
    await exchange.say(caller, answered(VIDEO_ANSWER))
    await asyncio.sleep(30)
    assert "error update_timeout" not in caller.types() + callee.types()


@in_memory
async def test_a_client_of_five_messages_is_not_asked(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected(version=1)
    await exchange.say(caller, offered(VIDEO_OFFER))
    assert error(caller) == "unsupported"
    assert callee.types()[-1] == "call_state connected"


@in_memory
async def test_an_offer_that_takes_sections_away_is_refused(exchange: MemoryExchange) -> None:
    """RFC 8829 section 5.2.2."""
    caller, callee = await exchange.connected()
    await in_video(exchange, caller, callee)
    await exchange.say(caller, offered(VOICE_OFFER))
    assert error(caller) == "invalid_sdp"
    await exchange.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_an_offer_of_another_peer_connection_is_refused(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(plain("audio", certificate="0D")))
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
async def test_an_answer_that_cannot_be_taken_may_be_given_again_in_time(exchange: MemoryExchange, spoilt: str) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, answered(spoilt))
    assert error(callee) == "invalid_sdp"
    await exchange.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"


@in_memory
async def test_an_answer_that_cannot_be_taken_does_not_stop_the_clock(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, answered(VIDEO_OFFER))
    await asyncio.sleep(15.1)
    assert error(caller) == "update_timeout"


@pytest.mark.parametrize("said", [answered(VIDEO_ANSWER), REJECT], ids=["answers", "rejects"])
@in_memory
async def test_nobody_decides_on_their_own_offer_or_on_none(exchange: MemoryExchange, said: str) -> None:
    caller, callee = await exchange.connected()
    for client in (caller, callee):
        await exchange.say(client, said)
        assert error(client) == "wrong_state"
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(caller, said)
    assert error(caller) == "wrong_state"


@in_memory
async def test_a_call_may_end_while_an_offer_is_under_way(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, offered(VIDEO_OFFER))
    await exchange.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    await exchange.say(callee, answered(VIDEO_ANSWER))
    assert error(callee) == "no_call"
    await asyncio.sleep(60)
    assert caller.types()[-1] == "call_ended hangup"


@in_memory
async def test_an_offer_to_a_device_that_is_away_is_there_when_it_comes_back(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.lose(callee)
    await exchange.say(caller, offered(VIDEO_OFFER))
    await asyncio.sleep(10)
    await exchange.resume(callee)
    assert callee.types()[-2:] == ["call_update offer", "call_state connected"]
    await exchange.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(plain("video", "audio"), id="another order"),
        pytest.param(VIDEO_OFFER.replace("mid:0", "mid:a").replace("BUNDLE 0", "BUNDLE a"), id="another mid"),
        pytest.param(VIDEO_OFFER + "a=candidate 1 1 udp 1 203.0.113.9 9 typ host\r\n", id="an attribute that is none"),
    ],
)
@in_memory
async def test_an_offer_that_the_other_party_would_refuse_is_told_to_its_sender(exchange: MemoryExchange, changed: str) -> None:
    caller, callee = await exchange.connected()
    await in_video(exchange, caller, callee)
    heard = len(callee.received)
    await exchange.say(caller, offered(changed))
    assert error(caller) == "invalid_sdp"
    assert len(callee.received) == heard


@in_memory
async def test_an_answer_to_a_restart_comes_from_the_same_peer_connection(exchange: MemoryExchange) -> None:
    caller, _ = await exchange.connected()
    await exchange.say(caller, RESTART)
    await exchange.say(caller, answered(plain("audio", setup="active", certificate="0D")))
    assert error(caller) == "invalid_sdp"
    await exchange.say(caller, answered(plain("audio", setup="active", ufrag="Efgh")))
    assert caller.types()[-1] == "error invalid_sdp", "and no other error"


@pytest.mark.parametrize("offered_role", ["active", "passive"])
@in_memory
async def test_a_caller_that_insists_on_a_role_gets_it_and_the_callee_the_other(
    exchange: MemoryExchange, offered_role: str
) -> None:
    caller, callee = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    await exchange.say(caller, invitation(TUTOR, sdp=plain("audio", setup=offered_role)))
    assert setup(callee.last("call_invitation")["offer"]["sdp"]) == offered_role
    await exchange.say(callee, answer(sdp=plain("audio", setup=offered_role)))
    assert error(callee) == "invalid_sdp"
    left = {"active": "passive", "passive": "active"}[offered_role]
    await exchange.say(callee, answer(sdp=plain("audio", setup=left)))
    assert setup(caller.last("call_answer")["answer"]["sdp"]) == left


# -- ICE restarts -----------------------------------------------------------------------------------------------------


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


# -- a page that was loaded anew --------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_a_page_that_was_loaded_anew_has_its_call_back(exchange: MemoryExchange, side: int) -> None:
    parties = await exchange.connected()
    mine, theirs = parties[side], parties[1 - side]
    old = exchange.transport_of(mine.profile)
    await exchange.lose(mine)
    await asyncio.sleep(2)
    await exchange.resume(mine)
    assert mine.types()[-1] == "call_state connected"
    await exchange.say(mine, REJOIN)
    assert mine.types()[-2:] == ["call_update offer", "call_state connected"]
    assert version(given(mine, "offer")) == 1, "a new peer connection has a new session"
    assert exchange.transport_of(mine.profile) == old

    # The other party keeps the role that it has, and the new page gets the opposite one (RFC 8832 section 6).
    role = ("active", "passive")[side]
    assert setup(given(mine, "offer")) == role
    await exchange.say(mine, answered(plain("audio", setup=role, ufrag="Efgh", certificate="0D")))
    assert error(mine) == "invalid_sdp"
    free = {"active": "passive", "passive": "active"}[role]
    await exchange.say(mine, answered(plain("audio", setup=free, ufrag="Efgh", certificate="0D")))
    new = exchange.transport_of(mine.profile)
    assert new != old
    assert mine.types()[-1] == "call_state reconnecting"
    assert theirs.types()[-2:] == ["call_state reconnecting", "call_update offer"], "of the new page's streams"
    counters = await exchange.engine.counters()
    assert (counters["transports_opened"], counters["transports_closed"]) == (3, 1)
    await exchange.say(theirs, answered(VOICE_ANSWER))
    assert mine.types()[-1] == "call_state reconnecting"

    assert new is not None
    await exchange.media(TransportUp(new))
    assert [one.types()[-1] for one in parties] == ["call_state connected"] * 2
    await exchange.say(mine, offered(plain("audio", "video", ufrag="Efgh", certificate="0D")))
    assert theirs.types()[-1] == "call_update offer"


@in_memory
async def test_what_the_old_transport_still_says_concerns_nobody(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    old, _ = exchange.engine.opened
    await exchange.say(caller, REJOIN)
    await exchange.say(caller, answered(PASSIVE_ANSWER))
    await exchange.say(callee, answered(VOICE_ANSWER))
    await exchange.media(TransportUp(exchange.engine.opened[-1]), TransportDown(old))
    assert caller.types()[-1] == "call_state connected"


@in_memory
async def test_a_page_that_does_not_finish_rejoining_leaves_the_old_transport(exchange: MemoryExchange) -> None:
    caller, _ = await exchange.connected()
    await exchange.say(caller, REJOIN)
    await asyncio.sleep(15.1)
    counters = await exchange.engine.counters()
    assert (counters["transports_opened"], counters["transports_closed"]) == (3, 1)
    assert exchange.transport_of(STUDENT) == exchange.engine.opened[0]
    assert caller.types()[-1] == "call_update expired"
    await exchange.say(caller, answered(PASSIVE_ANSWER))
    assert error(caller) == "wrong_state", "its leg is gone"


@in_memory
async def test_a_page_that_is_loaded_again_and_again_gets_a_new_offer_each_time(exchange: MemoryExchange) -> None:
    caller, _ = await exchange.connected()
    for _ in range(3):
        await exchange.say(caller, REJOIN)
    offers = [seen(one["offer"]["sdp"])[0].ufrag for one in caller.said("call_update") if "offer" in one]
    assert len(set(offers)) == 3
    counters = await exchange.engine.counters()
    assert (counters["transports_opened"], counters["transports_closed"]) == (5, 2)


@in_memory
async def test_a_page_that_rejoins_breaks_off_an_offer_that_is_under_way(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(callee, offered(VIDEO_OFFER))
    await exchange.say(caller, REJOIN)
    assert callee.types()[-1] == "call_update rejected"
    await exchange.say(caller, answered(VIDEO_ANSWER))
    assert error(caller) == "invalid_sdp", "it was offered what there was before"
    await exchange.say(caller, answered(PASSIVE_ANSWER))
    assert callee.types()[-1] == "call_update offer"


@in_memory
async def test_an_answer_to_rejoin_that_leaves_the_role_open_may_be_given_again_in_time(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(caller, REJOIN)
    await exchange.say(caller, answered(VOICE_OFFER))
    assert error(caller) == "invalid_sdp"
    await asyncio.sleep(15.1)
    await exchange.say(callee, offered(VIDEO_OFFER))
    assert caller.types()[-1] == "call_update offer", "the rejoining was given up"


@in_memory
async def test_another_device_takes_the_place_of_one_that_is_away(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.lose(caller)
    tablet = await exchange.connect(STUDENT)
    assert tablet.types() == ["call_state connected"]
    assert tablet.last("call_state")["yours"] is False
    await exchange.say(tablet, HANG_UP)
    assert error(tablet) == "not_in_call"
    await exchange.say(tablet, REJOIN)
    assert tablet.types()[-2:] == ["call_update offer", "call_state connected"]
    assert tablet.last("call_state")["yours"] is True
    await exchange.say(tablet, answered(PASSIVE_ANSWER))
    await exchange.resume(caller)
    assert caller.types()[-1] == "call_ended answered_elsewhere"
    await exchange.say(caller, REJOIN)
    assert error(caller) == "not_in_call"
    await exchange.say(tablet, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert caller.types().count("call_ended answered_elsewhere") == 1
    assert "call_ended hangup" not in caller.types()


@in_memory
async def test_a_device_that_might_have_taken_the_call_is_told_that_its_own_is_back(exchange: MemoryExchange) -> None:
    caller, _ = await exchange.connected()
    await exchange.lose(caller)
    tablet = await exchange.connect(STUDENT)
    await exchange.resume(caller)
    assert tablet.types() == ["call_state connected", "call_ended answered_elsewhere"]
    await exchange.say(caller, HANG_UP)
    assert tablet.types() == ["call_state connected", "call_ended answered_elsewhere"]


@in_memory
async def test_a_device_that_might_have_taken_the_call_is_told_of_its_end(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.lose(caller)
    tablet = await exchange.connect(STUDENT)
    await exchange.say(callee, HANG_UP)
    assert tablet.types() == ["call_state connected", "call_ended hangup"]


@in_memory
async def test_another_device_cannot_take_a_call_whose_own_device_is_there(exchange: MemoryExchange) -> None:
    tab = await exchange.connect(STUDENT)
    caller, _ = await exchange.connected()
    await exchange.say(tab, REJOIN)
    assert error(tab) == "not_in_call"
    assert caller.types()[-1] == "call_state connected"


@pytest.mark.parametrize("said", [REJOIN, RESTART, offered(VIDEO_OFFER), answered(VIDEO_ANSWER), REJECT])
@in_memory
async def test_a_call_that_rings_has_nothing_to_negotiate(exchange: MemoryExchange, said: str) -> None:
    for client in await exchange.ringing():
        await exchange.say(client, said)
        assert error(client) == "wrong_state"


@in_memory
async def test_a_client_of_five_messages_hears_nothing_of_the_other_sides_new_page(exchange: MemoryExchange) -> None:
    callee = await exchange.connect(TUTOR, version=1)
    caller = await exchange.connect(STUDENT)
    await exchange.say(caller, invitation(TUTOR))
    await exchange.say(callee, answer())
    await exchange.say(caller, REJOIN)
    await exchange.say(caller, answered(PASSIVE_ANSWER))
    assert not callee.said("call_update")
    await exchange.say(caller, RESTART)
    assert caller.types()[-1] == "call_update offer"


@in_memory
async def test_a_page_rejoins_a_call_that_is_held_and_it_stays_held(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.say(callee, frame("call_hold"))
    await exchange.say(caller, REJOIN)
    await exchange.say(caller, answered(PASSIVE_ANSWER))
    assert not exchange.engine.flows()
    await exchange.say(callee, answered(VOICE_ANSWER))
    await exchange.say(callee, frame("call_resume"))
    assert exchange.engine.flows()


@in_memory
async def test_a_page_that_cannot_have_a_new_transport_is_told_so_and_may_try_again(
    exchange: MemoryExchange,
) -> None:
    caller, _ = await exchange.connected()
    good = exchange.engine.open_transport

    async def fail(*_: str) -> None:
        raise WorkerLost("no process takes a new transport")

    exchange.engine.open_transport = fail  # type: ignore[method-assign,assignment]
    await exchange.say(caller, REJOIN)
    assert error(caller) == "unavailable"
    exchange.engine.open_transport = good  # type: ignore[method-assign]
    await exchange.say(caller, REJOIN)
    assert caller.types()[-2:] == ["call_update offer", "call_state connected"]


@in_memory
async def test_a_change_of_type_that_cannot_be_written_down_happens_all_the_same(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()

    async def fail(*_: str) -> None:
        raise OSError("the database is away")

    exchange.logs[LESSON.kind].updated = fail  # type: ignore[method-assign,assignment]
    await in_video(exchange, caller, callee)
    assert caller.types()[-2:] == ["call_update answer", "call_state connected"]
    assert callee.types()[-1] == "call_state connected"
    assert callee.last("call_state")["call_type"] == "video"
