"""Who sends what: the SSRCs of a capture, by the descriptions of its interfaces and by what packets say of themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from relay.recording.payloads.formats import AUDIO, REDUNDANT, REPAIR, VIDEO
from relay.recording.records import CapturedMedia
from relay.rtp.extensions import header_extensions

MAX_SSRCS: Final = 256
MAX_TRACKS: Final = 64
"""Of a recording. What comes beyond is counted and left out."""

MAX_TRANSPORTS: Final = 64
"""Of a recording, with other names. A party that rejoins has a new one."""

_MAX_REPEATS: Final = 4 * MAX_SSRCS
"""SSRCs of repair that descriptions may name in one media section."""

_MID: Final = "urn:ietf:params:rtp-hdrext:sdes:mid"
_RID: Final = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
_REPAIRED: Final = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
_ORIENTATION: Final = "urn:3gpp:video-orientation"


class TrackKey(NamedTuple):
    """What stays one track though its SSRC, or its transport, becomes another one."""

    party: str
    kind: str
    ordinal: int
    """Among the party's media sections of this kind."""
    codec: str


class PayloadUse(NamedTuple):
    """What a payload type means in a media section."""

    role: str
    """`media`, `red`, `rtx`, `fec`, or `other`: nothing that can be written."""
    codec: str
    rate: int
    parameters: Mapping[str, str]
    original: int
    """Of `rtx`: the payload type of what is sent again (`apt`)."""


@dataclass(slots=True)
class MediaSection:
    """What a transport's party says that it sends in one media section."""

    party: str
    mid: str
    kind: str
    ordinal: int
    payloads: dict[int, PayloadUse] = field(default_factory=dict)
    extensions: dict[str, int] = field(default_factory=dict)
    ssrcs: tuple[int, ...] = ()
    originals: dict[int, int] = field(default_factory=dict)
    """SSRC of retransmissions → that of what they repeat."""
    repair: frozenset[int] = frozenset()
    """SSRCs of forward error correction."""
    layers: tuple[int, ...] = ()
    """SSRCs of simulcast, the lowest first."""
    orientation: int = 0
    """Id of the header extension that has the camera's rotation; 0: none."""


@dataclass(slots=True)
class CapturedSource:
    """One SSRC of a transport."""

    ssrc: int
    section: MediaSection
    role: str
    """`media`, `rtx` or `fec`."""
    rid: str = ""
    repeated: int = 0
    """Of retransmissions: the SSRC of what they repeat, by their numbers; 0: not known."""


@dataclass(slots=True)
class CapturedTransport:
    """A transport of a party, with all descriptions that it has had."""

    name: str
    party: str
    sections: dict[str, MediaSection] = field(default_factory=dict)
    senders: dict[int, CapturedSource] = field(default_factory=dict)

    def describe(self, media: tuple[CapturedMedia, ...]) -> None:
        """Take a description in: it holds from here on. What is known of SSRCs stays."""
        counts: dict[str, int] = {}
        for one in media[:MAX_TRACKS]:
            ordinal = counts.get(one.kind, 0)
            counts[one.kind] = ordinal + 1
            if one.mid not in self.sections and len(self.sections) >= MAX_TRACKS:
                continue
            section = self.sections.setdefault(one.mid, MediaSection(self.party, one.mid, one.kind, ordinal))
            known = (codec for codec in one.codecs if 0 <= codec.payload_type <= 127)
            section.payloads.update({codec.payload_type: _use(codec.name.lower(), codec) for codec in known})
            section.extensions = {uri: identifier for identifier, uri in one.extensions.items()}
            section.orientation = section.extensions.get(_ORIENTATION, 0)
            section.ssrcs = one.ssrcs
            for group in one.ssrc_groups:
                first, *others = group.ssrcs or (0,)
                if group.semantics == "FID" and len(section.originals) < _MAX_REPEATS:
                    section.originals.update(dict.fromkeys(others, first))
                elif group.semantics.startswith("FEC") and len(section.repair) < _MAX_REPEATS:
                    section.repair |= frozenset(others)
                elif group.semantics == "SIM":
                    section.layers = group.ssrcs

    def resolve(self, ssrc: int, payload_type: int, data: bytes) -> CapturedSource | None:
        """Find out what a new SSRC is, by the first packet of it; None if no media section has such packets."""
        for section in self.sections.values():
            if ssrc in section.originals:
                return CapturedSource(ssrc, section, "rtx")
            if ssrc in section.repair:
                return CapturedSource(ssrc, section, "fec")
            if ssrc in section.ssrcs and payload_type in section.payloads:
                return CapturedSource(ssrc, section, self._role(section, payload_type))
        said = dict(header_extensions(data))
        fitting = [one for one in self.sections.values() if payload_type in one.payloads]
        for section in fitting:
            if said.get(section.extensions.get(_MID, 0)) == section.mid.encode():
                return self._by_itself(section, ssrc, payload_type, said)
        # Without BUNDLE's header extension, the payload type says it (RFC 9143 section 9.2).
        return self._by_itself(fitting[0], ssrc, payload_type, said) if fitting else None

    def _by_itself(self, section: MediaSection, ssrc: int, payload_type: int, said: Mapping[int, bytes]) -> CapturedSource:
        role = self._role(section, payload_type)
        name = _REPAIRED if role == "rtx" else _RID
        rid = said.get(section.extensions.get(name, 0), b"").decode(errors="replace")
        return CapturedSource(ssrc, section, role, rid)

    def original(self, sender: CapturedSource) -> int:
        """The SSRC whose packets a sender of retransmissions repeats; 0 if that is not known."""
        known = sender.section.originals.get(sender.ssrc, 0) or sender.repeated
        if known:
            return known
        media = [one for one in self.senders.values() if one.section is sender.section and one.role == "media"]
        same = [one for one in media if one.rid == sender.rid] if sender.rid else media
        return same[0].ssrc if len(same) == 1 else 0

    @staticmethod
    def _role(section: MediaSection, payload_type: int) -> str:
        role = section.payloads[payload_type].role
        return role if role in ("rtx", "fec") else "media"


def _use(name: str, codec: object) -> PayloadUse:
    rate = getattr(codec, "clock_rate", 0)
    parameters: Mapping[str, str] = getattr(codec, "parameters", {})
    rate = rate if 1000 <= rate <= 1_000_000 else 90000
    if name == "rtx":
        apt = parameters.get("apt", "")
        return PayloadUse("rtx", name, rate, parameters, int(apt) if apt.isdecimal() else -1)
    role = "other"
    if name in REDUNDANT:
        role = "red"
    elif name in REPAIR:
        role = "fec"
    elif name in VIDEO or name in AUDIO:
        role = "media"
    return PayloadUse(role, name, rate, parameters, -1)
