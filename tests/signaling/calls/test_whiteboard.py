"""Calls of a whiteboard session: their scope is in every message, and their rows are in a table of their own."""

from relay.ids import ScopeKind
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    HANG_UP,
    PARENT,
    PARENTS_EVENING,
    TUTOR,
    WHITEBOARD,
    finals,
    frame,
    invitation,
)


@in_memory
async def test_a_call_of_a_whiteboard_session_has_a_table_of_its_own_and_names_its_scope_in_every_message(
    harness: MemoryHarness,
) -> None:
    caller, callee = await harness.connected(scope=WHITEBOARD)
    await harness.say(caller, HANG_UP)
    assert caller.types()[-1] == "error no_call", "it is no call of that conversation"
    for kind, fields in [("call_hold", {}), ("call_resume", {}), ("call_chat", {"text": "hello"}), ("call_ended", {})]:
        await harness.say(caller, frame(kind, WHITEBOARD, **fields))
    heard = [one for one in caller.received + callee.received if one["type"] != "error"]
    assert all(one["whiteboard_session_id"] == 7 and "conversation_id" not in one for one in heard)
    assert finals(callee) == ["call_ended hangup"]
    assert await harness.rows() == []
    [row] = harness.logs[ScopeKind.WHITEBOARD_SESSION].entries.values()
    assert (row.status, row.end_reason) == ("ended", "hangup")


@in_memory
async def test_a_missed_call_of_a_whiteboard_session_names_it(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing(scope=WHITEBOARD)
    await harness.say(caller, frame("call_ended", WHITEBOARD))
    call = callee.last("call_missed")["call"]
    assert call["whiteboard_session_id"] == 7
    assert "conversation_id" not in call


@in_memory
async def test_who_is_in_a_call_of_a_whiteboard_session_is_busy_everywhere(harness: MemoryHarness) -> None:
    await harness.connected(scope=WHITEBOARD)
    parent = await harness.connect(PARENT)
    await harness.say(parent, invitation(TUTOR, PARENTS_EVENING))
    assert finals(parent) == ["call_declined busy"]
