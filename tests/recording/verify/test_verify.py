"""`python -m relay verify`: a recording that must pass, and those that must fail, each for the reason it has."""

import json
import shutil
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from relay.__main__ import main
from relay.recording.limits import VerificationLimits
from relay.recording.verify import ReferencePlan, verify, write_reference
from relay.recording.verify.figures import VerificationReport
from relay.recording.verify.vmaf import find_program
from relay.sealed import seal_file
from tests.recording.verify import media
from tests.recording.verify.media import remux, silent, without_audio, without_video

pytestmark = pytest.mark.long

LIMITS = (
    *("--max-freeze", "500ms", "--max-loss", "1%", "--max-av-offset", "80ms", "--max-silence", "2s"),
    *("--min-psnr", "30dB", "--min-ssim", "0.9", "--max-missing-frames", "5"),
)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "reference.webm"
    write_reference(path, ReferencePlan(duration=8, width=320, height=180))
    return path


@pytest.fixture
def recording(tmp_path: Path, reference: Path) -> Path:
    """An assembled recording, in which all is well."""
    folder = tmp_path / ("5" * 32)
    folder.mkdir()
    remux(reference, folder / "A.webm")
    write_sidecar(folder)
    return folder


def write_sidecar(folder: Path, lost: int = 0, **more: object) -> None:
    tracks: list[dict[str, object]] = [
        {
            "id": f"A/{kind}",
            "party": "A",
            "kind": kind,
            "packets": 400 - lost,
            "lost": lost,
            "inserted": [],
            "broken": 0,
            "dependent": 0,
        }
        for kind in ("audio", "video")
    ]
    content = {"version": 1, "recording_id": folder.name, "end_reason": "call_ended", "tracks": tracks, "events": [], **more}
    (folder / "sidecar.json").write_text(json.dumps(content))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit status, and what was printed below the verdict."""
    status = main(["verify", "--quiet", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def reasons(output: str) -> list[str]:
    return [line.strip() for line in output.partition("Failed:\n")[2].splitlines() if line.startswith("  ")]


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"broken": 1, "dependent": 3}, "A video: 4 frames left out, as packets of theirs are missing."),
        (
            {"before_keyframe": 29},
            "A video: no frame left out for packets that are missing; 29 before a key frame, of which none is.",
        ),
    ],
)
def test_why_frames_were_left_out_is_said(
    recording: Path, capsys: pytest.CaptureFixture[str], counts: dict[str, int], sentence: str
) -> None:
    sidecar = json.loads((recording / "sidecar.json").read_bytes())
    sidecar["tracks"][1] |= counts
    (recording / "sidecar.json").write_text(json.dumps(sidecar))
    _, output = run(capsys, recording, "--max-missing-frames", "10")
    assert sentence in output
    report = msgspec.json.decode((recording / "report.json").read_bytes(), type=VerificationReport)
    video = next(one for one in report.tracks if one.kind == "video")
    assert (video.incomplete_frames, video.frames_before_keyframe) == (
        counts.get("broken", 0) + counts.get("dependent", 0),
        counts.get("before_keyframe"),
    )


def test_a_good_recording_passes_all_limits(recording: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output = run(capsys, recording, "--reference", reference, *LIMITS)
    assert status == 0, output
    assert "Passed." in output
    report = msgspec.json.decode((recording / "report.json").read_bytes(), type=VerificationReport)
    assert report.verdict == "passed"
    assert report.recording == recording.name
    judged = {one.name for one in report.findings if one.state == "passed"}
    assert judged >= {"max_freeze", "max_loss", "max_av_offset", "max_silence", "min_psnr", "min_ssim", "max_missing_frames"}
    offset = report.av_offsets["A"]
    assert len(offset.seconds) == 8
    assert abs(offset.median) <= 0.001
    assert offset.p95 <= 0.010
    [video] = [one.video for one in report.tracks if one.video]
    assert (video.frames, video.sizes, video.key_frames) == (240, [(0.0, 320, 180)], 8)
    assert video.counter is not None
    assert (video.counter.unreadable, video.counter.rate) == (0, 30)


def test_a_frozen_video_fails(recording: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remux(reference, recording / "A.webm", without_video(3.0, 5.0))
    status, output = run(capsys, recording, "--max-freeze", "500ms")
    assert status == 1
    assert reasons(output) == ["A video: 1 freeze, the longest of 2.0 s at 3.0 s; the limit is 500 ms."]


def test_lost_packets_fail(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sidecar(recording, lost=20)
    status, output = run(capsys, recording, "--max-loss", "1%")
    assert status == 1
    assert "A audio: 20 of 400 packets lost after repair, 5.0 %; the limit is 1.0 %." in reasons(output)


def test_audio_120_ms_late_fails(recording: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remux(reference, recording / "A.webm", delay=0.120)
    status, output = run(capsys, recording, "--reference", reference, *LIMITS)
    assert status == 1
    [reason] = reasons(output)
    assert reason.startswith("A: audio is 120 ms later than video")
    assert reason.endswith("; the limit is 80 ms.")


def test_an_offset_of_more_than_half_a_second_is_told_by_the_tones(recording: Path, reference: Path) -> None:
    remux(reference, recording / "A.webm", delay=0.9)
    offset = verify(recording, reference=reference).report.av_offsets["A"]
    assert offset.median == pytest.approx(0.9, abs=0.005)


def test_silence_fails(recording: Path, reference: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remux(reference, recording / "A.webm", silent(2.5, 6.5))
    status, output = run(capsys, recording, "--max-silence", "2s")
    assert status == 1
    [reason] = reasons(output)
    assert reason.startswith("A audio: the longest silence is 4.8 s at 2.2 s")


def test_silence_of_the_assembly_is_missing_sound_and_no_silence(
    recording: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remux(reference, recording / "A.webm", silent(2.5, 6.5))
    content = json.loads((recording / "sidecar.json").read_text())
    content["tracks"][0]["inserted"] = [[2.5, 4.0]]
    (recording / "sidecar.json").write_text(json.dumps(content))
    status, output = run(capsys, recording, "--max-silence", "2s")
    assert status == 0, output
    report = msgspec.json.decode((recording / "report.json").read_bytes(), type=VerificationReport)
    [audio] = [one.audio for one in report.tracks if one.audio]
    assert audio.inserted_total == 4.0


def test_another_reference_fails(recording: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.webm"
    write_reference(other, ReferencePlan(duration=8, width=320, height=180, seed=5))
    status, output = run(capsys, recording, "--reference", other)
    assert status == 1
    video, audio = reasons(output)
    assert video.startswith("A video does not show other.webm")
    assert audio.startswith("A audio is not other.webm")


def test_a_truncated_file_fails(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording / "A.webm"
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(size * 7 // 10)
    status, output = run(capsys, recording)
    assert status == 1
    assert f"A.webm is truncated: {size - size * 7 // 10:,} of {size:,} bytes are missing at its end." in reasons(output)


def test_a_truncated_file_of_the_whole_call_fails_too(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(recording / "A.webm", recording / "call.mkv")
    assert run(capsys, recording)[0] == 0
    with (recording / "call.mkv").open("r+b") as opened:
        opened.truncate((recording / "A.webm").stat().st_size - 1000)
    status, output = run(capsys, recording)
    assert status == 1
    [reason] = reasons(output)
    assert reason.startswith("call.mkv is truncated: 1,000 of")


def test_a_file_that_ends_before_its_sidecar_says_fails(
    recording: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remux(reference, recording / "A.webm", lambda kind, time, packet: bytes(packet) if time < 5 else None)
    content = json.loads((recording / "sidecar.json").read_text())
    for track in content["tracks"]:
        track |= {"start": 0.0, "duration": 8.0}
    (recording / "sidecar.json").write_text(json.dumps(content))
    status, output = run(capsys, recording)
    assert status == 1
    assert reasons(output) == ["A.webm is truncated: it ends at 5.0 s; sidecar.json says 8.0 s."]


def test_a_hole_in_the_audio_fails_without_any_limit(
    recording: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    remux(reference, recording / "A.webm", without_audio(3.0, 3.5))
    status, output = run(capsys, recording)
    assert status == 1
    [reason] = reasons(output)
    assert reason.startswith("A audio: its packets do not abut (1 hole and 0 overlaps, the longest of 500 ms at 3.0 s)")


def test_what_follows_a_hole_is_heard_too_early(recording: Path, reference: Path) -> None:
    """As players play it, and not as the timestamps say."""
    remux(reference, recording / "A.webm", without_audio(3.2, 3.6))
    found = verify(recording).report.av_offsets["A"]
    assert found.seconds[0][1] == pytest.approx(0, abs=0.005)
    assert found.seconds[-1][1] == pytest.approx(-0.4, abs=0.005)


def test_tones_in_another_order_fail(
    recording: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = [packet for kind, _, packet in media.packets(reference) if kind == "audio"]
    payloads = [bytes(packet) for packet in source]
    # Seconds 2 and 5 change places.
    payloads[100:150], payloads[250:300] = payloads[250:300], payloads[100:150]
    moved = iter(payloads)
    remux(reference, recording / "A.webm", lambda kind, time, packet: next(moved) if kind == "audio" else bytes(packet))
    status, output = run(capsys, recording, "--reference", reference)
    assert status == 1
    assert reasons(output) == ["A audio: 2 of 8 tones sound in a second that is not theirs."]


def test_a_reference_that_was_played_again_is_still_recognised(recording: Path, reference: Path) -> None:
    remux(reference, recording / "A.webm", loops=2)
    found = verify(recording, reference=reference, limits=VerificationLimits(max_av_offset=0.02, min_psnr=40))
    assert found.verdict == "passed", found.reasons
    assert len(found.report.av_offsets["A"].seconds) == 16


def test_a_smaller_video_is_compared_with_its_reference(recording: Path, reference: Path) -> None:
    write_reference(recording / "A.webm", ReferencePlan(duration=8, width=192, height=108))
    found = verify(recording, reference=reference, limits=VerificationLimits(min_psnr=20, max_av_offset=0.02))
    assert found.verdict == "passed", found.reasons
    [match] = [one.video_match for one in found.report.tracks if one.video_match]
    assert (match.by, match.matched) == ("counter", 1)


def test_a_source_without_a_counter_is_recognised_by_its_content(tmp_path: Path) -> None:
    scene = media.write_scene(tmp_path / "scene.webm", seconds=6)
    folder = tmp_path / "recording"
    folder.mkdir()
    remux(scene, folder / "A.webm", delay=0.120)
    found = verify(folder, reference=scene, limits=VerificationLimits(max_av_offset=0.08, min_stoi=0.8))
    assert found.verdict == "failed"
    [reason] = found.reasons
    assert reason.startswith("A: audio is 120 ms later than video")
    [match] = [one.audio_match for one in found.report.tracks if one.audio_match]
    assert match.stoi is not None
    assert match.stoi > 0.95
    [video] = [one.video_match for one in found.report.tracks if one.video_match]
    assert video.xpsnr is not None
    assert video.xpsnr > 40
    missing = found.report.unavailable
    if find_spec("pesq"):
        assert match.pesq is not None
        assert 4 < match.pesq < 4.7
    else:
        assert match.pesq is None
        assert any("PESQ is not available: the package pesq is not installed" in note for note in found.report.notes)
    assert ("pesq" in missing, "vmaf" in missing) == (find_spec("pesq") is None, find_program() is None)
    other = media.write_scene(tmp_path / "other.webm", seconds=6, seed=3)
    assert {one.name for one in verify(folder, reference=other).report.findings if one.state == "failed"} == {"reference"}


def test_a_limit_that_cannot_be_measured_is_not_passed(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recording / "sidecar.json").unlink()
    status, output = run(capsys, recording, "--max-loss", "1%")
    assert status == 2
    assert "Cannot be judged:\n  A video: its loss is not known without the capture or its sidecar." in output


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["nothing"], "nothing does not exist."),
        (["."], "has no .webm, .mkv, .mp4 file."),
        (["notes.webm"], "Invalid data found"),
        (["empty.webm"], ""),
        ([".", "--max-freeze", "500"], "--max-freeze '500': expected a number with s or ms"),
        ([".", "--min-psnr", "30"], "--min-psnr means nothing without --reference FILE"),
        ([".", "--reference", "nothing"], "--reference: there is no file nothing"),
        (["0123456789abcdef0123456789abcdef"], "RELAY_RECORDING_DIRECTORY is not set"),
    ],
)
def test_what_cannot_be_judged_ends_with_2_and_says_why(
    arguments: list[str], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("RELAY_RECORDING_DIRECTORY", "RELAY_RECORDING_KEY", "RELAY_DEV"):
        monkeypatch.delenv(name, raising=False)
    Path("notes.webm").write_text("These are my notes of the call. " * 100)
    Path("empty.webm").touch()
    if arguments[0] == ".":
        Path("notes.webm").unlink()
        Path("empty.webm").unlink()
    status, output = run(capsys, *arguments)
    assert status == 2
    assert error in output
    assert "Traceback" not in output


def test_a_recording_is_found_by_its_id_and_opened_with_its_key(
    recording: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = "A" * 43 + "="
    for name in ("A.webm", "sidecar.json"):
        plain = recording / f"plain-{name}"
        (recording / name).rename(plain)
        seal_file(plain, recording / name, bytes(32))
        plain.unlink()
    monkeypatch.setenv("RELAY_RECORDING_DIRECTORY", str(recording.parent))
    status, output = run(capsys, recording.name)
    assert status == 2
    assert "was sealed with the key" in output
    monkeypatch.setenv("RELAY_RECORDING_KEY", key)
    monkeypatch.chdir(recording.parent.parent)
    status, output = run(capsys, recording.name, "--max-loss", "1%")
    assert status == 0, output
    assert f"Report: {recording.name}.report/report.html" in output
    assert not (recording / "report.html").exists(), "what is said of a sealed recording is not left in plain text beside it"


def test_without_a_name_it_verifies_the_newest_recording_of_a_relay_in_development_mode(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("RELAY_RECORDING_DIRECTORY", "RELAY_RECORDING_KEY", "RELAY_DEV"):
        monkeypatch.delenv(name, raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    status, output = run(capsys)
    assert (status, "there is no recording known, as RELAY_RECORDING_DIRECTORY is not set" in output) == (2, True)
    shutil.copytree(recording, here / "recordings" / recording.name)
    status, output = run(capsys)
    assert (status, f"Report: recordings/{recording.name}/report.html" in output) == (0, True), output


def test_each_party_is_held_to_what_it_sent(
    recording: Path, reference: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = media.write_scene(tmp_path / "scene.webm", seconds=6)
    shutil.copy(scene, recording / "B.webm")
    status, output = run(capsys, recording, "--reference", f"A={reference}", "--reference", f"B={scene}")
    assert status == 0, output
    status, output = run(capsys, recording, "--reference", f"A={scene}", "--reference", f"B={reference}")
    assert status == 1
    assert {reason[:1] for reason in reasons(output)} == {"A", "B"}


def test_progress_names_each_step_and_reaches_its_end(recording: Path, reference: Path) -> None:
    told: dict[str, float] = {}
    verify(recording, reference=reference, progress=told.__setitem__)
    assert {"A video", "A audio", "reference video", "reference audio", "A video, PSNR"} <= set(told)
    assert min(told.values()) > 0.9


def test_the_reference_command_writes_a_file_that_passes_as_its_own_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "tone.mkv"
    assert main(["reference", str(target), "--duration", "3", "--size", "160x90", "--rate", "10"]) == 0
    status, output = run(capsys, target, "--reference", target, "--max-av-offset", "10ms", "--out", tmp_path / "report")
    assert status == 0, output
    assert main(["reference", str(tmp_path / "tone.avi")]) == 2
    assert "tone.avi: a reference is a .webm or .mkv file" in capsys.readouterr().err


def test_key_frames_of_a_reference_are_at_most_2_seconds_apart(reference: Path) -> None:
    keys = [
        float(packet.pts * packet.time_base)
        for kind, _, packet in media.packets(reference)
        if kind == "video" and packet.is_keyframe
    ]
    assert max(later - earlier for earlier, later in pairwise(keys)) <= 2
