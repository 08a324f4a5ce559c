"""Measures that not every machine can take: they are taken where they can be, and named where they cannot."""

import sys
from pathlib import Path

import pytest

from relay.recording.verify import verify
from tests.recording.verify.media import remux, write_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.webm", seconds=5, speech=False)


@pytest.fixture
def recording(tmp_path: Path, scene: Path) -> Path:
    folder = tmp_path / ("5" * 32)
    folder.mkdir()
    remux(scene, folder / "A.webm")
    return folder


FFMPEG = """#!{python}
import json, pathlib, sys
if "-filters" in sys.argv:
    print(" .. libvmaf           VV->V      Calculate the VMAF between two video streams.")
    sys.exit({status})
width, height = map(int, sys.argv[sys.argv.index("-s") + 1].split("x"))
inputs = [open(int(one[5:]), "rb") for one in sys.argv if one.startswith("pipe:")]
frame, pairs = width * height * 3 // 2, 0
while min(len(one.read(frame)) for one in inputs) == frame:
    pairs += 1
pathlib.Path("vmaf.json").write_text(json.dumps({{"pooled_metrics": {{"vmaf": {{"mean": pairs}}}}}}))
"""
"""Stands for one that has libvmaf, which no package of Debian's has: says how many pairs of frames it was given."""


@pytest.mark.parametrize("status", [0, pytest.param(None, id="it ends at once")])
def test_vmaf_is_asked_of_an_ffmpeg_that_has_it(
    status: int | None, scene: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    text = FFMPEG.format(python=sys.executable, status=0)
    program.write_text(text if status is not None else text.replace("width, height", "sys.exit(1)\nwidth, height"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    found = verify(recording, reference=scene)
    [match] = [one.video_match for one in found.report.tracks if one.video_match]
    assert "vmaf" not in found.report.unavailable
    assert match.compared > 20
    assert match.vmaf == (match.compared if status is not None else None)
    page = found.files[-1].read_text()
    assert ("<dt>VMAF</dt>" in page) == (status is not None)


def test_measures_that_this_machine_cannot_take_are_named(
    scene: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = verify(recording, reference=scene)
    assert found.report.unavailable["vmaf"] == "there is no ffmpeg on PATH that lists the filter libvmaf"
    page = found.files[-1].read_text()
    assert "<dt>VMAF</dt><dd>not available: there is no ffmpeg on PATH" in page
    assert "VMAF is not available: there is no ffmpeg on PATH that lists the filter libvmaf." in page
    assert verify(recording).report.unavailable == {}, "without a reference there is nothing to compare"
