"""Verification from the packets on: a capture is assembled, and what is made of it is verified."""

from pathlib import Path

import msgspec
import pytest

from relay.__main__ import main
from relay.recording.assemble import assemble
from relay.recording.verify import ReferencePlan, write_reference
from relay.recording.verify.figures import VerificationReport
from tests.recording.capture_file import OPUS, RECORDING, CaptureFile, audio_section
from tests.recording.kit import Stream, opus_packets
from tests.recording.verify.captured import AUDIO_SSRC, Lost, capture

LIMITS = ("--max-freeze", "500ms", "--max-loss", "1%", "--max-av-offset", "10ms", "--max-silence", "2s", "--min-psnr", "40")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "reference.webm"
    write_reference(path, ReferencePlan(duration=6, width=320, height=180))
    return path


def verified(path: Path, out: Path, *arguments: str) -> tuple[int, VerificationReport]:
    status = main(["verify", "--quiet", str(path), "--out", str(out), *arguments])
    return status, msgspec.json.decode((out / "report.json").read_bytes(), type=VerificationReport)


def test_a_captured_call_passes_and_no_second_of_it_is_out_of_sync(tmp_path: Path, reference: Path) -> None:
    path = capture(reference, tmp_path / f"{RECORDING}.pcapng")
    status, report = verified(path, tmp_path / "out", "--reference", str(reference), *LIMITS, "--max-missing-frames", "0")
    assert (status, report.reasons) == (0, [])
    assert (report.recording, report.end_reason, report.verdict) == (RECORDING, "call_ended", "passed")
    assert len(report.av_offsets["A"].seconds) == 6
    assert max(abs(value) for _, value in report.av_offsets["A"].seconds) <= 0.010
    video, audio = (next(one for one in report.tracks if one.kind == kind).packets[0] for kind in ("video", "audio"))
    assert (video.codec, video.frames, video.key_frames, video.lost) == ("vp8", 180, 6, 0)
    assert (audio.codec, audio.expected, audio.sender_reports) == ("opus", 301, 5)
    assert [(one.name, one.text) for one in (report.events[0], report.events[-1])] == [
        ("started", "policy consent"),
        ("ended", "reason call_ended"),
    ]
    assert "<td>reason call ended</td>" in (tmp_path / "out" / "report.html").read_text()
    assert not path.with_suffix("").exists(), "what was assembled to be verified is removed"


@pytest.mark.parametrize(
    ("lost", "failed"),
    [
        (lambda packet, number: packet.data[1] & 127 == 111 and 100 <= number < 130, {"max_loss"}),
        (lambda packet, number: packet.data[1] & 127 == 118 and 2.08 < packet.time < 2.2, {"max_loss", "max_freeze"}),
    ],
    ids=["600 ms of audio", "three packets of video"],
)
def test_packets_that_did_not_arrive_fail_by_their_number_and_by_what_they_leave(
    lost: Lost, failed: set[str], tmp_path: Path, reference: Path
) -> None:
    path = capture(reference, tmp_path / f"{RECORDING}.pcapng", lost=lost)
    status, report = verified(path, tmp_path / "out", "--reference", str(reference), *LIMITS)
    assert status == 1
    assert {one.name for one in report.findings if one.state == "failed"} == failed


@pytest.mark.parametrize("referred", [False, True], ids=["without a reference", "beside its reference"])
def test_a_pause_of_the_senders_camera_is_told_as_such_and_not_as_frames_that_were_lost(
    referred: bool, tmp_path: Path, reference: Path
) -> None:
    path = capture(reference, tmp_path / f"{RECORDING}.pcapng", paused=lambda number: 68 <= number < 90 or number in {29, 149})
    limits = ("--max-freeze", "500ms", "--max-missing-frames", "0", "--max-loss", "0%", "--max-av-offset", "10ms")
    status, report = verified(path, tmp_path / "out", *limits, *(("--reference", str(reference)) if referred else ()))
    assert status == 1
    freeze = (
        "A video: 1 freeze, the longest of 767 ms at 2.3 s; in it the sender gave no frame, and no packet was lost; the limit"
    )
    assert report.reasons == [f"{freeze} is 500 ms."]
    [video] = [one for one in report.tracks if one.kind == "video"]
    assert video.video is not None
    assert video.video.sender_pauses == video.video.freezes
    rates = "26.0 frames per second of the 30.0 that it gives between its pauses"
    assert (
        f"A video: its sender gave {rates} (24 frames left out by its camera or encoder, none lost on the way)." in report.notes
    )
    [missing] = [one for one in report.findings if one.name == "max_missing_frames"]
    assert (missing.state, missing.value) == ("passed", 0)
    if referred:
        assert missing.sentence == "A video: 0 frames of the reference missing; 24 more that the sender did not send."
    assert "26.0 frames per second; 1 pause of 767 ms in all" in (tmp_path / "out" / "report.html").read_text()


def test_audio_that_was_sent_120_ms_late_fails_and_assembly_does_not_hide_it(tmp_path: Path, reference: Path) -> None:
    path = capture(reference, tmp_path / f"{RECORDING}.pcapng", audio_delay=0.120)
    status, report = verified(path, tmp_path / "out", "--reference", str(reference), "--max-av-offset", "80ms")
    assert status == 1
    assert {one.name for one in report.findings if one.state == "failed"} == {"max_av_offset"}
    assert report.av_offsets["A"].median == pytest.approx(0.120, abs=0.010)


def test_the_capture_beside_the_files_gives_what_the_files_do_not_have(tmp_path: Path, reference: Path) -> None:
    path = capture(reference, tmp_path / f"{RECORDING}.pcapng")
    assemble(path, tmp_path / RECORDING)
    assert main(["verify", "--quiet", str(tmp_path / RECORDING)]) == 0
    report = msgspec.json.decode((tmp_path / RECORDING / "report.json").read_bytes(), type=VerificationReport)
    assert all(track.packets for track in report.tracks)
    path.unlink()
    assert main(["verify", "--quiet", str(tmp_path / RECORDING), "--max-loss", "1%"]) == 0
    report = msgspec.json.decode((tmp_path / RECORDING / "report.json").read_bytes(), type=VerificationReport)
    assert [(track.lost, track.expected) for track in report.tracks if track.kind == "audio"] == [(0, 301)]


def test_a_capture_that_a_crash_cut_off_is_verified_up_to_there_and_says_so(tmp_path: Path, reference: Path) -> None:
    path = capture(reference, tmp_path / f"{RECORDING}.pcapng")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    status, report = verified(path, tmp_path / "out", "--reference", str(reference))
    assert status == 0, report.reasons
    assert any(note.startswith("The capture is cut off") for note in report.notes)
    assert 2 < report.duration < 4


def test_a_file_that_is_no_capture_cannot_be_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"{RECORDING}.pcapng"
    path.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(200))
    assert main(["verify", "--quiet", str(path)]) == 2
    assert "Cannot be judged:\n  this is no recording of a relay" in capsys.readouterr().out


@pytest.mark.parametrize("referred", [False, True], ids=["without a reference", "beside its reference"])
def test_a_held_call_has_no_freeze_no_silence_no_loss_and_no_missing_frame(
    referred: bool, tmp_path: Path, reference: Path
) -> None:
    held = capture(
        reference, tmp_path / f"{RECORDING}.pcapng", lost=lambda packet, number: 2.0 < packet.time < 4.0, hold=(2.0, 4.0)
    )
    limits = ("--max-freeze", "500ms", "--max-silence", "1s", "--max-loss", "0%", "--max-missing-frames", "0")
    status, report = verified(held, tmp_path / "out", *limits, *(("--reference", str(reference)) if referred else ()))
    assert status == 0, report.reasons
    [video] = [one.video for one in report.tracks if one.video]
    assert video.counter is not None
    assert video.counter.missing == 0
    assert [(event.name, event.on) for event in report.events if event.name == "hold"] == [("hold", True), ("hold", False)]


def test_a_recording_that_a_full_disk_ended_says_so_and_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / f"{RECORDING}.pcapng"
    with CaptureFile(path) as file:
        interface = file.interface("A", [audio_section("0", [AUDIO_SSRC])])
        for packet in Stream(AUDIO_SSRC, OPUS, 48_000).audio(opus_packets(50)):
            file.packet(packet.time, interface, packet.data)
        file.event(1.05, "dropped", packets=7)
        file.event(1.1, "ended", reason="disk_full")
    sidecar = assemble(path, tmp_path / RECORDING).sidecar
    assert (sidecar["end_reason"], sidecar["complete"]) == ("disk_full", True)
    assert sidecar["warnings"] == [
        "7 packets are missing: the disk was too slow",
        "the recording ended early: the disk was full",
    ]
    status, report = verified(path, tmp_path / "out")
    assert (status, report.end_reason) == (0, "disk_full")
    assert "The relay dropped 7 packets at 1.1 s: its disk was too slow." in report.notes
    assert "<td>reason disk full</td>" in (tmp_path / "out" / "report.html").read_text()
