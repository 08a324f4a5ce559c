"""The calls of a server: who is told what, and what is written down, whatever the parties do and in whichever order."""

import asyncio
import random

import pytest

from relay.ids import Place, PlaceKind, Profile
from relay.media.api import MediaEvent, TransportDown, TransportUp
from tests.sdp.descriptions import seen
from tests.signaling.conftest import SqlExchange
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


async def test_every_device_of_the_callee_rings_on_a_leg_of_its_own(exchange: SqlExchange) -> None:
    phone, tablet = await exchange.connect(TUTOR), await exchange.connect(TUTOR)
    caller, bystander = await exchange.connect(STUDENT), await exchange.connect(PARENT)
    await exchange.say(caller, invitation(TUTOR))
    one, other = phone.last("call_invitation"), tablet.last("call_invitation")
    assert one["call_id"] == other["call_id"] == caller.last("call_state")["call_id"]
    assert (one["from_profile_type"], one["from_profile_id"], one["from_name"]) == ("student", 456, "Maya Lindgren")
    assert one["expires_at"] - one["server_time"] == pytest.approx(45_000, abs=2_000)
    ufrags = {seen(each["offer"]["sdp"])[0].ufrag for each in (one, other)}
    assert len(ufrags) == 2
    assert bystander.received == []
    assert await exchange.ends() == [(456, "initiated", None)]


async def test_a_device_that_comes_while_its_profile_is_called_rings_too(exchange: SqlExchange) -> None:
    caller, _ = await exchange.ringing()
    late = await exchange.connect(TUTOR)
    assert late.types() == ["call_invitation"]
    await exchange.say(late, answer())
    assert caller.types()[-2:] == ["call_answer", "call_state answered"]


async def test_a_device_that_comes_just_before_the_call_rings_is_invited_once(exchange: SqlExchange) -> None:
    caller, phone = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    await exchange.invited_behind(caller, TUTOR, lambda: exchange.connect(TUTOR))
    late = exchange.clients[-1]
    assert phone.types() == ["call_invitation"]
    assert late.types() == ["call_invitation"]


async def test_a_device_that_goes_just_before_the_call_rings_is_not_waited_for(exchange: SqlExchange) -> None:
    caller, phone = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    await exchange.invited_behind(caller, TUTOR, lambda: exchange.lose(phone))
    assert caller.types() == ["call_declined offline"]
    assert await exchange.ends() == [(456, "missed", "offline")]


@pytest.mark.settings(vanished_grace=0.05)
async def test_a_caller_who_goes_just_before_the_call_rings_leaves_none(exchange: SqlExchange) -> None:
    caller, phone = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    await exchange.invited_behind(caller, TUTOR, lambda: exchange.lose(caller))
    await exchange.all_ended()
    assert phone.types() == ["call_invitation", "call_ended signaling_lost", "call_missed signaling_lost"]
    assert await exchange.ends() == [(456, "missed", "signaling_lost")]


@pytest.mark.settings(vanished_grace=0.05)
async def test_when_the_last_ringing_device_vanishes_the_callee_is_offline(exchange: SqlExchange) -> None:
    caller, phone = await exchange.ringing()
    tablet = await exchange.connect(TUTOR)
    await exchange.lose(phone)
    assert caller.types() == ["call_state ringing"]
    await exchange.lose(tablet)
    assert caller.types() == ["call_state ringing"]
    await exchange.all_ended()
    assert caller.types() == ["call_state ringing", "call_declined offline"]
    assert await exchange.ends() == [(456, "missed", "offline")]


@pytest.mark.settings(vanished_grace=0.05)
async def test_when_the_caller_vanishes_the_callees_devices_stop_ringing(exchange: SqlExchange) -> None:
    caller, phone = await exchange.ringing()
    tablet = await exchange.connect(TUTOR)
    await exchange.lose(caller)
    await exchange.all_ended()
    for device in (phone, tablet):
        assert device.types() == ["call_invitation", "call_ended signaling_lost", "call_missed signaling_lost"]
    assert await exchange.ends() == [(456, "missed", "signaling_lost")]


async def test_another_tab_of_the_caller_that_goes_ends_nothing(exchange: SqlExchange) -> None:
    tab = await exchange.connect(STUDENT)
    _, callee = await exchange.ringing()
    await exchange.lose(tab)
    assert callee.types() == ["call_invitation"]


async def test_the_callee_of_two_devices_answers_on_one_and_the_other_stops(exchange: SqlExchange) -> None:
    caller, phone = await exchange.ringing()
    tablet = await exchange.connect(TUTOR)
    await exchange.say(tablet, answer())
    assert phone.types() == ["call_invitation", "call_ended answered_elsewhere"]
    assert tablet.types() == ["call_invitation", "call_state answered"]
    await exchange.say(caller, HANG_UP)
    assert phone.types() == ["call_invitation", "call_ended answered_elsewhere"]
    assert tablet.types()[-1] == "call_ended hangup"
    assert await exchange.ends() == [(456, "ended", "hangup")]


async def test_two_devices_that_answer_at_once_are_one_answer(exchange: SqlExchange) -> None:
    caller, phone = await exchange.ringing()
    tablet = await exchange.connect(TUTOR)
    await asyncio.gather(*(exchange.say(device, answer()) for device in (phone, tablet)))
    assert caller.types().count("call_answer") == 1
    assert "call_ended answered_elsewhere" in tablet.types()
    assert error(tablet) == "wrong_state"


async def test_a_refusal_on_one_device_stops_the_others(exchange: SqlExchange) -> None:
    caller, phone = await exchange.ringing()
    tablet = await exchange.connect(TUTOR)
    await exchange.say(tablet, frame("call_declined", reason="busy"))
    assert caller.types()[-1] == "call_declined busy"
    assert phone.types() == ["call_invitation", "call_ended busy", "call_missed busy"]
    assert tablet.types() == ["call_invitation", "call_state ended", "call_missed busy"]
    assert await exchange.ends() == [(456, "missed", "busy")]


async def test_a_reason_to_decline_that_nobody_knows_is_a_refusal(exchange: SqlExchange) -> None:
    caller, callee = await exchange.ringing()
    await exchange.say(callee, frame("call_declined", reason="server_shutdown"))
    assert caller.types()[-1] == "call_declined rejected"


async def test_a_ringing_device_that_hangs_up_refuses(exchange: SqlExchange) -> None:
    caller, callee = await exchange.ringing()
    await exchange.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_declined rejected"
    assert await exchange.ends() == [(456, "missed", "rejected")]


# -- who may be called, and when --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
async def test_invitations_that_cross_are_one_call(exchange: SqlExchange, version: int) -> None:
    student, tutor = await exchange.connect(STUDENT, version), await exchange.connect(TUTOR, version)
    await asyncio.gather(exchange.say(student, invitation(TUTOR)), exchange.say(tutor, invitation(STUDENT)))
    winner, loser = (student, tutor) if "call_invitation" in tutor.types() else (tutor, student)
    told = "call_glare" if version == 2 else "call_declined busy"
    assert sorted(loser.types()) == sorted([told, "call_invitation"])
    assert exchange.calls.call_count == 1
    row, theirs = (winner.profile.profile_id, "initiated", None), (loser.profile.profile_id, "missed", "busy")
    assert sorted(await exchange.ends()) == sorted([row] if version == 2 else [row, theirs])
    await exchange.say(loser, answer())
    assert winner.types()[-2:] == ["call_answer", "call_state answered"]


async def test_a_third_finds_both_parties_busy(exchange: SqlExchange) -> None:
    await exchange.answered()
    third = await exchange.connect(PARENT)
    await exchange.say(third, invitation(TUTOR, PARENTS_EVENING))
    await exchange.say(third, invitation(STUDENT, FAMILY))
    assert third.types() == ["call_declined busy"] * 2
    assert (await exchange.ends())[1:] == [(321, "missed", "busy")] * 2


async def test_who_is_called_can_call_nobody_else(exchange: SqlExchange) -> None:
    _, callee = await exchange.ringing()
    await exchange.connect(PARENT)
    await exchange.say(callee, invitation(PARENT, PARENTS_EVENING))
    assert callee.types() == ["call_invitation", "call_declined busy"]
    assert exchange.calls.call_count == 1


async def test_a_caller_who_calls_elsewhere_means_the_new_call(exchange: SqlExchange) -> None:
    caller, callee = await exchange.ringing()
    old = callee.last("call_invitation")["call_id"]
    await exchange.say(caller, invitation(TUTOR, WHITEBOARD))
    assert callee.types() == ["call_invitation", "call_ended cancelled", "call_missed cancelled", "call_invitation"]
    assert callee.received[1]["call_id"] == callee.received[2]["call"]["call_id"] == old
    assert callee.received[3]["call_id"] != old
    assert await exchange.ends() == [(456, "missed", "cancelled")]
    await exchange.say(callee, answer(WHITEBOARD))
    assert caller.types()[-1] == "call_state answered"


async def test_a_caller_who_calls_again_hangs_up_first(exchange: SqlExchange) -> None:
    caller, callee = await exchange.answered()
    parent = await exchange.connect(PARENT)
    await exchange.say(caller, invitation(PARENT, FAMILY))
    assert callee.types()[-1] == "call_ended hangup"
    assert parent.types() == ["call_invitation"]
    assert await exchange.ends() == [(456, "ended", "hangup"), (456, "initiated", None)]


async def test_an_invitation_that_cannot_be_taken_does_not_end_the_older_call(exchange: SqlExchange) -> None:
    caller, callee = await exchange.answered()
    await exchange.say(caller, invitation(TUTOR, sdp="v=0\r\n"))
    assert error(caller) == "invalid_sdp"
    await exchange.say(caller, invitation(STUDENT))
    assert error(caller) == "invalid_message"
    assert callee.types()[-1] == "call_state answered"
    assert exchange.calls.call_count == 1


@pytest.mark.parametrize("tab_calls", [TUTOR, PARENT])
async def test_another_tab_of_the_caller_cannot_end_the_call_by_calling(exchange: SqlExchange, tab_calls: Profile) -> None:
    """Only the device that is in the call may end it; a tab elsewhere is told `busy`."""
    caller, callee = await exchange.answered()
    tab = await exchange.connect(STUDENT)
    parent = await exchange.connect(PARENT)
    await exchange.say(tab, invitation(tab_calls, LESSON if tab_calls == TUTOR else FAMILY))
    assert (callee if tab_calls == TUTOR else parent).types()[-1] == "call_missed busy"
    assert "call_ended hangup" not in callee.types()
    assert caller.types()[-1] == "call_state answered"
    assert tab.types() == ["call_declined busy"]


@pytest.mark.parametrize(
    ("caller", "callee", "place", "reason"),
    [
        pytest.param(STUDENT, TUTOR, LESSON, "offline", id="nobody there"),
        pytest.param(STUDENT, TUTOR, PARENTS_EVENING, "rejected", id="not the caller's conversation"),
        pytest.param(STUDENT, PARENT, LESSON, "rejected", id="not the callee's conversation"),
        pytest.param(STUDENT, TUTOR, Place(PlaceKind.CONVERSATION, 999), "rejected", id="no such conversation"),
        pytest.param(STUDENT, Profile("tutor", 1), LESSON, "rejected", id="no such profile"),
        pytest.param(STRANGER, TUTOR, LESSON, "rejected", id="a stranger"),
    ],
)
async def test_a_call_that_cannot_be_is_declined_and_written_down(
    exchange: SqlExchange, caller: Profile, callee: Profile, place: Place, reason: str
) -> None:
    device = await exchange.connect(caller)
    await exchange.say(device, invitation(callee, place))
    assert device.types() == [f"call_declined {reason}"]
    assert await exchange.ends() == [(caller.profile_id, "missed", reason)]
    await exchange.nothing_is_left()


async def test_a_refusal_does_not_tell_whether_the_callee_is_there(exchange: SqlExchange) -> None:
    device = await exchange.connect(STRANGER)
    await exchange.say(device, invitation(TUTOR))
    await exchange.connect(TUTOR)
    await exchange.say(device, invitation(TUTOR))
    assert device.types() == ["call_declined rejected"] * 2


async def test_a_refusal_does_not_tell_whether_the_callee_exists(exchange: SqlExchange) -> None:
    device = await exchange.connect(STRANGER)
    for nobody_or_not in (TUTOR, Profile("tutor", 1)):
        await exchange.say(device, invitation(nobody_or_not))
        assert (device.received[-1]["from_name"], device.received[-1]["from_avatar"]) == ("", "")


async def test_nobody_calls_themselves(exchange: SqlExchange) -> None:
    device = await exchange.connect(STUDENT)
    await exchange.say(device, invitation(STUDENT))
    assert error(device) == "invalid_message"
    assert await exchange.rows() == []


# -- when the server itself has trouble -------------------------------------------------------------------------------


async def test_a_call_that_the_media_plane_cannot_take_is_none(exchange: SqlExchange) -> None:
    caller, callee = await exchange.connect(STUDENT), await exchange.connect(TUTOR)

    async def fail(*_: str) -> None:
        raise OSError("no more files")

    good, exchange.engine.open_transport = exchange.engine.open_transport, fail  # type: ignore[method-assign,assignment]
    await exchange.say(caller, invitation(TUTOR))
    assert "error unavailable" in caller.types()
    assert callee.types() == ["call_missed unavailable"]
    exchange.engine.open_transport = good  # type: ignore[method-assign]
    await exchange.nothing_is_left()
    assert [row.status for row in await exchange.rows()] == ["missed"]


async def test_people_call_answer_and_hang_up_although_nothing_can_be_written_down(exchange: SqlExchange) -> None:
    caller, callee = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    await exchange.lose_the_log()
    await exchange.say(caller, invitation(TUTOR))
    await exchange.say(callee, answer())
    assert caller.types() == ["call_state ringing", "call_answer", "call_state answered"]
    await exchange.say(caller, HANG_UP)
    assert callee.types()[-1] == "call_ended hangup"
    assert callee.received[-1]["duration_seconds"] == 0
    assert caller.types()[-1] == "call_state ended"
    await exchange.nothing_is_left()
    await exchange.execute("ALTER TABLE lost RENAME TO call_logs")
    assert await exchange.rows() == [], "a statement that is wrong is not tried for ever"


async def test_a_database_that_is_away_is_no_reason_to_raise(exchange: SqlExchange) -> None:
    caller, callee = await exchange.ringing()
    await exchange.execute("DROP TABLE conversation_members")
    await exchange.execute("DROP TABLE call_logs")
    for device, said in [(callee, answer()), (caller, invitation(TUTOR)), (caller, HANG_UP), (callee, invitation(STUDENT))]:
        await exchange.say(device, said)
    assert error(callee) == "unavailable"
    assert exchange.calls.refused["unavailable"] >= 2


async def test_errors_are_counted_by_code(exchange: SqlExchange) -> None:
    device = await exchange.connect(STUDENT)
    for said in ("hello", HANG_UP, HANG_UP):
        await exchange.say(device, said)
    assert exchange.calls.refused == {"malformed": 1, "no_call": 2}


async def test_the_end_of_the_server_is_the_end_of_every_call(exchange: SqlExchange) -> None:
    caller, callee = await exchange.answered()
    parent, stranger = await exchange.connect(PARENT), await exchange.connect(STRANGER)
    await exchange.join(STRANGER, PARENTS_EVENING)
    await exchange.say(parent, invitation(STRANGER, PARENTS_EVENING))
    assert stranger.types() == ["call_invitation"]
    await exchange.calls.close()
    assert [device.types()[-1] for device in (caller, callee, parent)] == ["call_ended server_shutdown"] * 3
    assert stranger.types() == ["call_invitation", "call_ended server_shutdown", "call_missed server_shutdown"]
    assert await exchange.ends() == [(456, "ended", "server_shutdown"), (321, "missed", "server_shutdown")]
    await exchange.say(caller, invitation(TUTOR))
    assert error(caller) == "unavailable"
    assert len(await exchange.rows()) == 2


async def test_an_invitation_that_was_on_its_way_when_the_server_ended_is_not_begun(exchange: SqlExchange) -> None:
    caller, callee = await exchange.connect(STUDENT), await exchange.connect(TUTOR)
    inviting = asyncio.create_task(exchange.say(caller, invitation(TUTOR)))
    await asyncio.sleep(0)  # up to where it asks the database who these two are
    await exchange.calls.close()
    await inviting
    assert exchange.calls.call_count == 0
    assert "call_state ringing" not in caller.types()
    assert all(row.status == "missed" for row in await exchange.rows())
    assert [kind for kind in callee.types() if kind != "call_missed server_shutdown"] in (
        [],
        ["call_invitation", "call_ended server_shutdown"],
    )


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_everybody_does_at_once_no_call_is_left_and_each_is_written_down(exchange: SqlExchange, seed: int) -> None:
    """Eight devices of four people, a hundred rounds of three things at once."""
    chance = random.Random(seed)
    for profile in (PARENT, STRANGER):
        await exchange.join(profile, LESSON)
    people = [STUDENT, TUTOR, PARENT, STRANGER]
    devices = [await exchange.connect(profile) for profile in people for _ in range(2)]
    everybody = list(devices)
    transports: list[str] = []

    async def something(device: Client) -> None:
        match chance.choice(["invite", "invite", "answer", "answer", "decline", "end", "media", "go"]):
            case "invite":
                await exchange.say(device, invitation(chance.choice(people)))
            case "answer":
                await exchange.say(device, answer())
            case "decline":
                await exchange.say(device, DECLINE)
            case "end":
                await exchange.say(device, HANG_UP)
            case "media":
                transports[:] = exchange.engine.opened[-6:]
                for transport in transports:
                    event: MediaEvent = TransportUp(transport) if chance.random() < 0.5 else TransportDown(transport)
                    exchange.calls.media_event(event)
            case _:
                await exchange.lose(device)
                fresh = await exchange.connect(device.profile)
                devices[devices.index(device)] = fresh
                everybody.append(fresh)

    for _ in range(100):
        await asyncio.gather(*(something(device) for device in chance.sample(devices, 3)))
    await exchange.calls.close()
    await exchange.nothing_is_left()
    rows = await exchange.rows()
    assert len(rows) > 20
    assert {row.status for row in rows} == {"missed", "ended"}
    assert all((row.status == "ended") is (row.duration_seconds is not None) for row in rows)
    assert exchange.calls.refused["unavailable"] == 0
    assert len({row.call_id for row in rows}) == len(rows)
    for device in everybody:
        invited = [one["call_id"] for one in device.received if one["type"] == "call_invitation"]
        assert len(invited) == len(set(invited)), "no device is invited twice to a call"
