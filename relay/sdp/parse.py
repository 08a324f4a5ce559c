"""Reading a description: it is taken apart into lines, and checked for the little that the relay depends on.

That is BUNDLE, rtcp-mux, ICE credentials and a fingerprint: all media of a party shares one transport, which is encrypted.
"""

import re
from collections.abc import Sequence
from typing import Final

from relay.errors import SignalingError
from relay.media.api import DtlsRole, Fingerprint, TransportParameters
from relay.sdp import attributes
from relay.sdp.model import FLAGS, Section, SessionDescription

MAX_SECTIONS: Final = 32
"""Media sections of one description: a call has three, with screen sharing five."""

ORIGIN: Final = re.compile(r"o=\S+ (\d{1,20}) (\d{1,20}) IN IP[46] \S+")
_MEDIA_LINE: Final = re.compile(r"m=([A-Za-z0-9!#$%&'*+\-.^_`{|}~]+) ([0-9]{1,5})(?:/[0-9]{1,5})? ([^\s]+)((?: [^\s]+)+)")
_ICE_STRING: Final = re.compile(r"[A-Za-z0-9+/\-_=#]{4,256}")
"""RFC 8839 section 5.4 allows letters, digits, `+` and `/`. Servers and gateways also write the rest, and libwebrtc takes it."""
_HASH: Final = re.compile(r"([A-Za-z0-9-]{1,16}) ((?:[0-9A-Fa-f]{2}:){15,63}[0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""Some software ends a line at these, where a candidate could hide; `str.splitlines` of aiortc does."""


class _Invalid(SignalingError):
    def __init__(self, problem: str) -> None:
        super().__init__("invalid_sdp", problem)


def parse_sdp(text: str) -> SessionDescription:
    """Read and check a description.

    Raises:
        SignalingError: `invalid_sdp`; the text says what is wrong.
    """
    text = text.replace("\r\n", "\n")
    if _CONTROL.search(text):
        raise _Invalid("control characters in the description")
    lines = text.rstrip("\n").split("\n")
    problem = next((found for line in lines if (found := attributes.problem(line))), None)
    if lines[0] != "v=0" or problem:
        raise _Invalid(f"not a session description: {problem or 'it must begin with v=0'}")
    starts = [i for i, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        raise _Invalid("no media section")
    if len(starts) > MAX_SECTIONS:
        raise _Invalid(f"more than {MAX_SECTIONS} media sections")
    session = tuple(lines[: starts[0]])
    if not any(ORIGIN.fullmatch(line) for line in session):
        raise _Invalid("no valid o= line")
    sections = tuple(_section(lines[start:end]) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True))
    groups = [value.split(" ") for value in attributes.by_name(session).get("group", ())]
    bundle_groups = tuple(tuple(mids) for semantics, *mids in groups if semantics == "BUNDLE")
    bundled = _bundled(sections, bundle_groups)
    return SessionDescription(session, sections, bundle_groups, bundled, _transport(session, bundled))


def _section(lines: Sequence[str]) -> Section:
    match = _MEDIA_LINE.fullmatch(lines[0])
    if match is None:
        raise _Invalid("an m= line needs a kind, a port, a protocol and formats, with one space between them")
    named = attributes.by_name(lines[1:])
    return Section(
        kind=match[1],
        port=int(match[2]),
        protocol=match[3],
        formats=tuple(match[4][1:].split(" ")),
        lines=tuple(lines[1:]),
        flags=FLAGS & named.keys(),
        mid=next(iter(named.get("mid", ())), ""),
    )


def _bundled(sections: tuple[Section, ...], groups: tuple[tuple[str, ...], ...]) -> Section:
    """The section whose transport all share (RFC 9143), after checking that they do."""
    live = [section for section in sections if not section.rejected]
    if not live:
        raise _Invalid("every media section is rejected")
    # One section shares its transport with no other: SIP gateways, and webrtcbin by default, have no group then.
    group = groups[0] if groups else ()
    if not groups and len(live) > 1:
        raise _Invalid("no a=group:BUNDLE: all media must share one transport")
    if groups and any(not section.mid or section.mid not in group for section in live):
        raise _Invalid("a media section is not in the BUNDLE group")
    if any(section.is_rtp and section.flags.isdisjoint({"rtcp-mux", "bundle-only"}) for section in live):
        raise _Invalid("a media section has no a=rtcp-mux: RTP and RTCP must share one transport")
    return next((section for section in live if (section.mid,) == group[:1]), live[0])


def _transport(session: tuple[str, ...], section: Section) -> TransportParameters:
    # JSEP (RFC 9429 section 5.2.1) has them in the section. Firefox and Janus have some of them before the first one, for all.
    named = {**attributes.by_name(session), **attributes.by_name(section.lines)}

    def value(name: str) -> str:
        return next(iter(named.get(name, ())), "")

    ufrag, pwd = value("ice-ufrag"), value("ice-pwd")
    if not _ICE_STRING.fullmatch(ufrag) or not _ICE_STRING.fullmatch(pwd) or len(pwd) < 22:
        raise _Invalid("no valid a=ice-ufrag and a=ice-pwd")
    matches = [_HASH.fullmatch(one) for one in named.get("fingerprint", ())]
    if not matches or None in matches:
        raise _Invalid("no valid a=fingerprint: media must be encrypted by DTLS-SRTP")
    try:
        role = DtlsRole(value("setup"))
    except ValueError:
        raise _Invalid("a=setup must be actpass, active or passive") from None
    return TransportParameters(
        ufrag=ufrag,
        pwd=pwd,
        fingerprints=tuple(Fingerprint(match[1].lower(), match[2].upper()) for match in matches if match is not None),
        role=role,
    )


def is_candidate(text: str) -> bool:
    """Whether the `candidate` of an `ice_candidate` message is one (RFC 8839 section 5.1), or empty: the end of candidates."""
    if not text:
        return True
    fields = text.removeprefix("a=").removeprefix("candidate:").split()
    return len(fields) >= 8 and fields[1].isdigit() and fields[3].isdigit() and fields[5].isdigit() and fields[6] == "typ"
