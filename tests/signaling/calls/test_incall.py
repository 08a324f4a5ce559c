"""What parties say to each other within a call, in virtual time."""

import asyncio
from typing import Any

import pytest

from relay.media.api import Address, Route, TransportDown, TransportReport, TransportUp
from relay.media.quality.statistics import LegReport
from relay.signaling.calls.live import MAX_CHAT_IDS
from relay.signaling.ports import MediaPath
from tests.kit.memory import MemoryDirectory
from tests.signaling.harness import EPOCH, MemoryHarness, in_memory
from tests.signaling.people import (
    AGREE,
    HANG_UP,
    REFUSE,
    STUDENT,
    TO_PARENT,
    WHITEBOARD,
    error,
    frame,
)

HOLD = frame("call_hold")
RESUME = frame("call_resume")


def chat(text: str, message_id: str | None = None) -> str:
    return frame("call_chat", text=text, message_id=message_id)


# -- the state of media -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
@in_memory
async def test_the_other_side_sees_what_a_party_does_with_its_media(harness: MemoryHarness, side: int) -> None:
    parties = await harness.connected()
    mine, theirs = parties[side], parties[1 - side]
    heard = len(mine.received)
    await harness.say(mine, frame("call_media_state", muted=True, sharing=True))
    told = theirs.last("call_media_state")
    assert (told["muted"], told["camera_off"], told["sharing"]) == (True, False, True)
    assert (told["from_profile_id"], told["to_profile_id"]) == (mine.profile.profile_id, theirs.profile.profile_id)
    assert len(mine.received) == heard


@in_memory
async def test_who_comes_back_sees_the_other_sides_media_as_they_are(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, frame("call_media_state", muted=True))
    await harness.say(caller, frame("call_media_state", camera_off=True))
    await harness.lose(callee)
    await harness.resume(callee)
    working = {"no_microphone": False, "no_camera": False}
    assert callee.last("call_state")["media"] == {"muted": False, "camera_off": True, "sharing": False, **working}
    await harness.lose(caller)
    await harness.resume(caller)
    assert caller.last("call_state")["media"] == {"muted": False, "camera_off": False, "sharing": False, **working}


@pytest.mark.parametrize("device", ["no_microphone", "no_camera"])
@in_memory
async def test_the_other_side_learns_that_a_party_has_lost_a_device_and_that_it_has_one_again(
    harness: MemoryHarness, device: str
) -> None:
    caller, callee = await harness.connected()
    fields: dict[str, Any] = {device: True}
    await harness.say(callee, frame("call_media_state", **fields))
    assert caller.last("call_media_state")[device] is True
    await harness.lose(caller)
    await harness.resume(caller)
    assert caller.last("call_state")["media"][device] is True
    await harness.say(callee, frame("call_media_state"))
    assert caller.last("call_media_state")[device] is False


# -- hold -------------------------------------------------------------------------------------------------------------


@in_memory
async def test_no_media_flows_while_a_party_holds_the_call(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, HOLD)
    assert not harness.engine.flows()
    assert caller.types()[-1] == "call_state connected"
    assert callee.types()[-2:] == ["call_hold", "call_state connected"]
    assert (caller.last("call_state")["held_by"], callee.last("call_state")["held_by"]) == (["you"], ["other"])
    await harness.say(caller, RESUME)
    assert harness.engine.flows()
    assert callee.types()[-2:] == ["call_resume", "call_state connected"]
    assert caller.last("call_state")["held_by"] == callee.last("call_state")["held_by"] == []


@in_memory
async def test_media_flow_again_when_no_party_holds_the_call_any_more(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, HOLD)
    await harness.say(callee, HOLD)
    assert sorted(caller.last("call_state")["held_by"]) == ["other", "you"]
    await harness.say(caller, RESUME)
    assert not harness.engine.flows()
    assert (caller.last("call_state")["held_by"], callee.last("call_state")["held_by"]) == (["other"], ["you"])
    await harness.say(callee, RESUME)
    assert harness.engine.flows()


@in_memory
async def test_each_party_ends_its_own_hold(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, RESUME)
    assert error(caller) == "wrong_state"
    await harness.say(caller, HOLD)
    await harness.say(caller, HOLD)
    assert error(caller) == "wrong_state"
    await harness.say(callee, RESUME)
    assert error(callee) == "wrong_state"
    assert not harness.engine.flows()


@in_memory
async def test_a_hold_that_the_media_plane_cannot_do_is_none(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    good = harness.engine.unroute

    async def fail(*_: str) -> None:
        raise KeyError("the transport has just been closed")

    harness.engine.unroute = fail  # type: ignore[method-assign,assignment]
    await harness.say(caller, HOLD)
    assert error(caller) == "unavailable"
    assert callee.types()[-1] == "call_state connected"
    harness.engine.unroute = good  # type: ignore[method-assign]
    await harness.say(caller, HOLD)
    assert callee.types()[-2:] == ["call_hold", "call_state connected"]


@in_memory
async def test_a_call_that_is_held_can_be_ended(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, HOLD)
    await harness.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"


# -- texts ------------------------------------------------------------------------------------------------------------


@in_memory
async def test_a_text_reaches_both_and_says_who_wrote_it(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, chat("good day", "m-1"))
    mine, theirs = caller.last("call_chat"), callee.last("call_chat")
    assert mine["text"] == theirs["text"] == "good day"
    assert mine["message_id"] == theirs["message_id"] == "m-1"
    assert (mine["own"], theirs["own"]) == (True, False)
    assert mine["sent_at"] == theirs["sent_at"] >= EPOCH.timestamp() * 1000
    await harness.rows()
    [(call_id, text)] = harness.chat.texts
    assert (call_id, text.author, text.text, text.message_id) == (mine["call_id"], STUDENT, "good day", "m-1")


@in_memory
async def test_a_text_without_a_name_gets_one(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, chat("one"))
    await harness.say(caller, chat("one"))
    names = [one["message_id"] for one in callee.said("call_chat")]
    assert len(set(names)) == 2
    assert [one["message_id"] for one in caller.said("call_chat")] == names


@in_memory
async def test_a_text_that_is_sent_again_arrives_once_and_its_author_hears_that_it_was_taken(harness: MemoryHarness) -> None:
    """The client does not know whether it arrived before its connection broke."""
    caller, callee = await harness.connected()
    await harness.say(caller, chat("good day", "m-1"))
    await asyncio.sleep(3)
    await harness.say(caller, chat("good day", "m-1"))
    assert len(callee.said("call_chat")) == 1
    first, again = caller.said("call_chat")
    assert first["sent_at"] == again["sent_at"]
    await harness.rows()
    assert len(harness.chat.texts) == 1


@in_memory
async def test_both_may_give_the_same_name_to_a_text(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.say(caller, chat("mine", "m-1"))
    await harness.say(callee, chat("mine too", "m-1"))
    assert [one["text"] for one in caller.said("call_chat")] == ["mine", "mine too"]
    assert [one["text"] for one in callee.said("call_chat")] == ["mine", "mine too"]


@in_memory
async def test_a_device_that_was_away_gets_the_texts_of_that_time_in_order(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.lose(callee)
    for text in ("one", "two", "three"):
        await harness.say(caller, chat(text))
    await asyncio.sleep(10)
    await harness.resume(callee)
    assert [one["text"] for one in callee.said("call_chat")] == ["one", "two", "three"]


@in_memory
async def test_only_so_many_names_of_texts_are_remembered(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    for number in range(MAX_CHAT_IDS + 1):
        await harness.say(caller, chat("hello", f"m-{number}"))
    heard = len(callee.said("call_chat"))
    await harness.say(caller, chat("hello", "m-1"))
    assert len(callee.said("call_chat")) == heard
    await harness.say(caller, chat("hello", "m-0"))
    assert len(callee.said("call_chat")) == heard + 1


@in_memory
async def test_a_text_that_cannot_be_kept_arrives_all_the_same(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()

    async def fail(*_: object) -> bool:
        raise OSError("the database is away")

    harness.chat.add = fail  # type: ignore[method-assign,assignment]
    await harness.say(caller, chat("hello"))
    assert caller.types()[-1] == callee.types()[-1] == "call_chat"


@in_memory
async def test_texts_of_scopes_that_keep_none_are_not_kept(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected(scope=WHITEBOARD)
    await harness.say(caller, frame("call_chat", WHITEBOARD, text="hello"))
    assert callee.types()[-1] == "call_chat"
    await harness.rows()
    assert harness.chat.texts == []


# -- quality ----------------------------------------------------------------------------------------------------------


def report(score: float) -> LegReport:
    return LegReport(
        score=score, rtt=0.0421, jitter=0.0031, loss_from_peer=0.01234, loss_to_peer=0.0, bitrate=40_000.4, streams=()
    )


@in_memory
async def test_both_are_told_how_good_the_path_to_each_is(harness: MemoryHarness) -> None:
    caller, callee = await harness.connected()
    await harness.media(TransportReport(harness.engine.opened[0], report(4.123)))
    mine, theirs = caller.last("call_quality"), callee.last("call_quality")
    assert (mine["leg"], theirs["leg"]) == ("yours", "other")
    values = {"score": 4.12, "rtt_ms": 42.1, "jitter_ms": 3.1, "loss_from_peer": 0.0123, "loss_to_peer": 0.0, "bitrate": 40_000}
    assert mine.items() >= values.items()
    assert theirs.items() >= values.items()
    assert "seq" not in mine


@in_memory
async def test_quality_is_of_the_moment_and_not_kept_for_a_device_that_is_away(harness: MemoryHarness) -> None:
    _, callee = await harness.connected()
    await harness.lose(callee)
    await harness.media(TransportReport(harness.engine.opened[0], report(4.0)))
    await harness.resume(callee)
    assert "call_quality" not in callee.types()


# -- routes -----------------------------------------------------------------------------------------------------------

AT_HOME: Address = ("2001:db8::1", 5000)
IN_THE_OFFICE: Address = ("127.64.0.1", 5001)
UDP, TLS = Route("udp", "ipv6"), Route("turn-tls", "ipv4")


@in_memory
async def test_both_are_told_by_which_way_the_media_of_each_comes(harness: MemoryHarness) -> None:
    harness.routes |= {AT_HOME: UDP, IN_THE_OFFICE: TLS}
    caller, callee = await harness.connected()
    first, second = harness.engine.opened
    await harness.media(TransportReport(first, report(4.0), AT_HOME), TransportReport(second, report(4.0), IN_THE_OFFICE))
    for client, legs in ((caller, ["yours", "other"]), (callee, ["other", "yours"])):
        told = client.said("call_quality")
        assert [(one["leg"], one["route"], one["family"]) for one in told] == [
            (legs[0], "udp", "ipv6"),
            (legs[1], "turn-tls", "ipv4"),
        ]
        assert not any(AT_HOME[0] in str(one) for one in client.received)


@in_memory
async def test_a_way_that_is_not_known_is_said_to_be_none(harness: MemoryHarness) -> None:
    caller, _ = await harness.connected()
    await harness.media(TransportReport(harness.engine.opened[0], report(4.0)))
    told = caller.last("call_quality")
    assert (told["route"], told["family"]) == (None, None)


@in_memory
async def test_a_call_is_logged_with_the_path_to_each_party(harness: MemoryHarness) -> None:
    harness.routes |= {AT_HOME: UDP, IN_THE_OFFICE: TLS}
    caller, _ = await harness.answered()
    first, second = harness.engine.opened
    await harness.media(TransportUp(first, AT_HOME), TransportUp(second, IN_THE_OFFICE))
    await harness.media(TransportReport(first, report(4.0), AT_HOME))
    await harness.say(caller, HANG_UP)
    [row] = await harness.rows()
    assert row.paths == (MediaPath(UDP, 0.0421, 4.0), MediaPath(TLS, None)), "also when the call was over before the first report"


@in_memory
async def test_what_counts_is_the_last_way_that_was_known(harness: MemoryHarness) -> None:
    harness.routes |= {AT_HOME: UDP, IN_THE_OFFICE: TLS}
    caller, _ = await harness.connected()
    first = harness.engine.opened[0]
    await harness.media(TransportUp(first, AT_HOME), TransportReport(first, report(4.0), IN_THE_OFFICE), TransportDown(first))
    assert (harness.calls.sessions_by_route, harness.calls.sessions_connected) == ({TLS: 1}, {UDP: 1, TLS: 1})
    await harness.say(caller, HANG_UP)
    [row] = await harness.rows()
    assert row.paths[0] == MediaPath(TLS, 0.0421, 4.0)
    assert (harness.calls.sessions_by_route, harness.calls.sessions_connected) == ({}, {UDP: 1, TLS: 1})


@in_memory
async def test_an_unanswered_call_has_no_paths(harness: MemoryHarness) -> None:
    caller, _ = await harness.ringing()
    await harness.say(caller, HANG_UP)
    [row] = await harness.rows()
    assert row.paths == (MediaPath(), MediaPath())


# -- who may speak ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [HOLD, RESUME, chat("hello"), TO_PARENT, AGREE, REFUSE, frame("call_media_state", muted=True)])
@in_memory
async def test_before_the_answer_there_is_nothing_to_say(harness: MemoryHarness, said: str) -> None:
    for client in await harness.ringing():
        await harness.say(client, said)
        assert error(client) == "wrong_state"


@in_memory
async def test_a_tab_that_is_not_in_the_call_has_nothing_to_say(harness: MemoryHarness) -> None:
    tab = await harness.connect(STUDENT)
    _, callee = await harness.connected()
    heard = len(callee.received)
    for said in (HOLD, chat("hello"), TO_PARENT, AGREE, frame("call_media_state", muted=True)):
        await harness.say(tab, said)
        assert error(tab) == "not_in_call"
    assert len(callee.received) == heard


@in_memory
async def test_a_hang_up_does_not_wait_for_a_database_that_is_asked_about_a_transfer(
    harness: MemoryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller, callee = await harness.connected()
    asked = asyncio.Event()

    async def hangs(*_: object) -> int | None:
        asked.set()
        await asyncio.sleep(3)
        return None

    monkeypatch.setattr(MemoryDirectory, "shared_conversation", hangs)
    asking = asyncio.create_task(harness.say(caller, TO_PARENT))
    await asked.wait()
    before = asyncio.get_running_loop().time()
    await harness.say(callee, HANG_UP)
    assert caller.types()[-1] == "call_ended hangup"
    assert asyncio.get_running_loop().time() == before
    await asking
    assert error(caller) in ("wrong_state", "not_allowed")
