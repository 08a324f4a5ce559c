"""A call without a browser and without a person. `python -m relay call` is this with arguments; `load.py` makes many at once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from typing import Final

import msgspec

from relay.client.av_offset import FlashesAndBeeps, mean_luma, peaks_of
from relay.client.call import ClientCall
from relay.client.client import CallClient, connect
from relay.client.errors import CallOver, ClientError
from relay.client.media_file import MediaFile
from relay.client.result import CallResult, result_of
from relay.ids import Profile

BUSY: Final = 0.8
"""Of a core: a load generator that uses more is late itself, and what it measures is not the relay's."""

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


OnCall = Callable[[ClientCall], None]
"""Called with a call as soon as there is one."""


async def make_call(plan: CallPlan, on_call: OnCall = lambda _: None) -> CallResult:
    """Make one call as the caller; as the callee too, with `plan.answer`.

    Raises:
        SignInFailed: of either.
    """
    async with client_of(plan, plan.caller) as client, contextlib.AsyncExitStack() as stack:
        answering = None
        if plan.answer:
            callee = await stack.enter_async_context(client_of(plan, plan.callee))
            answering = asyncio.create_task(_answer_all(callee, plan, on_call))
            stack.push_async_callback(cancel, answering)
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
            return CallResult(error=why(error))
        on_call(call)
        return await _lived(call, plan)


async def take_call(plan: CallPlan, on_call: OnCall = lambda _: None) -> CallResult:
    """Wait for a call to `plan.callee`, and answer it.

    Raises:
        SignInFailed: the profile cannot sign in.
    """
    async with client_of(plan, plan.callee) as client:
        async for call in client.incoming(record=plan.record):
            on_call(call)
            try:
                await call.answer(plan.media, codecs=plan.codecs)
            except ClientError as error:
                return CallResult(call_id=call.call_id, error=why(error))
            return await _lived(call, plan)
    return CallResult(error="disconnected before a call came")


# -- one call ---------------------------------------------------------------------------------------------------------


async def _lived(call: ClientCall, plan: CallPlan) -> CallResult:
    """Let a call last as long as planned, and hang up."""
    recording, sync = "", FlashesAndBeeps()
    watching = [asyncio.create_task(of(call, sync)) for of in (_watch, _hear) if plan.decode]
    try:
        async with asyncio.timeout(SETUP_TIMEOUT):
            await call.connected()
        cpu, at = time.process_time(), time.monotonic()
        if plan.request_recording:
            recording = await _requested(call)
        await _lasts(call, plan)
        used = (time.process_time() - cpu) / max(1e-9, time.monotonic() - at)
    except CallOver as over:
        return result_of(call, error=f"the call ended before media flowed: {over.reason}")
    except TimeoutError:
        await call.hang_up()
        return result_of(call, error="no media within a minute")
    finally:
        for task in watching:
            await cancel(task)
    epochs = call.media.epochs()
    offset = sync.offset(*epochs) if epochs is not None else None
    result = result_of(call, recording=recording, av_offset=offset, cpu=used)
    await call.hang_up()
    return msgspec.structs.replace(result, reason=call.reason, recording_id=call.recording.recording_id)


async def _watch(call: ClientCall, sync: FlashesAndBeeps) -> None:
    async for frame in call.video:
        if (at := call.media.position(frame)) is not None:
            sync.add_frame(at, mean_luma(frame))


async def _hear(call: ClientCall, sync: FlashesAndBeeps) -> None:
    async for frame in call.audio:
        if (at := call.media.position(frame)) is not None:
            sync.add_peaks(at, peaks_of(frame))


async def _lasts(call: ClientCall, plan: CallPlan) -> None:
    ending = asyncio.create_task(call.ended())
    try:
        if plan.duration is not None:
            await asyncio.wait({ending}, timeout=plan.duration)
        elif call.outgoing and plan.media is not None:
            sent = asyncio.create_task(call.finished())
            await asyncio.wait({ending, sent}, return_when=asyncio.FIRST_COMPLETED)
            await cancel(sent)
        else:
            await ending
    finally:
        await cancel(ending)


async def _requested(call: ClientCall) -> str:
    try:
        await call.record()
    except ClientError as error:
        return why(error)
    return RECORDED


async def _answer_all(client: CallClient, plan: CallPlan, on_call: OnCall) -> None:
    async for call in client.incoming():
        on_call(call)
        with contextlib.suppress(ClientError):
            await call.answer(plan.media, codecs=plan.codecs)


@contextlib.asynccontextmanager
async def client_of(plan: CallPlan, account: Account) -> AsyncIterator[CallClient]:
    """A client for one party of the call.

    Raises:
        SignInFailed: it cannot sign in.
    """
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


async def cancel(task: "asyncio.Task[object] | asyncio.Task[None] | asyncio.Task[str]") -> None:
    """End a task."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def why(error: ClientError) -> str:
    """In words for the result."""
    return f"not taken: {error.reason}" if isinstance(error, CallOver) else str(error)
