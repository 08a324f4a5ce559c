"""Calls without a browser and without a person: one, or many at once as load. `python -m relay call` is this with arguments."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Final

import msgspec

from relay.client.call import ClientCall
from relay.client.client import CallClient, connect
from relay.client.errors import CallOver, ClientError
from relay.client.figures import opinion
from relay.client.media_file import MediaFile
from relay.ids import Profile

MAX_CALLS: Final = 500
"""At a time."""

BUSY: Final = 0.8
"""Of a core: a load generator that uses more is late itself, and what it measures is not the relay's."""

LATE: Final = 0.25
"""Seconds: a load generator that runs later than that has not had the processor when it needed it."""

RECORDED: Final = "recording"
"""What became of a request to record the call, if it was granted."""

SETUP_TIMEOUT: Final = 60.0
"""Seconds from the invitation until media flows: ringing is 45 s, connecting 15 s at most."""


@dataclass(frozen=True, slots=True)
class Account:
    """A profile, and the token that it signs in with; empty: without one, in development mode."""

    profile: Profile
    token: str = ""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What a call is to be."""

    url: str
    caller: Account
    callee: Account
    conversation_id: int | None = None
    """None: one that both are in."""
    kind: str = "video"
    media: MediaFile | None = None
    """None: silence."""
    codecs: Collection[str] = ()
    duration: float | None = None
    """Seconds from when media flows; None: until the media was sent once, or the other party hangs up."""
    record: str | None = None
    answer: bool = False
    """Answer as the callee, too."""
    decode: bool = True
    request_recording: bool = False
    consent: bool | None = None
    verify: bool = True
    turn: bool = False


class CallResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one party saw of a call. Times in seconds from the invitation, or from the ringing at the callee."""

    call_id: str = ""
    error: str = ""
    """Why there was no call; empty: there was."""
    reason: str = ""
    """Why it ended."""
    ringing: float | None = None
    answered: float | None = None
    connected: float | None = None
    first_audio: float | None = None
    first_video: float | None = None
    packets: int = 0
    octets: int = 0
    seconds: float = 0.0
    """From when media flowed to the end."""
    audio_loss: float | None = None
    """0 to 1; None: no audio came."""
    video_loss: float | None = None
    repaired: int = 0
    """Packets of video that came by retransmission."""
    audio_jitter_ms: float | None = None
    video_jitter_ms: float | None = None
    video_frames: int = 0
    round_trip_ms: float | None = None
    """Between the two parties, by way of the relay, as it measures."""
    mos: float | None = None
    """Of the audio, 1 to 4.5 (ITU-T G.107)."""
    recording_id: str | None = None
    recording: str = ""
    """How the request to record it went: `RECORDED`, or why not."""


class LoadSecond(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a load test."""

    second: int
    started: int
    connected: int
    """Now."""
    failed: int
    ended: int
    packets: int
    """Received in this second, by all parties."""
    kbit_s: int
    loss_percent: float
    """Of all that was sent so far."""
    cpu_percent: float
    """Of a core, of this load generator."""
    late_ms: float
    """By which this line was late: what else runs on the machine keeps the load generator waiting."""


@dataclass(slots=True)
class LoadReport:
    """
    Attributes:
        results: of each caller.
        cpu: of a core, while calls were up.
        late: seconds by which the load generator was late at its worst moment.
    """

    results: list[CallResult] = field(default_factory=list)
    cpu: float = 0.0
    late: float = 0.0

    @property
    def failed(self) -> list[CallResult]:
        return [one for one in self.results if one.error]

    @property
    def setups(self) -> list[float]:
        """Seconds from invitation to media, sorted."""
        return sorted(one.connected for one in self.results if one.connected is not None)


OnCall = Callable[[ClientCall], None]
"""Called with a call as soon as there is one."""


async def make_call(plan: CallPlan, on_call: OnCall = lambda _: None) -> CallResult:
    """Make one call as the caller; as the callee too, with `plan.answer`.

    Raises:
        SignInFailed: of either.
    """
    async with _client(plan, plan.caller) as client, contextlib.AsyncExitStack() as stack:
        answering = None
        if plan.answer:
            callee = await stack.enter_async_context(_client(plan, plan.callee))
            answering = asyncio.create_task(_answer_all(callee, plan, on_call))
            stack.push_async_callback(_cancel, answering)
        try:
            call = await client.call(
                plan.callee.profile,
                plan.kind,
                plan.conversation_id,
                media=plan.media,
                codecs=plan.codecs,
                record=plan.record,
            )
        except ClientError as error:
            return CallResult(error=_why(error))
        on_call(call)
        return await _lived(call, plan)


async def take_call(plan: CallPlan, on_call: OnCall = lambda _: None) -> CallResult:
    """Wait for a call to `plan.callee`, and answer it.

    Raises:
        SignInFailed: the profile cannot sign in.
    """
    async with _client(plan, plan.callee) as client:
        async for call in client.incoming(record=plan.record):
            on_call(call)
            try:
                await call.answer(plan.media, codecs=plan.codecs)
            except ClientError as error:
                return CallResult(call_id=call.call_id, error=_why(error))
            return await _lived(call, plan)
    return CallResult(error="disconnected before a call came")


def result_of(call: ClientCall, *, error: str = "", recording: str = "") -> CallResult:
    """The figures of a call up to now."""
    times = call.times
    begin = times.get("called", times.get("ringing", 0.0))
    end = times.get("ended", asyncio.get_running_loop().time())
    audio, video = call.figures("audio"), call.figures("video")
    trips = [one.rtt_ms for one in call.quality.values() if one.rtt_ms is not None]
    round_trip = sum(trips) if trips else None

    def since(moment: float | None) -> float | None:
        return None if moment is None else round(moment - begin, 4)

    return CallResult(
        call_id=call.call_id,
        error=error,
        reason=call.reason,
        ringing=since(times.get("ringing")),
        answered=since(times.get("answered")),
        connected=since(times.get("connected")),
        first_audio=since(call.first_packets.get("audio")),
        first_video=since(call.first_packets.get("video")),
        packets=call.packets,
        octets=call.octets,
        seconds=round(end - times["connected"], 3) if "connected" in times else 0.0,
        audio_loss=audio.loss if audio is not None else None,
        video_loss=video.loss if video is not None else None,
        repaired=sum(one.repaired for one in (audio, video) if one is not None),
        audio_jitter_ms=round(audio.jitter * 1000, 2) if audio is not None else None,
        video_jitter_ms=round(video.jitter * 1000, 2) if video is not None else None,
        video_frames=video.frames if video is not None else 0,
        round_trip_ms=round(round_trip, 1) if round_trip is not None else None,
        mos=round(opinion(audio.loss, audio.jitter, (round_trip or 0.0) / 1000), 2) if audio is not None else None,
        recording_id=call.recording.recording_id,
        recording=recording,
    )


# -- load -------------------------------------------------------------------------------------------------------------


class LoadTest:
    """Many calls at once, both ends of each in this process; what arrives is counted, not decoded.

    Args:
        plans: one for each call.
        rate: calls that begin per second.
        on_second: called every second.
    """

    def __init__(self, plans: Sequence[CallPlan], rate: float, on_second: Callable[[LoadSecond], None]) -> None:
        assert len(plans) <= MAX_CALLS, "the command line has checked it"
        self._plans = plans
        self._rate = rate
        self._on_second = on_second
        self._calls: list[ClientCall] = []
        self._started = 0
        self._report = LoadReport()

    async def run(self) -> LoadReport:
        """Make all the calls; returns when the last one is over."""
        reporting = asyncio.create_task(self._tell())
        begin, cpu = time.monotonic(), time.process_time()
        try:
            async with asyncio.TaskGroup() as group:
                for number, plan in enumerate(self._plans):
                    await asyncio.sleep(max(0.0, begin + number / self._rate - time.monotonic()))
                    group.create_task(self._one(plan))
        finally:
            await _cancel(reporting)
        self._report.cpu = (time.process_time() - cpu) / max(1e-9, time.monotonic() - begin)
        return self._report

    async def _one(self, plan: CallPlan) -> None:
        self._started += 1
        try:
            if plan.conversation_id is None:
                plan = replace(plan, conversation_id=await conversation_of(plan))
            result = await make_call(replace(plan, answer=True, decode=False), self._calls.append)
        except ClientError as error:
            result = CallResult(error=_why(error))
        self._report.results.append(result)

    async def _tell(self) -> None:
        begin, second, packets, octets = time.monotonic(), 0, 0, 0
        while True:
            cpu, at = time.process_time(), time.monotonic()
            second += 1
            await asyncio.sleep(max(0.0, begin + second - at))
            late = time.monotonic() - begin - second
            self._report.late = max(self._report.late, late)
            used = (time.process_time() - cpu) / max(1e-9, time.monotonic() - at)
            all_packets, all_octets = sum(call.packets for call in self._calls), sum(call.octets for call in self._calls)
            streams = [one for call in self._calls for kind in ("audio", "video") if (one := call.figures(kind)) is not None]
            lost, expected = sum(one.lost for one in streams), sum(one.expected for one in streams)
            self._on_second(
                LoadSecond(
                    second=second,
                    started=self._started,
                    connected=sum(call.state == "connected" and call.outgoing for call in self._calls),
                    failed=len(self._report.failed),
                    ended=len(self._report.results) - len(self._report.failed),
                    packets=all_packets - packets,
                    kbit_s=round((all_octets - octets) * 8 / 1000),
                    loss_percent=round(100 * lost / expected, 3) if expected else 0.0,
                    cpu_percent=round(100 * used, 1),
                    late_ms=round(1000 * late, 1),
                )
            )
            packets, octets = all_packets, all_octets


async def conversation_of(plan: CallPlan) -> int:
    """A conversation of the two parties; in development mode it is made if there is none.

    Raises:
        SignInFailed, ClientError: there is none, and none can be made.
    """
    async with _client(plan, plan.callee), _client(plan, plan.caller) as client:  # signing in makes the profiles
        found = await client.conversation_with(plan.callee.profile)
        return found if found is not None else await client.new_conversation(plan.callee.profile)


def pairs(caller: Account, callee: Account, number: int) -> list[tuple[Account, Account]]:
    """So many pairs of profiles, numbered from the given ones on: a profile is in one call at a time."""
    return [
        (replace(caller, profile=_later(caller.profile, at)), replace(callee, profile=_later(callee.profile, at)))
        for at in range(number)
    ]


def percentile(values: Sequence[float], part: float) -> float:
    """Of sorted values; 0 if there are none."""
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0


def middle(values: Sequence[float]) -> float:
    """The median; 0 if there are none."""
    return median(values) if values else 0.0


def _later(profile: Profile, by: int) -> Profile:
    return Profile(profile.profile_type, profile.profile_id + by)


# -- one call ---------------------------------------------------------------------------------------------------------


async def _lived(call: ClientCall, plan: CallPlan) -> CallResult:
    """Let a call last as long as planned, and hang up."""
    recording = ""
    try:
        async with asyncio.timeout(SETUP_TIMEOUT):
            await call.connected()
        if plan.request_recording:
            recording = await _requested(call)
        await _lasts(call, plan)
    except CallOver as over:
        return result_of(call, error=f"the call ended before media flowed: {over.reason}")
    except TimeoutError:
        await call.hang_up()
        return result_of(call, error="no media within a minute")
    result = result_of(call, recording=recording)
    await call.hang_up()
    return msgspec.structs.replace(result, reason=call.reason, recording_id=call.recording.recording_id)


async def _lasts(call: ClientCall, plan: CallPlan) -> None:
    ending = asyncio.create_task(call.ended())
    try:
        if plan.duration is not None:
            await asyncio.wait({ending}, timeout=plan.duration)
        elif call.outgoing and plan.media is not None:
            sent = asyncio.create_task(call.finished())
            await asyncio.wait({ending, sent}, return_when=asyncio.FIRST_COMPLETED)
            await _cancel(sent)
        else:
            await ending
    finally:
        await _cancel(ending)


async def _requested(call: ClientCall) -> str:
    try:
        await call.record()
    except ClientError as error:
        return _why(error)
    return RECORDED


async def _answer_all(client: CallClient, plan: CallPlan, on_call: OnCall) -> None:
    async for call in client.incoming():
        on_call(call)
        with contextlib.suppress(ClientError):
            await call.answer(plan.media, codecs=plan.codecs)


@contextlib.asynccontextmanager
async def _client(plan: CallPlan, account: Account) -> AsyncIterator[CallClient]:
    async with connect(
        plan.url,
        account.profile,
        token=account.token,
        verify=plan.verify,
        turn=plan.turn,
        decode=plan.decode,
        can_show_recording=True,
        consent=plan.consent,
    ) as client:
        yield client


async def _cancel(task: "asyncio.Task[object] | asyncio.Task[None] | asyncio.Task[str]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _why(error: ClientError) -> str:
    return f"not taken: {error.reason}" if isinstance(error, CallOver) else str(error)
