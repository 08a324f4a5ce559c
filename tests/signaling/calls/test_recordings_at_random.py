"""Whatever the parties do, in any order: what is written is what both have consented to, and each client shows it."""

import asyncio
import random

import pytest

from relay.ids import Profile
from relay.signaling.calls.live import LiveCall
from relay.signaling.recording import CONSENT, CONSENT_TIMEOUT, RecordingStage
from tests.signaling.calls.recorded import AGREE, HOLD, REFUSE, REJOIN, RESUME, START, STOP, media_flows, talking
from tests.signaling.harness import MemoryHarness, recording
from tests.signaling.people import HANG_UP, STUDENT, TUTOR, Client, answered, frame

STEPS = 40
DOINGS = (*(START, AGREE) * 3, STOP, REFUSE, HOLD, RESUME, "resume", "replace", "order", "end")


class Lesson:
    """A call, and the client that is in it for each party."""

    def __init__(self, harness: MemoryHarness, clients: dict[Profile, Client]) -> None:
        self.harness, self.clients = harness, clients
        live = harness.calls._context.live.of(STUDENT)
        assert live is not None
        self.live: LiveCall = live

    async def does(self, what: str, who: Profile) -> None:
        harness, client = self.harness, self.clients[who]
        match what:
            case "resume":  # a page that was loaded anew
                await harness.lose(client)
                await harness.resume(client)
                await self._rejoins(client, REJOIN)
            case "replace":  # by another device
                await harness.lose(client)
                self.clients[who] = await harness.connect(who)
                await self._rejoins(self.clients[who], frame("call_rejoin", can_show_recording=True))
            case "order" | "end":
                recordings, call_id = harness.calls.recordings, self.live.call.call_id
                await (recordings.order(call_id) if not self.live.recording.active else recordings.stop(call_id))
            case _:
                await harness.say(client, what)

    async def _rejoins(self, client: Client, rejoin: str) -> None:
        await self.harness.say(client, rejoin)
        await self.harness.say(client, answered(update_id=client.last("call_update")["update_id"]))
        await media_flows(self.harness)

    def check(self) -> None:
        rec, engine = self.live.recording, self.harness.engine
        capturing = self.live.call.call_id in engine._capturing
        assert capturing is rec.active
        if not capturing:
            return
        since = max(number for number, one in enumerate(engine.captured) if one.startswith("start"))
        paused = False
        for one in engine.captured[since:]:
            paused = {"pause consent": True, "continue consent": False}.get(one, paused)
        assert paused is (CONSENT in rec.pauses)
        if not paused:
            assert {one.profile: one.device_id for one in self.live.call.parties} == rec.devices, "each of them has consented"
        assert (rec.stage is RecordingStage.RECORDING) is not (paused or any(one.holds for one in self.live.call.parties))

    def check_what_is_shown(self) -> None:
        for profile, client in self.clients.items():
            told = [one for one in client.received if one["type"] == "call_recording" or "recording" in one]
            shown = told[-1].get("recording", told[-1]) if told else {"state": "idle", "needs_answer": False}
            assert shown["state"] == self.live.recording.stage
            assert shown["needs_answer"] is (self.live.recording.asked == profile)


@pytest.mark.parametrize("seed", range(10))
@recording()
async def test_what_is_written_is_what_both_have_consented_to(harness: MemoryHarness, seed: int) -> None:
    chance = random.Random(seed)
    caller, callee = await talking(harness)
    lesson = Lesson(harness, {STUDENT: caller, TUTOR: callee})
    for _ in range(STEPS):
        await lesson.does(chance.choice(DOINGS), chance.choice((STUDENT, TUTOR)))
        await harness.media()
        lesson.check()
        lesson.check_what_is_shown()
        if chance.random() < 0.1:
            await asyncio.sleep(CONSENT_TIMEOUT)
            lesson.check()
    await harness.say(lesson.clients[TUTOR], HANG_UP)
    await harness.media()
    await harness.calls.written()
    starts = [one for one in harness.engine.captured if one.startswith("start")]
    assert [state for state, _ in harness.recordings.ends] == ["captured"] * len(starts)
    assert starts, "or this proves little"
