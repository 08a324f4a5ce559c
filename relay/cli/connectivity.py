"""`python -m relay check URL`: its arguments and its output."""

import argparse
import asyncio
import logging
from typing import Final

import msgspec

from relay.check.check import check
from relay.check.report import Hop, Report, Result
from relay.check.verdicts import LABELS, ConnectionVerdict, figures_text, result_text, verdict
from relay.cli.arguments import profile, url
from relay.cli.command import EXIT_INTERRUPTED, Command
from relay.client.signin import ClientLogin
from relay.ids import Profile

_EPILOG: Final = """\
exit status: 0, calls get through; 1, they do not; 2, the relay could not be tested.
"""
_MARKS: Final = {"ok": "✓", "failed": "✗", "off": "–", "skipped": "–"}
_WIDTH: Final = max(map(len, LABELS.values())) + 1


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("url", metavar="URL", type=url, help="URL of its page: https://relay.example")
    parser.add_argument("--token", default="", help="the token to sign in with, as its clients send it")
    parser.add_argument(
        "--user",
        metavar="KEY",
        type=profile,
        default=Profile("student", 456),
        help="the profile to log in as, in development mode, which needs no token (default: student_456)",
    )
    parser.add_argument("--insecure", action="store_true", help="accept any TLS certificate")
    parser.add_argument("--json", action="store_true", help="print report and verdict as one JSON object")


def _run(given: argparse.Namespace) -> int:
    try:
        return _test(given)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _test(arguments: argparse.Namespace) -> int:
    # aiortc and aioice log the failures of blocked paths as errors, and asyncio the exceptions that they do not retrieve.
    logging.disable(logging.CRITICAL)

    def on_result(hop: Hop, result: Result) -> None:
        if not arguments.json:
            print(f"{_MARKS[result.state]} {LABELS[hop]:<{_WIDTH}} {result_text(hop, result)}", flush=True)

    user: Profile = arguments.user
    credential = ClientLogin(arguments.token, user.profile_type, user.profile_id)
    report = asyncio.run(check(arguments.url, credential, on_result, verify=not arguments.insecure))
    found = verdict(report)
    if arguments.json:
        print(_json(report, found), flush=True)
    else:
        print(flush=True)
        if report.figures is not None:
            print(figures_text(report.figures), flush=True)
        for sentence in found.sentences:
            print(sentence, flush=True)
    return found.status


def _json(report: Report, found: ConnectionVerdict) -> str:
    whole = {"status": found.status, "sentences": found.sentences, "report": report}
    return msgspec.json.format(msgspec.json.encode(whole).decode(), indent=2)


CHECK: Final = Command(_run, _add_arguments)
