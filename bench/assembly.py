"""`python -m bench.assembly`: how fast the capture of a call of two 720p parties becomes files, and in how much memory.

The capture is laid out by the relay's own code: 30 frames a second of 8 packets, VP8 in RED as Chromium sends it, and Opus. It is
assembled in a process of its own, so that its memory is its own; the time is that process's CPU time. Also run by `--record`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from struct import pack
from typing import Final

from relay.media.api import Codec, MediaDescription, PartyLabel
from relay.media.capture.block import Backlog, CaptureBlocks, CaptureClock, envelopes, media_comment

GOAL: Final = 150.0
"""Seconds of a call in a second of one core."""

GOAL_MEMORY: Final = 150.0
"""MB."""

_VIDEO, _AUDIO = 1, 2
_KEY: Final = bytes([0x10, 0, 0, 0x9D, 1, 0x2A]) + pack("<HH", 1280, 720)
_EXTENSION: Final = (0xBEDE, 1, 0x10414200)

_MEDIA: Final = (
    MediaDescription("0", "audio", (Codec(111, "opus", 48000, 2),), (_AUDIO,)),
    MediaDescription("1", "video", (Codec(96, "vp8", 90000), Codec(118, "red", 90000)), (_VIDEO,)),
)

_PROGRAM: Final = """
import json, re, sys, time
from pathlib import Path
from relay.recording import assemble
result = assemble(Path(sys.argv[1]), Path(sys.argv[2]))
[memory] = re.findall("VmHWM:\\\\s+(\\\\d+) kB", Path("/proc/self/status").read_text())
frames = sum(one["frames"] for one in result.sidecar["tracks"] if one["kind"] == "video")
print(json.dumps({"cpu": time.process_time(), "memory": int(memory) / 1000, "frames": frames, "duration": result.duration}))
"""


def _video(interface: int, seconds: int) -> Iterator[tuple[float, int, bytes]]:
    sequence = 0
    for number in range(seconds * 30):
        key = not number % 600
        count = 40 if key else 8
        for index in range(count):
            marker = 0x80 if index == count - 1 else 0
            head = (0x90, 118 | marker, sequence & 0xFFFF, number * 3000 & 0xFFFFFFFF, _VIDEO, *_EXTENSION)
            body = (_KEY if key else b"\x11") if not index else b""
            descriptor = bytes([96, 0x80 if index else 0x90, 0x80]) + pack("!H", 0x8000 | number & 0x7FFF)
            yield number / 30 + index * 1e-4, interface, pack("!BBHIIHHI", *head) + descriptor + body.ljust(1030, b"\x55")
            sequence += 1


def _audio(interface: int, seconds: int) -> Iterator[tuple[float, int, bytes]]:
    for number in range(seconds * 50):
        head = (0x90, 111, number & 0xFFFF, number * 960 & 0xFFFFFFFF, _AUDIO, *_EXTENSION)
        yield number / 50, interface, pack("!BBHIIHHI", *head) + b"\x78" + bytes(80)


def write_capture(path: Path, seconds: int) -> None:
    """Write the capture of a call."""
    blocks = CaptureBlocks(Backlog(limit=1 << 30), CaptureClock(1_700_000_000 * 10**9, 0.0), 0.0, "bench")
    blocks.add_event("started", {"recording_id": "0" * 32, "call_id": "bench", "wall": 1.7e9, "policy": "always"}, 0.0)
    comment = media_comment(_MEDIA)
    parties: tuple[PartyLabel, ...] = ("A", "B")
    interfaces = [blocks.add_transport(party, 1, comment, 0.0) for party in parties]
    around = dict(zip(interfaces, map(envelopes, interfaces, parties), strict=True))
    streams = [stream(one, seconds) for one in interfaces for stream in (_video, _audio)]
    with path.open("wb") as file:
        for number, (time, interface, data) in enumerate(merge(*streams)):
            blocks.add(around[interface], data, time)
            if not number % 1000:
                for block in blocks.take_all():
                    file.write(block.octets)
        blocks.add_event("ended", {"reason": "stopped"}, float(seconds))
        for block in blocks.take_all():
            file.write(block.octets)


def measure(minutes: int) -> dict[str, float]:
    """Write a capture, assemble it, and say how long that took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "call.pcapng"
        write_capture(path, minutes * 60)
        size = path.stat().st_size
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path), str(Path(folder) / "out")], capture_output=True, text=True, check=True
        )
    found: dict[str, float] = json.loads(done.stdout)
    expected = minutes * 60 * 30 * 2
    if found["frames"] != expected:
        raise RuntimeError(f"of {expected} frames, {found['frames']:.0f} were written")
    return {**found, "size": size / 1e6, "speed": minutes * 60 / found["cpu"]}


def row(found: dict[str, float]) -> str:
    """The figures, and whether they reach the goals."""
    good = found["speed"] >= GOAL and found["memory"] <= GOAL_MEMORY
    return (
        f"assembly of a call of two 720p parties ({found['duration'] / 60:.0f} min, {found['size']:.0f} MB): "
        f"{found['speed']:.0f} × real time per core (goal {GOAL:.0f}), {found['memory']:.0f} MB (at most {GOAL_MEMORY:.0f})"
        f"{'' if good else ': GOAL MISSED'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.assembly", description=sys.modules[__name__].__doc__)
    parser.add_argument("--minutes", type=int, default=10, help="duration of the call (default: %(default)s)")
    print(row(measure(parser.parse_args().minutes)), flush=True)


if __name__ == "__main__":
    main()
