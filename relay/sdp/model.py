"""A session description (RFC 8866, JSEP RFC 9429), checked and taken apart as far as negotiation needs it.

The text of every line is kept: `relay.sdp.rewrite` passes on what the relay does not know. What a section says of its media is
read from the text on demand, because the media plane keeps it and signaling does not.
"""

from dataclasses import dataclass
from typing import Final

from relay.media.api import MediaDescription, TransportParameters
from relay.sdp import attributes
from relay.sdp.media import read_media

FLAGS: Final = frozenset({"bundle-only", "rtcp-mux", "ice-ufrag", "ice-pwd", "fingerprint", "setup"})
"""Attributes whose presence in a section matters to negotiation, whatever their value."""


@dataclass(frozen=True, slots=True)
class Msid:
    """A track, and a stream that it belongs to (RFC 8830)."""

    stream: str
    """`-`: none."""
    track: str
    """Empty in descriptions that identify streams only."""


@dataclass(frozen=True, slots=True)
class Section:
    """One media section: its m-line, taken apart, and the text of the lines that follow."""

    kind: str
    """`audio`, `video` or `application`."""
    port: int
    protocol: str
    """`UDP/TLS/RTP/SAVPF` or another one of RTP, or `UDP/DTLS/SCTP`."""
    formats: tuple[str, ...]
    """Payload types in order of preference, or `webrtc-datachannel`."""
    lines: tuple[str, ...]
    flags: frozenset[str]
    """Which of `FLAGS` it has among its attributes."""
    mid: str
    """Its identification tag (RFC 5888); empty if it has none."""

    @property
    def bundle_only(self) -> bool:
        return "bundle-only" in self.flags

    @property
    def rejected(self) -> bool:
        """RFC 3264 section 6. Port 0 with `a=bundle-only` is no rejection (RFC 9143 section 6)."""
        return self.port == 0 and not self.bundle_only

    @property
    def is_rtp(self) -> bool:
        return "RTP/" in self.protocol

    @property
    def msids(self) -> tuple[Msid, ...]:
        """The tracks that it describes: one, or the same one in several streams."""
        named = attributes.by_name(self.lines)
        # FreeSWITCH and other software that began with Plan B has them as attributes of the SSRC only.
        of_ssrcs = (value.partition(" msid:")[2] for value in named.get("ssrc", ()))
        values = named.get("msid") or [value for value in of_ssrcs if value]
        return tuple(Msid(stream, track) for stream, _, track in dict.fromkeys(value.partition(" ") for value in values))


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """An offer or an answer. Make it with `relay.sdp.parse.parse_sdp`."""

    session: tuple[str, ...]
    """The lines before the first media section."""
    sections: tuple[Section, ...]
    bundle_groups: tuple[tuple[str, ...], ...]
    """The mids of each `a=group:BUNDLE` (RFC 9143)."""
    bundled: Section
    """The section whose transport all others share."""
    transport: TransportParameters
    """The sender's end. Its candidates are not kept: the relay is ICE-lite and never sends first."""

    @property
    def text(self) -> str:
        """What `relay.sdp.parse.parse_sdp` makes this of."""
        lines = [*self.session]
        for section in self.sections:
            lines.append(f"m={' '.join([section.kind, str(section.port), section.protocol, *section.formats])}")
            lines += section.lines
        return "\r\n".join(lines) + "\r\n"

    @property
    def media(self) -> tuple[MediaDescription, ...]:
        """What the sections that are not rejected say of the packets that the sender will send."""
        return tuple(
            read_media(section.kind, section.mid, section.formats if section.is_rtp else (), section.lines, self.session)
            for section in self.sections
            if not section.rejected
        )
