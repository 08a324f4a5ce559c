"""The figures of one call, as one of its parties saw it."""

import asyncio

import msgspec

from relay.client.av_offset import AvOffset
from relay.client.call import ClientCall
from relay.client.figures import opinion


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
    """0 to 1, as a receiver report counts it, before retransmission (RFC 3550); None: no audio came."""
    video_loss: float | None = None
    video_residual_loss: float | None = None
    """0 to 1, of packets that retransmission did not bring either."""
    repaired: int = 0
    """Packets of video that came by retransmission."""
    audio_jitter_ms: float | None = None
    video_jitter_ms: float | None = None
    video_frames: int = 0
    round_trip_ms: float | None = None
    """Between the two parties, by way of the relay, as it measures."""
    mos: float | None = None
    """Of the audio, 1 to 4.5 (ITU-T G.107)."""
    av_offset_ms: float | None = None
    """By which audio is later than video, the median; None: not measurable, as what came has no flashes and beeps."""
    av_offset_p95_ms: float | None = None
    """Its distance from 0."""
    av_offset_pairs: int = 0
    """Flashes and beeps that it was measured by."""
    recording_id: str | None = None
    recording: str = ""
    """How the request to record it went: `recording`, or why not."""
    cpu: float | None = None
    """Of a core, that this program used while media flowed."""


def result_of(
    call: ClientCall, *, error: str = "", recording: str = "", av_offset: AvOffset | None = None, cpu: float | None = None
) -> CallResult:
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
        video_residual_loss=video.residual_loss if video is not None else None,
        repaired=video.repaired if video is not None else 0,
        audio_jitter_ms=round(audio.jitter * 1000, 2) if audio is not None else None,
        video_jitter_ms=round(video.jitter * 1000, 2) if video is not None else None,
        video_frames=video.frames if video is not None else 0,
        round_trip_ms=round(round_trip, 1) if round_trip is not None else None,
        mos=round(opinion(audio.loss, audio.jitter, (round_trip or 0.0) / 1000), 2) if audio is not None else None,
        av_offset_ms=round(av_offset.median * 1000, 1) if av_offset is not None else None,
        av_offset_p95_ms=round(av_offset.p95 * 1000, 1) if av_offset is not None else None,
        av_offset_pairs=av_offset.pairs if av_offset is not None else 0,
        recording_id=call.recording.recording_id,
        recording=recording,
        cpu=round(cpu, 3) if cpu is not None else None,
    )
