"""`python -m relay call`, as QA and operators run it."""

import asyncio
import contextlib
import json
from pathlib import Path

import av
import pytest

from relay.__main__ import main
from tests.kit import process
from tests.kit.process import Server, serving
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

BOTH = ("--as", "student_456", "--to", "tutor_789")


async def call(folder: Path, url: str, *arguments: str) -> process.Outcome:
    """Its outcome; whatever happens, there is no traceback."""
    outcome = await process.run(folder, "call", "--url", url, *arguments)
    assert "Traceback" not in outcome.out + outcome.err
    return outcome


async def has_device(server: Server) -> bool:
    return (await server.relay.counters())["relay_devices"] == 1


async def test_one_program_calls_another_and_writes_down_what_it_receives(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, contextlib.AsyncExitStack() as apart:
        out = tmp_path / "got.webm"
        callee = await apart.enter_async_context(
            process.started(tmp_path, "call", "--url", server.relay.url, "--as", "tutor_789", "--answer")
        )
        assert callee.stdout is not None
        assert await asyncio.wait_for(callee.stdout.readline(), process.START) == b"tutor_789 waits for a call\n"
        await eventually(lambda: has_device(server), "the callee is connected")
        limits = ("--max-loss", "1%", "--max-residual-loss", "1%", "--min-mos", "4", "--max-av-offset", "90ms")
        outcome = await call(tmp_path, server.relay.url, *BOTH, "--duration", "3s", "--record", str(out), *limits)
        assert outcome.status == 0, outcome
        setup, about, audio, video, offset, *_, written = outcome.out.splitlines()
        assert setup.startswith("set-up: ringing 0.")
        assert about.startswith("call ")
        assert about.endswith("ended: hangup")
        assert audio.startswith("audio: loss 0.00%, jitter ")
        assert video.startswith("video: loss 0.00% before and 0.00% after retransmission, jitter ")
        assert offset.startswith("A/V offset: audio ")
        assert written == f"written: {out}"
        theirs, _ = await asyncio.wait_for(callee.communicate(), process.PATIENCE)
        assert callee.returncode == 0
        assert b"ended: hangup" in theirs
    with av.open(str(out)) as container:
        assert [stream.codec_context.name for stream in container.streams] == ["opus", "vp8"]
        assert sum(1 for _ in container.decode(video=0)) > 40


async def test_limits_decide_about_the_exit_status(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        outcome = await call(
            tmp_path,
            server.relay.url,
            *BOTH,
            "--answer",
            "--kind",
            "voice",
            "--duration",
            "1s",
            "--min-mos",
            "4.6",
            "--max-setup",
            "9s",
            "--max-av-offset",
            "80ms",
        )
        assert outcome.status == 1
        unmeasured, failure = [line for line in outcome.out.splitlines() if line.startswith("FAILED")]
        assert unmeasured.startswith("FAILED: the A/V offset is not measurable")
        assert failure.startswith("FAILED: the MOS is 4.")
        assert failure.endswith(", below 4.6")

        nothing = await call(tmp_path, server.relay.url, *BOTH, "--kind", "voice", "--json")
        result = json.loads(nothing.out)
        assert (nothing.status, result) == (1, {"error": "not taken: offline"})


async def test_load_is_told_each_second_and_summed_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        outcome = await call(tmp_path, server.relay.url, *BOTH, "--calls", "3", "--rate", "10/s", "--duration", "3s")
        assert outcome.status == 0, outcome
        lines = outcome.out.splitlines()
        seconds = [json.loads(line) for line in lines if line.startswith("{")]
        assert [one["second"] for one in seconds] == [*range(1, len(seconds) + 1)]
        assert max(one["connected"] for one in seconds) == 3
        assert max(one["packets"] for one in seconds) > 3 * 2 * 50
        assert {one["failed"] for one in seconds} == {0}
        assert lines[len(seconds)] == "3 calls, 0 failed"
        assert lines[len(seconds) + 1].startswith("set-up: median ")
        assert any(line.startswith("this load generator used ") for line in lines)
        assert len([row for row in await server.relay.call_logs() if row["status"] == "ended"]) == 3


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((*BOTH, "--media", "/does/not/exist.webm"), "/does/not/exist.webm cannot be sent: "),
        ((*BOTH, "--calls", "501"), "'501' is not a number of calls, 1 to 500"),
        ((*BOTH, "--calls", "2", "--record", "a.mkv"), "--record, --token and --request-recording are for one call"),
        (
            (*BOTH, "--calls", "2", "--max-av-offset", "80ms"),
            "--max-av-offset is for one call: the load generator decodes nothing",
        ),
        ((*BOTH, "--record", "a.wav"), "the file ends in .webm or .mkv"),
        ((*BOTH, "--duration", "soon"), "'soon' is not a time such as 500ms, 10s or 2m"),
        (("--as", "student_456"), "name the profile to call with --to, or wait for a call with --answer"),
        (("--as", "student_456", "--to", "student_456"), "--as and --to are the same profile"),
    ],
)
def test_arguments_that_make_no_sense_are_status_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], problem: str
) -> None:
    try:
        status = main(["call", *arguments])
    except SystemExit as left:
        status = int(left.code or 0)
    printed = capsys.readouterr()
    assert status == 2
    assert problem in printed.out + printed.err


async def test_a_relay_that_cannot_be_reached_is_status_2(tmp_path: Path) -> None:
    outcome = await call(tmp_path, "http://127.0.0.1:1", *BOTH, "--kind", "voice")
    assert (outcome.status, outcome.out) == (2, "http://127.0.0.1:1: connections are refused\n")
