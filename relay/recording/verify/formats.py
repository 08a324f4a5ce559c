"""What a party of a call says of its payload types and SSRCs, in descriptions and in packets. Sans-IO."""

from collections.abc import Mapping, Sequence
from typing import Any

from relay.rtp.extensions import header_extensions
from relay.rtp.packet import Buffer

MOST_STREAMS = 256
"""SSRCs; packets of further ones are not looked at."""
_RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
_REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"


class Format:
    """What a payload type means. `apt`: of retransmissions, the payload type of what is sent again (RFC 4588)."""

    __slots__ = ("apt", "clock_rate", "kind", "name")

    def __init__(self, kind: str, name: str, clock_rate: int, apt: int | None) -> None:
        self.kind, self.name, self.clock_rate, self.apt = kind, name, clock_rate, apt


class PartyFormats:
    """What a party has said of its payload types and SSRCs."""

    def __init__(self) -> None:
        self.formats: dict[int, Format] = {}
        self.repaired_by: dict[int, int] = {}
        """SSRC of retransmissions → SSRC of what they repeat."""
        self._layer_ids: set[int] = set()
        """Header extensions that name a layer of simulcast (RFC 8852): of its media, or of what is sent again."""
        self.layers: dict[int, bytes] = {}
        """SSRC → layer, of simulcast whose SSRCs no description has, as Chromium sends it."""

    def learn(self, media: Sequence[Mapping[str, Any]]) -> None:
        """Take in a description of what the party sends, as an interface of a capture has it."""
        for section in media:
            for codec in section.get("codecs", ()):
                apt = str(codec.get("parameters", {}).get("apt", ""))
                self.formats[int(codec["payload_type"])] = Format(
                    str(section["kind"]),
                    str(codec["name"]).lower(),
                    int(codec["clock_rate"]) or 90_000,
                    int(apt) if apt.isdecimal() else None,
                )
            for group in section.get("ssrc_groups", ()):
                if group["semantics"] == "FID" and len(group["ssrcs"]) == 2:
                    original, repair = group["ssrcs"]
                    self.repaired_by[int(repair)] = int(original)
            if section.get("rids"):
                named = section.get("extensions", {}).items()
                self._layer_ids |= {int(identifier) for identifier, uri in named if uri in (_RID, _REPAIRED_RID)}

    def notice(self, ssrc: int, data: Buffer) -> None:
        """Learn of which layer a stream is, by its first packets: later ones do not say."""
        if self._layer_ids and ssrc not in self.layers and len(self.layers) < MOST_STREAMS:
            for identifier, value in header_extensions(bytes(data)):
                if identifier in self._layer_ids:
                    self.layers[ssrc] = value
