"""Calls that are not answered, or that another device answers: each leaves exactly one row in call_logs."""

import pytest

from tests.integration.conftest import Connect
from tests.kit.peer import Peer
from tests.kit.server import RunningRelay

VOICE = ("voice", ("PCMU",))


async def missed(relay: RunningRelay, reason: str) -> None:
    """The only call ended without an answer, and its row says why."""
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"], row["duration_seconds"]) == ("missed", reason, None)
    assert row["answered_at"] is None
    assert row["started_at"] <= row["ended_at"]


async def declined(caller: Peer, reason: str, conversation_id: int = 123) -> None:
    message = await caller.expect("call_declined")
    assert (message["conversation_id"], message["reason"]) == (conversation_id, reason)


@pytest.mark.parametrize("reason", ["rejected", "busy"])
async def test_a_declined_call_tells_the_caller_why(relay: RunningRelay, connect: Connect, reason: str) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.ring()
    await callee.send("call_declined", reason=reason)
    await declined(caller, reason)
    await missed(relay, reason)


async def test_a_callee_who_is_not_connected_is_offline(relay: RunningRelay, connect: Connect) -> None:
    caller = await connect("student_456")
    await caller.call("tutor_789", 123, *VOICE)
    await declined(caller, "offline")
    await missed(relay, "offline")


async def test_a_callee_in_another_call_is_busy(relay: RunningRelay, connect: Connect) -> None:
    caller, callee, third = await connect("student_456"), await connect("tutor_789"), await connect("parent_321")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.answer(await callee.ring())
    await caller.accept_answer()

    await third.call("tutor_789", 124, *VOICE)
    assert (await third.expect("call_declined"))["reason"] == "busy"

    await caller.hang_up()
    await callee.expect("call_ended")
    rows = {row["conversation_id"]: row for row in await relay.finished_calls(2)}
    assert (rows[123]["status"], rows[124]["status"]) == ("ended", "missed")
    assert rows[124]["end_reason"] == "busy"
    assert [message["type"] for message in callee.received].count("call_invitation") == 1


async def test_a_caller_may_cancel_before_the_answer(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.ring()
    await caller.hang_up()
    await callee.expect("call_ended")
    await missed(relay, "cancelled")


async def test_no_call_without_a_common_conversation(relay: RunningRelay, connect: Connect) -> None:
    caller, stranger = await connect("student_456"), await connect("advertiser_654")
    await caller.call("advertiser_654", 123, *VOICE)
    await declined(caller, "rejected")
    await missed(relay, "rejected")
    assert [message["type"] for message in stranger.received] == ["welcome"]


async def test_no_call_in_a_conversation_that_does_not_exist(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 999, *VOICE)
    await declined(caller, "rejected", conversation_id=999)
    await missed(relay, "rejected")
    assert [message["type"] for message in callee.received] == ["welcome"]


@pytest.mark.settings(ring_timeout=0.5)
async def test_a_call_that_is_not_answered_stops_ringing(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.ring()
    assert (await caller.expect("call_ended"))["reason"] == "no_answer"
    assert (await callee.expect("call_ended"))["reason"] == "no_answer"
    await missed(relay, "no_answer")


async def test_the_first_device_to_answer_wins(relay: RunningRelay, connect: Connect) -> None:
    caller = await connect("student_456", tone=440)
    phone, tablet = await connect("tutor_789", tone=880), await connect("tutor_789", tone=1320)
    await caller.call("tutor_789", 123, *VOICE)
    on_phone, on_tablet = await phone.ring(), await tablet.ring()

    await tablet.answer(on_tablet)
    lost = await phone.expect("call_ended")
    assert lost["reason"] == "answered_elsewhere"
    assert lost["call_id"] == on_phone["call_id"] == on_tablet["call_id"]
    await caller.accept_answer()

    await phone.hang_up()
    await phone.expect("error")
    await caller.hang_up()
    await tablet.expect("call_ended")
    assert (await relay.finished_call())["status"] == "ended"


async def test_a_caller_without_a_common_conversation_does_not_learn_whether_a_profile_exists(
    relay: RunningRelay, connect: Connect
) -> None:
    caller = await connect("student_456")
    await caller.call("advertiser_654", 123, *VOICE)
    existing = await caller.expect("call_declined")
    await caller.invite("advertiser_111", 123, "voice", caller.description)
    missing = await caller.expect("call_declined")
    assert existing["from_name"] == missing["from_name"] == ""
    assert existing["reason"] == missing["reason"] == "rejected"
