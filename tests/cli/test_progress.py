"""What long commands show meanwhile: bars on a terminal, lines elsewhere."""

import asyncio
import io
import json
import re
import sys
from pathlib import Path

import pytest

from relay.__main__ import main
from relay.cli import progress
from tests.kit.process import serving
from tests.kit.terminal import terminal
from tests.recording.capture_file import OPUS, VP8, CaptureFile, audio_section, video_section
from tests.recording.kit import Stream, encoded, opus_packets

FULL = re.compile(r"([\w. ]+): 100 %\|█+\|")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Two seconds of both parties."""
    path = tmp_path / f"{'a' * 32}.pcapng"
    packets = [*Stream(1, OPUS, 48000).audio(opus_packets(100)), *Stream(2, VP8, 90000).frames(encoded("libvpx", 50))]
    with CaptureFile(path) as file:
        file.interface("A", [audio_section("0", [1]), video_section("1", [2])])
        for one in sorted(packets, key=lambda one: one.time):
            file.packet(one.time, one.interface, one.data)
        file.event(2.0, "ended", reason="call_ended")
    return path


def test_assembling_transcoding_and_verifying_fill_bars_on_a_terminal(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal() as screen:
        monkeypatch.setattr(sys, "stderr", screen.stream)
        assert main(["assemble", str(capture), "--out", str(tmp_path / "out"), "--mp4"]) == 0
        assert main(["verify", str(tmp_path / "out")]) == 0
        monkeypatch.undo()
        shown = screen.close()
    assert {one.strip() for one in FULL.findall(shown)} >= {"reading", "writing", "transcoding"}, shown
    assert "A video: 100 %" in shown, "of verifying"


def test_elsewhere_they_print_plain_lines_now_and_then(capture: Path, tmp_path: Path) -> None:
    stream, now = io.StringIO(), 100.0
    with progress.bars(stream, lambda: now) as tell:
        for percent in range(101):
            now += 0.125
            tell("reading", percent / 100)
        tell("writing", 0.5)
    assert stream.getvalue() == "reading: 40%\nreading: 80%\n"


@pytest.mark.servers
async def test_a_load_test_has_a_bar_on_a_terminal_and_its_lines_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path) as server:
        arguments = f"call --url {server.relay.url} --as student_456 --to tutor_789 --calls 2 --kind voice --duration 1s"
        with terminal() as screen:
            monkeypatch.setattr(sys, "stderr", screen.stream)
            assert await asyncio.to_thread(main, arguments.split()) == 0
            monkeypatch.undo()
            shown = screen.close()
    assert "calls: 100 %" in shown
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[0])["second"] == 1
    assert "2 calls, 0 failed" in lines
