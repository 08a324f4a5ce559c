"""How calls end: by the parties, by what vanishes, and by media that fail."""

import asyncio

import pytest

from relay.ids import Profile
from relay.media.api import TransportClosed, TransportDown, TransportUp
from tests.kit.wait import eventually
from tests.signaling.conftest import SqlHarness
from tests.signaling.people import (
    HANG_UP,
    STUDENT,
    TUTOR,
    Client,
    answer,
    error,
)

# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
async def test_a_party_that_is_hung_up_on_learns_how_long_the_call_was(harness: SqlHarness, side: int) -> None:
    parties = await harness.answered()
    by, other = parties[side], parties[1 - side]
    await harness.say(by, HANG_UP)
    [row] = await harness.rows()
    assert (row.status, row.end_reason) == ("ended", "hangup")
    assert other.types()[-1] == "call_ended hangup"
    assert other.received[-1]["duration_seconds"] == by.received[-1]["duration_seconds"] == row.duration_seconds == 0
    assert by.types()[-1] == "call_state ended"
    await harness.nothing_is_left()


async def test_a_caller_who_hangs_up_before_the_answer_cancels(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await harness.say(caller, HANG_UP)
    assert callee.types() == ["call_invitation", "call_ended cancelled", "call_missed cancelled"]
    assert caller.types() == ["call_state ringing", "call_state ended"]
    assert await harness.ends() == [(456, "missed", "cancelled")]
    await harness.nothing_is_left()


async def test_a_call_that_both_end_at_once_ends_once(harness: SqlHarness) -> None:
    parties = await harness.answered()
    await asyncio.gather(*(harness.say(device, HANG_UP) for device in parties))
    assert await harness.ends() == [(456, "ended", "hangup")]
    said = [kind for device in parties for kind in device.types() if "ended" in kind]
    assert sorted(said) == ["call_ended hangup", "call_state ended"]


async def test_who_hangs_up_twice_is_told_that_there_is_no_call(harness: SqlHarness) -> None:
    caller, _ = await harness.answered()
    await harness.say(caller, HANG_UP)
    await harness.say(caller, HANG_UP)
    assert error(caller) == "no_call"


@pytest.mark.parametrize("profile", [STUDENT, TUTOR])
async def test_another_tab_cannot_end_the_call(harness: SqlHarness, profile: Profile) -> None:
    parties = await harness.answered()
    tab = await harness.connect(profile)
    await harness.say(tab, HANG_UP)
    assert error(tab) == "not_in_call"
    assert [device.types()[-1] for device in parties] == ["call_state answered"] * 2
    assert harness.calls.call_count == 1


async def test_another_tab_of_the_caller_cannot_cancel(harness: SqlHarness) -> None:
    _, callee = await harness.ringing()
    tab = await harness.connect(STUDENT)
    await harness.say(tab, HANG_UP)
    assert error(tab) == "not_in_call"
    assert callee.types() == ["call_invitation"]


# -- coming and going -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
async def test_a_page_that_comes_back_as_another_device_takes_its_call_over(harness: SqlHarness, side: int) -> None:
    """What a version 1 client does, which knows no other way back."""
    parties = await harness.answered(version=1)
    lost, other = parties[side], parties[1 - side]
    await harness.lose(lost)
    heard = len(other.received)
    back = await harness.connect(lost.profile, version=1)
    assert back.types() == ["call_state answered"]
    assert back.received[0]["call_id"] == other.last("call_state")["call_id"]
    assert back.received[0]["answered_at"] is not None
    assert len(other.received) == heard
    await harness.say(back, HANG_UP)
    assert other.types()[-1] == "call_ended hangup"
    assert await harness.ends() == [(456, "ended", "hangup")]


async def test_only_the_first_device_that_comes_takes_the_call_over(harness: SqlHarness) -> None:
    caller, _ = await harness.answered(version=1)
    await harness.lose(caller)
    first, second = await harness.connect(STUDENT, version=1), await harness.connect(STUDENT, version=1)
    assert first.types() == ["call_state answered"]
    assert second.types() == []


async def test_both_may_be_gone_at_the_same_time(harness: SqlHarness) -> None:
    caller, callee = await harness.answered(version=1)
    await asyncio.gather(harness.lose(caller), harness.lose(callee))
    back = [await harness.connect(STUDENT, version=1), await harness.connect(TUTOR, version=1)]
    assert [device.types() for device in back] == [["call_state answered"]] * 2


@pytest.mark.settings(ring_timeout=0.05)
async def test_no_device_rings_for_ever(harness: SqlHarness) -> None:
    caller, callee = await harness.ringing()
    await eventually(lambda: harness.calls.call_count == 0, "the call ends")
    await eventually(lambda: "call_ended no_answer" in caller.types(), "the caller is told")
    assert callee.types() == ["call_invitation", "call_ended no_answer", "call_missed no_answer"]
    assert await harness.ends() == [(456, "missed", "no_answer")]


@pytest.mark.settings(connect_timeout=0.05)
async def test_media_that_never_comes_up_ends_the_call(harness: SqlHarness) -> None:
    parties = await harness.answered()
    await eventually(lambda: all("call_ended ice_failed" in one.types() for one in parties), "both are told")
    assert await harness.ends() == [(456, "ended", "ice_failed")]


@pytest.mark.settings(signaling_grace=0.05)
async def test_a_party_that_does_not_come_back_ends_the_call(harness: SqlHarness) -> None:
    caller, callee = await harness.answered()
    await harness.lose(callee)
    await eventually(lambda: "call_ended signaling_lost" in caller.types(), "the other is told")
    assert await harness.ends() == [(456, "ended", "signaling_lost")]


# -- media ------------------------------------------------------------------------------------------------------------


async def connected(harness: SqlHarness) -> tuple[Client, Client]:
    """Answered, and media flows both ways. The caller's transport was opened first."""
    parties = await harness.answered()
    for transport in harness.engine.opened:
        harness.calls.media_event(TransportUp(transport))
    await eventually(lambda: all(one.types()[-1] == "call_state connected" for one in parties), "both are told")
    return parties


async def test_both_parties_see_media_come_and_go(harness: SqlHarness) -> None:
    parties = await connected(harness)
    harness.calls.media_event(TransportDown(harness.engine.opened[1]))
    await eventually(lambda: all(one.types()[-1] == "call_state reconnecting" for one in parties), "both are told")
    harness.calls.media_event(TransportUp(harness.engine.opened[1]))
    await eventually(lambda: all(one.types()[-1] == "call_state connected" for one in parties), "both are told")


@pytest.mark.settings(media_grace=0.05)
async def test_media_that_stays_away_ends_the_call(harness: SqlHarness) -> None:
    parties = await connected(harness)
    harness.calls.media_event(TransportClosed(harness.engine.opened[0], "closed"))
    await eventually(lambda: all("call_ended ice_timeout" in one.types() for one in parties), "both are told")
    assert await harness.ends() == [(456, "ended", "ice_timeout")]


async def test_a_handshake_that_fails_ends_the_call_at_once(harness: SqlHarness) -> None:
    parties = await harness.answered()
    harness.calls.media_event(TransportClosed(harness.engine.opened[0], "dtls_failed"))
    await eventually(lambda: all("call_ended ice_failed" in one.types() for one in parties), "both are told")
    assert await harness.ends() == [(456, "ended", "ice_failed")]


async def test_news_of_transports_that_are_gone_change_nothing(harness: SqlHarness) -> None:
    caller, _ = await harness.answered()
    await harness.say(caller, HANG_UP)
    for transport in (*harness.engine.opened, "unheard of"):
        harness.calls.media_event(TransportDown(transport))
    assert caller.types()[-1] == "call_state ended"


async def test_a_device_that_lost_the_race_takes_its_transport_with_it(harness: SqlHarness) -> None:
    _, phone = await harness.ringing()
    await harness.connect(TUTOR)
    await harness.say(phone, answer())
    counters = await harness.engine.counters()
    assert (counters["transports_opened"], counters["transports_closed"]) == (3, 1)
