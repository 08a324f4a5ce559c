"""`python -m relay call`: calls without a browser, one or many."""

import argparse
import asyncio
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from yarl import URL

from relay.cli.arguments import profile, seconds, url
from relay.cli.call_report import lines_of, lines_of_load, load_failures, passed_limits
from relay.cli.command import EXIT_INTERRUPTED, Command
from relay.cli.progress import Progress, bars, say
from relay.client import ClientCall, ClientError, MediaFile, RecordingChanged, SignInFailed
from relay.client.headless import Account, CallPlan, make_call, take_call
from relay.client.load import MAX_CALLS, LoadSecond, LoadTest, pairs
from relay.client.pattern import pattern
from relay.client.recorder import SUFFIXES
from relay.ids import Profile

EXIT_FAILED: Final = 1
"""Exit status: there was no call, or a limit (--max-…, --min-mos) was passed."""

EXIT_IMPOSSIBLE: Final = 2
"""Exit status: the relay cannot be reached, the credential is refused, or the media cannot be used."""

_EPILOG: Final = """\
  call --as student_456 --to tutor_789                         call, and send a test pattern for 10 s
  call --as tutor_789 --answer                                 wait for a call, and answer it
  call --as student_456 --to tutor_789 --answer --record a.mkv both ends in one process
  call --as student_456 --to tutor_789 --calls 50 --rate 5/s   50 calls between student_456… and tutor_789…

exit status: 0, all was well; 1, a call failed or a limit was passed; 2, it could not be tried; 130, interrupted.
"""
_CODECS: Final = {"vp8": "VP8", "h264": "H264"}


class _Account(msgspec.Struct, frozen=True):
    """A line of --accounts."""

    caller: str
    callee: str
    caller_token: str = ""
    callee_token: str = ""
    conversation_id: int | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add = parser.add_argument
    add("--url", type=url, default=URL("http://localhost:8000"), help="URL of the relay's page (default: %(default)s)")
    add("--as", dest="own", metavar="KEY", type=profile, required=True, help="the profile to be, such as student_456")
    add("--to", metavar="KEY", type=profile, help="the profile to call, such as tutor_789")
    add("--answer", action="store_true", help="answer a call; with --to: be both ends")
    add("--token", default="", help="the token to sign in with; none is needed in development mode")
    add("--to-token", default="", help="the token of --to, to be both ends")
    add("--conversation", metavar="ID", type=int, help="the conversation of the call (default: the first that both are in)")
    add("--media", metavar="FILE", help="what to send (default: a test pattern that flashes and beeps each second)")
    add("--kind", choices=("voice", "video"), help="of the call (default: by what is sent)")
    add("--codec", choices=(*_CODECS,), help="of the video (default: that of the file if it can be sent as it is, else vp8)")
    add("--record", metavar="OUT", help="write what is received to this file: .webm or .mkv")
    add("--duration", metavar="TIME", type=seconds, help="of the call, such as 10s or 2m (default: as long as the file, or 10s)")
    add("--request-recording", action="store_true", help="ask that the relay records the call")
    add("--consent", choices=("yes", "no"), help="the answer when the other party asks for that")
    load = parser.add_argument_group("load")
    load.add_argument("--calls", metavar="N", type=_calls, default=1, help=f"calls at once, at most {MAX_CALLS}; counts packets")
    load.add_argument("--rate", metavar="N/s", type=_rate, default=5.0, help="calls that begin per second (default: 5/s)")
    load.add_argument("--accounts", metavar="FILE", help="a JSON object a line: caller, callee, caller_token, callee_token, …")
    limits = parser.add_argument_group("limits", "the exit status is 1 if one is passed")
    limits.add_argument("--max-setup", metavar="TIME", type=seconds, help="from the invitation until media flows")
    limits.add_argument(
        "--max-loss", metavar="PERCENT", type=_percent, help="of audio and of video, before retransmission, as RFC 3550 counts it"
    )
    limits.add_argument("--max-residual-loss", metavar="PERCENT", type=_percent, help="of video, after retransmission")
    limits.add_argument("--max-jitter", metavar="TIME", type=seconds, help="of the audio")
    limits.add_argument("--max-av-offset", metavar="TIME", type=seconds, help="between audio and video, of 95 %% of the flashes")
    limits.add_argument("--min-mos", metavar="N", type=float, help="mean opinion score, 1 to 4.5")
    limits.add_argument("--max-failed", metavar="PERCENT", type=_percent, default=0.0, help="calls that fail (default: 0)")
    add("--insecure", action="store_true", help="accept any TLS certificate")
    add("--turn", action="store_true", help="use the relay's TURN server where nothing else gets through")
    add("--json", action="store_true", help="print the result as one JSON object")


def run(given: argparse.Namespace, write: Callable[[str], None]) -> int:
    """Make the calls; returns the exit status.

    Args:
        write: takes a line of output.
    """
    problem = _problem_in(given)
    if problem:
        write(problem)
        return EXIT_IMPOSSIBLE
    try:
        with bars(sys.stderr) as progress:
            media = _media(given, progress)
        # aiortc and aioice log what goes wrong on the way, and the result says it.
        for name in ("aiortc", "aioice", "relay.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        if given.calls > 1 or given.accounts:
            return asyncio.run(_load(given, media, write))
        return asyncio.run(_single(given, media, write))
    except SignInFailed as failed:
        write(f"{given.url}: {failed}")
        return EXIT_IMPOSSIBLE
    except (ClientError, OSError, msgspec.DecodeError, ValueError) as error:
        write(f"{error}")
        return EXIT_IMPOSSIBLE


def _run(given: argparse.Namespace) -> int:
    try:
        return run(given, say)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


CALL: Final = Command(_run, add_arguments)


# -- one call ---------------------------------------------------------------------------------------------------------


async def _single(given: argparse.Namespace, media: MediaFile, write: Callable[[str], None]) -> int:
    plan = _plan(given, media)
    narrate: Callable[[str], None] = (lambda _: None) if given.json else write

    def on_call(call: ClientCall) -> None:
        asyncio.get_running_loop().create_task(_narrate(call, narrate))

    if given.to is None:
        narrate(f"{given.own.key} waits for a call")
        result = await take_call(plan, on_call)
    else:
        result = await make_call(plan, on_call)
    if given.json:
        write(msgspec.json.encode(result).decode())
    else:
        for line in lines_of(result):
            write(line)
        if given.record and not result.error:
            write(f"written: {given.record}")
    failures = [result.error] if result.error else [*passed_limits(given, result)]
    if not given.json:
        for failure in failures:
            write(f"FAILED: {failure}")
    return EXIT_FAILED if failures else 0


async def _narrate(call: ClientCall, narrate: Callable[[str], None]) -> None:
    """Say what a person has to know while the call lasts: above all, that it is recorded."""
    async for event in call.events():
        if isinstance(event, RecordingChanged):
            reason = f" ({event.reason})" if event.reason else ""
            narrate(f"{call.own.key}: recording: {event.state}{reason}")


# -- load -------------------------------------------------------------------------------------------------------------


async def _load(given: argparse.Namespace, media: MediaFile, write: Callable[[str], None]) -> int:
    plans = _plans(given, media)
    with bars(sys.stderr) as progress:

        def on_second(second: LoadSecond) -> None:
            write(msgspec.json.encode(second).decode())
            if sys.stderr.isatty():  # elsewhere the lines above say it
                progress("calls", (second.ended + second.failed) / len(plans))

        report = await LoadTest(plans, given.rate, on_second).run()
    failures = [*load_failures(given, report)]
    if given.json:
        whole = {"results": report.results, "cpu": report.cpu, "failures": failures}
        write(msgspec.json.encode(whole).decode())
    else:
        for line in lines_of_load(report):
            write(line)
        for failure in failures:
            write(f"FAILED: {failure}")
    return EXIT_FAILED if failures else 0


# -- arguments --------------------------------------------------------------------------------------------------------


def _problem_in(given: argparse.Namespace) -> str:
    """What is wrong with the arguments together; empty: nothing."""
    many = given.calls > 1
    problems = {
        "name the profile to call with --to, or wait for a call with --answer": given.to is None and not given.answer,
        "--as and --to are the same profile": given.to == given.own,
        "--calls makes calls: it needs --to": many and given.to is None,
        "--record, --token and --request-recording are for one call; --accounts has the tokens of many": many
        and (given.record or given.token or given.request_recording),
        "--max-av-offset is for one call: the load generator decodes nothing": given.max_av_offset is not None
        and (many or given.accounts),
        f"--record {given.record}: the file ends in {' or '.join(SUFFIXES)}": given.record
        and not given.record.endswith(SUFFIXES),
    }
    return next((problem for problem, found in problems.items() if found), "")


def _media(given: argparse.Namespace, progress: Progress) -> MediaFile:
    codec = _CODECS.get(given.codec or "")
    if given.media is None:
        return pattern(codec or "VP8", video=given.kind != "voice", progress=partial(progress, "test pattern"))
    return MediaFile.read(given.media, video_codec=codec, progress=partial(progress, f"reading {Path(given.media).name}"))


def _plan(given: argparse.Namespace, media: MediaFile) -> CallPlan:
    own = Account(given.own, given.token)
    other = Account(given.to or given.own, given.to_token)
    duration = given.duration if given.duration is not None or given.media else (None if given.to is None else 10.0)
    return CallPlan(
        url=str(given.url),
        caller=own,
        callee=own if given.to is None else other,
        conversation_id=given.conversation,
        kind=given.kind or ("video" if media.video is not None else "voice"),
        media=media,
        codecs=(),
        duration=duration,
        record=given.record,
        answer=given.answer,
        request_recording=given.request_recording,
        consent=None if given.consent is None else given.consent == "yes",
        verify=not given.insecure,
        turn=given.turn,
    )


def _plans(given: argparse.Namespace, media: MediaFile) -> list[CallPlan]:
    plan = _plan(given, media)
    if not given.accounts:
        both = pairs(plan.caller, plan.callee, given.calls)
        return [
            replace(plan, caller=caller, callee=callee, conversation_id=None if at else plan.conversation_id)
            for at, (caller, callee) in enumerate(both)
        ]
    lines = [line for line in Path(given.accounts).read_text().splitlines() if line.strip()][: MAX_CALLS + 1]
    accounts = [msgspec.json.decode(line, type=_Account) for line in lines]
    if len(accounts) < given.calls or len(accounts) > MAX_CALLS:
        raise ValueError(f"{given.accounts} has {len(accounts)} lines: it needs one per call, and at most {MAX_CALLS}")
    return [
        replace(
            plan,
            caller=Account(Profile.parse(one.caller), one.caller_token),
            callee=Account(Profile.parse(one.callee), one.callee_token),
            conversation_id=one.conversation_id,
        )
        for one in accounts[: given.calls if given.calls > 1 else None]
    ]


def _calls(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_CALLS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of calls, 1 to {MAX_CALLS}")
    return int(text)


def _rate(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/s)?", text)
    if match is None or not 0.01 <= float(match[1]) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate such as 5/s, 0.01/s to 100/s")
    return float(match[1])


def _percent(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%?", text)
    if match is None or float(match[1]) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage such as 1%")
    return float(match[1]) / 100
