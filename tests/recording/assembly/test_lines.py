"""Streams on one time line: clocks that differ, pauses, restarts, and what is missing."""

import random
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from relay.recording import assemble
from tests.recording.capture_file import AUDIO_RED, H264, OPUS, RED, ROTATION_EXTENSION, RTX, ULPFEC, VP8, VP9

from tests.recording.capture_file import CaptureFile, audio_section, video_section  # isort: skip
from tests.recording.kit import Packet, Stream, decoded_frames, encoded, level, levels, opus_packets, product_packets, rtp
from tests.recording.test_assemble import AUDIO_SSRC, VIDEO_SSRC, abut, track, written

RTX_SSRC = 0x3333


def flash_times(path: Path, frame: bytes) -> list[float]:
    return [time for time, _, data, _ in product_packets(path, "video") if data == frame]


def audio_times(path: Path, payloads: Iterable[bytes]) -> list[float]:
    wanted = set(payloads)
    return [time for time, _, data, _ in product_packets(path, "audio") if data in wanted]


# -- loss, redundancy, order ------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_frame_that_lacks_a_packet_is_left_out_with_all_that_refer_to_it(tmp_path: Path) -> None:
    packets = list(Stream(VIDEO_SSRC, VP8, 90000).frames(encoded("libvpx", 75, 640, 480)))
    markers = [at for at, one in enumerate(packets) if one.data[1] & 0x80]
    assert markers[30] - markers[29] > 1, "the frame has other packets, too"
    del packets[markers[30]]
    capture = written(tmp_path / "x.pcapng", packets, duration=3)
    result = assemble(capture, tmp_path / "out")
    video = track(result.sidecar, "video")
    # Key frames are 25 apart: of 31 to 49, each refers to the one before.
    assert (video["frames"], video["broken"], video["dependent"], video["lost"]) == (55, 1, 19, 1)
    assert len(decoded_frames(tmp_path / "out" / "A.webm")) == 55
    kept = track(assemble(capture, tmp_path / "kept", keep_broken=True).sidecar, "video")
    assert (kept["frames"], kept["broken"], kept["dependent"]) == (74, 1, 19)


@pytest.mark.long
def test_frames_before_the_first_key_frame_and_after_a_hold_are_not_taken_for_lost(tmp_path: Path) -> None:
    packets = list(Stream(VIDEO_SSRC, VP8, 90000).frames(encoded("libvpx", 200, 480, 360)))  # key frames are 25 apart: 1 s
    markers = [at for at, one in enumerate(packets) if one.data[1] & 0x80]
    assert markers[180] - markers[179] > 1, "the frame has other packets, too"
    held = range(markers[79] + 1, markers[134] + 1)  # frames 80 to 134
    # The capture begins with the last packet of frame 9; a packet of frame 180 is lost.
    kept = [one for at, one in enumerate(packets) if at >= markers[9] and at not in held and at != markers[180]]
    events = [(packets[held.start].time - 0.001, "hold", {"on": True}), (packets[held.stop].time - 0.001, "hold", {"on": False})]
    result = assemble(written(tmp_path / "x.pcapng", kept, duration=8, events=events), tmp_path / "out")
    video = track(result.sidecar, "video")
    # 9 to 24, and 135 to 149 of which the key frame was sent during the hold; 180 itself, and 181 to 199 which refer to it.
    assert (video["before_keyframe"], video["broken"], video["dependent"]) == (16 + 15, 1, 19)
    assert len(decoded_frames(tmp_path / "out" / "A.webm")) == video["frames"] == 200 - 9 - 55 - 31 - 20


def test_packets_that_were_sent_again_come_to_their_frames(tmp_path: Path) -> None:
    media = [audio_section(), video_section("1", [VIDEO_SSRC, RTX_SSRC], [("FID", [VIDEO_SSRC, RTX_SSRC])])]
    video = Stream(VIDEO_SSRC, VP8, 90000)
    packets = list(video.frames(encoded("libvpx", 50)))
    lost = list(range(10, len(packets), 7))
    resent = []
    for number, at in enumerate(lost):
        data = packets[at].data
        original = data[2:4] + data[12:]
        again = rtp(RTX, number, int.from_bytes(data[4:8]), RTX_SSRC, original, marker=bool(data[1] & 0x80))
        resent.append(Packet(packets[at].time + 0.15, again))
        probe = rtp(RTX, 1000 + number, int.from_bytes(data[4:8]), RTX_SSRC, b"\0\1")
        resent.append(Packet(packets[at].time + 0.16, probe))
    arrived = [one for at, one in enumerate(packets) if at not in lost]
    result = assemble(written(tmp_path / "x.pcapng", arrived + resent, duration=2, media=media), tmp_path / "out")
    found = track(result.sidecar, "video")
    assert (found["frames"], found["lost"], found["repaired"]) == (50, 0, len(lost))


def test_redundant_audio_fills_what_was_lost(tmp_path: Path) -> None:
    sent = opus_packets(100)
    audio = Stream(AUDIO_SSRC, AUDIO_RED, 48000)
    packets = []
    for number, payload in enumerate(sent):
        before = sent[number - 1] if number else b""
        block = bytes([0x80 | OPUS]) + (960 << 10 | len(before)).to_bytes(3)
        packets.append(audio.packet(number * 0.02, block + bytes([OPUS]) + before + payload))
    arrived = [one for at, one in enumerate(packets) if at % 10 != 5]
    result = assemble(written(tmp_path / "x.pcapng", arrived, duration=2.02), tmp_path / "out")
    found = track(result.sidecar, "audio")
    assert (found["lost"], found["repaired"]) == (0, 10)
    assert [data for _, _, data, _ in product_packets(tmp_path / "out" / "A.webm", "audio")][1:] == list(sent)


def test_forward_error_correction_in_red_is_no_gap(tmp_path: Path) -> None:
    video = Stream(VIDEO_SSRC, VP8, 90000, wrap=RED)
    packets = []
    for one in video.frames(encoded("libvpx", 50)):
        packets.append(one)
        if one.data[1] & 0x80:
            data = rtp(RED, video.sequence, int.from_bytes(one.data[4:8]), VIDEO_SSRC, bytes([ULPFEC]) + bytes(30))
            packets.append(Packet(one.time, data))
            video.sequence += 1
    # Numbered in between: those that follow must know.
    for number, one in enumerate(sorted(packets, key=lambda one: one.time)):
        one.data = one.data[:2] + ((65500 + number) & 0xFFFF).to_bytes(2) + one.data[4:]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=2), tmp_path / "out")
    found = track(result.sidecar, "video")
    assert (found["frames"], found["lost"], found["fec_packets"]) == (50, 0, 50)


def test_packets_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    rng = random.Random(1)
    packets = [*Stream(VIDEO_SSRC, VP8, 90000).frames(encoded("libvpx", 50))]
    audio = list(Stream(AUDIO_SSRC, OPUS, 48000).audio(opus_packets(100)))
    for one in (*packets[1:], *audio[1:]):
        one.time += rng.random() * 0.3
    result = assemble(written(tmp_path / "x.pcapng", [*packets, *audio, audio[50]], duration=3), tmp_path / "out")
    assert track(result.sidecar, "video")["frames"] == 50
    found = track(result.sidecar, "audio")
    assert (found["frames"], found["lost"], found["duplicates"]) == (100, 0, 1)


def test_what_comes_later_than_two_seconds_is_late(tmp_path: Path) -> None:
    packets = list(Stream(AUDIO_SSRC, OPUS, 48000).audio(opus_packets(300)))
    packets[50].time += 4
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=6.02), tmp_path / "out")
    found = track(result.sidecar, "audio")
    assert (found["lost"], found["late"], found["frames"]) == (1, 1, 299)
    assert [round(start, 3) for start, _ in found["inserted"]] == [0, 1.02]


# -- gaps in audio ----------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_tone_after_a_gap_sounds_at_its_second_also_where_a_player_knows_no_gaps(tmp_path: Path) -> None:
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    packets = [*audio.audio(opus_packets(50), 5.0)]  # a microphone that starts 5 s late
    audio.sequence += 30  # lost
    packets += audio.audio(opus_packets(50), 9.0)
    packets += audio.audio(opus_packets(50), 30.0)  # DTX or a mute: no sequence number is missing
    capture = written(tmp_path / "x.pcapng", packets, duration=33)
    result = assemble(capture, tmp_path / "out")
    file = tmp_path / "out" / "A.webm"
    assert max(map(abs, abut(file))) <= 0.001
    found = levels(file)
    loud = [statistics.median(found[50 * second + 5 : 50 * second + 45]) > 0.05 for second in range(33)]
    assert [second for second, is_loud in enumerate(loud) if is_loud] == [5, 9, 30]
    found = track(result.sidecar, "audio")
    assert found["duration"] == pytest.approx(33, abs=0.02)
    assert {reason: round(seconds, 2) for reason, seconds in found["inserted_for"].items()} == {
        "start": 5.02,
        "lost": 3.0,
        "pause": 20.0,
        "end": 1.98,
    }


def test_tones_of_a_sender_with_dtx_sound_at_their_seconds_and_its_silence_is_no_loss(tmp_path: Path) -> None:
    """RFC 7587, 3.1.3: in silence a packet every 400 ms at most, and no number is left out."""
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    packets: list[Packet] = []
    for second in range(4):
        packets += audio.audio(opus_packets(10), second)
        packets += [audio.packet(second + 0.2 + pause, b"\xf8\xff\xfe") for pause in (0.0, 0.4)]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=4), tmp_path / "out")
    file = tmp_path / "out" / "A.webm"
    assert max(map(abs, abut(file))) <= 0.001
    assert all(level(file, second + 0.07, second + 0.17) > 0.05 for second in range(4))
    assert not any(level(file, second + 0.3, second + 0.95) > 0.005 for second in range(4))
    found = track(result.sidecar, "audio")
    assert found["lost"] == 0
    assert found["inserted_for"]["pause"] == pytest.approx(4 * (0.38 + 0.38) - 0.38, abs=0.03)
    assert not {"lost", "clock"} & {*found["inserted_for"]}


def test_behind_a_lost_packet_audio_is_as_loud_as_before(tmp_path: Path) -> None:
    """A decoder goes on from what it remembers: silence in place of the packet makes it too quiet for 100 ms."""
    packets = [one for at, one in enumerate(Stream(AUDIO_SSRC, OPUS, 48000).audio(opus_packets(150))) if at < 30 or at % 10]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=3), tmp_path / "out", mp4=True)
    for name in ("A.webm", "call.mp4"):
        found = levels(tmp_path / "out" / name)[25:145]
        usual = statistics.median(found)
        assert min(found) > 0.6 * usual, f"{name}: {[round(one / usual, 2) for one in found]}"
    assert track(result.sidecar, "audio")["inserted_for"]["lost"] == pytest.approx(12 * 0.02, abs=0.001)


def test_a_short_gap_is_concealed_and_a_long_one_is_silence(tmp_path: Path) -> None:
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    packets = [*audio.audio(opus_packets(50))]
    audio.sequence += 20
    packets += audio.audio(opus_packets(50), 1.4)
    audio.sequence += 21
    packets += audio.audio(opus_packets(50), 2.82)
    assemble(written(tmp_path / "x.pcapng", packets, duration=4), tmp_path / "out")
    file = tmp_path / "out" / "A.webm"
    assert max(map(abs, abut(file))) <= 0.001
    filled = {round(time, 1): data for time, _, data, _ in product_packets(file, "audio") if len(data) < 4}
    assert {filled[at] for at in (1.1, 1.2, 1.3)} == {packets[49].data[12:13]}
    assert {filled[at] for at in (2.5, 2.6, 2.7)} == {b"\xf8\xff\xfe"}


def test_silence_is_stereo_where_the_sender_is(tmp_path: Path) -> None:
    packets = [*Stream(AUDIO_SSRC, OPUS, 48000).audio(opus_packets(50, layout="stereo"), 1.0)]
    assemble(written(tmp_path / "x.pcapng", packets, duration=2), tmp_path / "out")
    assert product_packets(tmp_path / "out" / "A.webm", "audio")[0][2] == b"\xfc\xff\xfe"


def test_while_a_call_is_held_nothing_is_missing_and_afterwards_all_is_in_its_time(tmp_path: Path) -> None:
    video, audio = Stream(VIDEO_SSRC, VP8, 90000), Stream(AUDIO_SSRC, OPUS, 48000)
    tone, frames = opus_packets(100), encoded("libvpx", 50)
    packets = [*video.frames(frames), *audio.audio(tone)]
    # Of 15 minutes nothing is captured; the senders go on, and their numbers wrap.
    video.sequence += 300_000
    audio.sequence += 45_000
    packets += [*video.frames(frames, 902.0), *audio.audio(tone, 902.0)]
    events = [(2.1, "hold", {"on": True}), (901.9, "hold", {"on": False})]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=904, events=events), tmp_path / "out")
    assert track(result.sidecar, "video")["lost"] == track(result.sidecar, "audio")["lost"] == 0
    inserted = track(result.sidecar, "audio")["inserted_for"]
    assert (inserted["pause"], "lost" in inserted) == (pytest.approx(900, abs=0.1), False)
    file = tmp_path / "out" / "A.webm"
    assert flash_times(file, frames[0][0]) == pytest.approx([0.02, 902.02], abs=0.003)
    assert audio_times(file, [tone[0]]) == pytest.approx([0.02, 902.02], abs=0.008)
    assert max(map(abs, abut(file))) <= 0.001
    assert [one["event"] for one in result.sidecar["events"]].count("hold") == 2


def test_a_pause_that_the_timestamps_do_not_show_is_a_gap(tmp_path: Path) -> None:
    """An iPhone that takes a telephone call: its microphone stops, and so do the timestamps."""
    audio, tone = Stream(AUDIO_SSRC, OPUS, 48000), opus_packets(100)
    packets = list(audio.audio(tone))
    for number in range(500):
        one = audio.packet(2.0 + number * 0.02, tone[number % 100])
        one.time += 30
        packets.append(one)
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=42), tmp_path / "out")
    assert track(result.sidecar, "audio")["pauses"] == 1
    assert audio_times(tmp_path / "out" / "A.webm", [tone[0]])[:2] == pytest.approx([0.02, 32.02], abs=0.01)


def test_a_network_that_holds_packets_back_is_no_pause(tmp_path: Path) -> None:
    audio, tone = Stream(AUDIO_SSRC, OPUS, 48000), opus_packets(100)
    packets = [*audio.audio(tone), *audio.audio(tone, 2), *audio.audio(tone, 4)]
    for one in packets:
        if 2.0 < one.time < 3.5:
            one.time = 3.5 + (one.time - 2.0) * 0.01
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=6), tmp_path / "out")
    found = track(result.sidecar, "audio")
    assert (found["pauses"], found["frames"]) == (0, 300)
    assert audio_times(tmp_path / "out" / "A.webm", [tone[0]]) == pytest.approx([0.02, 2.02, 4.02], abs=0.01)


def test_a_sender_that_begins_anew_goes_on_where_it_arrives(tmp_path: Path) -> None:
    video, audio = Stream(VIDEO_SSRC, VP8, 90000), Stream(AUDIO_SSRC, OPUS, 48000)
    frames, tone = encoded("libvpx", 50), opus_packets(100)
    packets = [*video.frames(frames), *audio.audio(tone)]
    video.sequence, video.timestamp = 1234, 1_000_000_007
    audio.sequence, audio.timestamp = 9999, 2**31
    packets += [*video.frames(frames, 3.0), *audio.audio(tone, 3.0)]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=5), tmp_path / "out")
    assert track(result.sidecar, "video")["restarts"] == track(result.sidecar, "audio")["restarts"] == 1
    assert track(result.sidecar, "video")["frames"] == 100
    assert flash_times(tmp_path / "out" / "A.webm", frames[0][0]) == pytest.approx([0.02, 3.02], abs=0.005)
    assert audio_times(tmp_path / "out" / "A.webm", [tone[0]]) == pytest.approx([0.02, 3.02], abs=0.01)


def test_one_packet_with_numbers_from_elsewhere_disturbs_nothing(tmp_path: Path) -> None:
    packets = [*Stream(AUDIO_SSRC, OPUS, 48000).audio(opus_packets(100))]
    packets.append(Packet(1.0, rtp(OPUS, 4242, 123456789, AUDIO_SSRC, b"\xf8\xff\xfe")))
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=2.02), tmp_path / "out")
    found = track(result.sidecar, "audio")
    assert (found["frames"], found["lost"], found["restarts"]) == (100, 0, 0)


# -- who sends --------------------------------------------------------------------------------------------------------


def test_a_rejoin_with_other_ssrcs_goes_on_in_the_same_tracks(tmp_path: Path) -> None:
    frames, tone = encoded("libvpx", 50), opus_packets(100)
    with CaptureFile(tmp_path / "x.pcapng") as capture:
        first = capture.interface("A", [audio_section("0", [AUDIO_SSRC]), video_section("1", [VIDEO_SSRC])])
        old = [*Stream(VIDEO_SSRC, VP8, 90000, first).frames(frames), *Stream(AUDIO_SSRC, OPUS, 48000, first).audio(tone)]
        for one in sorted(old, key=lambda one: one.time):
            capture.packet(one.time, one.interface, one.data)
        again = capture.interface("A2", [audio_section("audio", [0x77]), video_section("video", [0x88])], 4)
        new = [*Stream(0x88, VP8, 90000, again, 5, 6).frames(frames, 5.0)]
        new += Stream(0x77, OPUS, 48000, again, 7, 8).audio(tone, 5.0)
        for one in sorted(new, key=lambda one: one.time):
            capture.packet(one.time, one.interface, one.data)
        capture.event(7, "ended", reason="call_ended")
    result = assemble(tmp_path / "x.pcapng", tmp_path / "out")
    assert len(result.sidecar["tracks"]) == 2
    assert track(result.sidecar, "video")["frames"] == 100
    assert track(result.sidecar, "video")["transports"] == ["A", "A2"]
    assert track(result.sidecar, "audio")["frames"] == 200
    file = tmp_path / "out" / "A.webm"
    assert flash_times(file, frames[0][0]) == pytest.approx([0.02, 5.02], abs=0.003)
    assert audio_times(file, [tone[0]]) == pytest.approx([0.02, 5.02], abs=0.01)
    assert max(map(abs, abut(file))) <= 0.001


def test_another_codec_in_mid_call_is_another_track(tmp_path: Path) -> None:
    video = Stream(VIDEO_SSRC, VP8, 90000)
    packets = list(video.frames(encoded("libvpx", 50)))
    video.payload_type = H264
    packets += video.frames(encoded("libx264", 50), 2.0)
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=4), tmp_path / "out")
    assert [(one["codec"], one["frames"]) for one in result.sidecar["tracks"]] == [("h264", 50), ("vp8", 50)]
    assert "A.mkv" in result.files


# -- rotation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload_type", "encoder", "name"), [(VP8, "libvpx", "A.webm"), (VP9, "libvpx-vp9", "A.webm"), (H264, "libx264", "A.mkv")]
)
def test_a_camera_that_is_turned_is_turned_by_players(payload_type: int, encoder: str, name: str, tmp_path: Path) -> None:
    packets = [*Stream(VIDEO_SSRC, payload_type, 90000).frames(encoded(encoder, 25), extensions={ROTATION_EXTENSION: b"\1"})]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=1), tmp_path / "out")
    assert track(result.sidecar, "video")["rotation"] == 90
    # PyAV counts counter-clockwise.
    for file in (name, "call.mkv"):
        shown = decoded_frames(tmp_path / "out" / file)
        assert [(frame.rotation, frame.width, frame.height) for frame in shown] == [(-90, 320, 240)] * 25
        assert [frame.time for frame in shown] == pytest.approx([0.02 + n / 25 for n in range(25)], abs=0.002)


def test_a_rotation_that_changes_is_listed_and_turned_in_the_film(tmp_path: Path) -> None:
    stream = Stream(VIDEO_SSRC, VP8, 90000)
    frames = encoded("libvpx", 50)
    packets = [*stream.frames(frames[:25], extensions={ROTATION_EXTENSION: b"\0"})]
    packets += stream.frames(frames[25:], 1.0, extensions={ROTATION_EXTENSION: b"\3"})
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=2), tmp_path / "out", mp4=True)
    found = track(result.sidecar, "video")
    assert found["rotation"] == 0
    assert found["rotations"] == [[pytest.approx(0.02, abs=0.01), 0], [pytest.approx(1.02, abs=0.01), 270]]
    shown = decoded_frames(tmp_path / "out" / "call.mp4")

    def brightness(frame: Any, y: int) -> int:
        return bytes(frame.planes[0])[y * int(frame.planes[0].line_size) + 320]

    # 4:3 in a half of 640×720 is 480 pixels high, and turned it is 720 high: 16 is black.
    assert brightness(shown[10], 60) == 16
    assert brightness(shown[40], 60) != 16


# -- clocks -----------------------------------------------------------------------------------------------------------


def test_sender_reports_join_audio_and_video_that_arrive_differently(tmp_path: Path) -> None:
    """The network delays video by 150 ms more than audio: by arrival alone, it would be late."""
    rng = random.Random(2)
    video = Stream(VIDEO_SSRC, VP8, 90000, delay=0.17)
    audio = Stream(AUDIO_SSRC, OPUS, 48000)
    frames, tone = encoded("libvpx", 50), opus_packets(100)
    packets: list[Packet] = []
    for second in range(0, 20, 2):
        packets += [*video.frames(frames, second), *audio.audio(tone, second)]
        packets += [video.report(second + 1, rng.uniform(-0.008, 0.008)), audio.report(second + 1.5, rng.uniform(-0.008, 0.008))]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=20), tmp_path / "out")
    assert {one["method"] for one in result.sidecar["clock"]["A"]} == {"sender_reports"}
    file = tmp_path / "out" / "A.webm"
    for flash, beep in zip(flash_times(file, frames[0][0]), audio_times(file, [tone[0]]), strict=True):
        assert flash == pytest.approx(beep, abs=0.010)


@pytest.mark.parametrize(("error", "method", "warning"), [(0.4, "sender_reports", "250 ms"), (60.0, "arrival", "arrival counts")])
def test_reports_that_disagree_with_arrival_are_noted_and_absurd_ones_ignored(
    error: float, method: str, warning: str, tmp_path: Path
) -> None:
    video, audio = Stream(VIDEO_SSRC, VP8, 90000), Stream(AUDIO_SSRC, OPUS, 48000)
    packets = [*video.frames(encoded("libvpx", 50)), *audio.audio(opus_packets(100))]
    packets += [video.report(1.0, -error), audio.report(1.0)]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=2), tmp_path / "out")
    [found] = [one for one in result.sidecar["clock"]["A"] if one["kind"] == "video"]
    assert found["method"] == method
    assert any(warning in one for one in result.warnings)
