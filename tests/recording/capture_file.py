"""Writes capture files as the media plane does, for tests of what reads them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from struct import pack
from types import TracebackType
from typing import Any, Final, Self

START: Final = 1_700_000_000 * 10**9
"""When recordings begin here, in nanoseconds since 1970."""

RECORDING: Final = "0123456789abcdef0123456789abcdef"


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = pack("<I", 12 + len(body))
    return pack("<I", kind) + length + body + length


def option(code: int, value: bytes) -> bytes:
    return pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def section_header() -> bytes:
    return block(0x0A0D0D0A, pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + option(4, b"call-relay 0.1.0") + option(0, b""))


def interface_block(link: int, name: str = "", comment: str = "") -> bytes:
    options = option(9, b"\x09")
    if name:
        options += option(2, name.encode())
    if comment:
        options += option(1, comment.encode())
    return block(1, pack("<HHI", link, 0, 0) + options + option(0, b""))


def packet_block(interface: int, at: int, data: bytes) -> bytes:
    return block(6, pack("<IIIII", interface, at >> 32, at & 0xFFFFFFFF, len(data), len(data)) + data)


def headers(party: str, length: int) -> bytes:
    """A made-up IPv4 and UDP header."""
    source, target = (1, 2) if party == "A" else (2, 1)
    ipv4 = pack("!BBHHHBBH4B4B", 0x45, 0, 28 + length, 0, 0, 64, 17, 0, 10, 0, 0, source, 10, 0, 0, target)
    return ipv4 + pack("!HHHH", 5004, 5004, 8 + length, 0)


class CaptureFile:
    """A capture that is being written. Times are seconds from its beginning."""

    def __init__(self, path: Path, *, started: bool = True) -> None:
        self.path = path
        self._file = path.open("wb")
        self._parties: list[str] = [""]
        self._file.write(section_header() + interface_block(147))
        if started:
            fields = {"recording_id": RECORDING, "call_id": "c" * 32, "wall": START / 1e9, "policy": "consent"}
            self.event(0, "started", **fields)

    def event(self, time: float, name: str, **fields: Any) -> None:
        data = json.dumps({"event": name, **fields}, separators=(",", ":")).encode()
        self._file.write(packet_block(0, START + round(time * 1e9), data))

    def interface(self, name: str, media: Sequence[Mapping[str, Any]], time: float = 0) -> int:
        self._parties.append(name[0])
        number = len(self._parties) - 1
        self._file.write(interface_block(228, name, json.dumps({"media": media})))
        leg = int(name[1:] or 1)
        self.event(time, "transport", interface=number, party=name[0], leg=leg, transport_id="f" * 32)
        return number

    def packet(self, time: float, interface: int, data: bytes) -> None:
        whole = headers(self._parties[interface], len(data)) + data
        self._file.write(packet_block(interface, START + round(time * 1e9), whole))

    def close(self) -> Path:
        self._file.close()
        return self.path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


# -- descriptions -----------------------------------------------------------------------------------------------------------

VP8, VP9, H264, AV1, RED, RTX, OPUS, PCMU, PCMA, AUDIO_RED, ULPFEC = 96, 98, 102, 45, 118, 97, 111, 0, 8, 63, 119

MID_EXTENSION, RID_EXTENSION, ROTATION_EXTENSION, REPAIRED_EXTENSION = 4, 10, 13, 11

_VIDEO: Final = ((VP8, "VP8"), (VP9, "VP9"), (H264, "H264"), (AV1, "AV1"))


def codec(payload_type: int, name: str, rate: int, channels: int = 1, **parameters: str) -> dict[str, Any]:
    return {"payload_type": payload_type, "name": name, "clock_rate": rate, "channels": channels, "parameters": parameters}


def audio_section(mid: str = "0", ssrcs: Sequence[int] = ()) -> dict[str, Any]:
    codecs = [codec(OPUS, "opus", 48000, 2, useinbandfec="1"), codec(AUDIO_RED, "red", 48000, 2), codec(PCMU, "pcmu", 8000)]
    codecs += [codec(PCMA, "pcma", 8000), codec(9, "g722", 8000), codec(126, "telephone-event", 48000)]
    return _section(mid, "audio", ssrcs, codecs, [])


def video_section(
    mid: str = "1", ssrcs: Sequence[int] = (), groups: Sequence[tuple[str, Sequence[int]]] = (), rids: Sequence[str] = ()
) -> dict[str, Any]:
    codecs = [codec(number, name, 90000) for number, name in _VIDEO]
    codecs += [codec(RED, "red", 90000), codec(RTX, "rtx", 90000, apt=str(VP8)), codec(99, "rtx", 90000, apt=str(RED))]
    codecs += [codec(ULPFEC, "ulpfec", 90000)]
    return _section(mid, "video", ssrcs, codecs, groups, rids)


def _section(
    mid: str,
    kind: str,
    ssrcs: Sequence[int],
    codecs: Sequence[Mapping[str, Any]],
    groups: Sequence[tuple[str, Sequence[int]]],
    rids: Sequence[str] = (),
) -> dict[str, Any]:
    return {
        "mid": mid,
        "kind": kind,
        "direction": "sendrecv",
        "ssrcs": list(ssrcs),
        "ssrc_groups": [{"semantics": semantics, "ssrcs": list(members)} for semantics, members in groups],
        "rids": [{"id": one, "direction": "send"} for one in rids],
        "extensions": {
            str(MID_EXTENSION): "urn:ietf:params:rtp-hdrext:sdes:mid",
            str(RID_EXTENSION): "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            str(REPAIRED_EXTENSION): "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            str(ROTATION_EXTENSION): "urn:3gpp:video-orientation",
        },
        "codecs": list(codecs),
    }
