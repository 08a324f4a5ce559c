"""The second pass and what it writes: the files of each party, that of both, and what is said of them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from relay.recording.assembly import sidecar
from relay.recording.assembly.mux import Muxer, PlannedTrack, product_names
from relay.recording.assembly.sources import TrackKey
from relay.recording.assembly.survey import CaptureFacts, TrackFacts
from relay.recording.assembly.tracks import TrackWriter
from relay.recording.assembly.transcode import side_by_side
from relay.recording.records import read_capture

EARLIEST: Final = -5.0
"""Seconds before the event `started` that the first packet may have been sent."""

_TITLES: Final = {"A": "Caller", "B": "Callee"}


def write_products(
    facts: CaptureFacts,
    path: Path,
    folder: Path,
    keys: tuple[bytes, ...],
    step: Callable[[str, float], None],
    *,
    keep_broken: bool,
    mp4: bool,
) -> dict[str, Any]:
    """Write all files of a recording, and return what `sidecar.json` says.

    Args:
        facts: of the first pass over the capture.
        path: of the capture.
        folder: there, and empty.
        step: called with the step and how much of it is done.
    """
    size = max(1, path.stat().st_size)
    described = _write(facts, path, folder, keys, keep_broken, lambda done: step("writing", min(1.0, done / size)))
    step("writing", 1.0)
    if mp4 and described["tracks"]:
        side_by_side(folder, described, lambda done: step("transcoding", done))
    described["files"] = {one.name: one.stat().st_size for one in sorted(folder.iterdir())}
    (folder / "sidecar.json").write_text(json.dumps(described, indent=1) + "\n")
    return described


def _write(
    facts: CaptureFacts, path: Path, folder: Path, keys: tuple[bytes, ...], keep_broken: bool, advance: Callable[[int], None]
) -> dict[str, Any]:
    zero = _zero(facts)
    tracks = {key: track for key, track in sorted(facts.tracks.items()) if _can_be_written(track, facts)}
    plan = {key: _plan(track, tracks) for key, track in tracks.items()}
    if not plan:
        facts.warnings.append("no media that can be written was captured")
    # One of each key frame, or of each cluster of 5 s where there is no video.
    cues = sum(one.keyframes for one in tracks.values()) + int(facts.seconds(facts.last))
    muxer = Muxer(folder, plan.values(), cues=cues)
    try:
        writer = TrackWriter(facts, tracks, muxer, zero, keep_broken=keep_broken)
        writer.take(read_capture(path, keys, advance=advance))
        ended = next((one.at for one in facts.events if one.name == "ended"), facts.last)
        end = facts.seconds(ended) - zero
        writer.finish(end)
    finally:
        muxer.close()
    files = {one.key: name for name, planned in product_names(plan.values()).items() if name != "call.mkv" for one in planned}
    return sidecar.describe(facts, plan, files, writer, zero=zero, duration=end, unwritten=muxer.unwritten)


def _zero(facts: CaptureFacts) -> float:
    """Where the files begin, in seconds from the event `started`: what arrived just then was sent a little earlier."""
    first = [one.timing.at(one.first) for one in facts.streams.values() if one.packets and one.first is not None]
    return max(EARLIEST, min([0.0, *first]))


def _can_be_written(track: TrackFacts, facts: CaptureFacts) -> bool:
    if track.key.party not in _TITLES:
        return False
    if track.key.kind == "audio":
        return True
    video = f"{track.key.party}: no key frame of its {track.key.codec} video"
    if not track.keyframes:
        facts.warnings.append(f"{video} was captured: it is left out")
    elif not all(track.size):
        facts.warnings.append(f"{video} says its size: it is left out")
    return track.keyframes > 0 and all(track.size)


def _plan(track: TrackFacts, tracks: Mapping[TrackKey, TrackFacts]) -> PlannedTrack:
    key = track.key
    alike = [one for one in tracks if one[:2] == key[:2]]
    number = f" {alike.index(key) + 1}" if len(alike) > 1 else ""
    turned = {degrees for _, degrees in sidecar.rotations(track)}
    rotation = turned.pop() if len(turned) == 1 else 0
    title = f"{_TITLES[key.party]} {key.kind}{number}"
    sets = track.parameter_units
    parameters = b"".join(sets[kind] for kind in sorted(sets)) if len(sets) == 2 else b""
    return PlannedTrack(key, title, track.streams[0].rate, track.stereo, track.size, rotation, parameters)
