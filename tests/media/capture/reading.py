"""A reader of capture files, by the specification of pcapng alone."""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Read:
    """What a file has."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    interfaces: list[tuple[str, Any]] = field(default_factory=list)
    """Name and comment of each, that of events included."""
    packets: list[tuple[str, bytes]] = field(default_factory=list)
    """Name of the interface, and the RTP or RTCP packet."""
    times: list[int] = field(default_factory=list)
    """Nanoseconds, of packets and events, in order."""
    headers: set[bytes] = field(default_factory=set)
    """IPv4 addresses of the packets."""
    application: bytes = b""
    rest: int = 0
    """Bytes at the end that are no whole block."""

    def of(self, name: str) -> list[bytes]:
        """The packets of a party."""
        return [packet for party, packet in self.packets if party == name]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [fields for event, fields in self.events if event == name]


def read(data: bytes | Path) -> Read:
    if isinstance(data, Path):
        data = data.read_bytes()
    found = Read()
    begin = 0
    while begin + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, begin)
        assert length >= 12, "a length"
        assert not length % 4, "blocks are aligned"
        if begin + length > len(data):
            break
        assert struct.unpack_from("<I", data, begin + length - 4)[0] == length, "both lengths agree"
        _take(found, kind, data[begin + 8 : begin + length - 4])
        begin += length
    found.rest = len(data) - begin
    return found


def _take(found: Read, kind: int, body: bytes) -> None:
    if kind == 0x0A0D0D0A:
        assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
        found.application = dict(_options(body[16:]))[4]
    elif kind == 1:
        link, _, snap = struct.unpack_from("<HHI", body)
        options = dict(_options(body[8:]))
        assert link == (228 if found.interfaces else 147)
        assert (snap, options[9]) == (0, b"\x09"), "whole packets, nanoseconds"
        found.interfaces.append((options[2].decode(), json.loads(options[1]) if 1 in options else None))
    else:
        assert kind == 6, "no other block"
        interface, high, low, captured, original = struct.unpack_from("<5I", body)
        assert captured == original
        data, padding = body[20 : 20 + captured], body[20 + captured :]
        assert not any(padding)
        assert len(padding) < 4
        found.times.append(high << 32 | low)
        if interface == 0:
            fields = json.loads(data)
            found.events.append((fields.pop("event"), fields))
        else:
            assert struct.unpack_from("!BxH", data) == (0x45, captured), "IPv4, of that length"
            assert struct.unpack_from("!HHH", data, 20) == (5004, 5004, captured - 20), "UDP"
            found.headers.add(data[12:20])
            found.packets.append((found.interfaces[interface][0], data[28:]))


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    begin = 0
    while True:
        code, length = struct.unpack_from("<HH", data, begin)
        if not code:
            assert begin + 4 == len(data), "nothing follows the last option"
            return
        yield code, data[begin + 4 : begin + 4 + length]
        begin += 4 + length + -length % 4
