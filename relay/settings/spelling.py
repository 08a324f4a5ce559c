"""How operators write the values and the names of settings: switches, units, quotation marks, other cases.

The type of a setting says how it is written. In the `extra` of its `msgspec.Meta` may stand:

- `unit`: `s`, `m` (minutes), `h` or `d`: the number is a time, and may be given in another unit; `MiB`: so is an amount of data;
- `synonyms`: options in upper case → the option that they stand for;
- `secret`: the value is not shown;
- `shown`: what makes the text that is shown out of the value.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import msgspec

_SWITCHES: Final = {"on": "true", "yes": "true", "off": "false", "no": "false"}

_SECONDS: Final = {
    "ms": 0.001,
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("m", "min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86_400.0),
}
"""Of each unit, which may also have the s of the plural."""

_DATA: Final = {"mib": 1.0, "gib": 1024.0, "tib": 1024.0 * 1024.0}
"""MiB in each unit."""

_TIME: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?([a-z]{1,7})", re.IGNORECASE)
"""A time, or an amount of data, with its unit: `45s`, `1.5 h`, `30 days`, `2 GiB`."""

_TIMES: Final = {
    "s": "seconds, such as 45 or 45s",
    "d": "days, such as 30",
    "h": "hours, such as 4",
    "m": "minutes, such as 90",
    "MiB": "MiB, such as 512 or 2GiB",
}

_QUOTED: Final = re.compile(r"(['\"]).*\1", re.DOTALL)


def read(kind: Any, text: str) -> Any:
    """The value that a text stands for.

    Args:
        kind: the type of the setting, as annotated.

    Raises:
        ValueError: it is not of that type, or out of bounds; the message says what to write.
    """
    value: str | list[str] = _usual(kind, text)
    if get_origin(_base(kind)) is tuple:
        value = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        problem, instead = str(error).partition(" - at `$")[0], _hint(kind, value)
        raise ValueError(f"{problem[:1].lower()}{problem[1:]}{'; ' if instead else ''}{instead}") from None


def shown(kind: Any, value: Any) -> str:
    """A value as the environment has it, without what is secret."""
    extra = _extra(kind)
    if extra.get("secret"):
        return "(set)" if value else ""
    if "shown" in extra:
        return str(extra["shown"](value))
    return ",".join(value) if isinstance(value, tuple) else str(value)


def resembling(name: str, known: Iterable[str]) -> str | None:
    """The name that was likely meant; None if it resembles no other."""
    found = difflib.get_close_matches(name.upper(), list(known), 1, 0.8)
    return found[0] if found else None


def _usual(kind: Any, text: str) -> str:
    """The spelling of a value that `msgspec` reads."""
    extra = _extra(kind)
    option = extra.get("synonyms", {}).get(text.upper(), text).lower()
    for one in _options(kind):
        if option == one.lower():
            return one
    if _base(kind) is bool:
        return _SWITCHES.get(text.lower(), text)
    match = _TIME.fullmatch(text) if "unit" in extra else None
    units, own = (_DATA, "mib") if extra.get("unit") == "MiB" else (_SECONDS, extra.get("unit", ""))
    size = units.get(match[2].lower()) or units.get(match[2].lower().removesuffix("s")) if match else None
    if match is None or size is None:
        return text
    amount = round(float(match[1]) * size / units[own], 6)
    return str(int(amount)) if amount.is_integer() else str(amount)


def _hint(kind: Any, value: str | list[str]) -> str:
    """What to write instead of a value that is not of its type."""
    if isinstance(value, str) and _QUOTED.fullmatch(value):
        return "the quotation marks are a part of the value, leave them out"
    numbers = {int: "a whole number", float: "a number", bool: "true or false"}
    unit = _extra(kind).get("unit")
    [number, *_] = [_TIMES.get(unit or "", text) for one in _members(kind) if (text := numbers.get(_base(one)))] or [""]
    [*first, last] = _options(kind) or [""]
    options = f"{', '.join(first)} or {last}" if first else last
    return f"write {', or '.join(one for one in (number, options) if one)}" if number or options else ""


def _members(kind: Any) -> tuple[Any, ...]:
    """The types of a union; of any other type, itself."""
    base = _base(kind)
    return get_args(base) if get_origin(base) in (Union, UnionType) else (base,)


def _options(kind: Any) -> list[str]:
    """What a setting with a choice may be."""
    return [option for one in _members(kind) if get_origin(one) is Literal for option in get_args(one) if option]


def _base(kind: Any) -> Any:
    """The type below `Annotated`."""
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def _extra(kind: Any) -> Mapping[str, Any]:
    """What the annotations of a type say beyond its bounds."""
    return {name: value for one in getattr(kind, "__metadata__", ()) for name, value in (one.extra or {}).items()}
