"""How operators write the values and the names of settings: switches, units, quotation marks, other cases."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Final, get_args, get_origin

_SWITCHES: Final = {"on": "true", "yes": "true", "off": "false", "no": "false"}

_LEVELS: Final = {"WARN": "WARNING"}

_SECONDS: Final = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86_400.0),
}
"""Of each unit, which may also have the s of the plural."""

_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([a-z]{1,7})", re.IGNORECASE)
"""A time with its unit: `45s`, `1.5 h`, `30 days`."""

_QUOTED: Final = re.compile(r"(['\"]).*\1", re.DOTALL)


def usual(name: str, kind: Any, value: str) -> str:
    """The spelling of a value that settings are read by, for those that others are used to.

    Args:
        name: of the setting, in lower case.
        kind: its type, as annotated.
    """
    if name == "log_level":
        return _LEVELS.get(value.upper(), value.upper())
    if name == "workers":
        return value.lower()
    if _base(kind) is bool:
        return _SWITCHES.get(value.lower(), value)
    unit = _unit(name, kind)
    match = _TIME.fullmatch(value) if unit else None
    seconds = _SECONDS.get(match[2].lower()) or _SECONDS.get(match[2].lower().removesuffix("s")) if match else None
    if match is None or seconds is None:
        return value
    amount = round(float(match[1]) * seconds / _SECONDS[unit], 6)
    return str(int(amount)) if amount.is_integer() else str(amount)


def hint(name: str, kind: Any, value: str | list[str]) -> str:
    """What to write instead of a value that is not of its kind."""
    if isinstance(value, str) and _QUOTED.fullmatch(value):
        return "the quotation marks are a part of the value, leave them out"
    if name == "log_level":
        return "write DEBUG, INFO, WARNING or ERROR"
    if name == "workers":
        return "write a whole number, or auto"
    if _base(kind) is bool:
        return "write true or false"
    if _base(kind) in (int, float):
        what = {"s": "seconds, such as 45 or 45s", "d": "days, such as 30", "m": "minutes, such as 90"}
        return f"write {what.get(_unit(name, kind), 'a whole number')}"
    return ""


def resembling(name: str, known: Iterable[str]) -> str | None:
    """The name that was likely meant; None if it resembles no other."""
    found = difflib.get_close_matches(name.upper(), list(known), 1, 0.8)
    return found[0] if found else None


def _base(kind: Any) -> Any:
    """The type below `Annotated`."""
    return _base(get_args(kind)[0]) if get_origin(kind) is not None and hasattr(kind, "__metadata__") else kind


def _unit(name: str, kind: Any) -> str:
    """The unit that a number is in; empty if it is no time."""
    if name.endswith("_days"):
        return "d"
    if name.endswith("_minutes"):
        return "m"
    # Every setting that is no whole number is a time.
    return "s" if _base(kind) is float or name.endswith(("_lifetime", "_seconds")) else ""
