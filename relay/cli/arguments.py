"""Types of arguments that several commands take."""

import argparse
import re
from typing import Final

from yarl import URL

from relay.ids import Profile

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """A time such as `500ms`, `10s`, `2m`, or a number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 500ms, 10s or 2m")
    return float(match[1]) * _UNITS[match[2] or "s"]


def url(text: str) -> URL:
    """Of a page of the relay, with its scheme or without."""
    try:
        found = URL(text if "://" in text else f"https://{text}")
        if found.scheme not in {"http", "https"} or not found.host or not found.port:
            raise ValueError(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an http or https URL") from None
    return found.with_query(None).with_fragment(None)


def profile(text: str) -> Profile:
    """Such as `student_456`."""
    try:
        return Profile.parse(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a profile; an example is student_456") from None
