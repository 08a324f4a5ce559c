"""Whole calls between two aiortc peers: what one sends, the other sees and hears."""

import asyncio
import math
import re
from dataclasses import dataclass

import aiohttp
import pytest
from aiortc.rtp import RtcpByePacket

from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN
from tests.integration.conftest import Connect
from tests.integration.sdp import media_sections, secrets_of, values
from tests.kit.caller import Message
from tests.kit.peer import BLUE, RED, Peer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

LARGE, SMALL = (320, 240), (256, 192)
LOW, HIGH = 440.0, 1200.0


@dataclass
class RunningCall:
    caller: Peer
    callee: Peer
    invitation: Message
    answer: Message
    answered: tuple[float, float]
    """Between these times of the event loop."""

    async def media_flows(self, video: bool) -> None:
        await eventually(lambda: self.caller.hears(HIGH), "the caller hears the callee's tone")
        await eventually(lambda: self.callee.hears(LOW), "the callee hears the caller's tone")
        if video:
            await eventually(lambda: self.caller.sees(BLUE, SMALL), lambda: f"blue at the caller: {self.caller.frame}")
            await eventually(lambda: self.callee.sees(RED, LARGE), lambda: f"red at the callee: {self.callee.frame}")


async def start(connect: Connect, call_type: str, codecs: tuple[str, ...]) -> RunningCall:
    caller = await connect("student_456", colour=RED, size=LARGE, tone=LOW)
    callee = await connect("tutor_789", colour=BLUE, size=SMALL, tone=HIGH)
    await caller.call("tutor_789", 123, call_type, codecs)
    invitation = await callee.ring()
    loop = asyncio.get_running_loop()
    before = loop.time()
    await callee.answer(invitation)
    answer = await caller.accept_answer()
    return RunningCall(caller, callee, invitation, answer, (before, loop.time()))


async def shown_to_operators(relay: RunningRelay, call: RunningCall, sent: set[tuple[str, str]]) -> bool:
    """Whether `/api/admin/calls/{call_id}` has these streams of both parties, all of them with packets and on their way."""
    url = f"{relay.url}/api/admin/calls/{call.invitation['call_id']}"
    async with aiohttp.ClientSession(raise_for_status=True) as http, http.get(url, headers=PLATFORM) as response:
        media = (await response.json())["media"]
    for party in ("caller", "callee"):
        streams = [] if media[party] is None else [one for one in media[party]["streams"] if one["forwarded"]]
        if {(one["kind"], one["codec"]) for one in streams if one["packets"] and one["bitrate"]} != sent:
            return False
    return {media["caller"]["route"], media["callee"]["route"]} == {"udp"}


@pytest.mark.parametrize("relay_settings", [{"service_token": SERVICE_TOKEN}], ids=[""])
@pytest.mark.parametrize(
    ("call_type", "codecs"),
    [
        pytest.param("video", ("VP8", "opus"), id="video in VP8 and Opus"),
        pytest.param("video", ("H264", "PCMU"), id="video in H264 and PCMU"),
        pytest.param("voice", ("opus",), id="voice in Opus"),
    ],
)
async def test_both_sides_see_and_hear_each_other_until_one_hangs_up(
    relay: RunningRelay, connect: Connect, call_type: str, codecs: tuple[str, ...]
) -> None:
    call = await start(connect, call_type, codecs)
    await call.media_flows(video=call_type == "video")
    if call_type == "video":
        await eventually(lambda: min(call.caller.frames, call.callee.frames) > 30, "30 decoded frames on both sides")
    assert await relay.losses() == {}
    sent = {
        (kind, codec.lower())
        for kind, codec in zip(("video", "audio") if call_type == "video" else ("audio",), codecs, strict=True)
    }
    await eventually(lambda: shown_to_operators(relay, call, sent), "an operator sees what both send")

    least = asyncio.get_running_loop().time() - call.answered[1]
    await call.caller.hang_up()
    ended = await call.callee.expect("call_ended")
    most = asyncio.get_running_loop().time() - call.answered[0]
    row = await relay.finished_call()

    assert row["status"] == "ended"
    assert math.floor(least) <= row["duration_seconds"] <= most, "rounded down"
    assert ended["duration_seconds"] == row["duration_seconds"]
    assert row["started_at"] <= row["answered_at"] <= row["ended_at"]
    assert (row["caller_profile_type"], row["caller_profile_id"]) == ("student", 456)
    assert (row["conversation_id"], row["call_type"]) == (123, call_type)


async def test_the_callee_can_hang_up_as_well(relay: RunningRelay, connect: Connect) -> None:
    call = await start(connect, "voice", ("PCMU",))
    await call.media_flows(video=False)
    await call.callee.hang_up()
    ended = await call.caller.expect("call_ended")
    assert (ended["from_profile_type"], ended["from_profile_id"]) == ("tutor", 789)
    assert (await relay.finished_call())["status"] == "ended"


async def test_a_party_that_says_goodbye_and_comes_back_is_seen_and_heard_again(relay: RunningRelay, connect: Connect) -> None:
    """aiortc decodes nothing more of a stream that has said BYE (RFC 3550 section 6.6); a page that is loaded anew says it."""
    call = await start(connect, "video", ("VP8", "opus"))
    await call.media_flows(video=True)
    for sender in call.caller.connection.getSenders():
        await sender.transport._send_rtp(bytes(RtcpByePacket(sources=[sender._ssrc])))

    async def withheld() -> bool:
        return (await relay.counters())["relay_media_byes_withheld_total"] == 2

    await eventually(withheld, "the relay keeps both to itself")
    frames = call.callee.frames
    call.callee.forget_what_was_heard()
    await eventually(lambda: call.callee.frames > frames + 15, "the callee goes on seeing the caller")
    await eventually(lambda: call.callee.hears(LOW), "the callee goes on hearing the caller")
    await call.caller.hang_up()


async def test_a_second_call_follows_the_first(relay: RunningRelay, connect: Connect) -> None:
    caller = await connect("student_456")
    callee = await connect("tutor_789")
    await caller.call("tutor_789", 123, "voice", ("PCMU",))
    await callee.ring()
    await caller.hang_up()
    await callee.expect("call_ended")

    call = await start(connect, "voice", ("PCMU",))
    await call.media_flows(video=False)
    await call.caller.hang_up()
    assert [row["status"] for row in await relay.finished_calls(2)] == ["missed", "ended"]


async def test_the_server_sets_the_sender_of_a_message(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.prepare_offer("voice", ("PCMU",))
    await caller.send(
        "call_invitation",
        conversation_id=123,
        call_type="voice",
        to_profile_id=789,
        to_profile_type="tutor",
        from_profile_id=321,
        from_profile_type="parent",
        from_name="Another Name",
        from_avatar="https://elsewhere.example/me.png",
        offer=caller.description,
    )
    invitation = await callee.ring()
    assert (invitation["from_profile_type"], invitation["from_profile_id"]) == ("student", 456)
    assert invitation["from_name"] not in {"", "Another Name"}
    assert "elsewhere.example" not in invitation["from_avatar"]


async def test_neither_party_learns_addresses_of_the_other(relay: RunningRelay, connect: Connect) -> None:
    call = await start(connect, "video", ("VP8", "opus"))
    offer, answer = call.invitation["offer"]["sdp"], call.answer["answer"]["sdp"]
    caller_secrets = secrets_of(call.caller.description["sdp"])
    callee_secrets = secrets_of(call.callee.description["sdp"])
    assert len(caller_secrets) >= 4
    assert len(callee_secrets) >= 4
    assert not [secret for secret in caller_secrets if secret in offer]
    assert not [secret for secret in callee_secrets if secret in answer]
    for description in (offer, answer):
        assert "a=ice-lite" in description.splitlines()
        assert values(description, "candidate")


async def test_addresses_anywhere_in_an_offer_stay_with_the_relay(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.prepare_offer("voice", ("PCMU",))
    sdp = re.sub(r"^o=.*$", "o=alice 1 1 IN IP4 203.0.113.1", caller.description["sdp"], count=1, flags=re.MULTILINE)
    sdp = re.sub(r"^c=IN IP4 \S+", "c=IN IP4 203.0.113.2", sdp, flags=re.MULTILINE)
    sdp = sdp.rstrip("\r\n") + "".join(
        f"\r\n{line}"
        for line in (
            "a=rtcp:9 IN IP4 203.0.113.3",
            "a=candidate:1 1 udp 2113937151 203.0.113.4 50000 typ host",
            "a=candidate:2 1 udp 1677729535 203.0.113.5 50001 typ srflx raddr 203.0.113.6 rport 50002",
            "a=candidate:3 1 udp 2113937151 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 50003 typ host",
            "",
        )
    )
    await caller.invite("tutor_789", 123, "voice", {"type": "offer", "sdp": sdp})
    received = (await callee.ring())["offer"]["sdp"]
    assert "203.0.113." not in received
    assert ".local" not in received
    assert "alice" not in received


async def test_the_media_part_of_a_description_goes_through_untouched(relay: RunningRelay, connect: Connect) -> None:
    call = await start(connect, "video", ("VP8", "H264", "opus", "PCMU"))
    sent, received = call.caller.description["sdp"], call.invitation["offer"]["sdp"]
    assert media_sections(received) == media_sections(sent)
    sent, received = call.callee.description["sdp"], call.answer["answer"]["sdp"]
    assert media_sections(received) == media_sections(sent)
