"""From the invitation to the answer, where the order of things matters; in virtual time. (What needs a database: test_calls.)"""

import asyncio

import pytest

from relay.ids import Profile
from relay.records.profiles import Privacy
from relay.signaling.ports import Action
from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_OFFER, plain
from tests.signaling.harness import EPOCH, MemoryHarness, in_memory
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
async def test_a_caller_who_calls_again_just_when_the_callee_answers_hangs_up(harness: MemoryHarness) -> None:
    """The answer was first: what was answered cannot be cancelled."""
    caller, callee = await harness.ringing()
    await asyncio.gather(harness.say(caller, invitation(TUTOR)), harness.say(callee, answer()))
    first, second = await harness.ends()
    assert first == (456, "ended", "hangup")
    assert second == (456, "initiated", None)
    assert callee.types()[-2:] == ["call_ended hangup", "call_invitation"]


@in_memory
async def test_a_tab_that_hangs_up_for_a_device_that_is_gone_is_told_of_the_end(harness: MemoryHarness) -> None:
    """Version 1 clients cannot come back; the call is anybody's of their profile."""
    tab = await harness.connect(STUDENT, version=1)
    caller, callee = await harness.answered(version=1)
    await harness.lose(caller)
    await harness.say(tab, HANG_UP)
    assert tab.types() == ["call_state ended"]
    assert callee.types()[-1] == "call_ended hangup"


# -- the same call again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("sdp", [VOICE_OFFER, OTHER_OFFER], ids=["the same offer", "another offer"])
@in_memory
async def test_a_double_click_makes_one_call(harness: MemoryHarness, version: int, sdp: str) -> None:
    """It is not missed while it rings, nor afterwards."""
    caller, callee = await harness.connect(STUDENT, version), await harness.connect(TUTOR, version)
    await harness.say(caller, invitation(TUTOR))
    await harness.say(caller, invitation(TUTOR, sdp=sdp))
    rang = callee.said("call_invitation")
    assert set(callee.types()) == {"call_invitation"}
    assert {one["call_id"] for one in rang} == {caller.last("call_state")["call_id"]}
    assert len(rang) == (1 if sdp == VOICE_OFFER else 2)
    assert caller.types() == ["call_state ringing"] * 2
    await harness.say(callee, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]
    await harness.say(caller, HANG_UP)
    assert await harness.ends() == [(456, "ended", "hangup")]
    assert (await harness.connect(TUTOR)).types() == []


@in_memory
async def test_the_latest_offer_counts(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    first = callee.last("call_invitation")
    await asyncio.sleep(40)
    await harness.say(caller, invitation(TUTOR, sdp=VIDEO_OFFER, call_type="video"))
    again = callee.last("call_invitation")
    assert (again["call_id"], again["call_type"]) == (first["call_id"], "video")
    assert "m=video" in again["offer"]["sdp"]
    assert again["expires_at"] == again["server_time"] + 45_000
    await harness.say(callee, answer())
    assert error(callee) == "invalid_sdp", "that answers the first one"
    await harness.say(callee, answer(sdp=VIDEO_ANSWER))
    assert caller.types()[-1] == "call_state answered"
    [row] = await harness.rows()
    assert (row.call_type, row.status) == ("video", "answered")


@in_memory
async def test_a_page_that_is_loaded_anew_goes_on_with_its_call(harness: MemoryHarness) -> None:
    before, callee = await harness.ringing()
    page = await harness.connect(STUDENT)
    await harness.say(page, invitation(TUTOR, sdp=OTHER_OFFER))
    assert before.types()[-1] == "call_ended answered_elsewhere"
    await harness.lose(before)
    await asyncio.sleep(10)
    await harness.say(callee, answer())
    assert page.types() == ["call_state ringing", "call_answer", "call_state answered"]
    assert await harness.ends() == [(456, "answered", None)]


# -- invitations that cross -------------------------------------------------------------------------------------------


@in_memory
async def test_a_client_whose_invitation_crosses_is_told_to_answer_the_other_one(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, invitation(STUDENT, ref="mine"))
    glare, first = callee.last("call_glare"), callee.last("call_invitation")
    assert glare["call_id"] == first["call_id"] == caller.last("call_state")["call_id"]
    assert (glare["from_profile_id"], glare["from_name"]) == (456, "Maya Lindgren")
    assert caller.types() == ["call_state ringing"]
    await harness.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"
    assert await harness.ends() == [(456, "answered", None)]


@in_memory
async def test_a_version_1_client_whose_invitation_crosses_finds_the_other_busy(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing(version=1)
    await harness.say(callee, invitation(STUDENT))
    assert callee.types() == ["call_invitation", "call_declined busy"]
    assert await harness.ends() == [(456, "initiated", None), (789, "missed", "busy")]
    await harness.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"


@in_memory
async def test_another_device_of_the_callee_is_told_of_the_call_that_rings_on_it_too(harness: MemoryHarness) -> None:
    tablet = await harness.connect(TUTOR)
    _, phone = await harness.ringing()
    await harness.say(tablet, invitation(STUDENT))
    assert tablet.types() == ["call_invitation", "call_glare"]
    assert phone.types() == ["call_invitation"]


@in_memory
async def test_invitations_at_different_scopes_do_not_cross(harness: MemoryHarness) -> None:
    _, callee = await harness.ringing()
    await harness.say(callee, invitation(STUDENT, WHITEBOARD))
    assert callee.types() == ["call_invitation", "call_declined busy"]


@in_memory
async def test_who_is_blocked_is_refused_even_if_the_invitations_cross(harness: MemoryHarness) -> None:
    _, callee = await harness.ringing()
    harness.directory.blocks.add((STUDENT, TUTOR))
    await harness.say(callee, invitation(STUDENT))
    assert callee.types() == ["call_invitation", "call_declined rejected"]


# -- who may call -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [(STUDENT, TUTOR), (TUTOR, STUDENT)])
@in_memory
async def test_a_block_looks_like_a_refusal_on_either_side(harness: MemoryHarness, who: tuple[Profile, Profile]) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    harness.directory.blocks.add(who)
    await harness.say(caller, invitation(TUTOR))
    await harness.lose(callee)
    harness.directory.blocks.clear()
    harness.directory.members[LESSON].discard(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    blocked, refused = caller.received
    assert {**blocked, "seq": 0, "call_id": ""} == {**refused, "seq": 0, "call_id": ""}
    assert blocked["from_name"] == ""
    assert [end for _, _, end in await harness.ends()] == ["blocked", "rejected"]
    assert callee.types() == []


@pytest.mark.parametrize(("connected", "told"), [(False, "call_declined rejected"), (True, "call_state ringing")])
@in_memory
async def test_who_wants_calls_from_connections_only_gets_no_others(harness: MemoryHarness, connected: bool, told: str) -> None:
    caller = await harness.connect(STUDENT)
    await harness.connect(TUTOR)
    harness.directory.privacy[TUTOR] = Privacy.CONNECTIONS
    if connected:
        harness.directory.connections.add(frozenset({STUDENT, TUTOR}))
    await harness.say(caller, invitation(TUTOR))
    assert caller.types() == [told]


@in_memory
async def test_who_does_not_want_to_be_disturbed_is_busy_and_learns_who_tried(harness: MemoryHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    harness.directory.undisturbed.add(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    assert caller.types() == ["call_declined busy"]
    assert caller.last("call_declined")["from_name"] == "Daniel Okafor"
    assert callee.types() == ["call_missed busy"]


# -- limits -----------------------------------------------------------------------------------------------------------


@in_memory
async def test_too_many_messages_are_refused_and_the_call_goes_on(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    harness.limiter.refuses.add((Action.MESSAGE, STUDENT))
    for said in (HANG_UP, frame("ping"), "nonsense"):
        await harness.say(caller, said)
        assert error(caller) == "rate_limited"
    assert callee.types()[-1] == "call_state connected"
    harness.limiter.refuses.clear()
    await harness.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"


@in_memory
async def test_too_many_invitations_are_refused_and_the_older_call_goes_on(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    harness.limiter.refuses.add((Action.INVITATION, STUDENT))
    await harness.say(caller, invitation(TUTOR))
    assert error(caller) == "rate_limited"
    await harness.say(caller, frame("call_chat", text="still here"))
    assert callee.types()[-1] == "call_chat"
    assert len(await harness.rows()) == 1


@in_memory
async def test_what_is_counted_is_counted_for_the_profile_and_its_address(harness: MemoryHarness) -> None:
    caller = await harness.connect(STUDENT)
    await harness.say(caller, invitation(TUTOR))
    assert harness.limiter.asked == [(Action.MESSAGE, STUDENT, "203.0.113.7"), (Action.INVITATION, STUDENT, "203.0.113.7")]


# -- coming back ------------------------------------------------------------------------------------------------------


@in_memory
async def test_a_device_that_resumes_has_all_it_missed_in_order_and_then_where_its_call_stands(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.lose(callee)
    await harness.say(caller, frame("call_media_state", muted=True))
    await harness.say(caller, frame("call_chat", text="are you there?"))
    await harness.say(caller, frame("call_hold"))
    await harness.resume(callee)
    assert callee.types()[-5:] == ["call_media_state", "call_chat", "call_hold", "call_state connected", "call_state connected"]
    assert callee.last("call_state")["held_by"] == ["other"]


@in_memory
async def test_a_second_use_of_a_resume_token_closes_the_first_connection(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    first = caller.connection
    assert first is not None
    await harness.resume(caller)
    assert first.closed == 4409
    assert caller.types()[-1] == "call_state connected"
    await harness.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


@in_memory
async def test_a_token_of_another_device_or_too_late_is_a_new_device(harness: MemoryHarness) -> None:
    caller = await harness.connect(STUDENT)
    for other in (TUTOR, PARENT):
        assert not (await harness.connect(other, resume=caller.device.resume_token)).welcome["resumed"]
    await harness.lose(caller)
    await asyncio.sleep(30.1)
    late = await harness.connect(STUDENT, resume=caller.device.resume_token)
    assert not late.welcome["resumed"]
    assert late.welcome["device_id"] != caller.device.device_id


@in_memory
async def test_the_first_message_says_who_one_is_and_how_to_come_back(harness: MemoryHarness) -> None:
    caller = await harness.connect(STUDENT)
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
            *("call_transfer", "call_transfer_answer", "call_transfer_targets", "call_record", "call_record_answer"),
            *("call_rejoin_answer", "ping"),
        ],
        "recording": "off",
        "limits": {
            "message_bytes": 65_536,
            "chat_characters": 4_000,
            "decline_characters": 200,
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
    old = (await harness.connect(STUDENT, version=1)).welcome
    assert (old["resume_seconds"], old["version"]) == (0.0, 1)


@pytest.mark.parametrize(("caller_version", "callee_version"), [(1, 2), (2, 1), (2, 2)])
@in_memory
async def test_each_party_hears_in_its_first_messages_whether_the_other_one_can_change_the_call(
    harness: MemoryHarness, caller_version: int, callee_version: int
) -> None:
    caller, callee = await harness.connect(STUDENT, caller_version), await harness.connect(TUTOR, callee_version)
    await harness.say(caller, invitation(TUTOR))
    assert callee.last("call_invitation")["can_update"] is (caller_version == 2)
    assert caller.last("call_state")["can_update"] is None, "no device of the callee has taken the call"
    await harness.say(callee, answer())
    assert caller.last("call_answer")["can_update"] is (callee_version == 2)
    assert caller.last("call_state")["can_update"] is (callee_version == 2)
    assert callee.last("call_state")["can_update"] is (caller_version == 2)


@in_memory
async def test_the_other_party_hears_what_another_device_can_that_takes_the_call_over(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected(version=1)
    await harness.lose(caller)
    tablet = await harness.connect(STUDENT)
    await harness.say(tablet, frame("call_rejoin"))
    assert tablet.last("call_state")["can_update"] is False
    await harness.say(tablet, frame("call_update", answer={"type": "answer", "sdp": plain("audio", setup="passive")}))
    assert callee.last("call_state")["state"] == "reconnecting"
    assert callee.last("call_state")["can_update"] is True


@in_memory
async def test_a_ping_is_answered_at_once_and_with_its_ref(harness: MemoryHarness) -> None:
    caller = await harness.connect(STUDENT)
    await harness.say(caller, frame("ping", ref="p-1"))
    pong = caller.last("pong")
    assert pong["ref"] == "p-1"
    assert "seq" not in pong


@in_memory
async def test_what_a_ping_confirms_is_not_kept_any_longer(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    await harness.say(caller, frame("ping", last_seq=caller.last_seq))
    assert caller.device.missed(0) is None
    await harness.lose(caller)
    await harness.resume(caller)
