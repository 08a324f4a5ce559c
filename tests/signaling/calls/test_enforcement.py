"""What is allowed no longer ends at once; in virtual time."""

import asyncio
from typing import Any

import pytest

from relay.ids import Profile
from relay.signaling.calls.enforcement import CREDENTIAL_OVER, DROPPED
from relay.signaling.calls.review import INTERVAL, Review
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import HANG_UP, LESSON, STUDENT, TUTOR, Client, FakeConnection, answer, frame, invitation

CHAT = frame("call_chat", text="Is anybody there?")


def connection_of(client: Client) -> FakeConnection:
    assert client.connection is not None
    return client.connection


# -- blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocker", "blocked"), [(STUDENT, TUTOR), (TUTOR, STUDENT)])
@in_memory
async def test_who_is_blocked_in_mid_call_cannot_tell_it_from_a_hang_up(
    harness: MemoryHarness, blocker: Profile, blocked: Profile
) -> None:
    async def last_heard(*, blocks: bool) -> dict[str, Any]:
        parties = {one.profile: one for one in await harness.answered()}
        if blocks:
            await harness.calls.enforcement.block(blocker, blocked)
        else:
            await harness.say(parties[blocker], HANG_UP)
        for profile in parties:
            await harness.calls.enforcement.drop(profile)
        return {**parties[blocked].received[-1], "call_id": ""}

    assert await last_heard(blocks=True) == await last_heard(blocks=False)
    assert await harness.ends() == [(456, "ended", "hangup")] * 2


@in_memory
async def test_who_blocks_the_one_that_calls_has_declined(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.calls.enforcement.block(TUTOR, STUDENT)
    assert caller.types()[-1] == "call_declined rejected"
    assert callee.types() == ["call_invitation", "call_ended rejected"]


@in_memory
async def test_who_blocks_the_one_that_it_calls_has_cancelled(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.calls.enforcement.block(STUDENT, TUTOR)
    assert caller.types()[-1] == "call_ended cancelled"
    assert callee.types() == ["call_invitation", "call_ended cancelled", "call_missed cancelled"]


@in_memory
async def test_a_block_of_another_profile_disturbs_no_call(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.calls.enforcement.block(STUDENT, Profile("parent", 321))
    await harness.say(caller, CHAT)
    assert callee.types()[-1] == "call_chat"


# -- membership -------------------------------------------------------------------------------------------------------


@in_memory
async def test_a_call_ends_when_a_party_does_not_belong_to_the_scope_any_more(harness: MemoryHarness) -> None:
    parties = await harness.connected()
    await harness.calls.enforcement.review(LESSON)
    assert harness.calls.call_count == 1, "nothing has changed yet"
    harness.directory.members[LESSON].discard(TUTOR)
    await harness.calls.enforcement.review(LESSON)
    assert [one.types()[-1] for one in parties] == ["call_ended terminated"] * 2
    assert all(connection_of(one).closed is None for one in parties), "they have other conversations"
    assert await harness.ends() == [(456, "ended", "terminated")]


@in_memory
async def test_a_call_that_rings_is_declined_when_it_may_not_be_any_more(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    harness.directory.members[LESSON].discard(STUDENT)
    await harness.calls.enforcement.review(LESSON)
    assert caller.types()[-1] == "call_declined rejected"
    assert callee.types() == ["call_invitation", "call_ended rejected"]


@pytest.mark.parametrize("what", ["removed", "blocked"])
@in_memory
async def test_what_changed_behind_the_relays_back_is_seen_before_long(harness: MemoryHarness, what: str) -> None:
    """In the platform's own tables, or through another server."""
    look_again = Review(harness.calls.enforcement.review)
    await look_again.start()
    parties = await harness.connected()
    await asyncio.sleep(INTERVAL + 1)
    assert harness.calls.call_count == 1
    if what == "removed":
        harness.directory.members[LESSON].discard(TUTOR)
    else:
        harness.directory.blocks.add((TUTOR, STUDENT))
    await asyncio.sleep(INTERVAL)
    reason = "terminated" if what == "removed" else "hangup"
    assert [one.types()[-1] for one in parties] == [f"call_ended {reason}"] * 2
    await look_again.close()


# -- profiles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_who_is_deleted_leaves_the_call_and_is_not_heard_any_more(harness: MemoryHarness, side: int) -> None:
    parties = await harness.connected()
    gone, left = parties[side], parties[1 - side]
    await harness.calls.enforcement.remove(gone.profile)
    assert left.types()[-1] == gone.types()[-1] == "call_ended terminated"
    assert connection_of(gone).closed == CREDENTIAL_OVER
    assert connection_of(left).closed is None
    await harness.say(gone, CHAT)
    await harness.say(gone, invitation(left.profile))
    assert left.types()[-1] == "call_ended terminated"
    assert harness.chat.texts == []
    assert harness.calls.call_count == 0


@in_memory
async def test_who_is_deleted_cannot_come_back_as_the_same_device(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    token = caller.device.resume_token
    await harness.lose(caller)
    await harness.calls.enforcement.remove(STUDENT)
    again = await harness.connect(STUDENT, resume=token)
    assert not again.welcome["resumed"]
    assert again.types() == []


@in_memory
async def test_who_is_deleted_while_its_call_rings_is_not_named_as_a_missed_call(harness: MemoryHarness) -> None:
    _, callee = await harness.ringing()
    await harness.calls.enforcement.remove(STUDENT)
    assert callee.types() == ["call_invitation", "call_ended rejected"]
    assert (await harness.connect(TUTOR)).types() == []


# -- devices ----------------------------------------------------------------------------------------------------------


@in_memory
async def test_devices_that_are_sent_away_leave_their_call(harness: MemoryHarness) -> None:
    tablet = await harness.connect(TUTOR)
    caller, callee = await harness.answered()
    await harness.calls.enforcement.drop(TUTOR)
    assert caller.types()[-1] == "call_ended terminated"
    assert [connection_of(one).closed for one in (caller, callee, tablet)] == [None, DROPPED, DROPPED]
    assert harness.calls.device_count == 1
    back = await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    assert back.types()[-1] == "call_invitation"


@in_memory
async def test_only_devices_with_a_credential_of_before_the_revocation_go(harness: MemoryHarness) -> None:
    old, new = await harness.connect(TUTOR), await harness.connect(TUTOR)
    caller = await harness.connect(STUDENT)
    for device, issued_at in ((old, 1000.0), (new, 2000.0), (caller, 2000.0)):
        device.device.issued_at = issued_at
    await harness.say(caller, invitation(TUTOR))
    await harness.calls.enforcement.revoke(TUTOR, 1500.0)
    assert [connection_of(one).closed for one in (old, new)] == [CREDENTIAL_OVER, None]
    await harness.say(new, answer())
    assert caller.types()[-1] == "call_state answered", "the other one rang on"
    await harness.calls.enforcement.revoke(None, 2000.5)
    assert [connection_of(one).closed for one in (new, caller)] == [CREDENTIAL_OVER] * 2
    assert await harness.ends() == [(456, "ended", "terminated")]
    assert harness.calls.device_count == 0


@in_memory
async def test_a_device_whose_credential_does_not_say_when_it_was_issued_goes_too(harness: MemoryHarness) -> None:
    device = await harness.connect(TUTOR)
    await harness.calls.enforcement.revoke(TUTOR, 1.0)
    assert connection_of(device).closed == CREDENTIAL_OVER


# -- calls ------------------------------------------------------------------------------------------------------------


@in_memory
async def test_a_call_can_be_ended_by_its_id(harness: MemoryHarness) -> None:
    parties = await harness.answered()
    [ongoing] = harness.calls.enforcement.ongoing()
    assert (ongoing.caller, ongoing.callee, ongoing.scope, ongoing.state) == (STUDENT, TUTOR, LESSON, "answered")
    assert not await harness.calls.enforcement.end_call("f" * 32)
    assert await harness.calls.enforcement.end_call(ongoing.call_id)
    assert [one.types()[-1] for one in parties] == ["call_ended terminated"] * 2
    assert not await harness.calls.enforcement.end_call(ongoing.call_id)
    assert harness.calls.enforcement.ongoing() == ()
