"""A capture becomes files that play."""

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from relay.recording import assemble
from relay.recording.records import CaptureError
from relay.sealed import Sealer
from tests.recording.capture_file import AV1, H264, OPUS, PCMA, PCMU, RED, VP8, VP9, CaptureFile, audio_section, video_section
from tests.recording.kit import Packet, Stream, decoded_frames, encoded, level, opus_packets, product_packets

ENCODERS = {VP8: "libvpx", VP9: "libvpx-vp9", H264: "libx264", AV1: "av1"}

VIDEO_SSRC, AUDIO_SSRC = 0x1111, 0x2222


def written(path: Path, packets: Iterable[Packet], *, duration: float, media: Any = None, events: Any = ()) -> Path:
    """A capture of one transport of each party; packets of `interface` 1 are of the caller."""
    with CaptureFile(path) as capture:
        capture.interface("A", media or [audio_section("0", [AUDIO_SSRC]), video_section("1", [VIDEO_SSRC])])
        capture.interface("B", media or [audio_section("0", [AUDIO_SSRC]), video_section("1", [VIDEO_SSRC])])
        marks: list[tuple[float, Any]] = [(one.time, one) for one in packets] + [(at, (name, more)) for at, name, more in events]
        for time, what in sorted(marks, key=lambda one: one[0]):
            if isinstance(what, Packet):
                capture.packet(time, what.interface, what.data)
            else:
                capture.event(time, what[0], **what[1])
        capture.event(duration, "ended", reason="call_ended")
    return path


def track(sidecar: Any, kind: str, party: str = "A") -> Any:
    [found] = [one for one in sidecar["tracks"] if one["kind"] == kind and one["party"] == party]
    return found


def abut(path: Path) -> list[float]:
    """Holes between audio packets, in seconds."""
    packets = product_packets(path, "audio")
    return [after[0] - before[0] - before[1] for before, after in pairwise(packets)]


@pytest.mark.parametrize("wrap", [0, RED], ids=["plain", "in RED, as Chromium sends it"])
@pytest.mark.parametrize("payload_type", ENCODERS, ids=ENCODERS.values())
def test_every_frame_of_a_codec_is_in_the_file_and_decodes(payload_type: int, wrap: int, tmp_path: Path) -> None:
    frames = encoded(ENCODERS[payload_type], 50)
    video = Stream(VIDEO_SSRC, payload_type, 90000, wrap=wrap)
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    packets = [*video.frames(frames), *audio.audio(opus_packets(100))]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=2), tmp_path / "out")
    file = tmp_path / "out" / ("A.mkv" if payload_type == H264 else "A.webm")
    assert set(result.files) == {file.name, "call.mkv", "sidecar.json"}
    shown = decoded_frames(file)
    assert len(shown) == 50
    assert {(one.width, one.height) for one in shown} == {(320, 240)}
    assert [round(one.time * 1000) for one in shown] == pytest.approx([20 + 40 * n for n in range(50)], abs=2)
    assert [key for _, _, _, key in product_packets(file, "video")] == [key for _, key in frames]
    video_track = track(result.sidecar, "video")
    assert (video_track["frames"], video_track["broken"], video_track["lost"]) == (50, 0, 0)
    assert video_track["sizes"][0][1:] == [320, 240]


def test_audio_is_the_packets_that_were_sent_and_abuts(tmp_path: Path) -> None:
    sent = opus_packets(100)
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    assemble(written(tmp_path / "x.pcapng", audio.audio(sent), duration=2.02), tmp_path / "out")
    found = product_packets(tmp_path / "out" / "A.webm", "audio")
    assert found[0][:3] == (0, 0.02, b"\xf8\xff\xfe")
    assert [data for _, _, data, _ in found[1:101]] == list(sent)
    assert max(map(abs, abut(tmp_path / "out" / "A.webm"))) <= 0.001
    assert level(tmp_path / "out" / "A.webm", 0.5, 1.5) > 0.1


@pytest.mark.parametrize("payload_type", [PCMU, PCMA], ids=["pcmu", "pcma"])
def test_g711_becomes_linear_samples(payload_type: int, tmp_path: Path) -> None:
    audio = Stream(AUDIO_SSRC, payload_type, 8000)
    loud = bytes([0x00, 0x80] * 80) if payload_type == PCMU else bytes([0x2A, 0xAA] * 80)
    packets = [one for n, one in enumerate(audio.audio([loud] * 100)) if not 40 <= n < 60]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=2.02), tmp_path / "out")
    file = tmp_path / "out" / "A.mkv"
    assert level(file, 0.1, 0.7) > 0.6
    assert level(file, 0.85, 1.15) < 0.001
    assert level(file, 1.3, 1.9) > 0.6
    assert max(map(abs, abut(file))) <= 0.001
    assert track(result.sidecar, "audio")["inserted"] == [[0.0, 0.02], [0.82, 0.4]]


def test_a_file_of_both_parties_has_all_tracks_with_titles(tmp_path: Path) -> None:
    import av

    packets: list[Packet] = []
    for interface in (1, 2):
        packets += Stream(VIDEO_SSRC, VP8, 90000, interface).frames(encoded("libvpx", 25))
        packets += Stream(AUDIO_SSRC, OPUS, 48000, interface).audio(opus_packets(50))
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=1), tmp_path / "out")
    assert set(result.files) == {"A.webm", "B.webm", "call.mkv", "sidecar.json"}
    with av.open(str(tmp_path / "out" / "call.mkv")) as container:
        assert {one.metadata["title"] for one in container.streams} == {
            *("Caller audio", "Caller video", "Callee audio", "Callee video")
        }
        assert len(list(container.decode(video=1))) == 25
    assert json.loads((tmp_path / "out" / "sidecar.json").read_text()) == result.sidecar


def test_a_sealed_capture_is_assembled_with_its_key_and_not_without(tmp_path: Path) -> None:
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    plain = written(tmp_path / "x.pcapng", audio.audio(opus_packets(50)), duration=1).read_bytes()
    sealer = Sealer(b"k" * 32)
    pieces = [plain[at : at + 5000] for at in range(0, len(plain), 5000)]
    sealed = sealer.header + b"".join(sealer.seal(one, last=one is pieces[-1]) for one in pieces)
    (tmp_path / "s.pcapng").write_bytes(sealed)
    result = assemble(tmp_path / "s.pcapng", tmp_path / "out", keys=[b"o" * 32, b"k" * 32])
    assert track(result.sidecar, "audio")["packets"] == 50
    with pytest.raises(CaptureError, match="key"):
        assemble(tmp_path / "s.pcapng", tmp_path / "other", keys=[b"o" * 32])
    assert not (tmp_path / "other").exists()
    (tmp_path / "cut.pcapng").write_bytes(sealed[:-100])
    result = assemble(tmp_path / "cut.pcapng", tmp_path / "cut", keys=[b"k" * 32])
    assert not result.sidecar["complete"]
    assert track(result.sidecar, "audio")["packets"] >= 25


def test_an_assembly_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    capture = written(tmp_path / "x.pcapng", audio.audio(opus_packets(50)), duration=1)
    assemble(capture, tmp_path / "out")
    (tmp_path / "out" / "report.json").write_text("{}")
    assemble(capture, tmp_path / "out")
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == ["A.webm", "call.mkv", "sidecar.json"]
    assert {one.stat().st_mode & 0o777 for one in (tmp_path / "out").iterdir()} == {0o600}
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "notes.txt").write_text("keep me")
    with pytest.raises(CaptureError, match="no assembled recording"):
        assemble(capture, tmp_path / "precious")
    assert (tmp_path / "precious" / "notes.txt").read_text() == "keep me"


def test_progress_is_said_from_nothing_to_all_of_each_step(tmp_path: Path) -> None:
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    capture = written(tmp_path / "x.pcapng", audio.audio(opus_packets(50)), duration=1)
    said: list[tuple[str, float]] = []
    assemble(capture, tmp_path / "out", progress=lambda step, done: said.append((step, done)))
    assert [step for step, done in said if done == 1.0 and (step, done) != said[0]][-1] == "writing"
    assert all(0 <= done <= 1 for _, done in said)
    assert {step for step, _ in said} == {"reading", "writing"}


def test_a_film_of_both_parties_side_by_side_is_made_on_demand(tmp_path: Path) -> None:
    import av

    packets: list[Packet] = []
    for interface in (1, 2):
        packets += Stream(VIDEO_SSRC, VP8, 90000, interface).frames(encoded("libvpx", 50))
        packets += Stream(AUDIO_SSRC, OPUS, 48000, interface).audio(opus_packets(100))
    said: list[tuple[str, float]] = []
    assemble(
        written(tmp_path / "x.pcapng", packets, duration=2), tmp_path / "out", mp4=True, progress=lambda *step: said.append(step)
    )
    with av.open(str(tmp_path / "out" / "call.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (1280, 720)
        assert len(list(container.decode(video=0))) == 50
    assert level(tmp_path / "out" / "call.mp4", 0.5, 1.5) > 0.1
    assert said[-1] == ("transcoding", 1.0)


def test_g722_becomes_linear_samples_at_16_khz(tmp_path: Path) -> None:
    """Its RTP clock is 8 kHz (RFC 3551, 4.5.2)."""
    import math

    import av

    encoder: Any = av.CodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 16000, "mono", "s16"
    sent = []
    for number in range(100):
        frame = av.AudioFrame(format="s16", layout="mono", samples=320)
        samples = [int(16000 * math.sin(2 * math.pi * 440 * (number * 320 + n) / 16000)) for n in range(320)]
        frame.planes[0].update(b"".join(one.to_bytes(2, "little", signed=True) for one in samples))
        frame.sample_rate, frame.pts = 16000, number * 320
        sent += [bytes(packet) for packet in encoder.encode(frame)]
    packets = [one for n, one in enumerate(Stream(AUDIO_SSRC, 9, 8000).audio(sent)) if not 40 <= n < 60]
    assemble(written(tmp_path / "x.pcapng", packets, duration=2.02), tmp_path / "out")
    file = tmp_path / "out" / "A.mkv"
    assert level(file, 0.1, 0.7) > 0.3
    assert level(file, 0.9, 1.1) < 0.01
    assert level(file, 1.3, 1.9) > 0.3
    assert max(map(abs, abut(file))) <= 0.001
