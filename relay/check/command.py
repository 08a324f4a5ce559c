"""`python -m relay check URL`: its arguments, and what it says."""

import argparse
import asyncio
import logging
from collections.abc import Callable
from typing import Final

import msgspec
from yarl import URL

from relay.check.check import check
from relay.check.door import Credential
from relay.check.report import Hop, Report, Result
from relay.check.verdicts import LABELS, figures_text, result_text, verdict
from relay.ids import Profile

NAME: Final = "check"
PURPOSE: Final = "Test from here which ways calls get through to the relay at URL, and say what to open."

_EPILOG: Final = """\
exit status: 0, calls get through; 1, they do not; 2, the relay could not be asked.
"""
_MARKS: Final = {"ok": "✓", "failed": "✗", "off": "–", "skipped": "–"}
_WIDTH: Final = max(map(len, LABELS.values())) + 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("url", metavar="URL", type=_url, help="where its page is: https://relay.example")
    parser.add_argument("--token", default="", help="who you are, as the relay's clients show it")
    parser.add_argument(
        "--user",
        metavar="KEY",
        type=_profile,
        default=Profile("student", 456),
        help="log in as that profile (in development mode, where no token is needed); student_456 if not said",
    )
    parser.add_argument("--insecure", action="store_true", help="take any TLS certificate")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")


def run(arguments: argparse.Namespace, write: Callable[[str], None]) -> int:
    """Run the test; its exit status.

    Args:
        write: takes a line of output.
    """
    # aiortc and aioice log what fails in the ways that fail, as errors; asyncio, what they leave behind then.
    logging.disable(logging.CRITICAL)

    def tell(hop: Hop, result: Result) -> None:
        if not arguments.json:
            write(f"{_MARKS[result.state]} {LABELS[hop]:<{_WIDTH}} {result_text(hop, result)}")

    profile = arguments.user
    credential = Credential(arguments.token, profile.profile_type, profile.profile_id)
    report = asyncio.run(check(arguments.url, credential, tell, verify=not arguments.insecure))
    meaning = verdict(report)
    if arguments.json:
        write(_json(report))
    else:
        write("")
        if report.figures is not None:
            write(figures_text(report.figures))
        for sentence in meaning.sentences:
            write(sentence)
    return meaning.status


def _json(report: Report) -> str:
    meaning = verdict(report)
    whole = {"status": meaning.status, "sentences": meaning.sentences, "report": report}
    return msgspec.json.format(msgspec.json.encode(whole).decode(), indent=2)


def _url(text: str) -> URL:
    try:
        url = URL(text if "://" in text else f"https://{text}")
        if url.scheme not in {"http", "https"} or not url.host or not url.port:
            raise ValueError(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no http or https URL") from None
    return url.with_query(None).with_fragment(None)


def _profile(text: str) -> Profile:
    try:
        return Profile.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} names no profile; one is student_456") from None
