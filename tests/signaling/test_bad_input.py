"""Every message of every type, mutated: each gets one documented error code, and the call goes on."""

import json
from typing import Any

import pytest

from relay.signaling.messages.incoming import AnyFromClient
from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, VOICE_ANSWER, VOICE_OFFER
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import HANG_UP, PARENT, STUDENT, Client, answer, answered, error, frame, offered

GOOD: dict[str, dict[str, Any]] = {
    "call_invitation": {
        "call_type": "voice",
        "to_profile_id": 789,
        "to_profile_type": "tutor",
        "offer": {"type": "offer", "sdp": VOICE_OFFER},
    },
    "call_answer": {"answer": {"type": "answer", "sdp": VOICE_ANSWER}},
    "ice_candidate": {"candidate": {"candidate": "candidate:1 1 udp 1 203.0.113.4 5 typ host", "sdpMid": "0"}},
    "call_declined": {"reason": "busy"},
    "call_ended": {},
    "call_update": {"offer": {"type": "offer", "sdp": VIDEO_OFFER}, "call_type": "video"},
    "call_restart": {},
    "call_rejoin": {},
    "call_rejoin_answer": {"accepted": True, "request_id": "c0" * 16},
    "call_media_state": {"muted": True, "camera_off": False, "sharing": False, "no_microphone": True, "no_camera": False},
    "call_hold": {},
    "call_resume": {},
    "call_transfer": {"target_profile_id": 321, "target_profile_type": "parent"},
    "call_transfer_answer": {"accepted": True},
    "call_transfer_targets": {},
    "call_chat": {"text": "hello", "message_id": "m-1"},
    "call_record": {"action": "start", "text_hash": "ab" * 32},
    "call_record_answer": {"accepted": True, "recording_id": "c0" * 16, "text_hash": "ab" * 32},
}

OPTIONAL = {
    *("reason", "call_type", "muted", "camera_off", "sharing", "no_microphone", "no_camera"),
    *("message_id", "text_hash", "recording_id"),
}
"""May be left out. (The `call_type` of an invitation may not.)"""

every_type = pytest.mark.parametrize("kind", GOOD)


def said(kind: str, **changes: Any) -> str:
    """A good message with changes; None leaves a field out."""
    message = {"type": kind, "conversation_id": 123, **GOOD[kind], **changes}
    return json.dumps({name: value for name, value in message.items() if value is not None})


async def refused(harness: MemoryHarness, client: Client, text: str, code: str) -> None:
    """It is answered with one error, which says what it is about, and no other client hears anything."""
    heard = {one: len(one.received) for one in harness.clients}
    await harness.say(client, text)
    assert error(client) == code
    message = client.last("error")
    assert message["message"]
    assert message["ref"] == json.loads(text)["type"]
    assert {one: len(one.received) for one in harness.clients} == {**heard, client: heard[client] + 1}


async def goes_on(harness: MemoryHarness, caller: Client, callee: Client) -> None:
    """The call is there, works, and ends right."""
    await harness.say(caller, offered(VIDEO_OFFER))
    await harness.say(callee, answered(VIDEO_ANSWER))
    assert caller.types()[-1] == "call_update answer"
    await harness.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    assert (await harness.ends())[0] == (456, "ended", "hangup")


def test_these_are_all_the_types() -> None:
    assert {one.__struct_config__.tag for one in AnyFromClient.__args__} == GOOD.keys() | {"ping"}


@every_type
@in_memory
async def test_a_message_that_lacks_a_field(harness: MemoryHarness, kind: str) -> None:
    caller, callee = await harness.connected()
    for field in ["conversation_id", *GOOD[kind]]:
        if field not in OPTIONAL or (kind, field) == ("call_invitation", "call_type"):
            for client in (caller, callee):
                await refused(harness, client, said(kind, **{field: None}), "invalid_message")
    await goes_on(harness, caller, callee)


@every_type
@in_memory
async def test_a_message_with_a_field_of_the_wrong_kind(harness: MemoryHarness, kind: str) -> None:
    caller, callee = await harness.connected()
    for field in ["conversation_id", "call_id", *GOOD[kind]]:
        for value in ([], "x", 1.5, "x" * 5000) if field == "candidate" else ([], {"a": 1}, 1.5, "x" * 5000):
            await refused(harness, caller, said(kind, **{field: value}), "invalid_message")
    await goes_on(harness, caller, callee)


every_type_but_the_invitation = pytest.mark.parametrize("kind", [kind for kind in GOOD if kind != "call_invitation"])


@every_type_but_the_invitation
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"conversation_id": 124}, id="another conversation"),
        pytest.param({"conversation_id": 2**31 - 1}, id="no such conversation"),
        pytest.param({"conversation_id": None, "whiteboard_session_id": 123}, id="a whiteboard session"),
        pytest.param({"call_id": "another"}, id="another call"),
    ],
)
@in_memory
async def test_a_message_about_a_call_that_is_not_ones_own(harness: MemoryHarness, kind: str, changes: dict[str, object]) -> None:
    caller, callee = await harness.connected()
    for client in (caller, callee):
        await refused(harness, client, said(kind, **changes), "no_call")
    await goes_on(harness, caller, callee)


@every_type_but_the_invitation
@in_memory
async def test_a_message_about_a_call_of_others(harness: MemoryHarness, kind: str) -> None:
    caller, callee = await harness.connected()
    parent = await harness.connect(PARENT)
    call_id = caller.last("call_state")["call_id"]
    await refused(harness, parent, said(kind, call_id=call_id), "no_call")
    await goes_on(harness, caller, callee)


@every_type_but_the_invitation
@in_memory
async def test_a_message_without_any_call(harness: MemoryHarness, kind: str) -> None:
    await refused(harness, await harness.connect(STUDENT), said(kind), "no_call")


@every_type_but_the_invitation
@in_memory
async def test_a_message_about_a_call_that_has_ended(harness: MemoryHarness, kind: str) -> None:
    caller, callee = await harness.connected()
    call_id = caller.last("call_state")["call_id"]
    await harness.say(caller, HANG_UP)
    for client in (caller, callee):
        await refused(harness, client, said(kind), "no_call")
        await refused(harness, client, said(kind, call_id=call_id), "no_call")
    assert await harness.ends() == [(456, "ended", "hangup")]


NOT_WHILE_IT_RINGS = sorted(GOOD.keys() - {"call_invitation", "call_answer", "ice_candidate", "call_declined", "call_ended"})


@pytest.mark.parametrize("kind", NOT_WHILE_IT_RINGS)
@in_memory
async def test_a_message_that_comes_before_the_answer(harness: MemoryHarness, kind: str) -> None:
    caller, callee = await harness.ringing()
    for client in (caller, callee):
        await refused(harness, client, said(kind), "wrong_state")
    await harness.say(callee, answer())
    assert caller.types()[-1] == "call_state answered"


@pytest.mark.parametrize("kind", ["call_answer", "call_declined"])
@in_memory
async def test_an_answer_or_a_refusal_by_the_wrong_side_or_at_the_wrong_time(harness: MemoryHarness, kind: str) -> None:
    caller, callee = await harness.ringing()
    await refused(harness, caller, said(kind), "wrong_state")
    await harness.say(callee, answer())
    for client in (callee, caller):
        await refused(harness, client, said(kind), "wrong_state")
    await goes_on(harness, caller, callee)


@pytest.mark.parametrize(
    ("kind", "first", "again"),
    [
        ("call_answer", None, "wrong_state"),
        ("call_ended", None, "no_call"),
        ("call_update", None, "update_glare"),
        ("call_restart", None, "update_glare"),
        ("call_hold", None, "wrong_state"),
        ("call_resume", "call_hold", "wrong_state"),
        ("call_transfer", None, "wrong_state"),
    ],
)
@in_memory
async def test_a_message_that_is_replayed(harness: MemoryHarness, kind: str, first: str | None, again: str) -> None:
    await harness.connect(PARENT)
    harness.clients.clear()
    caller, callee = await (harness.ringing() if kind == "call_answer" else harness.connected())
    client = callee if kind == "call_answer" else caller
    if first:
        await harness.say(client, said(first))
    await harness.say(client, said(kind))
    assert client.types()[-1] != f"error {again}"
    await refused(harness, client, said(kind), again)


@every_type
@in_memory
async def test_a_message_from_a_tab_that_is_not_in_the_call(harness: MemoryHarness, kind: str) -> None:
    tab = await harness.connect(STUDENT)
    caller, callee = await harness.connected()
    heard = len(caller.received)
    await harness.say(tab, said(kind))
    codes = {"call_answer": "wrong_state", "call_declined": "wrong_state"}
    if kind == "call_invitation":
        assert tab.types() == ["call_declined busy"]
    elif kind == "ice_candidate":
        assert tab.types() == [], "nothing is done with it"
    else:
        assert tab.types() == [f"error {codes.get(kind, 'not_in_call')}"]
    assert len(caller.received) == heard
    await goes_on(harness, caller, callee)


@every_type
@in_memory
async def test_the_error_names_the_messages_ref(harness: MemoryHarness, kind: str) -> None:
    client = await harness.connect(STUDENT)
    await harness.say(client, said(kind, conversation_id="?", ref="my-7"))
    assert client.last("error")["ref"] == "my-7"


@pytest.mark.parametrize("part", ["offer", "answer"])
@pytest.mark.parametrize("spoilt", ["", "v=0\r\n", VOICE_OFFER.replace("a=rtcp-mux\r\n", "")])
@in_memory
async def test_a_description_that_is_none(harness: MemoryHarness, part: str, spoilt: str) -> None:
    caller, callee = await harness.connected()
    if part == "answer":
        await harness.say(caller, offered(VIDEO_OFFER))
    description: dict[str, Any] = {part: {"type": part, "sdp": spoilt}}
    await refused(harness, callee, frame("call_update", **description), "invalid_sdp")
    await harness.say(callee, answered(VIDEO_ANSWER))
    await goes_on(harness, caller, callee)
