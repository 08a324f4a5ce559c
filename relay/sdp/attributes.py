"""Which lines of a description may go from one party to the other (RFC 8866).

Parsers of browsers are lenient. Firefox's, for one, compares the names of attributes without regard to case, and takes a space or
a tab for the colon behind a name. So an attribute conforms to the grammar, or the description is refused;
names are compared in lower case; and what passes is listed. An attribute that is in no list passes only if its name cannot be
taken for that of a transport attribute, and its value has no address in it.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

_TYPES: Final = frozenset("vosiuepcbtrzkam")
"""The types of lines in RFC 8866 section 5. A description with another one must not be used; `A` is another one."""

_ATTRIBUTE: Final = re.compile(r"a=([A-Za-z0-9!#$%&'*+\-.^_`{|}~]+)(?::(.*))?", re.DOTALL)
"""RFC 8866 section 9: the name is a token, so there is no space in it, before it or behind it."""

_MEDIA: Final = frozenset(
    # RFC 8866 section 6, RFC 4796, RFC 4574
    {"cat", "keywds", "tool", "type", "charset", "sdplang", "lang", "orient", "framerate", "quality", "content", "label"}
    | {"sendrecv", "sendonly", "recvonly", "inactive", "rtpmap", "fmtp", "ptime", "maxptime", "minptime", "silencesupp"}
    # RFC 5888, RFC 9143, RFC 8830
    | {"group", "mid", "bundle-only", "msid", "msid-semantic"}
    # RFC 5761, RFC 8858, RFC 4585, RFC 5506, RFC 3611
    | {"rtcp-mux", "rtcp-mux-only", "rtcp-fb", "rtcp-rsize", "rtcp-xr"}
    # RFC 8285, RFC 5576, RFC 8851, RFC 8853, RFC 6236, RFC 5583
    | {"extmap", "extmap-allow-mixed", "ssrc", "ssrc-group", "rid", "simulcast", "imageattr", "depend", "cliprect"}
    | {"max-send-ssrc", "max-recv-ssrc", "maxprate", "framesize", "packetization", "x-google-flag"}
    # RFC 8841, RFC 8864
    | {"sctp-port", "sctpmap", "max-message-size", "dcmap", "dcsa"}
    # RFC 7273 (ts-refclk may name a host), RFC 4583
    | {"mediaclk", "floorctrl", "confid", "userid", "floorid"}
)
"""Attributes that describe media and are passed on as they are."""

_TRANSPORT: Final = frozenset(
    # RFC 8839 and its drafts
    {"candidate", "candidates", "remote-candidate", "remote-candidates", "end-of-candidates"}
    | {"ice", "ice-lite", "ice-ufrag", "ice-pwd", "ice-options", "ice-mismatch", "ice-pacing", "ice-trickle"}
    # RFC 4145, RFC 8122, RFC 8842 and its drafts, RFC 4567, RFC 4568, RFC 6189
    | {"setup", "direction", "connection", "fingerprint", "tls-id", "dtls-id", "dtls-message", "key-mgmt", "crypto", "zrtp-hash"}
    # They carry an address: RFC 3605, RFC 4570, RFC 6947, RFC 4975
    | {"rtcp", "source-filter", "altc", "path", "msrp-cema"}
    # Alternatives, each with attributes and a transport within: RFC 5939, RFC 6871, RFC 7006, RFC 3407
    | {"csup", "creq", "acap", "tcap", "pcfg", "acfg", "lcfg", "mscap", "ccap", "sescap", "cpar", "x-cpar", "cap", "x-cap"}
    # RFC 8827: it binds an identity to the sender's certificate, and Firefox fetches from the host that it names.
    | {"identity"}
)
"""Attributes that describe one end's network or keys."""

_TRANSPORT_WORDS: Final = frozenset(
    {"candidate", "ice", "ufrag", "pwd", "password", "fingerprint", "setup", "dtls", "tls", "srtp", "zrtp", "crypto"}
    | {"certificate", "identity", "stun", "turn", "nat", "transport", "connection", "socket", "udp", "tcp", "proxy"}
    | {"addr", "address", "host", "hostname", "ip", "ip4", "ip6", "ipv4", "ipv6", "port"}
)
"""What an attribute that is in no list must not have in its name, as a word."""

_SQUEEZE: Final = re.compile(r"[^a-z0-9]+")
_SQUEEZED: Final = frozenset(_SQUEEZE.sub("", name) for name in _TRANSPORT)
_IPV4_OR_MDNS: Final = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|\.local\b", re.IGNORECASE)
_PERHAPS_IPV6: Final = re.compile(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")


def problem(line: str) -> str | None:
    """Why a line is not valid in a description; None: it is."""
    if len(line) < 2 or line[1] != "=":
        return "it must begin with v=0, and each line must be one character, '=' and a value"
    if line[0] not in _TYPES:
        return f"there are no lines that begin with {line[:2]!r}"
    if line[0] == "a" and _ATTRIBUTE.fullmatch(line) is None:
        return "an a= line is a name without spaces, or such a name, a colon and a value (RFC 8866 section 9)"
    return None


def attribute(line: str) -> tuple[str, str]:
    """The name of an attribute, in lower case, and its value, empty where there is none. Other lines have the name ''."""
    match = _ATTRIBUTE.fullmatch(line)
    return (match[1].lower(), match[2] or "") if match else ("", "")


def by_name(lines: Iterable[str]) -> dict[str, list[str]]:
    """The values of all attributes, by name."""
    found: dict[str, list[str]] = {}
    for name, value in map(attribute, lines):
        if name:
            found.setdefault(name, []).append(value)
    return found


def passes(line: str) -> bool:
    """Whether a line, which has no `problem`, may go to the other party as it is."""
    # c= and o= are an address, and k= is a key.
    if line[0] != "a":
        return line[0] not in "cok"
    name, value = attribute(line)
    return name in _MEDIA or (name not in _TRANSPORT and not _like_transport(name) and not _has_address(name, value))


def _like_transport(name: str) -> bool:
    """Whether some parser, now or later, might take the name for that of a transport attribute."""
    squeezed = _SQUEEZE.sub("", name)
    return not (
        squeezed
        and squeezed not in _SQUEEZED
        and squeezed.removeprefix("x") not in _SQUEEZED
        and _TRANSPORT_WORDS.isdisjoint(_SQUEEZE.split(name))
    )


def _has_address(name: str, value: str) -> bool:
    return _IPV4_OR_MDNS.search(f"{name}:{value}") is not None or any(map(_is_ipv6, _PERHAPS_IPV6.findall(value)))


def _is_ipv6(text: str) -> bool:
    # A port may follow, or a colon precede.
    for one in (text, text.strip(":"), text.rpartition(":")[0]):
        try:
            ipaddress.IPv6Address(one)
        except ValueError:
            continue
        return True
    return False
