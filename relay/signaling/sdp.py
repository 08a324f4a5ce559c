"""Session descriptions (RFC 8866, JSEP RFC 8829): the media part goes through untouched, the transport part becomes the relay's.

A description is taken apart into lines, checked for the little that the relay depends on (BUNDLE, rtcp-mux, ICE credentials, a
fingerprint), and put together again with other transport lines. Whatever the relay has never heard of is media, and stays.
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

MAX_SECTIONS: Final = 32
"""Media sections of one description: a call has three, with screen sharing five."""

SESSION_ID: Final = 1
"""The id in `o=` of every description that the relay gives. One peer connection has one session, so nothing else need tell it
apart (RFC 8866 section 5.2)."""

_TRANSPORT_ATTRIBUTES: Final = frozenset(
    {"candidate", "remote-candidates", "end-of-candidates", "fingerprint", "setup", "tls-id", "connection", "rtcp", "crypto"}
    | {"source-filter", "ice-lite", "ice-ufrag", "ice-pwd", "ice-options", "ice-mismatch", "ice-pacing"}
    | {"altc", "ccap", "acap", "key-mgmt", "zrtp-hash"}
)
"""Attributes that describe one end's network or keys. `a=rtcp:` carries an address (RFC 3605)."""

_ORIGIN: Final = re.compile(r"o=\S+ (\d{1,20}) (\d{1,20}) IN IP[46] \S+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
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
        return "a=bundle-only" in self.lines

    @property
    def rejected(self) -> bool:
        """RFC 3264 section 6; port 0 with bundle-only is no rejection (RFC 8843 section 6)."""
        return self.fields[1] == "0" and not self.bundle_only

    @property
    def mid(self) -> str:
        return self.value("mid") or ""

    def value(self, attribute: str) -> str | None:
        """The value of the first `a=attribute:value` line."""
        return _value(self.lines, attribute)


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
    if lines[0] != "v=0" or any(len(line) < 2 or line[1] != "=" for line in lines):
        raise _Invalid("not a session description: it must begin with v=0, and each line be a letter, '=' and a value")
    starts = [i for i, line in enumerate(lines) if line.startswith("m=")]
    if not starts:
        raise _Invalid("no media section")
    if len(starts) > MAX_SECTIONS:
        raise _Invalid(f"more than {MAX_SECTIONS} media sections")
    session = tuple(lines[: starts[0]])
    sections = tuple(_Section(tuple(lines[start:end])) for start, end in zip(starts, [*starts[1:], len(lines)], strict=True))
    if not any(_ORIGIN.fullmatch(line) for line in session):
        raise _Invalid("no valid o= line")
    if any(len(section.fields) < 4 for section in sections):
        raise _Invalid("an m= line needs a kind, a port, a protocol and formats")
    bundled = _bundled(session, sections)
    return SessionDescription(session, sections, bundled, _transport(session, bundled))


def _bundled(session: tuple[str, ...], sections: tuple[_Section, ...]) -> _Section:
    """The section whose transport all share (RFC 8843), after checking that they do."""
    live = [section for section in sections if not section.rejected]
    if not live:
        raise _Invalid("every media section is rejected")
    group = next((line.split(" ")[1:] for line in session if line.startswith("a=group:BUNDLE ")), None)
    if group is None:
        raise _Invalid("no a=group:BUNDLE: all media must share one transport")
    if any(not section.mid or section.mid not in group for section in live):
        raise _Invalid("a media section is not in the BUNDLE group")
    for section in live:
        if "RTP/" in section.fields[2] and "a=rtcp-mux" not in section.lines and not section.bundle_only:
            raise _Invalid("a media section has no a=rtcp-mux: RTP and RTCP must share one transport")
    return next((section for section in live if section.mid == group[0]), live[0])


def _transport(session: tuple[str, ...], section: _Section) -> TransportParameters:
    def value(attribute: str) -> str | None:
        return section.value(attribute) or _value(session, attribute)

    ufrag, pwd = value("ice-ufrag"), value("ice-pwd")
    if ufrag is None or pwd is None or not _TOKEN.fullmatch(ufrag) or not _TOKEN.fullmatch(pwd) or len(pwd) < 22:
        raise _Invalid("no valid a=ice-ufrag and a=ice-pwd")
    hashes = [line for line in section.lines if line.startswith("a=fingerprint:")]
    hashes = hashes or [line for line in session if line.startswith("a=fingerprint:")]
    matches = [_HASH.fullmatch(line.removeprefix("a=fingerprint:")) for line in hashes]
    if not matches or None in matches:
        raise _Invalid("no valid a=fingerprint: media must be encrypted by DTLS-SRTP")
    try:
        role = DtlsRole(value("setup") or "")
    except ValueError:
        raise _Invalid("a=setup must be actpass, active or passive") from None
    return TransportParameters(
        ufrag=ufrag,
        pwd=pwd,
        fingerprints=tuple(Fingerprint(match[1].lower(), match[2].upper()) for match in matches if match is not None),
        role=role,
    )


def _value(lines: tuple[str, ...], attribute: str) -> str | None:
    prefix = f"a={attribute}:"
    return next((line[len(prefix) :] for line in lines if line.startswith(prefix)), None)


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


def answering_role(offered: DtlsRole) -> DtlsRole:
    """The relay's `a=setup` in an answer: it lets the browser begin where it can, so that no flight meets a closed NAT."""
    return DtlsRole.ACTIVE if offered is DtlsRole.PASSIVE else DtlsRole.PASSIVE


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
        elif not _is_transport(line):
            lines.append(line)
    lines.append("a=ice-lite")
    for section in description.sections:
        # A bundle-only section has no transport of its own (RFC 8843 section 6), unless there is nothing but such.
        carries = section.fields[1] != "0" or section is description.bundled
        lines += _render_section(section, transport, carries=carries)
    return "\r\n".join(lines) + "\r\n"


def _is_transport(line: str) -> bool:
    if line.startswith("a="):
        return line[2:].partition(":")[0] in _TRANSPORT_ATTRIBUTES
    return line.startswith(("c=", "o="))


def _render_section(section: _Section, transport: TransportParameters, *, carries: bool) -> list[str]:
    kept = [line for line in section.lines[1:] if not _is_transport(line)]
    # RFC 8866 section 5: i= comes before c=, and both before the attributes.
    titles = [line for line in kept if line.startswith("i=")]
    rest = [line for line in kept if not line.startswith("i=")]
    first = transport.candidates[0]
    if not carries:
        return [section.lines[0], *titles, f"c=IN {_network(first.address)}", *rest]
    kind, port, *others = section.fields
    return [
        f"m={' '.join([kind, port if port == '0' else str(first.port), *others])}",
        *titles,
        f"c=IN {_network(first.address)}",
        *rest,
        f"a=ice-ufrag:{transport.ufrag}",
        f"a=ice-pwd:{transport.pwd}",
        *(f"a=fingerprint:{one.algorithm} {one.value}" for one in transport.fingerprints),
        f"a=setup:{transport.role}",
        *(_candidate(one, number) for number, one in enumerate(transport.candidates)),
        "a=end-of-candidates",
    ]


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
