"""An hour of a call, simulated: clocks that differ, numbers that wrap, and no more memory than a minute takes."""

import json
import math
import random
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator
from heapq import merge
from itertools import pairwise
from pathlib import Path

import pytest

from relay.recording.payloads.audio import opus_samples
from tests.recording.capture_file import OPUS, VP8, CaptureFile, audio_section, video_section
from tests.recording.kit import Packet, Stream, encoded, opus_packets, product_packets
from tests.recording.test_assemble import AUDIO_SSRC, VIDEO_SSRC

HOUR = 3600
TWENTY_MINUTES = 1200

PROGRAM = """
import json, re, sys
from pathlib import Path
from relay.recording import assemble
result = assemble(Path(sys.argv[1]), Path(sys.argv[2]))
# Not ru_maxrss, which begins with that of the process that started this one.
[memory] = re.findall(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps({"memory": int(memory) * 1024, "sidecar": result.sidecar}))
"""


def call(seconds: int, audio_ppm: float, video_ppm: float, wall_ppm: float) -> Iterator[Packet]:
    """A frame of video every half second, which is a flash each ten seconds, when the audio has a beep.

    The wall clock of the sender runs faster than the relay's, and each media clock faster than that.
    """
    rng = random.Random(3)
    [key, *others] = encoded("libvpx", 20, 160, 120, 1000)
    [beep, *tone] = opus_packets(51)
    video = Stream(VIDEO_SSRC, VP8, 90000, ppm=video_ppm, wall_ppm=wall_ppm)
    audio = Stream(AUDIO_SSRC, OPUS, 48000, ppm=audio_ppm, wall_ppm=wall_ppm)

    def frames() -> Iterator[Packet]:
        for number in range(seconds * 2):
            frame = key if not number % 20 else others[number % 20 - 1]
            yield from video.frames([frame], number / 2)
            if not number % 10:
                yield video.report(number / 2 + 0.01, rng.uniform(-0.001, 0.001))

    def voice() -> Iterator[Packet]:
        # 20 ms by the sender's own clock.
        length = 0.02 / (1 + audio_ppm * 1e-6)
        following = 0.0
        for number in range(int(seconds / length)):
            time = number * length
            is_beep = time >= following
            if is_beep:
                following += 10
            yield audio.packet(time, beep if is_beep else tone[number % 50], late=rng.random() * 0.005)
            if not number % 250:
                yield audio.report(time + 0.001, rng.uniform(-0.008, 0.008))

    return merge(frames(), voice(), key=lambda one: one.time)


@pytest.mark.long
@pytest.mark.parametrize(("direction", "seconds"), [(1, HOUR), (-1, TWENTY_MINUTES)], ids=["an hour, fast", "20 minutes, slow"])
def test_when_clocks_differ_audio_and_video_stay_together_and_on_the_relays_time(
    direction: int, seconds: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.pcapng"
    with CaptureFile(path) as capture:
        interface = capture.interface("A", [audio_section("0", [AUDIO_SSRC]), video_section("1", [VIDEO_SSRC])])
        for packet in call(seconds, 100 * direction, -100 * direction, 50 * direction):
            capture.packet(packet.time, interface, packet.data)
        capture.event(seconds, "ended", reason="call_ended")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, path, tmp_path / "out"], capture_output=True, text=True, check=True, timeout=120
    )
    outcome = json.loads(done.stdout)
    assert outcome["memory"] < 150e6
    [audio, video] = sorted(outcome["sidecar"]["tracks"], key=lambda one: str(one["kind"]))
    assert (audio["lost"], video["lost"], audio["restarts"], video["restarts"]) == (0, 0, 0, 0)
    assert video["frames"] == seconds * 2
    file = tmp_path / "out" / "A.webm"
    key, beep = encoded("libvpx", 20, 160, 120, 1000)[0][0], opus_packets(51)[0]
    packets = product_packets(file, "audio")
    holes = [abs(after[0] - before[0] - before[1]) for before, after in pairwise(packets)]
    assert max(holes) <= 0.0015
    # As a player that knows no gaps: each packet begins where the one before ends.
    played, beeps = 0.0, []
    for _, _, data, _ in packets:
        if data == beep:
            beeps.append(played)
        played += opus_samples(data) / 48000
    flashes = [time for time, _, data, _ in product_packets(file, "video") if data == key]
    assert flashes == pytest.approx([number * 10 + 0.02 for number in range(seconds // 10)], abs=0.005)
    length = 0.02 / (1 + 100e-6 * direction)
    sent = [math.ceil(number * 10 / length) * length + 0.02 for number in range(seconds // 10)]
    apart = [min(abs(one - time) for time in sent[bisect_left(sent, one - 1) :][:2]) for one in beeps]
    assert max(apart) <= 0.010
    # Where clocks are corrected, a packet may fall out: five in the worst case, of those with a beep.
    assert len(beeps) >= len(sent) - 5
    drift = {one["kind"]: one["drift_ppm"] for one in outcome["sidecar"]["clock"]["A"]}
    assert drift == pytest.approx({"audio": -100 * direction, "video": 100 * direction}, abs=5)
