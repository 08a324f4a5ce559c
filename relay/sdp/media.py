"""What a media section says of the packets that its sender will send.

Each list is bounded, because a description comes from a client. What is beyond a bound, or breaks the grammar, is left out here.
It still reaches the other party, which may know more.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, Literal, cast

from relay.media.api import Codec, Direction, MediaDescription, Rid, Simulcast, SsrcGroup
from relay.sdp import attributes

MAX_PAYLOAD_TYPE: Final = 127
"""RTP has seven bits for it (RFC 3550 section 5.1)."""

MAX_PARAMETERS: Final = 64
"""Format parameters of one payload type. H.265 has the most, about 20 (RFC 7798 section 7.1)."""

MAX_SSRCS: Final = 256
"""SSRCs of one section: as many as a transport takes at a time (`relay.media.transport.ssrcs`)."""

MAX_SSRC_GROUPS: Final = 64
MAX_GROUP_SSRCS: Final = 16
"""Three layers with retransmissions are four groups: one of three (SIM) and three of two (FID)."""

MAX_RIDS: Final = 32
"""Encodings of one section. Browsers have three at most."""

_EXTENSION_IDS: Final = range(1, 256)
"""RFC 8285 section 4.3: the id is one byte of a packet. Larger ones (4096 and above) wait for an answer to choose one."""

_STATIC: Final[Mapping[int, tuple[str, int, int]]] = {
    0: ("pcmu", 8000, 1),
    3: ("gsm", 8000, 1),
    4: ("g723", 8000, 1),
    8: ("pcma", 8000, 1),
    9: ("g722", 8000, 1),
    10: ("l16", 44100, 2),
    11: ("l16", 44100, 1),
    13: ("cn", 8000, 1),
    15: ("g728", 8000, 1),
    18: ("g729", 8000, 1),
    26: ("jpeg", 90000, 1),
    31: ("h261", 90000, 1),
    34: ("h263", 90000, 1),
}
"""RFC 3551 section 6: payload types that need no `a=rtpmap`, and get none from SIP gateways. Name, Hz and channels."""

_PAYLOAD_TYPE: Final = re.compile(r"[0-9]{1,3}")
_RTPMAP: Final = re.compile(r"([0-9]{1,3}) ([^/\s]{1,64})/0*([1-9][0-9]{0,6})(?:/0*([1-9][0-9]?)(?=\s|$)|/|\s|$)")
_EXTMAP: Final = re.compile(r"([0-9]{1,5})(?:/\w+)? (\S{1,256})")
_SSRC: Final = re.compile(r"[0-9]{1,10}\b")
_RID: Final = re.compile(r"([A-Za-z0-9_-]{1,255}) (send|recv)(?: (.*))?")
_SIMULCAST: Final = re.compile(r"(send|recv) ([A-Za-z0-9_,;~-]+)")


def read_media(kind: str, mid: str, formats: Sequence[str], lines: Iterable[str], session: Iterable[str]) -> MediaDescription:
    """Read the attributes of a media section.

    Args:
        formats: those of the m-line, if it is of RTP.
        lines: those below the m-line.
        session: the lines before the first section: a direction that stands there is that of all sections.
    """
    named = attributes.by_name(lines)
    simulcast, paused = _simulcast(named)
    return MediaDescription(
        mid=mid,
        kind=kind,
        codecs=_codecs(formats, named),
        ssrcs=_ssrcs(named),
        extensions=_extensions(named),
        direction=_direction(named) or _direction(attributes.by_name(session)) or Direction.SENDRECV,
        ssrc_groups=_ssrc_groups(named),
        rids=_rids(named, paused),
        simulcast=simulcast,
    )


_Named = Mapping[str, Sequence[str]]
"""Name of an attribute → the value of each."""


def _direction(named: _Named) -> Direction | None:
    return next((one for one in Direction if one in named), None)


def _codecs(formats: Iterable[str], named: _Named) -> tuple[Codec, ...]:
    """In the sender's order of preference, which is that of the m-line (RFC 3264 section 5.1)."""
    offered = (int(one) for one in formats if _PAYLOAD_TYPE.fullmatch(one))
    payload_types = dict.fromkeys(one for one in offered if one <= MAX_PAYLOAD_TYPE)
    mappings = dict(_STATIC)
    for value in named.get("rtpmap", ()):
        if match := _RTPMAP.match(value):
            mappings[int(match[1])] = (match[2].lower(), int(match[3]), int(match[4] or 1))
    parameters: dict[int, dict[str, str]] = {}
    for value in named.get("fmtp", ()):
        payload_type, _, text = value.partition(" ")
        if _PAYLOAD_TYPE.fullmatch(payload_type) and int(payload_type) in payload_types:
            _read_parameters(text, parameters.setdefault(int(payload_type), {}))
    return tuple(Codec(one, *mappings[one], parameters.get(one, {})) for one in payload_types if one in mappings)


def _read_parameters(text: str, found: dict[str, str]) -> None:
    for part in text.split(";", MAX_PARAMETERS)[:MAX_PARAMETERS]:
        name, _, value = part.strip().partition("=")
        if name and len(found) < MAX_PARAMETERS:
            # RFC 6838 section 4.3: the names of parameters are compared without regard to case.
            found.setdefault(name.rstrip().lower(), value.lstrip())


def _extensions(named: _Named) -> dict[int, str]:
    matches = (_EXTMAP.match(value) for value in named.get("extmap", ()))
    return {int(match[1]): match[2] for match in matches if match and int(match[1]) in _EXTENSION_IDS}


def _numbers(texts: Iterable[str]) -> Iterable[int]:
    """The SSRCs that some texts begin with."""
    return (ssrc for match in map(_SSRC.match, texts) if match and (ssrc := int(match[0])) < 2**32)


def _ssrcs(named: _Named) -> tuple[int, ...]:
    return tuple(islice(dict.fromkeys(_numbers(named.get("ssrc", ()))), MAX_SSRCS))


def _ssrc_groups(named: _Named) -> tuple[SsrcGroup, ...]:
    groups = []
    for value in named.get("ssrc-group", ())[:MAX_SSRC_GROUPS]:
        semantics, *ssrcs = value.split(maxsplit=MAX_GROUP_SSRCS + 1)[: MAX_GROUP_SSRCS + 1] or [""]
        if semantics and ssrcs:
            groups.append(SsrcGroup(semantics[:32].upper(), tuple(_numbers(ssrcs))))
    return tuple(groups)


def _rids(named: _Named, paused: frozenset[str]) -> tuple[Rid, ...]:
    rids: dict[tuple[str, str], Rid] = {}
    for match in map(_RID.fullmatch, named.get("rid", ())[:MAX_RIDS]):
        if match:
            restrictions: dict[str, str] = {}
            _read_parameters(match[3] or "", restrictions)
            payload_types = (one for one in restrictions.pop("pt", "").split(",") if _PAYLOAD_TYPE.fullmatch(one))
            # RFC 8851 section 4: an id is used once in each direction.
            rids.setdefault(
                (match[1], match[2]),
                Rid(
                    id=match[1],
                    direction=cast(Literal["send", "recv"], match[2]),
                    payload_types=tuple(one for one in dict.fromkeys(map(int, payload_types)) if one <= MAX_PAYLOAD_TYPE),
                    restrictions=restrictions,
                    paused=match[1] in paused,
                ),
            )
    return tuple(rids.values())


def _simulcast(named: _Named) -> tuple[Simulcast, frozenset[str]]:
    """The streams of `a=simulcast`, and the ids that are paused at first (RFC 8853 section 5.1: `~`)."""
    streams: dict[str, tuple[tuple[str, ...], ...]] = {}
    paused: set[str] = set()
    for direction, text in _SIMULCAST.findall(next(iter(named.get("simulcast", ())), "")):
        alternatives = [one.split(",", MAX_RIDS)[:MAX_RIDS] for one in text.split(";", MAX_RIDS)[:MAX_RIDS]]
        paused.update(rid[1:] for rids in alternatives for rid in rids if rid.startswith("~"))
        cleaned = (tuple(rid.removeprefix("~") for rid in rids) for rids in alternatives)
        streams.setdefault(direction, tuple(rids for rids in cleaned if all(rids)))
    return Simulcast(**streams), frozenset(paused)
