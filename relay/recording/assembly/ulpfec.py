"""Forward error correction of browsers: ULPFEC (RFC 5109) within RED, as libwebrtc sends it beside VP8 and VP9.

A receiver repairs a lost packet by it and never asks for it again. So packets that the relay has not received either, and nothing
repeats, are in the frames that the receiver showed.
"""

from collections.abc import Iterable
from typing import Final

from relay.recording.assembly.streams import payload_of
from relay.rtp.extensions import extension_elements

REMEMBERED: Final = 256
"""Packets of a stream. libwebrtc protects 48 at most by one packet."""

MAX_PENDING: Final = 32
"""Packets of repair that protect more than one missing packet, and wait for the others."""

_HEADER: Final = 12
"""Bytes of the fixed RTP header (RFC 3550 section 5.1)."""

_PACING: Final = "http://www.webrtc.org/experiments/rtp-hdrext/video-timing"

_MUTABLE: Final = {
    "urn:ietf:params:rtp-hdrext:toffset": 0,
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time": 0,
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01": 0,
    "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02": 0,
    _PACING: 7,
}
"""Header extensions that libwebrtc writes when a packet leaves, after it has been protected → the first byte that is zero in what
the repair protects."""


class UlpfecDecoder:
    """What was sent of one stream a moment ago, and the repair that waits for it.

    Args:
        extensions: URI of a header extension → its id.
    """

    __slots__ = ("_mutable", "_pending", "_seen", "held")

    def __init__(self, extensions: Iterable[tuple[str, int]]) -> None:
        self._mutable = {identifier: _MUTABLE[uri] for uri, identifier in extensions if uri in _MUTABLE}
        self._seen: dict[int, tuple[bytes, bool]] = {}
        """By sequence number: a packet, and whether it is wrapped in RED."""
        self._pending: list[bytes] = []
        self.held = 0
        """Bytes of the packets that are remembered."""

    def packet(self, data: bytes, *, red: bool) -> list[bytes]:
        """Remember a packet of media; returns the packets that can be repaired now that it is here, without RED."""
        self._remember(data, red=red)
        return self._retry() if self._pending else []

    def repair(self, payload: bytes) -> list[bytes]:
        """Take a packet of repair, without RED; returns the RTP packets that it repairs, without RED.

        Raises:
            ValueError: it is cut off.
        """
        if len(payload) < 14 or (payload[0] & 0x40 and len(payload) < 18):
            raise ValueError("a packet of ULPFEC is cut off")
        self._pending = [*self._pending[1 - MAX_PENDING :], payload]
        return self._retry()

    def forget(self) -> None:
        """Keep nothing of what came."""
        self._seen.clear()
        self._pending.clear()
        self.held = 0

    def _remember(self, data: bytes, *, red: bool) -> None:
        sequence = (data[2] << 8) | data[3]
        before = self._seen.pop(sequence, None)  # the newest is the last one
        if before is None and len(self._seen) >= REMEMBERED:
            before = self._seen.pop(next(iter(self._seen)))
        self._seen[sequence] = (data, red)
        self.held += len(data) - (len(before[0]) if before is not None else 0)

    def _retry(self) -> list[bytes]:
        found: list[bytes] = []
        progress = True
        while progress:
            progress, waiting = False, []
            for payload in self._pending:
                protected = _protected(payload)
                missing = [one for one in protected if one not in self._seen]
                if len(missing) > 1:
                    waiting.append(payload)
                elif missing and (packet := self._recover(payload, protected, missing[0])):
                    self._remember(packet, red=False)
                    found.append(packet)
                    progress = True
            self._pending = waiting
        return found

    def _recover(self, payload: bytes, protected: list[int], missing: int) -> bytes | None:
        """RFC 5109 section 9.2, for one level of protection."""
        start = 18 if payload[0] & 0x40 else 14
        protection = min((payload[10] << 8) | payload[11], len(payload) - start)
        head = int.from_bytes(payload[:2]) << 32 | int.from_bytes(payload[4:8])
        length = (payload[8] << 8) | payload[9]
        body = int.from_bytes(payload[start : start + protection])
        ssrc = b""
        for sequence in protected:
            if sequence == missing:
                continue
            packet = self._as_protected(sequence)
            ssrc = packet[8:12]
            head ^= int.from_bytes(packet[:2]) << 32 | int.from_bytes(packet[4:8])
            length ^= len(packet) - _HEADER
            body ^= int.from_bytes(packet[_HEADER : _HEADER + protection].ljust(protection, b"\0"))
        if length > protection or not ssrc:  # the repair does not cover all of it; or nothing names the stream
            return None
        first, timestamp = head >> 32, (head & 0xFFFFFFFF).to_bytes(4)
        flags = 0x80 | (first >> 8) & 0x3F
        return bytes([flags, first & 0xFF]) + missing.to_bytes(2) + timestamp + ssrc + body.to_bytes(protection)[:length]

    def _as_protected(self, sequence: int) -> bytes:
        """A packet as it was when libwebrtc protected it: without RED, and before what is written at the end."""
        data, red = self._seen[sequence]
        packet = bytearray(data)
        for identifier, begin, end in extension_elements(data):
            if (kept := self._mutable.get(identifier)) is not None:
                packet[begin + kept : end] = bytes(max(0, end - begin - kept))
        if red:
            begin, _ = payload_of(data, data[0])
            packet[1] = (data[1] & 0x80) | (data[begin] & 0x7F)
            del packet[begin]
        return bytes(packet)


def _protected(payload: bytes) -> list[int]:
    """The sequence numbers that a packet of repair protects: its mask, from its base on."""
    base, bits = (payload[2] << 8) | payload[3], 48 if payload[0] & 0x40 else 16
    mask = int.from_bytes(payload[12 : 12 + bits // 8])
    return [(base + offset) & 0xFFFF for offset in range(bits) if mask >> (bits - 1 - offset) & 1]
