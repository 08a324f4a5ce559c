"""The limits that a recording is held to, and how they are written. Sans-IO."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from relay.errors import RelayError


class LimitError(RelayError, ValueError):
    """A limit's text cannot be read."""


@dataclass(frozen=True, slots=True)
class VerificationLimits:
    """What a recording may have at most, or must have at least. None: no limit."""

    max_freeze: float | None = None
    """Seconds of the longest freeze of a video."""
    max_loss: float | None = None
    """% of a track's packets, after repair."""
    max_av_offset: float | None = None
    """Seconds between audio and video, in 95 % of the seconds."""
    max_silence: float | None = None
    """Seconds of the longest silence that a party sent."""
    min_psnr: float | None = None
    """dB, against the reference."""
    min_ssim: float | None = None
    """0 to 1, against the reference."""
    min_stoi: float | None = None
    """0 to 1, against the reference."""
    max_drift: float | None = None
    """ppm between a media clock and the sender's wall clock."""
    max_missing_frames: float | None = None
    """Frames that are in the reference, or were sent, and are not in the video."""

    @property
    def need_reference(self) -> list[str]:
        """Options that are set and mean nothing without a reference."""
        return [option(name) for name in ("min_psnr", "min_ssim", "min_stoi") if getattr(self, name) is not None]


UNITS: Final[Mapping[str, str]] = {
    "max_freeze": "s",
    "max_loss": "%",
    "max_av_offset": "s",
    "max_silence": "s",
    "min_psnr": "dB",
    "min_ssim": "",
    "min_stoi": "",
    "max_drift": "ppm",
    "max_missing_frames": "frames",
}

_FACTORS: Final[Mapping[str, Mapping[str, float]]] = {
    "s": {"s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60},
    "%": {"%": 1},
    "dB": {"": 1, "db": 1},
    "": {"": 1},
    "ppm": {"ppm": 1, "%": 1e4},
    "frames": {"": 1, "frames": 1, "frame": 1},
}
"""Of a limit's unit: what may be written, and its factor. A time has no default unit, since 500 could be either."""


def option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def parse_limit(name: str, text: str) -> float:
    """Read `500ms`, `1%`, `35dB`, `0.9`, `100ppm` or `10`, as the limit's unit allows.

    Raises:
        LimitError: it says what is wrong, and gives an example.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ%]*)\s*", text, re.IGNORECASE)
    factors = _FACTORS[UNITS[name]]
    factor = factors.get(match[2].lower()) if match else None
    if match is None or factor is None:
        units = " or ".join(unit or "no unit" for unit in factors)
        raise LimitError(f"{option(name)} {text!r}: expected a number with {units}, as in {EXAMPLES[name]}")
    value = float(match[1]) * factor
    if name in {"min_ssim", "min_stoi"} and value > 1:
        raise LimitError(f"{option(name)} {text!r}: the scale ends at 1")
    return value


def parse_limits(text: str) -> VerificationLimits:
    """Read several, as the setting has them: `max-freeze=500ms max-loss=1%`.

    Raises:
        LimitError: it says what is wrong.
    """
    found: dict[str, float] = {}
    for part in text.replace(",", " ").split():
        written, equals, value = part.removeprefix("--").partition("=")
        name = written.replace("-", "_")
        if name not in UNITS or not equals:
            known = ", ".join(map(_plain, UNITS))
            raise LimitError(f"{part!r} is no limit, as max-freeze=500ms is one; there are: {known}")
        if name in found:
            raise LimitError(f"{written} is given twice")
        found[name] = parse_limit(name, value)
    return VerificationLimits(**found)


def _plain(name: str) -> str:
    return option(name).removeprefix("--")


def described(limits: Mapping[str, float | None]) -> list[str]:
    """Those that are set, for people: `max-freeze 500 ms`."""
    return [
        f"{_plain(name)} {shown(value, UNITS[name])}" for name, value in limits.items() if value is not None and name in UNITS
    ]


EXAMPLES: Final[Mapping[str, str]] = {
    "max_freeze": "500ms",
    "max_loss": "1%",
    "max_av_offset": "80ms",
    "max_silence": "5s",
    "min_psnr": "35dB",
    "min_ssim": "0.95",
    "min_stoi": "0.8",
    "max_drift": "100ppm",
    "max_missing_frames": "10",
}


def shown(value: float, unit: str) -> str:
    """A value with its unit, for people."""
    if unit == "s":
        return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.1f} s"
    if unit == "frames":
        return count_of(round(value), "frame")
    if unit == "%":
        return f"{value:.1f} %" if value else "0 %"
    number = f"{value:.0f}" if unit == "ppm" else f"{value:.1f}" if unit else f"{value:.3f}"
    return f"{number} {unit}".rstrip()


def count_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
