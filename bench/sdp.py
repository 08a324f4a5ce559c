"""Descriptions written by hand, for the servers whose interface is an offer and an answer."""

from dataclasses import dataclass
from typing import Final

from relay.client.bare import BareDescription

VIDEO_TYPE: Final = 96
AUDIO_TYPE: Final = 111

_VIDEO: Final = (
    f"a=rtpmap:{VIDEO_TYPE} VP8/90000",
    f"a=rtcp-fb:{VIDEO_TYPE} nack",
    f"a=rtcp-fb:{VIDEO_TYPE} nack pli",
    f"a=rtcp-fb:{VIDEO_TYPE} ccm fir",
    f"a=rtcp-fb:{VIDEO_TYPE} goog-remb",
)
_AUDIO: Final = (f"a=rtpmap:{AUDIO_TYPE} opus/48000/2",)


@dataclass(frozen=True, slots=True)
class Media:
    """One media section."""

    kind: str
    """`audio` or `video`."""
    direction: str
    ssrc: int | None = None

    @property
    def _payload_type(self) -> int:
        return VIDEO_TYPE if self.kind == "video" else AUDIO_TYPE

    def lines(self, mid: int, local: BareDescription, setup: str) -> list[str]:
        """The section, as the description of `local`."""
        host, port = local.address
        lines = [
            f"m={self.kind} {port} UDP/TLS/RTP/SAVPF {self._payload_type}",
            f"c=IN IP4 {host}",
            f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
            "a=end-of-candidates",
            f"a=ice-ufrag:{local.ufrag}",
            f"a=ice-pwd:{local.pwd}",
            f"a=fingerprint:sha-256 {local.fingerprint}",
            f"a=setup:{setup}",
            f"a=mid:{mid}",
            f"a={self.direction}",
            "a=rtcp-mux",
            *(_VIDEO if self.kind == "video" else _AUDIO),
        ]
        if self.ssrc is not None:
            lines.append(f"a=ssrc:{self.ssrc} cname:bench")
            lines.append(f"a=msid:bench {self.kind}")
        return lines


def write(local: BareDescription, sections: tuple[Media, ...], setup: str) -> str:
    """A whole description; all sections share the one transport (BUNDLE)."""
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(str(mid) for mid in range(len(sections))),
        "a=msid-semantic: WMS *",
    ]
    for mid, section in enumerate(sections):
        lines += section.lines(mid, local, setup)
    return "\r\n".join(lines) + "\r\n"


def read(sdp: str) -> BareDescription:
    """The transport of a bundled description: of its first media section, or of the session."""
    found: dict[str, str] = {}
    for line in sdp.splitlines():
        name, _, value = line.removeprefix("a=").partition(":")
        if line.startswith("a="):
            found.setdefault(name, value)
            if name == "fingerprint" and value.lower().startswith("sha-256 "):
                found["sha-256"] = value.split()[1].upper()
    candidate = found["candidate"].split()
    return BareDescription(
        ufrag=found["ice-ufrag"],
        pwd=found["ice-pwd"],
        fingerprint=found["sha-256"],
        address=(candidate[4], int(candidate[5])),
    )
