"""`sidecar.json`: what the files of a recording cannot say of themselves. docs/recording.md has its format."""

from collections.abc import Mapping
from typing import Any, Final

from relay.recording.assembly.audio_track import AudioTrack
from relay.recording.assembly.mux import PlannedTrack
from relay.recording.assembly.sources import TrackKey
from relay.recording.assembly.survey import CaptureFacts, StreamFacts, TrackFacts, describe_started
from relay.recording.assembly.tracks import TrackWriter

VERSION: Final = 1
"""Of the format. Fields are only added; the version grows when one changes its meaning."""


def describe(
    facts: CaptureFacts,
    planned: Mapping[TrackKey, PlannedTrack],
    files: Mapping[TrackKey, str],
    writer: TrackWriter,
    *,
    zero: float,
    duration: float,
    unwritten: int,
) -> dict[str, Any]:
    """What is written, but for the files' sizes.

    Args:
        files: the party's file that each track is in.
        zero: seconds, from the event `started`, at which the files begin.
    """
    started = describe_started(facts)
    ended = next((one for one in reversed(facts.events) if one.name == "ended"), None)
    wall = started.get("wall")
    return {
        "version": VERSION,
        "recording_id": started.get("recording_id"),
        "call_id": started.get("call_id"),
        "policy": started.get("policy"),
        "started_at": facts.begin / 1e9 + zero,
        "wall": wall if isinstance(wall, int | float) else facts.begin / 1e9,
        "duration": duration,
        "end_reason": ended.fields.get("reason") if ended is not None else None,
        "complete": ended is not None and facts.cut is None,
        "cut": None if facts.cut is None else {"offset": facts.cut.offset, "left": facts.cut.left, "reason": facts.cut.reason},
        "files": {},
        "tracks": [_track(facts.tracks[key], plan, files[key], writer, zero) for key, plan in planned.items()],
        "events": [{**one.fields, "event": one.name, "time": facts.seconds(one.at) - zero} for one in facts.events],
        "clock": {name: _clock(facts, name) for name in facts.transports},
        "counts": {**facts.counts, "unwritten": unwritten},
        "warnings": facts.warnings,
    }


def _track(track: TrackFacts, plan: PlannedTrack, file: str, writer: TrackWriter, zero: float) -> dict[str, Any]:
    key = track.key
    streams = [writer.streams[one.transport.name, one.sender.ssrc] for one in track.streams]
    described: dict[str, Any] = {
        "id": f"{key.party}/{key.kind}/{key.ordinal}/{key.codec}",
        "party": key.party,
        "kind": key.kind,
        "mid": track.streams[0].sender.section.mid,
        "codec": key.codec,
        "file": file,
        "ssrcs": [one.sender.ssrc for one in track.streams],
        "transports": list(dict.fromkeys(one.transport.name for one in track.streams)),
        "packets": sum(one.packets for one in track.streams),
        "lost": sum(one.reorder.lost for one in streams),
        "repaired": sum(one.repaired + one.redundant for one in streams),
        "late": sum(one.reorder.late for one in streams),
        "duplicates": sum(one.reorder.duplicates for one in streams),
        "recovered": sum(one.recovered for one in streams),
        "fec_packets": sum(one.repair_packets for one in streams),
        "restarts": sum(one.unwrap.restarts for one in streams),
        "pauses": sum(one.timing.pauses for one in track.streams),
        "malformed": sum(one.malformed for one in streams),
    }
    if key.kind == "audio":
        return described | _audio(writer.audio[key], plan)
    video = writer.video[key].facts
    assemblers = [stream.video[key.codec][0] for stream in streams]
    described["malformed"] += sum(one.malformed for one in assemblers)
    return described | {
        "start": video.start,
        "duration": max(0.0, video.end - video.start),
        "frames": video.frames,
        "keyframes": video.keyframes,
        "broken": video.broken,
        "dependent": video.dependent,
        "before_keyframe": video.before_keyframe,
        "inserted": [],
        "sizes": [list(one) for one in video.sizes],
        "rotation": plan.rotation,
        "rotations": [[time - zero, degrees] for time, degrees in rotations(track)],
        "layers": [[time, track.streams[layer].sender.ssrc] for time, layer in video.layers],
    }


def _audio(audio: AudioTrack, plan: PlannedTrack) -> dict[str, Any]:
    rate = plan.rate
    pieces = iter(audio.inserted)
    return {
        "start": 0.0,
        "duration": audio.cursor / rate,
        "rate": rate,
        "channels": 2 if plan.stereo else 1,
        "frames": audio.packets,
        "inserted": [[round(start, 6), round(length, 6)] for start, length in zip(pieces, pieces, strict=True)],
        "inserted_for": {reason: samples / rate for reason, samples in audio.inserted_for.items()},
        "overlapping": audio.overlapping,
        "undecodable": audio.malformed,
    }


def rotations(track: TrackFacts) -> list[tuple[float, int]]:
    """When the frames of a track are turned, in seconds from the event `started`, and by how many degrees clockwise."""
    found = [(one.timing.at(at), degrees) for one in track.streams for at, degrees in one.rotations]
    changes: list[tuple[float, int]] = []
    for time, degrees in sorted(found):
        if not changes or changes[-1][1] != degrees:
            changes.append((time, degrees))
    return changes


def _clock(facts: CaptureFacts, name: str) -> list[dict[str, Any]]:
    streams: list[StreamFacts] = [one for (of, _), one in facts.streams.items() if of == name and one.packets]
    return [
        {
            "ssrc": one.sender.ssrc,
            "kind": one.sender.section.kind,
            "method": one.timing.method,
            "reports": one.timing.reports,
            "drift_ppm": round(one.timing.drift * 1e6, 1),
        }
        for one in streams
    ]
