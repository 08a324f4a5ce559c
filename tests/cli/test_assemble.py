"""`python -m relay assemble`, in the directory of recordings and elsewhere."""

from pathlib import Path

import pytest

from relay.__main__ import main
from relay.recording.jobs.folder import RecordingFolder
from relay.sealed import SealKeys, is_sealed
from tests.http.recordings.recorded import KEY
from tests.recording.capture_file import OPUS, CaptureFile, audio_section
from tests.recording.kit import Stream, opus_packets

RECORDING = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That of the recordings, with a capture of a second, of a server that seals."""
    monkeypatch.setenv("RELAY_RECORDING_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("RELAY_RECORDING_KEY", KEY)
    with CaptureFile(tmp_path / f"{RECORDING}.pcapng") as capture:
        capture.interface("A", [audio_section("0", [1])])
        for one in Stream(1, OPUS, 48000).audio(opus_packets(50)):
            capture.packet(one.time, one.interface, one.data)
        capture.event(1.0, "ended", reason="call_ended")
    return tmp_path


def test_what_is_made_in_the_directory_of_a_server_that_seals_is_sealed(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["assemble", RECORDING]) == 0
    made = sorted((directory / RECORDING).iterdir())
    assert [one.name for one in made] == ["A.webm", "call.mkv", "sidecar.json"]
    assert all(is_sealed(one) for one in made)
    assert f"{directory / RECORDING / 'A.webm'}: " in capsys.readouterr().out
    assert sorted(one.name for one in directory.iterdir()) == [RECORDING, f"{RECORDING}.pcapng"]


def test_what_is_made_elsewhere_is_not_sealed(directory: Path, tmp_path: Path) -> None:
    assert main(["assemble", RECORDING, "--out", str(tmp_path / "out")]) == 0
    assert not any(is_sealed(one) for one in (tmp_path / "out").iterdir())
    assert not (directory / RECORDING).exists()


def test_a_recording_that_the_server_works_on_is_left_to_it(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RecordingFolder(directory, SealKeys()).locked(RECORDING):
        assert main(["assemble", RECORDING]) == 2
    assert "another process works on this recording" in capsys.readouterr().err
    assert not (directory / RECORDING).exists()


def test_the_id_of_no_recording_is_an_error_in_a_line(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assemble", "f" * 32]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "No such file" in line
    assert directory.exists()
