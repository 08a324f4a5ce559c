"""`python -m relay check URL`: its arguments and its output."""

import argparse
import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from yarl import URL

from relay.check.check import check
from relay.check.report import Hop, Report, Result
from relay.check.verdicts import LABELS, ConnectionVerdict, figures_text, result_text, verdict
from relay.client.signin import ClientLogin
from relay.ids import Profile

NAME: Final = "check"
PURPOSE: Final = "Test over which paths media reaches the relay at URL from here, and say which ports to open."

_EPILOG: Final = """\
exit status: 0, calls get through; 1, they do not; 2, the relay could not be tested.
"""
_MARKS: Final = {"ok": "✓", "failed": "✗", "off": "–", "skipped": "–"}
_WIDTH: Final = max(map(len, LABELS.values())) + 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("url", metavar="URL", type=_url, help="URL of its page: https://relay.example")
    parser.add_argument("--token", default="", help="the token to sign in with, as its clients send it")
    parser.add_argument(
        "--user",
        metavar="KEY",
        type=_profile,
        default=Profile("student", 456),
        help="the profile to log in as, in development mode, which needs no token (default: student_456)",
    )
    parser.add_argument("--insecure", action="store_true", help="accept any TLS certificate")
    parser.add_argument("--json", action="store_true", help="print report and verdict as one JSON object")


def run(arguments: argparse.Namespace, write: Callable[[str], None]) -> int:
    """Run the test; returns the exit status.

    Args:
        write: takes a line of output.
    """
    # aiortc and aioice log the failures of blocked paths as errors, and asyncio the exceptions that they do not retrieve.
    logging.disable(logging.CRITICAL)

    def on_result(hop: Hop, result: Result) -> None:
        if not arguments.json:
            write(f"{_MARKS[result.state]} {LABELS[hop]:<{_WIDTH}} {result_text(hop, result)}")

    profile = arguments.user
    credential = ClientLogin(arguments.token, profile.profile_type, profile.profile_id)
    report = asyncio.run(check(arguments.url, credential, on_result, verify=not arguments.insecure))
    found = verdict(report)
    if arguments.json:
        write(_json(report, found))
    else:
        write("")
        if report.figures is not None:
            write(figures_text(report.figures))
        for sentence in found.sentences:
            write(sentence)
    return found.status


def _json(report: Report, found: ConnectionVerdict) -> str:
    whole = {"status": found.status, "sentences": found.sentences, "report": report}
    return msgspec.json.format(msgspec.json.encode(whole).decode(), indent=2)


def _url(text: str) -> URL:
    try:
        url = URL(text if "://" in text else f"https://{text}")
        if url.scheme not in {"http", "https"} or not url.host or not url.port:
            raise ValueError(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http or https URL") from None
    return url.with_query(None).with_fragment(None)


def _profile(text: str) -> Profile:
    try:
        return Profile.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a profile; an example is student_456") from None
