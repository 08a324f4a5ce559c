"""A party asks the other to call a third profile instead, in virtual time."""

import asyncio
from typing import Any

import pytest

from relay.records.profiles import Privacy
from relay.signaling.calls.live import MAX_TARGETS_ASKED, MAX_TRANSFERS
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    AGREE,
    FAMILY,
    HANG_UP,
    PARENT,
    PARENTS_EVENING,
    REFUSE,
    STRANGER,
    STUDENT,
    TO_PARENT,
    TUTOR,
    Client,
    answer,
    error,
    frame,
    invitation,
)


async def with_parent(harness: MemoryHarness) -> tuple[Client, Client, Client]:
    """The student talks to the tutor; the parent is there. The tutor would have the student call the parent."""
    parent = await harness.connect(PARENT)
    caller, callee = await harness.connected()
    return caller, callee, parent


@in_memory
async def test_a_party_that_agrees_calls_the_third_profile_instead(harness: MemoryHarness) -> None:
    caller, callee, parent = await with_parent(harness)
    await harness.say(callee, TO_PARENT)
    asked = caller.last("call_transfer")
    assert asked["target"] == {
        "conversation_id": 125,
        "profile_id": 321,
        "profile_type": "parent",
        "name": "Elena Lindgren",
        "avatar": "",
    }
    assert asked["expires_at"] - asked["server_time"] == 30_000
    await harness.say(caller, AGREE)
    assert caller.types()[-1] == callee.types()[-1] == "call_ended transferred"
    assert caller.last("call_ended")["transfer"] == asked["target"]
    assert "transfer" not in callee.last("call_ended")
    assert parent.types() == []

    await harness.say(caller, invitation(PARENT, FAMILY, transferred_from=asked["call_id"]))
    assert parent.types() == ["call_invitation"]
    assert await harness.ends() == [(456, "ended", "transferred"), (456, "initiated", None)]
    [_, second] = await harness.rows()
    assert second.call.transferred_from == asked["call_id"]


@pytest.mark.parametrize("which", ["made up", "not transferred", "another party's"])
@in_memory
async def test_a_call_comes_from_a_transfer_only_if_there_was_one(harness: MemoryHarness, which: str) -> None:
    caller, callee, parent = await with_parent(harness)
    call_id = caller.last("call_state")["call_id"]
    if which == "another party's":
        await harness.say(callee, TO_PARENT)
        await harness.say(caller, AGREE)
        await harness.say(parent, invitation(TUTOR, PARENTS_EVENING, transferred_from=call_id, ref="mine"))
        refused = parent
    else:
        await harness.say(callee, HANG_UP)
        named = "f" * 32 if which == "made up" else call_id
        await harness.say(caller, invitation(PARENT, FAMILY, transferred_from=named, ref="mine"))
        refused = caller
    assert error(refused) == "invalid_message"
    assert refused.last("error")["ref"] == "mine"
    assert len(await harness.rows()) == 1


@in_memory
async def test_a_transfer_is_known_to_a_server_that_was_started_since(harness: MemoryHarness) -> None:
    caller, callee, parent = await with_parent(harness)
    await harness.say(callee, TO_PARENT)
    await harness.say(caller, AGREE)
    harness.calls._context.transferred.clear()
    await harness.say(caller, invitation(PARENT, FAMILY, transferred_from=caller.last("call_ended")["call_id"]))
    assert parent.types()[-1] == "call_invitation"


@in_memory
async def test_the_caller_may_transfer_the_callee_too(harness: MemoryHarness) -> None:
    caller, callee, _ = await with_parent(harness)
    await harness.say(caller, TO_PARENT)
    assert callee.last("call_transfer")["target"]["conversation_id"] == 124
    await harness.say(callee, AGREE)
    assert callee.last("call_ended")["transfer"]["profile_id"] == 321


@in_memory
async def test_a_party_that_refuses_stays(harness: MemoryHarness) -> None:
    caller, callee, _ = await with_parent(harness)
    await harness.say(callee, TO_PARENT)
    await harness.say(caller, REFUSE)
    assert callee.types()[-1] == "call_transfer_answer refused"
    await harness.say(caller, AGREE)
    assert error(caller) == "wrong_state"
    assert harness.calls.call_count == 1
    await harness.say(callee, TO_PARENT)
    assert caller.types()[-1] == "call_transfer"


@in_memory
async def test_a_party_that_does_not_say_in_30_seconds_stays(harness: MemoryHarness) -> None:
    caller, callee, _ = await with_parent(harness)
    await harness.say(callee, TO_PARENT)
    await asyncio.sleep(29.9)
    assert callee.types()[-1] == "call_state connected"
    await asyncio.sleep(0.2)
    assert callee.types()[-1] == "call_transfer_answer refused"
    await harness.say(caller, AGREE)
    assert error(caller) == "wrong_state"


@in_memory
async def test_one_transfer_is_asked_for_at_a_time(harness: MemoryHarness) -> None:
    caller, callee, _ = await with_parent(harness)
    await harness.say(callee, TO_PARENT)
    for client in (callee, caller):
        await harness.say(client, TO_PARENT)
        assert error(client) == "wrong_state"


@pytest.mark.parametrize("said", [AGREE, REFUSE])
@in_memory
async def test_a_party_cannot_answer_its_own_wish_or_none(harness: MemoryHarness, said: str) -> None:
    caller, callee, _ = await with_parent(harness)
    for client in (caller, callee):
        await harness.say(client, said)
        assert error(client) == "wrong_state"
    await harness.say(callee, TO_PARENT)
    await harness.say(callee, said)
    assert error(callee) == "wrong_state"
    assert harness.calls.call_count == 1


@pytest.mark.parametrize(
    "why",
    ["unknown to the asker", "asker blocked", "stranger", "away", "busy", "blocked", "nobody", "undisturbed", "no such profile"],
)
@in_memory
async def test_whom_the_other_party_cannot_call_it_is_not_transferred_to(harness: MemoryHarness, why: str) -> None:
    """And the asker does not learn why."""
    caller, callee, parent = await with_parent(harness)
    target: dict[str, Any] = {"target_profile_id": 321, "target_profile_type": "parent"}
    match why:
        case "unknown to the asker":
            harness.directory.members[PARENTS_EVENING].discard(TUTOR)
        case "asker blocked":
            harness.directory.blocks.add((PARENT, TUTOR))
        case "stranger":
            await harness.connect(STRANGER)
            target = {"target_profile_id": 654, "target_profile_type": "advertiser"}
        case "away":
            await harness.lose(parent)
        case "busy":
            other = await harness.connect(STRANGER)
            harness.directory.members[FAMILY].add(STRANGER)
            await harness.say(other, invitation(PARENT, FAMILY))
            await harness.say(parent, answer(FAMILY))
        case "blocked":
            harness.directory.blocks.add((PARENT, STUDENT))
        case "nobody":
            harness.directory.privacy[PARENT] = Privacy.NOBODY
        case "undisturbed":
            harness.directory.undisturbed.add(PARENT)
        case _:
            target = {"target_profile_id": 1, "target_profile_type": "tutor"}
    harness.directory.asked = 0
    await harness.say(callee, frame("call_transfer", **target))
    assert error(callee) == "not_allowed"
    assert callee.last("error")["message"] == "the other party cannot call this profile now"
    assert harness.directory.asked == 4, "nor by how long it takes"
    assert "call_transfer" not in caller.types()


@in_memory
async def test_a_party_cannot_go_on_asking_who_is_there(harness: MemoryHarness) -> None:
    caller, callee, parent = await with_parent(harness)
    await harness.lose(parent)
    for _ in range(MAX_TRANSFERS):
        await harness.say(callee, TO_PARENT)
        assert error(callee) == "not_allowed"
    await harness.connect(PARENT)
    await harness.say(callee, TO_PARENT)
    first, *_, last = callee.said("error")
    assert {**last, "seq": 0} == {**first, "seq": 0}
    await harness.say(caller, TO_PARENT)
    assert callee.types()[-1] == "call_transfer", "the other one has not asked yet"


@pytest.mark.parametrize("profile", [STUDENT, TUTOR])
@in_memory
async def test_a_call_is_not_transferred_to_a_profile_that_is_in_it(harness: MemoryHarness, profile: tuple[str, int]) -> None:
    _, callee, _ = await with_parent(harness)
    target_type, target_id = profile
    await harness.say(callee, frame("call_transfer", target_profile_id=target_id, target_profile_type=target_type))
    assert error(callee) == "invalid_message"


@in_memory
async def test_a_call_that_ends_takes_a_wish_to_transfer_it_along(harness: MemoryHarness) -> None:
    caller, callee, _ = await with_parent(harness)
    await harness.say(callee, TO_PARENT)
    await harness.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    assert "transfer" not in caller.last("call_ended")
    await asyncio.sleep(60)
    assert callee.types()[-1] == "call_state ended"


# -- targets ----------------------------------------------------------------------------------------------------------

TARGETS = frame("call_transfer_targets")


async def targets(harness: MemoryHarness, client: Client) -> list[tuple[int, str | None]]:
    """Whom the client may have the other party call, and why not now."""
    await harness.say(client, TARGETS)
    return [(one["profile_id"], one["reason"]) for one in client.last("call_transfer_targets")["targets"]]


@in_memory
async def test_a_party_hears_whom_the_other_one_can_be_transferred_to(harness: MemoryHarness) -> None:
    caller, callee, parent = await with_parent(harness)
    assert await targets(harness, callee) == [(321, None)]
    assert callee.last("call_transfer_targets")["targets"] == [
        {"profile_id": 321, "profile_type": "parent", "name": "Elena Lindgren", "avatar": "", "reason": None}
    ]
    assert await targets(harness, caller) == [(321, None)]
    await harness.say(callee, TO_PARENT)
    assert caller.types()[-1] == "call_transfer", "what was offered works"
    await harness.lose(parent)
    assert await targets(harness, callee) == [(321, "offline")]


@in_memory
async def test_a_target_that_is_busy_or_not_to_be_disturbed_looks_the_same(harness: MemoryHarness) -> None:
    _, callee, parent = await with_parent(harness)
    harness.directory.undisturbed.add(PARENT)
    assert await targets(harness, callee) == [(321, "busy")]
    harness.directory.undisturbed.clear()
    harness.directory.members[FAMILY].add(STRANGER)
    stranger = await harness.connect(STRANGER)
    await harness.say(stranger, invitation(PARENT, FAMILY))
    assert parent.types()[-1] == "call_invitation"
    assert (321, "busy") in await targets(harness, callee)


@pytest.mark.parametrize("why", ["blocked the student", "blocked the tutor", "no conversation", "privacy"])
@in_memory
async def test_a_profile_that_the_other_party_may_not_call_is_not_listed_whatever_the_reason(
    harness: MemoryHarness, why: str
) -> None:
    _, callee, _ = await with_parent(harness)
    match why:
        case "blocked the student":
            harness.directory.blocks.add((PARENT, STUDENT))
        case "blocked the tutor":
            harness.directory.blocks.add((PARENT, TUTOR))
        case "no conversation":
            harness.directory.members[FAMILY].remove(STUDENT)
        case _:
            harness.directory.privacy[PARENT] = Privacy.NOBODY
    assert await targets(harness, callee) == []


@in_memory
async def test_only_a_device_in_the_call_hears_whom_it_can_transfer_to_and_not_without_end(harness: MemoryHarness) -> None:
    _, callee, parent = await with_parent(harness)
    tablet = await harness.connect(TUTOR)
    for one, code in ((parent, "no_call"), (tablet, "not_in_call")):
        await harness.say(one, TARGETS)
        assert error(one) == code
    for _ in range(MAX_TARGETS_ASKED):
        await harness.say(callee, TARGETS)
    assert len(callee.said("call_transfer_targets")) == MAX_TARGETS_ASKED
    await harness.say(callee, TARGETS)
    assert error(callee) == "not_allowed"
