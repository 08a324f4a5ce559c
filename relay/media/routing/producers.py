"""The streams that a transport's peer sends: from its description, and from the packets that have arrived.

Sans-IO.
"""

import functools
from collections.abc import Mapping, Sequence

from relay.media.api import Codec, Direction, Encoding, MediaDescription, Producer

_SENDING = (Direction.SENDRECV, Direction.SENDONLY)

_REPAIR = frozenset({"rtx", "ulpfec", "flexfec-03"})
"""Formats whose streams only repair others. RED is none of them: Chromium's video itself is inside (RFC 2198)."""


class DescribedMedia:
    """What the peer of one transport sends, by its latest description. Of that, it keeps what producers are made from: parameters
    and header extensions would be most of an idle call's memory."""

    __slots__ = ("_heard", "_producers", "_sections", "_transport_id")

    def __init__(self, transport_id: str, media: Sequence[MediaDescription]) -> None:
        self._transport_id = transport_id
        self._sections = tuple(
            MediaDescription(
                one.mid,
                one.kind,
                _shared(tuple((codec.payload_type, codec.name, codec.clock_rate) for codec in one.codecs)),
                one.ssrcs,
                direction=one.direction,
                ssrc_groups=one.ssrc_groups,
            )
            for one in media
            if one.kind in ("audio", "video") and one.direction in _SENDING
        )
        self._heard: Mapping[int, int] = {}
        self._producers: tuple[Producer, ...] | None = None

    def producers(self, heard: Mapping[int, int]) -> tuple[Producer, ...]:
        """As `producers_of`; made anew only when other streams, or other formats of them, have arrived than the last time."""
        if self._producers is None or heard != self._heard:
            self._heard, self._producers = heard, producers_of(self._transport_id, self._sections, heard)
        return self._producers


@functools.lru_cache(maxsize=256)
def _shared(codecs: tuple[tuple[int, str, int], ...]) -> tuple[Codec, ...]:
    """One tuple for all that describe the same: most clients are browsers of a few versions."""
    return tuple(Codec(*one) for one in codecs)


def producers_of(transport_id: str, media: Sequence[MediaDescription], heard: Mapping[int, int]) -> tuple[Producer, ...]:
    """The producers of a transport.

    Args:
        media: what its peer has described.
        heard: SSRC → payload type of what has arrived.
    """
    sections = [one for one in media if one.kind in ("audio", "video") and one.direction in _SENDING]
    placed: dict[str, dict[int, str]] = {one.mid: {} for one in sections}
    repairs = {group.ssrcs[0]: group.ssrcs[1:] for one in sections for group in one.ssrc_groups if group.semantics == "FID"}
    repairing = {ssrc for group in repairs.values() for ssrc in group}
    for section in sections:
        placed[section.mid] = dict.fromkeys((one for one in section.ssrcs if one not in repairing), "")
    for ssrc, payload_type in heard.items():
        found = _section_of(ssrc, payload_type, sections)
        if found is None or ssrc in repairing:
            continue
        section, codec = found
        if codec.name not in _REPAIR:
            placed[section.mid][ssrc] = codec.name
    return tuple(
        Producer(
            transport_id,
            one.mid,
            one.kind,
            tuple(Encoding(ssrc, codec, next(iter(repairs.get(ssrc, ())), None)) for ssrc, codec in placed[one.mid].items()),
        )
        for one in sections
    )


def _section_of(ssrc: int, payload_type: int, sections: Sequence[MediaDescription]) -> tuple[MediaDescription, Codec] | None:
    """RFC 9143 section 9.2, without the MID that packets may carry: by the SSRC that was announced, then by the payload type."""
    fitting = [(one, codec) for one in sections for codec in one.codecs if codec.payload_type == payload_type]
    announced = [found for found in fitting if ssrc in found[0].ssrcs]
    return next(iter(announced or fitting), None)
