"""Parties come back to their calls at a successor; and what devices hear that are in no call any more."""

import pytest

from tests.signaling.cluster.test_death import REJOIN, asked_to_rejoin, die, rejoin
from tests.signaling.cluster.test_outages import come_back
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.people import HANG_UP, STUDENT, TUTOR


@pytest.mark.parametrize("asks", [False, True])
@pytest.mark.parametrize("noticed", [False, True])
@in_town
async def test_a_party_whose_connection_breaks_while_it_comes_back_is_asked_to_again(
    town: Town, noticed: bool, asks: bool
) -> None:
    """What it has asked for on a connection that is lost, and what it was offered there, it has forgotten."""
    caller, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    assert asked_to_rejoin(callee)
    if asks:
        await town.say(callee, REJOIN)
        assert "call_update offer" in callee.types()[-2:]
    if noticed:
        await town.lose(callee)
    await town.resume(callee, town.c)
    await rejoin(town, callee)
    await rejoin(town, await come_back(town, caller, town.a))
    await town.media_up(STUDENT, TUTOR)
    assert callee.types()[-1] == "call_state connected"
    await town.say(callee, HANG_UP)


@in_town
async def test_a_party_that_is_offered_its_call_and_goes_away_keeps_the_other_one_waiting_for_nothing(town: Town) -> None:
    caller, callee = await town.connected(town.b, town.c)
    await die(town, town.b)
    await town.say(callee, REJOIN)
    back = await come_back(town, caller, town.a)
    assert not asked_to_rejoin(back), "one after the other"
    await town.lose(callee)
    await rejoin(town, back)
    await town.resume(callee, town.a)
    await rejoin(town, callee)
    await town.say(callee, HANG_UP)
    assert back.types()[-1] == "call_ended hangup"
