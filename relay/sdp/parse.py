"""Session descriptions (RFC 8866, JSEP RFC 8829): the media part goes through untouched, the transport part becomes the relay's.

A description is taken apart into lines, checked for the little that the relay depends on (BUNDLE, rtcp-mux, ICE credentials, a
fingerprint), and put together again with other transport lines. `relay.sdp.attributes` says which lines stay.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from relay.errors import SignalingError
from relay.media.api import (
    Candidate,
    Codec,
    DtlsRole,
    Fingerprint,
    MediaDescription,
    TransportParameters,
)
from relay.sdp import attributes

MAX_SECTIONS: Final = 32
"""Media sections of one description: a call has three, with screen sharing five."""

SESSION_ID: Final = 1
"""The id in `o=` of every description that the relay gives. One peer connection has one session, so nothing else need tell it
apart (RFC 8866 section 5.2)."""

_ORIGIN: Final = re.compile(r"o=\S+ (\d{1,20}) (\d{1,20}) IN IP[46] \S+")
_MEDIA_LINE: Final = re.compile(r"m=[A-Za-z0-9!#$%&'*+\-.^_`{|}~]+ [0-9]{1,5}(?:/[0-9]{1,5})? [^\s]+(?: [^\s]+)+")
_ICE_STRING: Final = re.compile(r"[A-Za-z0-9+/\-_=#]{4,256}")
"""RFC 8839 section 5.4 allows letters, digits, `+` and `/`. Servers and gateways also write the rest, and libwebrtc takes it."""
_HASH: Final = re.compile(r"([A-Za-z0-9-]{1,16}) ((?:[0-9A-Fa-f]{2}:){15,63}[0-9A-Fa-f]{2})")
_RTPMAP: Final = re.compile(r"a=rtpmap:([0-9]{1,3}) ([^/\s]{1,64})/0*([1-9][0-9]{0,6})(?:/|\s|$)")
_EXTMAP: Final = re.compile(r"a=extmap:(\d{1,5})(?:/\w+)? (\S{1,256})")
_SSRC: Final = re.compile(r"a=ssrc:(\d{1,10})\b")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class _Invalid(SignalingError):
    def __init__(self, problem: str) -> None:
        super().__init__("invalid_sdp", problem)


@dataclass(frozen=True, slots=True)
class _Section:
    """One media section: its m-line and what follows."""

    lines: tuple[str, ...]

    @property
    def fields(self) -> list[str]:
        """kind, port, protocol, formats…"""
        return self.lines[0][2:].split(" ")

    @property
    def kind(self) -> str:
        return self.fields[0]

    @property
    def bundle_only(self) -> bool:
        return self.has("bundle-only")

    @property
    def has_port(self) -> bool:
        return self.fields[1].strip("0") != ""

    @property
    def rejected(self) -> bool:
        """RFC 3264 section 6; port 0 with bundle-only is no rejection (RFC 8843 section 6)."""
        return not self.has_port and not self.bundle_only

    @property
    def mid(self) -> str:
        return self.value("mid") or ""

    def has(self, *names: str) -> bool:
        """Whether there is an attribute of one of these names."""
        return any(attributes.values(self.lines, name) for name in names)

    def value(self, name: str) -> str | None:
        """The value of the first attribute of that name."""
        return next(iter(attributes.values(self.lines, name)), None)


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A checked description. Make it with `parse`."""

    session: tuple[str, ...]
    sections: tuple[_Section, ...]
    bundled: _Section
    """The section whose transport all others share."""
    transport: TransportParameters
    """The sender's end. Its candidates are not kept: the relay is ICE-lite and never sends first."""

    @property
    def media(self) -> tuple[MediaDescription, ...]:
        """What the sections say of the packets that the sender will send."""
        return tuple(_media(section) for section in self.sections if not section.rejected)


def parse(text: str) -> SessionDescription:
    """Take a description apart.

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
    sections = tuple(_Section(tuple(lines[start:end])) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True))
    if not any(_ORIGIN.fullmatch(line) for line in session):
        raise _Invalid("no valid o= line")
    if not all(_MEDIA_LINE.fullmatch(section.lines[0]) for section in sections):
        raise _Invalid("an m= line needs a kind, a port, a protocol and formats, with one space between them")
    bundled = _bundled(session, sections)
    return SessionDescription(session, sections, bundled, _transport(session, bundled))


def _bundled(session: tuple[str, ...], sections: tuple[_Section, ...]) -> _Section:
    """The section whose transport all share (RFC 8843), after checking that they do."""
    live = [section for section in sections if not section.rejected]
    if not live:
        raise _Invalid("every media section is rejected")
    groups = [value.split(" ") for value in attributes.values(session, "group")]
    group = next((mids for semantics, *mids in groups if semantics == "BUNDLE"), None)
    if group is None:
        if len(live) > 1:
            raise _Invalid("no a=group:BUNDLE: all media must share one transport")
        group = []  # one section shares its transport with none: SIP gateways, and webrtcbin by default
    elif any(not section.mid or section.mid not in group for section in live):
        raise _Invalid("a media section is not in the BUNDLE group")
    for section in live:
        if "RTP/" in section.fields[2] and not section.has("rtcp-mux", "bundle-only"):
            raise _Invalid("a media section has no a=rtcp-mux: RTP and RTCP must share one transport")
    return next((section for section in live if [section.mid] == group[:1]), live[0])


def _transport(session: tuple[str, ...], section: _Section) -> TransportParameters:
    def every(name: str) -> list[str]:
        return attributes.values(section.lines, name) or attributes.values(session, name)

    def value(name: str) -> str:
        return next(iter(every(name)), "")

    ufrag, pwd = value("ice-ufrag"), value("ice-pwd")
    if not _ICE_STRING.fullmatch(ufrag) or not _ICE_STRING.fullmatch(pwd) or len(pwd) < 22:
        raise _Invalid("no valid a=ice-ufrag and a=ice-pwd")
    matches = [_HASH.fullmatch(one) for one in every("fingerprint")]
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


def _media(section: _Section) -> MediaDescription:
    codecs, extensions, ssrcs = [], {}, []
    for line in section.lines:
        if match := _RTPMAP.match(line):
            codecs.append(Codec(int(match[1]), match[2].lower(), int(match[3])))
        elif match := _EXTMAP.match(line):
            extensions[int(match[1])] = match[2]
        elif match := _SSRC.match(line):
            ssrcs.append(int(match[1]))
    return MediaDescription(
        mid=section.mid,
        kind=section.kind,
        codecs=tuple(codecs),
        ssrcs=tuple(dict.fromkeys(ssrc for ssrc in ssrcs if ssrc < 2**32)),
        extensions=extensions,
    )


def opposite(role: DtlsRole) -> DtlsRole:
    """The role of the other end of a handshake, once it is settled."""
    assert role is not DtlsRole.ACTPASS, "it is settled"
    return DtlsRole.ACTIVE if role is DtlsRole.PASSIVE else DtlsRole.PASSIVE


def render(description: SessionDescription, transport: TransportParameters, version: int = 1) -> str:
    """The description with `transport`, the relay's own end, in place of the sender's.

    Args:
        description: one party's offer or answer.
        transport: the relay's end towards the other party; its first candidate is for UDP.
        version: of the session, which is the relay's too: the party behind it may change its peer connection.
    """
    first = transport.candidates[0]
    lines = []
    for line in description.session:
        if _ORIGIN.fullmatch(line):
            lines.append(f"o=- {SESSION_ID} {version} IN {_network(first.address)}")
        elif attributes.passes(line):
            lines.append(line)
    lines.append("a=ice-lite")
    for section in description.sections:
        # A bundle-only section has no transport of its own (RFC 8843 section 6), unless there is nothing but such.
        carries = section.has_port or section is description.bundled
        lines += _render_section(section, transport, carries=carries)
    return "\r\n".join(lines) + "\r\n"


def _render_section(section: _Section, transport: TransportParameters, *, carries: bool) -> list[str]:
    kept = [line for line in section.lines[1:] if attributes.passes(line)]
    # RFC 8866 section 5: i= comes before c=, and both before the attributes.
    titles = [line for line in kept if line.startswith("i=")]
    rest = [line for line in kept if not line.startswith("i=")]
    first = transport.candidates[0]
    kind, port, *others = section.fields
    lines = [
        f"m={' '.join([kind, str(first.port) if section.has_port else port, *others])}",
        *titles,
        f"c=IN {_network(first.address)}",
        *rest,
    ]
    # Some repeat all but the candidates in bundle-only sections, and refuse descriptions without (webrtcbin, aiortc). webrtcbin
    # refuses those without in a rejected section too, where Chromium has them.
    if carries or section.has("ice-ufrag", "ice-pwd"):
        lines += [f"a=ice-ufrag:{transport.ufrag}", f"a=ice-pwd:{transport.pwd}"]
    if carries or section.has("fingerprint"):
        lines += [f"a=fingerprint:{one.algorithm} {one.value}" for one in transport.fingerprints]
    if carries or section.has("setup"):
        lines.append(f"a=setup:{transport.role}")
    if carries:
        lines += [_candidate(one, number) for number, one in enumerate(transport.candidates)]
        lines.append("a=end-of-candidates")
    return lines


def _candidate(candidate: Candidate, number: int) -> str:
    if candidate.transport == "tcp":
        # RFC 6544 section 4.2: below UDP's type preference, then the direction (passive: 4), then the order.
        priority = (90 << 24) | ((4 << 13 | (8191 - number)) << 8) | 255
        return f"a=candidate:{number + 1} 1 tcp {priority} {candidate.address} {candidate.port} typ host tcptype passive"
    # RFC 8445 section 5.1.2.1: type preference 126 (host), then the order in which the addresses were given.
    priority = (126 << 24) | ((65535 - number) << 8) | 255
    return f"a=candidate:{number + 1} 1 udp {priority} {candidate.address} {candidate.port} typ host"


def _network(address: str) -> str:
    return f"IP{ipaddress.ip_address(address).version} {address}"


def check_candidate(text: str) -> bool:
    """Whether the `candidate` of an `ice_candidate` message is one (RFC 8839 section 5.1), or empty: the end of candidates."""
    if not text:
        return True
    fields = text.removeprefix("a=").removeprefix("candidate:").split()
    return len(fields) >= 8 and fields[1].isdigit() and fields[3].isdigit() and fields[5].isdigit() and fields[6] == "typ"
