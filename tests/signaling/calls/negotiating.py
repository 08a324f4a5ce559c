"""What tests of negotiation say, and what they read in the descriptions that clients are given."""

import re

from tests.sdp.descriptions import VIDEO_ANSWER, VIDEO_OFFER, plain
from tests.signaling.harness import MemoryHarness
from tests.signaling.people import (
    Client,
    answered,
    frame,
    offered,
)

RESTART = frame("call_restart")
REJOIN = frame("call_rejoin")
REJECT = frame("call_update", rejected=True)
PASSIVE_ANSWER = plain("audio", setup="passive")
"""Of a caller that rejoins: the callee has answered as the active one."""


def given(client: Client, part: str) -> str:
    """The latest description that the client was given in mid-call."""
    return str(client.last("call_update")[part]["sdp"])


async def in_video(harness: MemoryHarness, caller: Client, callee: Client) -> None:
    """The caller turns its camera on."""
    await harness.say(caller, offered(VIDEO_OFFER, call_type="video"))
    await harness.say(callee, answered(VIDEO_ANSWER))


def setup(text: str) -> str:
    return str(re.findall(r"a=setup:(\w+)", text)[0])


def version(text: str) -> int:
    return int(re.findall(r"o=- 1 (\d+) ", text)[0])
