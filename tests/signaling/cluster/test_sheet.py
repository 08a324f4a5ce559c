"""What is kept of a call for a successor, and of a remote device in memory."""

import asyncio
import tracemalloc
from datetime import timedelta

import pytest

from relay.cluster.messages import Message
from relay.cluster.values import DeviceCard, NodeRef
from relay.ids import Profile, new_id
from relay.signaling.calls import sheet as sheets
from relay.signaling.calls.call import State
from relay.signaling.calls.live import LiveCall
from relay.signaling.calls.sheet import UnusableSheet
from relay.signaling.presence.devices import Devices
from tests.signaling.cluster.town import Town, in_town
from tests.signaling.harness import EPOCH, MemoryHarness, in_memory
from tests.signaling.people import HANG_UP, LESSON, STUDENT, TIMERS, TUTOR, answer, frame


def live_of(harness: MemoryHarness) -> LiveCall:
    live = harness.calls._context.live.of(STUDENT)
    assert live is not None
    return live


@in_memory
async def test_a_call_is_made_from_its_sheet_as_it_was_but_for_its_media(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    await asyncio.sleep(7)
    await harness.say(caller, frame("call_hold", LESSON))
    live, now = live_of(harness), 1000.0
    sheet = sheets.decode(sheets.encode(live))
    date = EPOCH + timedelta(seconds=asyncio.get_running_loop().time())
    call = sheets.call_of(sheet, TIMERS, now, date)
    assert (call.call_id, call.scope, call.state) == (live.call.call_id, LESSON, State.RECONNECTING)
    assert call.caller.holds and not call.callee.holds
    assert [one.device_id for one in call.parties] == [one.device_id for one in live.call.parties]
    assert call.answered_since == pytest.approx(now - 7, abs=0.1)
    assert (sheet.caller.description, sheet.callee.description) == tuple(
        live.media(one).negotiated[1].text for one in live.call.parties
    )
    assert {sheet.caller.role, sheet.callee.role} == {"active", "passive"}
    await harness.say(caller, HANG_UP)


@in_memory
async def test_the_mark_of_a_call_changes_with_what_the_sheet_says_and_only_then(harness: MemoryHarness) -> None:
    caller, callee = await harness.ringing()
    mark = sheets.mark(live_of(harness))
    await asyncio.sleep(5)
    assert sheets.mark(live_of(harness)) == mark
    await harness.say(callee, answer())
    before = sheets.mark(live_of(harness))
    assert before != mark
    await harness.say(caller, frame("call_media_state", LESSON, muted=True))
    assert sheets.mark(live_of(harness)) != before
    await harness.say(caller, HANG_UP)


@in_town
async def test_a_sheet_is_kept_a_second_after_a_change_at_most_and_goes_with_the_call(town: Town) -> None:
    caller, _ = await town.connected(town.a, town.b)
    await asyncio.sleep(1.1)
    [first] = town.bus.sheets.values()
    await asyncio.sleep(5)
    assert [*town.bus.sheets.values()] == [first]
    await town.say(caller, frame("call_hold", LESSON))
    await asyncio.sleep(1.1)
    assert [*town.bus.sheets.values()] != [first]
    await town.say(caller, HANG_UP)
    await asyncio.sleep(2)
    assert town.bus.sheets == {}


@pytest.mark.parametrize("data", [b"", b"\x93", b"\xc0", b"\x01", b"x" * 1000])
def test_bytes_of_another_program_are_no_sheet(data: bytes) -> None:
    with pytest.raises(UnusableSheet):
        sheets.decode(data)


def test_a_remote_device_takes_less_than_2_kb() -> None:
    def post(to: NodeRef, message: Message) -> None:
        raise AssertionError("nothing is sent")

    me, home = NodeRef("a", 1), NodeRef("b", 2)
    devices = Devices(30.0, lambda _: None, post)
    cards = [
        DeviceCard(Profile("tutor", number), new_id(), home, 2, True, ("call_elsewhere",), remote_address="203.0.113.9")
        for number in range(1, 2001)
    ]
    tracemalloc.start()
    for card in cards:
        devices.meet(card, me)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / len(cards) < 2000
    devices.forget(TUTOR)
