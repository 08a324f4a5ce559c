"""Times as the commands take them."""

import argparse
import re
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """A time such as `500ms`, `10s`, `2m`, or a number of seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 500ms, 10s or 2m")
    return float(match[1]) * _UNITS[match[2] or "s"]
