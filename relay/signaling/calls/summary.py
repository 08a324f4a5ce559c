"""What an operator wants to know of a call that is over: why it ended, its media's routes, and how good they were.

One line of the log each. It has no names and no addresses.
"""

from collections.abc import Mapping
from typing import Any

from relay.signaling.calls.live import LiveCall, PartyMedia


def summary(live: LiveCall, now: float) -> dict[str, Any]:
    """The fields of the line about a call that has just ended."""
    call = live.call
    answered_at = None if live.answered_at is None else (live.answered_at - live.timeline.epoch).total_seconds()
    connected_at = live.course.connected_at
    found: dict[str, Any] = {
        "event": "call_ended",
        "call_id": call.call_id,
        "reason": call.end_reason and call.end_reason.value,
        "call_type": call.call_type,
        "rang_seconds": round((now if answered_at is None else answered_at) - call.invited_at, 1),
        "duration_seconds": None if answered_at is None else round(now - answered_at, 1),
        "connected_after_seconds": None if answered_at is None or connected_at is None else round(connected_at - answered_at, 1),
        "interruptions": live.course.interruptions,
        "caller": _of(live.caller),
        "callee": _of(live.callee),
    }
    return {name: value for name, value in found.items() if value is not None}


def line(fields: Mapping[str, Any]) -> str:
    """The fields as `NAME=VALUE`, those of a party after its role: `caller.rtt_ms=42.1`."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        elif name not in ("event", "call_id"):
            flat[name] = value
    return " ".join(f"{name}={value}" for name, value in flat.items())


def _of(media: PartyMedia) -> dict[str, Any]:
    return media.quality.fields(media.path)
