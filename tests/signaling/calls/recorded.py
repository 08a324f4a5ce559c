"""Two clients in a call that may be recorded, in virtual time."""

from relay.media.api import TransportUp
from tests.signaling.harness import MemoryHarness
from tests.signaling.people import STUDENT, TUTOR, Client, answer, frame, invitation

START, STOP = (frame("call_record", action=action) for action in ("start", "stop"))
AGREE, REFUSE = (frame("call_record_answer", accepted=accepted) for accepted in (True, False))
HOLD, RESUME, REJOIN = (frame(kind) for kind in ("call_hold", "call_resume", "call_rejoin"))


async def talking(harness: MemoryHarness, *, caller: bool = True, callee: bool = True) -> tuple[Client, Client]:
    """The tutor has answered the student.

    Args:
        caller: its client shows recordings; `callee` likewise.
    """
    parties = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(parties[0], invitation(TUTOR, can_show_recording=caller))
    await harness.say(parties[1], answer(can_show_recording=callee))
    await media_flows(harness)
    return parties


async def media_flows(harness: MemoryHarness) -> None:
    """The transports of both parties are up."""
    transports = (harness.transport_of(STUDENT), harness.transport_of(TUTOR))
    await harness.media(*(TransportUp(one) for one in transports if one is not None))


async def said(harness: MemoryHarness) -> list[tuple[str, str]]:
    """Who has said what, as it is written down."""
    await harness.calls.written()
    return harness.recordings.answers


async def recorded(harness: MemoryHarness) -> tuple[Client, Client]:
    """The student has asked, and the tutor has agreed."""
    caller, callee = await talking(harness)
    await harness.say(caller, START)
    await harness.say(callee, AGREE)
    assert [seen(one) for one in (caller, callee)] == ["recording", "recording"]
    return caller, callee


def seen(client: Client) -> str:
    """What the client shows about the recording, by its latest message."""
    told = client.last("call_recording")
    return " ".join(filter(None, (told["state"], told["reason"])))
