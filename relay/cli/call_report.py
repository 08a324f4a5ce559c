"""What `python -m relay call` prints of calls that are over, and the limits that they passed."""

import argparse
from collections.abc import Iterator
from typing import Final

from relay.client.headless import BUSY, RECORDED
from relay.client.load import LATE, LoadReport, middle, percentile
from relay.client.result import CallResult

NOT_MEASURABLE: Final = "not measurable: what came has no flash and beep each second"


def lines_of(result: CallResult) -> Iterator[str]:
    """For people."""
    setup = {
        "ringing": result.ringing,
        "answered": result.answered,
        "connected": result.connected,
        "first audio": result.first_audio,
        "first video": result.first_video,
    }
    known = [f"{name} {value:.2f} s" for name, value in setup.items() if value is not None]
    if known:
        yield f"set-up: {', '.join(known)}"
    if result.error:
        return
    kbit = result.octets * 8 / 1000 / result.seconds if result.seconds else 0.0
    yield f"call {result.call_id}: {result.seconds:.1f} s, {result.packets} packets, {kbit:.0f} kbit/s; ended: {result.reason}"
    if result.audio_loss is not None:
        yield f"audio: loss {result.audio_loss:.2%}, jitter {result.audio_jitter_ms:.1f} ms, MOS {result.mos:.2f}"
    if result.video_loss is not None:
        residual = f"{result.video_loss:.2%} before and {result.video_residual_loss or 0.0:.2%} after retransmission"
        yield f"video: loss {residual}, jitter {result.video_jitter_ms:.1f} ms, {result.video_frames} frames"
        yield f"A/V offset: {_offset(result)}"
    if result.round_trip_ms is not None:
        yield f"round trip between the parties: {result.round_trip_ms:.0f} ms"
    if result.cpu is not None and result.cpu > BUSY:
        yield f"this program used {result.cpu:.0%} of a core: its own delays are in these figures"
    if result.recording:
        yield (
            f"recorded by the relay: {result.recording_id}"
            if result.recording == RECORDED
            else f"not recorded: {result.recording}"
        )


def _offset(result: CallResult) -> str:
    if result.av_offset_ms is None:
        return NOT_MEASURABLE
    pairs = f"{result.av_offset_pairs} flashes"
    where = f"{abs(result.av_offset_ms):.0f} ms {'later' if result.av_offset_ms > 0 else 'earlier'} than video"
    return f"audio {where} (median; at most {result.av_offset_p95_ms:.0f} ms apart in 95 % of {pairs})"


def passed_limits(given: argparse.Namespace, result: CallResult) -> Iterator[str]:
    """The limits that a call has passed."""
    if given.max_setup is not None and (result.connected or 0.0) > given.max_setup:
        yield f"set-up took {result.connected:.2f} s, over {given.max_setup:g} s"
    if given.max_loss is not None:
        if result.audio_loss is None:
            yield "no audio came"
        elif result.audio_loss > given.max_loss:
            yield f"{result.audio_loss:.2%} of the audio is lost, over {given.max_loss:.2%}"
        if result.video_loss is not None and result.video_loss > given.max_loss:
            yield f"{result.video_loss:.2%} of the video is lost before retransmission, over {given.max_loss:.2%}"
    if given.max_residual_loss is not None and (result.video_residual_loss or 0.0) > given.max_residual_loss:
        yield f"{result.video_residual_loss:.2%} of the video is missing after retransmission, over {given.max_residual_loss:.2%}"
    if given.max_jitter is not None and (result.audio_jitter_ms or 0.0) > given.max_jitter * 1000:
        yield f"the jitter of the audio is {result.audio_jitter_ms:.1f} ms, over {given.max_jitter * 1000:g} ms"
    if given.max_av_offset is not None and result.av_offset_p95_ms is None:
        yield f"the A/V offset is {NOT_MEASURABLE}"
    elif given.max_av_offset is not None and (result.av_offset_p95_ms or 0.0) > given.max_av_offset * 1000:
        yield f"audio and video are {result.av_offset_p95_ms:.0f} ms apart, over {given.max_av_offset * 1000:g} ms"
    if given.min_mos is not None and (result.mos is None or result.mos < given.min_mos):
        yield f"the MOS is {result.mos}, below {given.min_mos:g}"
    if given.request_recording and result.recording != RECORDED:
        yield f"the call was not recorded: {result.recording}"


def lines_of_load(report: LoadReport) -> Iterator[str]:
    """For people."""
    setups = report.setups
    yield f"{len(report.results)} calls, {len(report.failed)} failed"
    for reason in sorted({one.error for one in report.failed}):
        yield f"  {sum(one.error == reason for one in report.failed)} × {reason}"
    if setups:
        yield f"set-up: median {middle(setups):.2f} s, 95 % {percentile(setups, 0.95):.2f} s, longest {setups[-1]:.2f} s"
    good = [one for one in report.results if one.audio_loss is not None and one.mos is not None]
    if good:
        losses = sorted(one.audio_loss or 0.0 for one in good)
        jitters = sorted(one.audio_jitter_ms or 0.0 for one in good)
        scores = sorted(one.mos or 0.0 for one in good)
        yield f"audio: loss median {middle(losses):.2%}, worst {losses[-1]:.2%}; jitter worst {jitters[-1]:.1f} ms"
        yield f"MOS: median {middle(scores):.2f}, worst {scores[0]:.2f}"
    yield f"this load generator used {report.cpu:.0%} of a core"
    if report.late > LATE:
        yield f"It was up to {report.late:.1f} s late, as other programs took the processor: its own delays are in these figures."
    if report.cpu > BUSY:
        yield f"That is over {BUSY:.0%}: its own delays are in these figures. Make fewer calls, or use another machine too."


def load_failures(given: argparse.Namespace, report: LoadReport) -> Iterator[str]:
    """Why the load test failed; nothing: it did not."""
    part = len(report.failed) / max(1, len(report.results))
    if part > given.max_failed:
        yield f"{len(report.failed)} of {len(report.results)} calls failed"
    for result in report.results:
        if not result.error:
            yield from (f"call {result.call_id}: {failure}" for failure in passed_limits(given, result))
