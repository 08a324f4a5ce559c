"""From the invitation to the answer, where the order of things matters; in virtual time. (What needs a database: test_calls.)"""

import asyncio

import pytest

from relay.ids import Profile
from relay.signaling.ports import Action, Privacy
from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_OFFER, plain
from tests.signaling.exchange import EPOCH, MemoryExchange, in_memory
from tests.signaling.people import (
    HANG_UP,
    LESSON,
    PARENT,
    STUDENT,
    TUTOR,
    WHITEBOARD,
    answer,
    error,
    frame,
    invitation,
)

OTHER_OFFER = VOICE_OFFER.replace("a=ice-ufrag:", "a=ice-ufrag:x")


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


# -- the same call again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("sdp", [VOICE_OFFER, OTHER_OFFER], ids=["the same offer", "another offer"])
@in_memory
async def test_a_double_click_makes_one_call(exchange: MemoryExchange, version: int, sdp: str) -> None:
    """Nobody has missed it while it rings, nor afterwards."""
    caller, callee = await exchange.connect(STUDENT, version), await exchange.connect(TUTOR, version)
    await exchange.say(caller, invitation(TUTOR))
    await exchange.say(caller, invitation(TUTOR, sdp=sdp))
    rang = callee.said("call_invitation")
    assert set(callee.types()) == {"call_invitation"}
    assert {one["call_id"] for one in rang} == {caller.last("call_state")["call_id"]}
    assert len(rang) == (1 if sdp == VOICE_OFFER else 2)
    assert caller.types() == ["call_state ringing"] * 2
    await exchange.say(callee, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]
    await exchange.say(caller, HANG_UP)
    assert await exchange.ends() == [(456, "ended", "hangup")]
    assert (await exchange.connect(TUTOR)).types() == []


@in_memory
async def test_the_latest_offer_counts(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.ringing()
    first = callee.last("call_invitation")
    await asyncio.sleep(40)
    await exchange.say(caller, invitation(TUTOR, sdp=VIDEO_OFFER, call_type="video"))
    again = callee.last("call_invitation")
    assert (again["call_id"], again["call_type"]) == (first["call_id"], "video")
    assert "m=video" in again["offer"]["sdp"]
    assert again["expires_at"] == again["server_time"] + 45_000
    await exchange.say(callee, answer())
    assert error(callee) == "invalid_sdp", "that answers the first one"
    await exchange.say(callee, answer(sdp=VIDEO_ANSWER))
    assert caller.types()[-1] == "call_state answered"
    [row] = await exchange.rows()
    assert (row.call_type, row.status) == ("video", "answered")


@in_memory
async def test_a_page_that_is_loaded_anew_goes_on_with_its_call(exchange: MemoryExchange) -> None:
    before, callee = await exchange.ringing()
    page = await exchange.connect(STUDENT)
    await exchange.say(page, invitation(TUTOR, sdp=OTHER_OFFER))
    assert before.types()[-1] == "call_ended answered_elsewhere"
    await exchange.lose(before)
    await asyncio.sleep(10)
    await exchange.say(callee, answer())
    assert page.types() == ["call_state ringing", "call_answer", "call_state answered"]
    assert await exchange.ends() == [(456, "answered", None)]


# -- invitations that cross -------------------------------------------------------------------------------------------


@in_memory
async def test_a_client_whose_invitation_crosses_is_told_to_answer_the_other_one(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.ringing()
    await exchange.say(callee, invitation(STUDENT, ref="mine"))
    glare, first = callee.last("call_glare"), callee.last("call_invitation")
    assert glare["call_id"] == first["call_id"] == caller.last("call_state")["call_id"]
    assert (glare["from_profile_id"], glare["from_name"]) == (456, "Maya Lindgren")
    assert caller.types() == ["call_state ringing"]
    await exchange.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"
    assert await exchange.ends() == [(456, "answered", None)]


@in_memory
async def test_a_client_of_five_messages_whose_invitation_crosses_finds_the_other_busy(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.ringing(version=1)
    await exchange.say(callee, invitation(STUDENT))
    assert callee.types() == ["call_invitation", "call_declined busy"]
    assert await exchange.ends() == [(456, "initiated", None), (789, "missed", "busy")]
    await exchange.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"


@in_memory
async def test_another_device_of_the_callee_is_told_of_the_call_that_rings_on_it_too(exchange: MemoryExchange) -> None:
    tablet = await exchange.connect(TUTOR)
    _, phone = await exchange.ringing()
    await exchange.say(tablet, invitation(STUDENT))
    assert tablet.types() == ["call_invitation", "call_glare"]
    assert phone.types() == ["call_invitation"]


@in_memory
async def test_invitations_at_different_places_do_not_cross(exchange: MemoryExchange) -> None:
    _, callee = await exchange.ringing()
    await exchange.say(callee, invitation(STUDENT, WHITEBOARD))
    assert callee.types() == ["call_invitation", "call_declined busy"]


@in_memory
async def test_who_is_blocked_is_refused_even_if_the_invitations_cross(exchange: MemoryExchange) -> None:
    _, callee = await exchange.ringing()
    exchange.directory.blocks.add((STUDENT, TUTOR))
    await exchange.say(callee, invitation(STUDENT))
    assert callee.types() == ["call_invitation", "call_declined rejected"]


# -- who may call -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [(STUDENT, TUTOR), (TUTOR, STUDENT)])
@in_memory
async def test_a_block_looks_like_a_refusal_whoever_set_it(exchange: MemoryExchange, who: tuple[Profile, Profile]) -> None:
    caller, callee = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    exchange.directory.blocks.add(who)
    await exchange.say(caller, invitation(TUTOR))
    await exchange.lose(callee)
    exchange.directory.blocks.clear()
    exchange.directory.members[LESSON].discard(TUTOR)
    await exchange.say(caller, invitation(TUTOR))
    blocked, refused = caller.received
    assert {**blocked, "seq": 0, "call_id": ""} == {**refused, "seq": 0, "call_id": ""}
    assert blocked["from_name"] == ""
    assert [end for _, _, end in await exchange.ends()] == ["blocked", "rejected"]
    assert callee.types() == []


@pytest.mark.parametrize(("connected", "told"), [(False, "call_declined rejected"), (True, "call_state ringing")])
@in_memory
async def test_who_wants_calls_from_connections_only_gets_no_others(exchange: MemoryExchange, connected: bool, told: str) -> None:
    caller = await exchange.connect(STUDENT)
    await exchange.connect(TUTOR)
    exchange.directory.privacy[TUTOR] = Privacy.CONNECTIONS
    if connected:
        exchange.directory.connections.add(frozenset({STUDENT, TUTOR}))
    await exchange.say(caller, invitation(TUTOR))
    assert caller.types() == [told]


@in_memory
async def test_who_does_not_want_to_be_disturbed_is_busy_and_learns_who_tried(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    exchange.directory.undisturbed.add(TUTOR)
    await exchange.say(caller, invitation(TUTOR))
    assert caller.types() == ["call_declined busy"]
    assert caller.last("call_declined")["from_name"] == "Daniel Okafor"
    assert callee.types() == ["call_missed busy"]


# -- limits -----------------------------------------------------------------------------------------------------------


@in_memory
async def test_too_many_messages_are_refused_and_the_call_goes_on(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    exchange.limiter.refuses.add((Action.MESSAGE, STUDENT))
    for said in (HANG_UP, frame("ping"), "nonsense"):
        await exchange.say(caller, said)
        assert error(caller) == "rate_limited"
    assert callee.types()[-1] == "call_state connected"
    exchange.limiter.refuses.clear()
    await exchange.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_memory
async def test_too_many_invitations_are_refused_and_the_older_call_goes_on(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    exchange.limiter.refuses.add((Action.INVITATION, STUDENT))
    await exchange.say(caller, invitation(TUTOR))
    assert error(caller) == "rate_limited"
    await exchange.say(caller, frame("call_chat", text="still here"))
    assert callee.types()[-1] == "call_chat"
    assert len(await exchange.rows()) == 1


@in_memory
async def test_what_is_counted_is_counted_for_the_profile_and_its_address(exchange: MemoryExchange) -> None:
    caller = await exchange.connect(STUDENT)
    await exchange.say(caller, invitation(TUTOR))
    assert exchange.limiter.asked == [(Action.MESSAGE, STUDENT, "203.0.113.7"), (Action.INVITATION, STUDENT, "203.0.113.7")]


# -- coming back ------------------------------------------------------------------------------------------------------


@in_memory
async def test_a_device_that_resumes_has_all_it_missed_in_order_and_then_where_its_call_stands(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    await exchange.lose(callee)
    await exchange.say(caller, frame("call_media_state", muted=True))
    await exchange.say(caller, frame("call_chat", text="are you there?"))
    await exchange.say(caller, frame("call_hold"))
    await exchange.resume(callee)
    assert callee.types()[-5:] == ["call_media_state", "call_chat", "call_hold", "call_state connected", "call_state connected"]
    assert callee.last("call_state")["held_by"] == ["other"]


@in_memory
async def test_a_second_use_of_a_resume_token_closes_the_first_connection(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected()
    first = caller.connection
    assert first is not None
    await exchange.resume(caller)
    assert first.closed == 4409
    assert caller.types()[-1] == "call_state connected"
    await exchange.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@in_memory
async def test_a_token_of_somebody_else_or_too_late_is_a_new_device(exchange: MemoryExchange) -> None:
    caller = await exchange.connect(STUDENT)
    for other in (TUTOR, PARENT):
        assert not (await exchange.connect(other, resume=caller.device.resume_token)).welcome["resumed"]
    await exchange.lose(caller)
    await asyncio.sleep(30.1)
    late = await exchange.connect(STUDENT, resume=caller.device.resume_token)
    assert not late.welcome["resumed"]
    assert late.welcome["device_id"] != caller.device.device_id


@in_memory
async def test_the_first_message_says_who_one_is_and_how_to_come_back(exchange: MemoryExchange) -> None:
    caller = await exchange.connect(STUDENT)
    assert caller.welcome == {
        "type": "welcome",
        "profile_id": 456,
        "profile_type": "student",
        "name": "Maya Lindgren",
        "avatar": "",
        "device_id": caller.device.device_id,
        "resume": caller.device.resume_token,
        "resumed": False,
        "resume_seconds": 30.0,
        "server_time": pytest.approx(EPOCH.timestamp() * 1000, abs=1000),
        "version": 2,
        "features": [
            *("call_update", "call_restart", "call_rejoin", "call_media_state", "call_hold", "call_resume", "call_chat"),
            *("call_transfer", "call_transfer_answer", "ping"),
        ],
        "limits": {
            "message_bytes": 65_536,
            "chat_characters": 4_000,
            "media_sections": 32,
            "ring_seconds": 45.0,
            "connect_seconds": 15.0,
            "update_seconds": 15.0,
            "transfer_seconds": 30.0,
            "media_seconds": 30.0,
            "signaling_seconds": 30.0,
            "vanished_seconds": 5.0,
        },
    }
    old = (await exchange.connect(STUDENT, version=1)).welcome
    assert (old["resume_seconds"], old["version"]) == (0.0, 1)


@pytest.mark.parametrize(("caller_version", "callee_version"), [(1, 2), (2, 1), (2, 2)])
@in_memory
async def test_each_party_hears_in_its_first_messages_whether_the_other_one_can_change_the_call(
    exchange: MemoryExchange, caller_version: int, callee_version: int
) -> None:
    caller, callee = await exchange.connect(STUDENT, caller_version), await exchange.connect(TUTOR, callee_version)
    await exchange.say(caller, invitation(TUTOR))
    assert callee.last("call_invitation")["can_update"] is (caller_version == 2)
    assert caller.last("call_state")["can_update"] is None, "no device of the callee has taken the call"
    await exchange.say(callee, answer())
    assert caller.last("call_answer")["can_update"] is (callee_version == 2)
    assert caller.last("call_state")["can_update"] is (callee_version == 2)
    assert callee.last("call_state")["can_update"] is (caller_version == 2)


@in_memory
async def test_the_other_party_hears_what_another_device_can_that_takes_the_call_over(exchange: MemoryExchange) -> None:
    caller, callee = await exchange.connected(version=1)
    await exchange.lose(caller)
    tablet = await exchange.connect(STUDENT)
    await exchange.say(tablet, frame("call_rejoin"))
    assert tablet.last("call_state")["can_update"] is False
    await exchange.say(tablet, frame("call_update", answer={"type": "answer", "sdp": plain("audio", setup="passive")}))
    assert callee.last("call_state")["state"] == "reconnecting"
    assert callee.last("call_state")["can_update"] is True


@in_memory
async def test_a_ping_is_answered_at_once_and_with_its_ref(exchange: MemoryExchange) -> None:
    caller = await exchange.connect(STUDENT)
    await exchange.say(caller, frame("ping", ref="p-1"))
    pong = caller.last("pong")
    assert pong["ref"] == "p-1"
    assert "seq" not in pong


@in_memory
async def test_what_a_ping_confirms_is_not_kept_any_longer(exchange: MemoryExchange) -> None:
    caller, _ = await exchange.connected()
    await exchange.say(caller, frame("ping", last_seq=caller.last_seq))
    assert caller.device.missed(0) is None
    await exchange.lose(caller)
    await exchange.resume(caller)
