"""One party's description for the other party: the media part passes untouched, the transport part becomes the relay's.

`relay.sdp.attributes` says which lines pass.
"""

from collections.abc import Iterator
from typing import Final

from relay.media.api import TransportParameters
from relay.sdp import attributes
from relay.sdp.model import Section, SessionDescription
from relay.sdp.parse import ORIGIN
from relay.sdp.write import candidate_lines, credential_lines, fingerprint_lines, network

SESSION_ID: Final = 1
"""The id in `o=` of every description that the relay gives. One peer connection has one session, so the id has nothing to tell
apart (RFC 8866 section 5.2)."""


def rewrite_sdp(description: SessionDescription, transport: TransportParameters, version: int = 1) -> str:
    """The description with `transport`, the relay's own end, in place of the sender's.

    Args:
        description: one party's offer or answer.
        transport: the relay's end towards the other party; its first candidate is for UDP.
        version: of the session, which is the relay's too: the party behind it may change its peer connection.
    """
    first = transport.candidates[0]
    lines = []
    for line in description.session:
        if ORIGIN.fullmatch(line):
            lines.append(f"o=- {SESSION_ID} {version} IN {network(first.address)}")
        elif attributes.passes(line):
            lines.append(line)
    lines.append("a=ice-lite")
    # Firefox has its fingerprint once, for all sections. Chromium takes that of a bundle-only section from the one before, and
    # rejects a second such section in a row if there is none, as when a screen is shared in a voice call.
    for_all = "fingerprint" in attributes.by_name(description.session)
    for section in description.sections:
        # A bundle-only section has no transport of its own (RFC 9143 section 6), unless there is nothing but such.
        carries = section.port != 0 or section is description.bundled
        lines += _rewrite_section(section, transport, carries=carries, for_all=for_all and not section.rejected)
    return "\r\n".join(lines) + "\r\n"


def _rewrite_section(section: Section, transport: TransportParameters, *, carries: bool, for_all: bool) -> Iterator[str]:
    first = transport.candidates[0]
    port = first.port if section.port else 0
    yield f"m={' '.join([section.kind, str(port), section.protocol, *section.formats])}"
    kept = [line for line in section.lines if attributes.passes(line)]
    # RFC 8866 section 5: i= comes before c=, and both before the attributes.
    yield from (line for line in kept if line.startswith("i="))
    yield f"c=IN {network(first.address)}"
    yield from (line for line in kept if not line.startswith("i="))
    # Some repeat all but the candidates in bundle-only sections, and refuse descriptions without (webrtcbin, aiortc). webrtcbin
    # refuses those without in a rejected section too, where Chromium has them.
    if carries or not section.flags.isdisjoint({"ice-ufrag", "ice-pwd"}):
        yield from credential_lines(transport)
    if carries or for_all or "fingerprint" in section.flags:
        yield from fingerprint_lines(transport)
    if carries or "setup" in section.flags:
        yield f"a=setup:{transport.role}"
    if carries:
        yield from candidate_lines(transport)
