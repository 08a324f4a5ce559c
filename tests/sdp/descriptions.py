"""Session descriptions of real software, as it wrote them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiortc.sdp import SessionDescription

from relay.media.api import Candidate, DtlsRole, Fingerprint, TransportParameters

_FOLDER: Final = Path(__file__).with_name("corpus")

DESCRIPTIONS: Final = tuple(sorted(file.stem for file in _FOLDER.glob("*.sdp")))
OFFERS: Final = tuple(name for name in DESCRIPTIONS if name.endswith("_offer"))
ANSWERS: Final = tuple(name for name in DESCRIPTIONS if "_answer" in name)

CLIENTS: Final = ("gstreamer", "libdatachannel", "werift", "wrtc")
"""Of `tests.foreign`, by their names in the corpus."""

ANSWERED_BY: Final = {
    **{name: (f"{name}_offer", f"{name}_answer") for name in ("aiortc", "firefox", "safari", "chromium_video")},
    **{
        f"{browser}_{what}": (f"{browser}_{what}_offer", f"{browser}_{what}_answer")
        for browser in ("chromium", "firefox")
        for what in ("voice", "call", "screen")
    },
    **{f"{name} to chromium": ("chromium_call_offer", f"{name}_answer") for name in CLIENTS},
}
"""Offers, and what was answered to them."""

RELAY: Final = TransportParameters(
    ufrag="relayufr",
    pwd="relaypwdrelaypwdrelaypwd",
    fingerprints=(Fingerprint("sha-256", ":".join(["AB"] * 32)),),
    role=DtlsRole.ACTPASS,
    candidates=(Candidate("198.51.100.1", 40000), Candidate("2001:db8::1", 40001)),
)
"""The relay's own end, in addresses that no browser here has."""

RELAY_SECTION: Final = (
    "c=IN IP4 198.51.100.1",
    f"a=ice-ufrag:{RELAY.ufrag}",
    f"a=ice-pwd:{RELAY.pwd}",
    f"a=fingerprint:sha-256 {RELAY.fingerprints[0].value}",
    "a=setup:actpass",
    "a=candidate:1 1 udp 2130706431 198.51.100.1 40000 typ host",
    "a=candidate:2 1 udp 2130706175 2001:db8::1 40001 typ host",
    "a=end-of-candidates",
)
"""What `RELAY` looks like in a media section."""


@dataclass(frozen=True)
class Seen:
    """A live media section, as another implementation reads it."""

    ufrag: str | None
    pwd: str | None
    lite: bool
    dtls_role: str
    fingerprints: tuple[str, ...]
    candidates: tuple[tuple[str, int, str], ...]
    complete: bool


def seen(text: str) -> list[Seen]:
    """The sections that are not rejected, by aiortc."""
    found = []
    for media in SessionDescription.parse(text).media:
        if media.port:
            assert media.ice is not None
            assert media.dtls is not None
            found.append(
                Seen(
                    ufrag=media.ice.usernameFragment,
                    pwd=media.ice.password,
                    lite=media.ice.iceLite,
                    dtls_role=media.dtls.role,
                    fingerprints=tuple(one.value for one in media.dtls.fingerprints),
                    candidates=tuple((one.ip, one.port, one.type) for one in media.ice_candidates),
                    complete=media.ice_candidates_complete,
                )
            )
    return found


def description(name: str) -> str:
    """One of the corpus.

    `tests.sdp.capture` had most of them from Chromium 156, Firefox ESR 153, aiortc 1.16 and the clients of `tests/foreign`. These
    are written by hand, after what such software sends: `firefox_offer` and `firefox_answer` (version 128), Safari 17,
    Asterisk 20, FreeSWITCH 1.10, rtpengine 12.
    """
    return (_FOLDER / f"{name}.sdp").read_bytes().decode()


def plain(*kinds: str, setup: str = "actpass", ufrag: str = "Abcd", certificate: str = "0C") -> str:
    """The least that the relay takes, with a media section for each kind.

    Args:
        certificate: two hexadecimal digits; others are another certificate.
    """
    head = ["v=0", "o=- 17 2 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {' '.join(map(str, range(len(kinds))))}"]
    return "\r\n".join(
        [*head, *(line for mid, kind in enumerate(kinds) for line in _section(mid, kind, setup, ufrag, certificate)), ""]
    )


def _section(mid: int, kind: str, setup: str, ufrag: str, certificate: str) -> list[str]:
    return [
        f"m={kind} 9 UDP/TLS/RTP/SAVPF 111 0",
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ufrag}",
        "a=ice-pwd:abcdefghijklmnopqrstuvwx",
        f"a=fingerprint:sha-256 {':'.join([certificate] * 32)}",
        f"a=setup:{setup}",
        f"a=mid:{mid}",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2" if kind == "audio" else "a=rtpmap:111 VP8/90000",
        "a=rtpmap:0 PCMU/8000" if kind == "audio" else "a=rtpmap:0 H264/90000",
    ]


VOICE_OFFER: Final = plain("audio")
VOICE_ANSWER: Final = plain("audio", setup="active")
VIDEO_OFFER: Final = plain("audio", "video")
VIDEO_ANSWER: Final = plain("audio", "video", setup="active")
