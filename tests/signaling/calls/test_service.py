"""The calls of a server: who is told what, and what is written down, whatever the parties do and in whichever order."""

import asyncio
import random

import pytest

from relay.ids import Profile, Scope, ScopeKind
from relay.media.api import MediaEvent, TransportDown, TransportUp
from tests.sdp.descriptions import seen
from tests.signaling.conftest import SqlHarness
from tests.signaling.people import (
    DECLINE,
    FAMILY,
    HANG_UP,
    LESSON,
    PARENT,
    PARENTS_EVENING,
    STRANGER,
    STUDENT,
    TUTOR,
    WHITEBOARD,
    Client,
    answer,
    error,
    frame,
    invitation,
)

# -- ringing ----------------------------------------------------------------------------------------------------------


async def test_every_device_of_the_callee_rings_on_a_leg_of_its_own(harness: SqlHarness) -> None:
    phone, tablet = await harness.connect(TUTOR), await harness.connect(TUTOR)
    caller, bystander = await harness.connect(STUDENT), await harness.connect(PARENT)
    await harness.say(caller, invitation(TUTOR))
    one, other = phone.last("call_invitation"), tablet.last("call_invitation")
    assert one["call_id"] == other["call_id"] == caller.last("call_state")["call_id"]
    assert (one["from_profile_type"], one["from_profile_id"], one["from_name"]) == ("student", 456, "Maya Lindgren")
    assert one["expires_at"] - one["server_time"] == pytest.approx(45_000, abs=2_000)
    ufrags = {seen(each["offer"]["sdp"])[0].ufrag for each in (one, other)}
    assert len(ufrags) == 2
    assert bystander.received == []
    assert await harness.ends() == [(456, "initiated", None)]


async def test_a_device_that_comes_while_its_profile_is_called_rings_too(harness: SqlHarness) -> None:
    caller, _ = await harness.ringing()
    late = await harness.connect(TUTOR)
    assert late.types() == ["call_invitation"]
    await harness.say(late, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]


async def test_a_device_that_comes_just_before_the_call_rings_is_invited_once(harness: SqlHarness) -> None:
    caller, phone = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.invited_behind(caller, TUTOR, lambda: harness.connect(TUTOR))
    late = harness.clients[-1]
    assert phone.types() == ["call_invitation"]
    assert late.types() == ["call_invitation"]


async def test_a_device_that_goes_just_before_the_call_rings_is_not_waited_for(harness: SqlHarness) -> None:
    caller, phone = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.invited_behind(caller, TUTOR, lambda: harness.lose(phone))
    assert caller.types() == ["call_declined offline"]
    assert await harness.ends() == [(456, "missed", "offline")]


@pytest.mark.settings(vanished_grace=0.05)
async def test_a_caller_who_goes_just_before_the_call_rings_leaves_none(harness: SqlHarness) -> None:
    caller, phone = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.invited_behind(caller, TUTOR, lambda: harness.lose(caller))
    await harness.all_ended()
    assert phone.types() == ["call_invitation", "call_ended signaling_lost", "call_missed signaling_lost"]
    assert await harness.ends() == [(456, "missed", "signaling_lost")]


@pytest.mark.settings(vanished_grace=0.05)
async def test_when_the_last_ringing_device_vanishes_the_callee_is_offline(harness: SqlHarness) -> None:
    caller, phone = await harness.ringing()
    tablet = await harness.connect(TUTOR)
    await harness.lose(phone)
    assert caller.types() == ["call_state ringing"]
    await harness.lose(tablet)
    assert caller.types() == ["call_state ringing"]
    await harness.all_ended()
    assert caller.types() == ["call_state ringing", "call_declined offline"]
    assert await harness.ends() == [(456, "missed", "offline")]


@pytest.mark.settings(vanished_grace=0.05)
async def test_when_the_caller_vanishes_the_callees_devices_stop_ringing(harness: SqlHarness) -> None:
    caller, phone = await harness.ringing()
    tablet = await harness.connect(TUTOR)
    await harness.lose(caller)
    await harness.all_ended()
    for device in (phone, tablet):
        assert device.types() == ["call_invitation", "call_ended signaling_lost", "call_missed signaling_lost"]
    assert await harness.ends() == [(456, "missed", "signaling_lost")]


async def test_another_tab_of_the_caller_that_goes_ends_nothing(harness: SqlHarness) -> None:
    tab = await harness.connect(STUDENT)
    _, callee = await harness.ringing()
    await harness.lose(tab)
    assert callee.types() == ["call_invitation"]


async def test_the_callee_of_two_devices_answers_on_one_and_the_other_stops(harness: SqlHarness) -> None:
    caller, phone = await harness.ringing()
    tablet = await harness.connect(TUTOR)
    await harness.say(tablet, answer())
    assert phone.types() == ["call_invitation", "call_ended answered_elsewhere"]
    assert tablet.types() == ["call_invitation", "call_state answered"]
    await harness.say(caller, HANG_UP)
    assert phone.types() == ["call_invitation", "call_ended answered_elsewhere"]
    assert tablet.types()[-1] == "call_ended hangup"
    assert await harness.ends() == [(456, "ended", "hangup")]


async def test_two_devices_that_answer_at_once_are_one_answer(harness: SqlHarness) -> None:
    caller, phone = await harness.ringing()
    tablet = await harness.connect(TUTOR)
    await asyncio.gather(*(harness.say(device, answer()) for device in (phone, tablet)))
    assert caller.types().count("call_answer") == 1
    assert "call_ended answered_elsewhere" in tablet.types()
    assert error(tablet) == "wrong_state"


async def test_a_refusal_on_one_device_stops_the_others(harness: SqlHarness) -> None:
    caller, phone = await harness.ringing()
    tablet = await harness.connect(TUTOR)
    await harness.say(tablet, frame("call_declined", reason="busy"))
    assert caller.types()[-1] == "call_declined busy"
    assert phone.types() == ["call_invitation", "call_ended busy", "call_missed busy"]
    assert tablet.types() == ["call_invitation", "call_state ended", "call_missed busy"]
    assert await harness.ends() == [(456, "missed", "busy")]


async def test_an_unknown_reason_to_decline_is_a_refusal(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, frame("call_declined", reason="server_shutdown"))
    assert caller.types()[-1] == "call_declined rejected"


async def test_a_ringing_device_that_hangs_up_refuses(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_declined rejected"
    assert await harness.ends() == [(456, "missed", "rejected")]


# -- who may be called, and when --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
async def test_invitations_that_cross_are_one_call(harness: SqlHarness, version: int) -> None:
    student, tutor = await harness.connect(STUDENT, version), await harness.connect(TUTOR, version)
    await asyncio.gather(harness.say(student, invitation(TUTOR)), harness.say(tutor, invitation(STUDENT)))
    winner, loser = (student, tutor) if "call_invitation" in tutor.types() else (tutor, student)
    told = "call_glare" if version == 2 else "call_declined busy"
    assert sorted(loser.types()) == sorted([told, "call_invitation"])
    assert harness.calls.call_count == 1
    row, theirs = (winner.profile.profile_id, "initiated", None), (loser.profile.profile_id, "missed", "busy")
    assert sorted(await harness.ends()) == sorted([row] if version == 2 else [row, theirs])
    await harness.say(loser, answer())
    assert winner.types()[-2:] == ["call_answer", "call_state answered"]


async def test_a_third_finds_both_parties_busy(harness: SqlHarness) -> None:
    await harness.answered()
    third = await harness.connect(PARENT)
    await harness.say(third, invitation(TUTOR, PARENTS_EVENING))
    await harness.say(third, invitation(STUDENT, FAMILY))
    assert third.types() == ["call_declined busy"] * 2
    assert (await harness.ends())[1:] == [(321, "missed", "busy")] * 2


async def test_a_profile_that_is_called_cannot_call_another(harness: SqlHarness) -> None:
    _, callee = await harness.ringing()
    await harness.connect(PARENT)
    await harness.say(callee, invitation(PARENT, PARENTS_EVENING))
    assert callee.types() == ["call_invitation", "call_declined busy"]
    assert harness.calls.call_count == 1


async def test_a_caller_who_calls_elsewhere_means_the_new_call(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    old = callee.last("call_invitation")["call_id"]
    await harness.say(caller, invitation(TUTOR, WHITEBOARD))
    assert callee.types() == ["call_invitation", "call_ended cancelled", "call_missed cancelled", "call_invitation"]
    assert callee.received[1]["call_id"] == callee.received[2]["call"]["call_id"] == old
    assert callee.received[3]["call_id"] != old
    assert await harness.ends() == [(456, "missed", "cancelled")]
    await harness.say(callee, answer(WHITEBOARD))
    assert caller.types()[-1] == "call_state answered"


async def test_a_caller_who_calls_again_hangs_up_first(harness: SqlHarness) -> None:
    caller, callee = await harness.answered()
    parent = await harness.connect(PARENT)
    await harness.say(caller, invitation(PARENT, FAMILY))
    assert callee.types()[-1] == "call_ended hangup"
    assert parent.types() == ["call_invitation"]
    assert await harness.ends() == [(456, "ended", "hangup"), (456, "initiated", None)]


async def test_an_invitation_that_cannot_be_taken_does_not_end_the_older_call(harness: SqlHarness) -> None:
    caller, callee = await harness.answered()
    await harness.say(caller, invitation(TUTOR, sdp="v=0\r\n"))
    assert error(caller) == "invalid_sdp"
    await harness.say(caller, invitation(STUDENT))
    assert error(caller) == "invalid_message"
    assert callee.types()[-1] == "call_state answered"
    assert harness.calls.call_count == 1


@pytest.mark.parametrize("tab_calls", [TUTOR, PARENT])
async def test_another_tab_of_the_caller_cannot_end_the_call_by_calling(harness: SqlHarness, tab_calls: Profile) -> None:
    """Only the device that is in the call may end it; a tab elsewhere is told `busy`."""
    caller, callee = await harness.answered()
    tab = await harness.connect(STUDENT)
    parent = await harness.connect(PARENT)
    await harness.say(tab, invitation(tab_calls, LESSON if tab_calls == TUTOR else FAMILY))
    assert (callee if tab_calls == TUTOR else parent).types()[-1] == "call_missed busy"
    assert "call_ended hangup" not in callee.types()
    assert caller.types()[-1] == "call_state answered"
    assert tab.types() == ["call_declined busy"]


@pytest.mark.parametrize(
    ("caller", "callee", "scope", "reason"),
    [
        pytest.param(STUDENT, TUTOR, LESSON, "offline", id="offline callee"),
        pytest.param(STUDENT, TUTOR, PARENTS_EVENING, "rejected", id="not the caller's conversation"),
        pytest.param(STUDENT, PARENT, LESSON, "rejected", id="not the callee's conversation"),
        pytest.param(STUDENT, TUTOR, Scope(ScopeKind.CONVERSATION, 999), "rejected", id="no such conversation"),
        pytest.param(STUDENT, Profile("tutor", 1), LESSON, "rejected", id="no such profile"),
        pytest.param(STRANGER, TUTOR, LESSON, "rejected", id="a stranger"),
    ],
)
async def test_a_call_that_cannot_be_is_declined_and_written_down(
    harness: SqlHarness, caller: Profile, callee: Profile, scope: Scope, reason: str
) -> None:
    device = await harness.connect(caller)
    await harness.say(device, invitation(callee, scope))
    assert device.types() == [f"call_declined {reason}"]
    assert await harness.ends() == [(caller.profile_id, "missed", reason)]
    await harness.nothing_is_left()


async def test_a_refusal_does_not_tell_whether_the_callee_is_there(harness: SqlHarness) -> None:
    device = await harness.connect(STRANGER)
    await harness.say(device, invitation(TUTOR))
    await harness.connect(TUTOR)
    await harness.say(device, invitation(TUTOR))
    assert device.types() == ["call_declined rejected"] * 2


async def test_a_refusal_does_not_tell_whether_the_callee_exists(harness: SqlHarness) -> None:
    device = await harness.connect(STRANGER)
    for target in (TUTOR, Profile("tutor", 1)):
        await harness.say(device, invitation(target))
        assert (device.received[-1]["from_name"], device.received[-1]["from_avatar"]) == ("", "")


async def test_a_profile_cannot_call_itself(harness: SqlHarness) -> None:
    device = await harness.connect(STUDENT)
    await harness.say(device, invitation(STUDENT))
    assert error(device) == "invalid_message"
    assert await harness.rows() == []


# -- when the server itself has trouble -------------------------------------------------------------------------------


async def test_a_call_that_the_media_plane_cannot_take_is_none(harness: SqlHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)

    async def fail(*_: str) -> None:
        raise OSError("no more files")

    good, harness.engine.open_transport = harness.engine.open_transport, fail  # type: ignore[method-assign,assignment]
    await harness.say(caller, invitation(TUTOR))
    assert "error unavailable" in caller.types()
    assert callee.types() == ["call_missed unavailable"]
    harness.engine.open_transport = good  # type: ignore[method-assign]
    await harness.nothing_is_left()
    assert [row.status for row in await harness.rows()] == ["missed"]


async def test_people_call_answer_and_hang_up_although_nothing_can_be_written_down(harness: SqlHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.lose_the_log()
    await harness.say(caller, invitation(TUTOR))
    await harness.say(callee, answer())
    assert caller.types() == ["call_state ringing", "call_answer", "call_state answered"]
    await harness.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert callee.received[-1]["duration_seconds"] == 0
    assert caller.types()[-1] == "call_state ended"
    await harness.nothing_is_left()
    await harness.execute("ALTER TABLE lost RENAME TO call_logs")
    assert await harness.rows() == [], "a statement that is wrong is not tried for ever"


async def test_a_database_that_is_away_is_no_reason_to_raise(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.execute("DROP TABLE conversation_members")
    await harness.execute("DROP TABLE call_logs")
    for device, said in [(callee, answer()), (caller, invitation(TUTOR)), (caller, HANG_UP), (callee, invitation(STUDENT))]:
        await harness.say(device, said)
    assert error(callee) == "unavailable"
    assert harness.calls.refused["unavailable"] >= 2


async def test_errors_are_counted_by_code(harness: SqlHarness) -> None:
    device = await harness.connect(STUDENT)
    for said in ("hello", HANG_UP, HANG_UP):
        await harness.say(device, said)
    assert harness.calls.refused == {"malformed": 1, "no_call": 2}


async def test_the_end_of_the_server_is_the_end_of_every_call(harness: SqlHarness) -> None:
    caller, callee = await harness.answered()
    parent, stranger = await harness.connect(PARENT), await harness.connect(STRANGER)
    await harness.join(STRANGER, PARENTS_EVENING)
    await harness.say(parent, invitation(STRANGER, PARENTS_EVENING))
    assert stranger.types() == ["call_invitation"]
    await harness.calls.close()
    assert [device.types()[-1] for device in (caller, callee, parent)] == ["call_ended server_shutdown"] * 3
    assert stranger.types() == ["call_invitation", "call_ended server_shutdown", "call_missed server_shutdown"]
    assert await harness.ends() == [(456, "ended", "server_shutdown"), (321, "missed", "server_shutdown")]
    await harness.say(caller, invitation(TUTOR))
    assert error(caller) == "unavailable"
    assert len(await harness.rows()) == 2


async def test_an_invitation_that_was_on_its_way_when_the_server_ended_is_not_begun(harness: SqlHarness) -> None:
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    inviting = asyncio.create_task(harness.say(caller, invitation(TUTOR)))
    await asyncio.sleep(0)  # up to where it asks the database who these two are
    await harness.calls.close()
    await inviting
    assert harness.calls.call_count == 0
    assert "call_state ringing" not in caller.types()
    assert all(row.status == "missed" for row in await harness.rows())
    assert [kind for kind in callee.types() if kind != "call_missed server_shutdown"] in (
        [],
        ["call_invitation", "call_ended server_shutdown"],
    )


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_everybody_does_at_once_no_call_is_left_and_each_is_written_down(harness: SqlHarness, seed: int) -> None:
    """Eight devices of four people, a hundred rounds of three things at once."""
    chance = random.Random(seed)
    for profile in (PARENT, STRANGER):
        await harness.join(profile, LESSON)
    people = [STUDENT, TUTOR, PARENT, STRANGER]
    devices = [await harness.connect(profile) for profile in people for _ in range(2)]
    everybody = list(devices)
    transports: list[str] = []

    async def something(device: Client) -> None:
        match chance.choice(["invite", "invite", "answer", "answer", "decline", "end", "media", "go"]):
            case "invite":
                await harness.say(device, invitation(chance.choice(people)))
            case "answer":
                await harness.say(device, answer())
            case "decline":
                await harness.say(device, DECLINE)
            case "end":
                await harness.say(device, HANG_UP)
            case "media":
                transports[:] = harness.engine.opened[-6:]
                for transport in transports:
                    event: MediaEvent = TransportUp(transport) if chance.random() < 0.5 else TransportDown(transport)
                    harness.calls.media_event(event)
            case _:
                await harness.lose(device)
                fresh = await harness.connect(device.profile)
                devices[devices.index(device)] = fresh
                everybody.append(fresh)

    for _ in range(100):
        await asyncio.gather(*(something(device) for device in chance.sample(devices, 3)))
    await harness.calls.close()
    await harness.nothing_is_left()
    rows = await harness.rows()
    assert len(rows) > 20
    assert {row.status for row in rows} == {"missed", "ended"}
    assert all((row.status == "ended") is (row.duration_seconds is not None) for row in rows)
    assert harness.calls.refused["unavailable"] == 0
    assert len({row.call_id for row in rows}) == len(rows)
    for device in everybody:
        invited = [one["call_id"] for one in device.received if one["type"] == "call_invitation"]
        assert len(invited) == len(set(invited)), "no device is invited twice to a call"
