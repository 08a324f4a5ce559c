"""Candidates in the relay's session descriptions: read, and replaced by others."""

import re
from collections.abc import Sequence
from typing import Final

from relay.check.report import Target

_CANDIDATE: Final = re.compile(r"^a=candidate:\S+ 1 (udp|tcp) \d+ (\S+) (\d{1,5}) typ ", re.IGNORECASE | re.MULTILINE)


def candidates(sdp: str, transport: str) -> tuple[Target, ...]:
    """The candidates for `udp` or `tcp` (RFC 8839 section 5.1), each address once."""
    found = [(kind.lower(), Target(host, int(port))) for kind, host, port in _CANDIDATE.findall(sdp)]
    return tuple(dict.fromkeys(target for kind, target in found if kind == transport))


def with_candidates(sdp: str, targets: Sequence[Target]) -> str:
    """The description with these UDP host candidates in place of its own."""
    # 2130706431 is the priority of a host candidate (RFC 8445 section 5.1.2).
    ours = [f"a=candidate:{n} 1 udp {2130706431 - n} {one.host} {one.port} typ host" for n, one in enumerate(targets, 1)]
    lines = []
    for line in sdp.splitlines():
        if line == "a=end-of-candidates":
            lines += ours
        if not line.startswith("a=candidate:"):
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"
