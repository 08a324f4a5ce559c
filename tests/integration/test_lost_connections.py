"""Clients that disconnect without ending their calls."""

from tests.integration.conftest import Connect
from tests.kit.peer import Peer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

VOICE = ("voice", ("PCMU",))


async def voice_call(connect: Connect) -> tuple[Peer, Peer]:
    caller, callee = await connect("student_456", tone=440), await connect("tutor_789", tone=880)
    await caller.call("tutor_789", 123, *VOICE)
    await callee.answer(await callee.ring())
    await caller.accept_answer()
    await eventually(lambda: caller.hears(880) and callee.hears(440), "both hear each other")
    return caller, callee


async def test_the_ringing_stops_when_the_caller_disconnects(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.ring()
    await caller.lose_socket()
    await callee.expect("call_ended")
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("missed", "signaling_lost")


async def test_a_callee_whose_last_device_disconnects_is_offline(relay: RunningRelay, connect: Connect) -> None:
    caller, phone, tablet = await connect("student_456"), await connect("tutor_789"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await phone.ring()
    await tablet.ring()
    await phone.lose_socket()
    await tablet.lose_socket()
    assert (await caller.expect("call_declined"))["reason"] == "offline"
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("missed", "offline")


async def test_a_call_ends_when_signaling_and_media_of_a_party_are_gone(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await voice_call(connect)
    await callee.close()
    assert (await caller.expect("call_ended"))["reason"] == "signaling_lost"
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "signaling_lost")


async def test_a_call_outlives_a_socket_and_goes_on_with_the_next_one(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await voice_call(connect)
    await callee.lose_socket()
    again = await connect("tutor_789")
    assert (await again.expect("call_state"))["state"] == "connected"
    caller.forget_what_was_heard()
    await eventually(lambda: caller.hears(880), "the caller still hears the callee")

    await again.send("call_ended", conversation_id=123)
    assert (await caller.expect("call_ended"))["reason"] == "hangup"
    assert (await relay.finished_call())["status"] == "ended"


async def test_another_tab_of_the_caller_that_calls_finds_itself_busy_and_the_call_goes_on(
    relay: RunningRelay, connect: Connect
) -> None:
    caller, callee = await voice_call(connect)
    other_tab = await connect("student_456")
    await other_tab.call("tutor_789", 123, *VOICE)
    assert (await other_tab.expect("call_declined"))["reason"] == "busy"
    caller.forget_what_was_heard()
    await eventually(lambda: caller.hears(880), "the caller still hears the callee")
    await callee.send("call_ended", conversation_id=123)
    assert (await caller.expect("call_ended"))["reason"] == "hangup"
