"""What a client may send and the relay cannot take: it is told so, and nothing else happens."""

import json

import pytest

from tests.integration.conftest import Connect
from tests.integration.sdp import without
from tests.kit.peer import Peer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

VOICE = ("voice", ("PCMU",))
TO_TUTOR = {"conversation_id": 123, "to_profile_id": 789, "to_profile_type": "tutor"}
OFFER = {"type": "offer", "sdp": "v=0\r\n"}

MALFORMED = {
    "not JSON": ("hello", "malformed", None),
    "not an object": ("[1, 2]", "malformed", None),
    "no type": (json.dumps(TO_TUTOR), "unknown_type", None),
    "an unknown type": (json.dumps({"type": "dance", **TO_TUTOR}), "unknown_type", "dance"),
    "a missing field": (json.dumps({"type": "call_answer", **TO_TUTOR}), "invalid_message", "call_answer"),
    "a field of the wrong kind": (
        json.dumps({"type": "call_ended", "conversation_id": "123", "ref": "my-7"}),
        "invalid_message",
        "my-7",
    ),
    "an unknown call type": (
        json.dumps({"type": "call_invitation", **TO_TUTOR, "call_type": "smell", "offer": OFFER}),
        "invalid_message",
        "call_invitation",
    ),
    "a megabyte": (json.dumps({"type": "call_ended", **TO_TUTOR, "note": "x" * 2**20}), "too_large", None),
}

BAD_SDP = {
    "garbage": lambda sdp: "this is no session description",
    "nothing": lambda sdp: "",
    "no media": lambda sdp: sdp.partition("m=")[0],
    "no fingerprint": lambda sdp: without(sdp, "a=fingerprint"),
    "two sections and no BUNDLE": lambda sdp: without(sdp, "a=group") + sdp[sdp.index("m=") :],
    "no rtcp-mux": lambda sdp: without(sdp, "a=rtcp-mux"),
    "no ice-ufrag": lambda sdp: without(sdp, "a=ice-ufrag"),
}

bad_sdp = pytest.mark.parametrize("spoil", BAD_SDP.values(), ids=BAD_SDP.keys())


async def refused(peer: Peer, ref: str | None) -> str:
    """The code of the error that the peer is told."""
    error = await peer.expect("error")
    assert error["message"]
    assert error["ref"] == ref
    return str(error["code"])


async def voice_call(caller: Peer, callee: Peer) -> None:
    await caller.call("tutor_789", 123, *VOICE)
    await callee.answer(await callee.ring())
    await caller.accept_answer()
    await eventually(lambda: caller.hears(880) and callee.hears(440), "both hear each other")


@pytest.mark.parametrize(("frame", "code", "ref"), MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_message_that_makes_no_sense_is_answered_with_an_error(
    relay: RunningRelay, connect: Connect, frame: str, code: str, ref: str | None
) -> None:
    caller, callee = await connect("student_456", tone=440), await connect("tutor_789", tone=880)
    await caller.send_text(frame)
    assert await refused(caller, ref) == code
    await voice_call(caller, callee)
    await caller.hang_up()
    assert (await relay.finished_call())["status"] == "ended"


async def test_no_message_that_makes_no_sense_disturbs_a_running_call(relay: RunningRelay, connect: Connect) -> None:
    caller, callee = await connect("student_456", tone=440), await connect("tutor_789", tone=880)
    await voice_call(caller, callee)
    for frame, code, ref in MALFORMED.values():
        await callee.send_text(frame)
        assert await refused(callee, ref) == code
    await callee.send("call_answer", answer={"type": "answer", "sdp": "v=0\r\n"})
    await refused(callee, "call_answer")

    callee.forget_what_was_heard()
    await eventually(lambda: callee.hears(440), "the callee still hears the caller")
    assert not {"call_ended", "call_declined", "error"} & {message["type"] for message in caller.received}
    await caller.hang_up()
    await callee.expect("call_ended")
    assert (await relay.finished_call())["status"] == "ended"


@bad_sdp
async def test_an_offer_that_cannot_be_relayed_is_refused(relay: RunningRelay, connect: Connect, spoil: object) -> None:
    caller, callee = await connect("student_456", tone=440), await connect("tutor_789", tone=880)
    await caller.prepare_offer(*VOICE)
    good = caller.description
    assert callable(spoil)
    await caller.invite("tutor_789", 123, "voice", {"type": "offer", "sdp": spoil(good["sdp"])})
    assert await refused(caller, "call_invitation")

    await caller.invite("tutor_789", 123, "voice", good)
    await callee.answer(await callee.ring())
    await caller.accept_answer()
    await eventually(lambda: caller.hears(880) and callee.hears(440), "both hear each other")
    await caller.hang_up()
    assert (await relay.finished_call())["status"] == "ended"


@bad_sdp
async def test_an_answer_that_cannot_be_relayed_is_refused(relay: RunningRelay, connect: Connect, spoil: object) -> None:
    caller, callee = await connect("student_456", tone=440), await connect("tutor_789", tone=880)
    await caller.call("tutor_789", 123, *VOICE)
    await callee.prepare_answer(await callee.ring())
    good = callee.description
    assert callable(spoil)
    await callee.send("call_answer", answer={"type": "answer", "sdp": spoil(good["sdp"])})
    assert await refused(callee, "call_answer")

    await callee.send("call_answer", answer=good)
    await caller.accept_answer()
    await eventually(lambda: caller.hears(880) and callee.hears(440), "both hear each other")
    await caller.hang_up()
    assert (await relay.finished_call())["status"] == "ended"


@pytest.mark.settings(connect_timeout=3)
async def test_a_certificate_that_does_not_match_the_fingerprint_of_the_answer_is_refused(
    relay: RunningRelay, connect: Connect
) -> None:
    caller, callee = await connect("student_456"), await connect("tutor_789")
    await caller.call("tutor_789", 123, *VOICE)
    await callee.prepare_answer(await callee.ring())
    lines = callee.description["sdp"].splitlines(keepends=True)
    forged = [_forged(line) if line.startswith("a=fingerprint:") else line for line in lines]
    assert forged != lines
    await callee.send("call_answer", answer={"type": "answer", "sdp": "".join(forged)})
    await caller.accept_answer()

    reason = (await caller.expect("call_ended"))["reason"]
    assert reason in {"ice_failed", "dtls_failed"}
    assert (await callee.expect("call_ended"))["reason"] == reason
    row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", reason)
    assert not caller.hears(440)
    assert not callee.hears(440)


def _forged(line: str) -> str:
    name, _, value = line.rstrip().rpartition(" ")
    return f"{name} {':'.join(reversed(value.split(':')))}\r\n"


@pytest.mark.parametrize("kind", ["call_ended", "call_declined", "ice_candidate", "call_answer"])
async def test_a_client_cannot_act_on_a_call_that_it_is_not_in(relay: RunningRelay, connect: Connect, kind: str) -> None:
    caller, callee = await connect("student_456", tone=440), await connect("tutor_789", tone=880)
    third = await connect("parent_321")
    await voice_call(caller, callee)

    candidate = {"candidate": "candidate:1 1 udp 2113937151 203.0.113.4 50000 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
    await third.send(kind, **TO_TUTOR, candidate=candidate, answer=callee.description)
    await refused(third, kind)

    callee.forget_what_was_heard()
    await eventually(lambda: callee.hears(440), "the callee still hears the caller")
    await caller.hang_up()
    await callee.expect("call_ended")
    assert (await relay.finished_call())["status"] == "ended"
