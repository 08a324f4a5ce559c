"""Fuzz targets: each takes any bytes, and raises if one of the relay's promises does not hold for them.

`tests/fuzz/test_fuzz.py` feeds them from the corpus and from mutations of it, `tests/fuzz/coverage_guided.py` from atheris.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from aioice import stun

from relay.errors import SignalingError
from relay.media.api import MediaDescription
from relay.media.transport import ice
from relay.rtp import packet as rtp
from relay.rtp import rtcp, rtcp_cuts
from relay.rtp.keyframes import keyframe_detector
from relay.sdp import media
from relay.sdp.model import SessionDescription
from relay.sdp.parse import MAX_SECTIONS, is_candidate, parse_sdp
from relay.sdp.rewrite import rewrite_sdp
from relay.signaling.messages import incoming, outgoing
from relay.stun import local_ufrag, parse
from tests.fuzz import recording_targets
from tests.fuzz.demultiplexer import Demultiplexer
from tests.fuzz.make_corpus import PWD, UFRAG
from tests.fuzz.seeds import signed
from tests.sdp.descriptions import RELAY, RELAY_SECTION

Target = Callable[[bytes], None]

# -- STUN ---------------------------------------------------------------------------------------------------------------

MAX_RESPONSE: Final = 96
"""Bytes of an answer to a check: a forged source must not make the relay an amplifier."""

_SOURCES: Final = (("203.0.113.7", 54321), ("2001:db8::7", 1))

_AGENT: Final = ice.IceAgent()
_AGENT._current = ice.IceCredentials(UFRAG, PWD)


def fuzz_stun(data: bytes) -> None:
    """As it is, and as if its sender knew the password."""
    _check(data)
    signed_data = signed(data, PWD)
    if signed_data is not None:
        _check(signed_data)


def _check(datagram: bytes) -> None:
    message = parse(datagram)
    if message is None:
        return
    ufrag = local_ufrag(message)
    assert ufrag is None or ":" not in ufrag
    _survives_writing(message)
    for source in _SOURCES:
        answered = _AGENT.answer(message, ufrag or "", source)
        if answered is None:
            assert not message.check_message_integrity(PWD.encode())
            continue
        conflict = "ICE-CONTROLLED" in message.attributes
        assert answered.nominates == ("USE-CANDIDATE" in message.attributes and not conflict)
        assert len(answered.response) <= MAX_RESPONSE
        response = parse(answered.response)
        assert response is not None
        assert response.transaction_id == message.transaction_id
        assert response.check_message_integrity(PWD.encode())
        assert response.message_class is (stun.Class.ERROR if conflict else stun.Class.RESPONSE)
        assert conflict or response.attributes["XOR-MAPPED-ADDRESS"] == source


def _survives_writing(message: stun.Message) -> None:
    # These three depend on the other bytes, or on how their sender wrote them.
    left_out = {"MESSAGE-INTEGRITY", "FINGERPRINT", "ERROR-CODE"}
    attributes = {name: value for name, value in message.attributes.items() if name not in left_out}
    copy = stun.Message(message.message_method, message.message_class, message.transaction_id, attributes)
    again = parse(bytes(copy))
    assert again is not None
    assert (again.message_method, again.message_class) == (message.message_method, message.message_class)
    assert again.attributes == attributes


# -- RTP ----------------------------------------------------------------------------------------------------------------

_CODECS: Final = ("vp8", "vp9", "h264", "av1")


def fuzz_rtp(data: bytes) -> None:
    """A datagram in a receive buffer, where what came before is still behind it."""
    length = len(data)
    buffers: tuple[rtp.Buffer, ...] = (data, bytearray(data + bytes(64)), memoryview(data + b"\xff" * 64))
    header, payload = rtp.header_length(data, length), rtp.payload_range(data, length)
    for buffer in buffers:
        assert rtp.header_length(buffer, length) == header
        assert rtp.payload_range(buffer, length) == payload
    if header:
        assert rtp.FIXED_HEADER_LENGTH <= header <= length
    begin, end = payload
    assert payload == (0, 0) or header == begin <= end <= length
    for codec in _CODECS:
        detect = keyframe_detector(codec)
        assert detect is not None
        # With any bytes for a payload too: padding and headers must not hide a detector's mistake.
        for first, last in (payload, (0, length), (min(12, length), length)):
            assert len({detect(buffer, first, last) for buffer in buffers}) == 1, f"{codec} reads beyond the payload"
            assert first < last or not detect(data, first, last)


# -- RTCP ---------------------------------------------------------------------------------------------------------------


def fuzz_rtcp(data: bytes) -> None:
    try:
        packets = rtcp.parse(data)
    except rtcp.RtcpError as error:
        assert str(error)
        packets = None
    assert packets is None or len(packets) <= len(data) // 4
    asked: dict[int, list[int]] = {}
    for packet in packets or ():
        if isinstance(packet, rtcp.Nack):
            asked.setdefault(packet.media_ssrc, []).extend(packet.sequences)
    assert sum(map(len, asked.values())) <= len(data) // 4 * 17
    for chosen in (slice(0, 0), slice(0, 1), slice(0, None, 2), slice(0, None)):
        _leave_out(data, packets, {ssrc: frozenset(sequences[chosen]) for ssrc, sequences in asked.items()})


def _leave_out(data: bytes, packets: list[rtcp.RtcpPacket] | None, answered: Mapping[int, frozenset[int]]) -> None:
    try:
        left = rtcp_cuts.without_nacks(data, answered)
    except rtcp.RtcpError:
        assert packets is None, "what can be read can also be shortened"
        return
    assert len(left or b"") <= len(data), "it does not fit back into the buffer that it came in"
    if packets is None:
        return
    if not any(answered.values()):
        assert left == (data or None)
    expected = [_without(packet, answered) for packet in packets]
    assert [_unordered(packet) for packet in rtcp.parse(left or b"")] == [_unordered(one) for one in expected if one is not None]


def _without(packet: rtcp.RtcpPacket, answered: Mapping[int, frozenset[int]]) -> rtcp.RtcpPacket | None:
    if not isinstance(packet, rtcp.Nack) or not answered.get(packet.media_ssrc):
        return packet
    left = tuple(one for one in packet.sequences if one not in answered[packet.media_ssrc])
    # An empty one was empty before: it stays.
    return rtcp.Nack(packet.sender_ssrc, packet.media_ssrc, left) if left or not packet.sequences else None


def _unordered(packet: rtcp.RtcpPacket) -> object:
    if isinstance(packet, rtcp.Nack):
        return packet.sender_ssrc, packet.media_ssrc, frozenset(packet.sequences)
    return packet


# -- descriptions -------------------------------------------------------------------------------------------------------

_TRANSPORT_LINE: Final = re.compile(
    r"[oc]=|a=(candidate|remote-candidates|end-of-candidates|ice-ufrag|ice-pwd|ice-options|ice-lite|ice-mismatch|ice-pacing"
    r"|fingerprint|setup|rtcp|crypto|tls-id|key-mgmt|source-filter|altc)(:|$)"
)
"""The lines that describe one end of a transport: RFC 8839, 8122, 8842, 3605, 4568, 8844, 4567, 4570, 6947."""

_RELAYS_OWN: Final = frozenset({*RELAY_SECTION, "a=ice-lite"})
_RELAYS_ORIGIN: Final = re.compile(r"o=- \d{1,20} \d{1,20} IN IP4 198\.51\.100\.1")


def fuzz_sdp(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        description = parse_sdp(text)
    except SignalingError as error:
        assert error.code == "invalid_sdp"
        assert len(str(error)) < 200
        return
    assert 1 <= len(description.sections) <= MAX_SECTIONS
    for section in description.media:
        for codec in section.codecs:
            assert codec.clock_rate > 0, "the jitter is divided by it"
            assert codec.payload_type <= media.MAX_PAYLOAD_TYPE
            assert len(codec.parameters) <= media.MAX_PARAMETERS
        named = [*section.ssrcs, *(ssrc for group in section.ssrc_groups for ssrc in group.ssrcs)]
        assert all(0 <= ssrc < 2**32 for ssrc in named)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(section), type=MediaDescription) == section
    rendered = rewrite_sdp(description, RELAY)
    lines = rendered.split("\r\n")
    assert lines.pop() == ""
    assert not any("\r" in line or "\n" in line for line in lines)
    for line in lines:
        if _TRANSPORT_LINE.match(line):
            assert line in _RELAYS_OWN or _RELAYS_ORIGIN.fullmatch(line), f"of the sender's end: {line}"
    assert len(rendered) <= 2 * len(text) + 1000 * (len(description.sections) + 1)
    _survives_another_relay(description, rendered)


def _survives_another_relay(description: SessionDescription, rendered: str) -> None:
    """What one relay has rendered is what another takes, and renders in the same way."""
    again = parse_sdp(rendered)
    assert rewrite_sdp(again, RELAY) == rendered
    assert again.media == description.media
    assert [section.msids for section in again.sections] == [section.msids for section in description.sections]
    assert again.transport.pwd == RELAY.pwd


# -- messages -----------------------------------------------------------------------------------------------------------

_CODES: Final = frozenset({"too_large", "malformed", "unknown_type", "invalid_message"})


def fuzz_messages(data: bytes) -> None:
    """As a binary frame and as a text frame."""
    text = data.decode(errors="replace")
    for frame in (data, text, text[:-1]):
        ref = incoming.ref_of(frame)
        assert ref is None or 0 < len(ref) <= 200
        try:
            message = incoming.decode(frame)
        except SignalingError as error:
            assert error.code in _CODES
            answer = outgoing.encode(outgoing.Error(code=error.code, message=str(error), ref=ref))
            assert msgspec.json.decode(answer)["type"] == "error"
            # It may quote what it refuses, in which JSON writes a byte as six.
            assert len(answer) <= 6 * len(frame) + 500
        else:
            assert incoming.decode(msgspec.json.encode(message)) == message
            if isinstance(message, incoming.TrickledCandidate) and message.candidate is not None:
                is_candidate(message.candidate.candidate or "")


# -- the demultiplexer --------------------------------------------------------------------------------------------------

_demultiplexers: list[Demultiplexer] = []


def fuzz_demultiplexer(data: bytes) -> None:
    """A run of datagrams in `make_corpus.frames`. Opens an engine the first time: `close` it in the end."""
    if not _demultiplexers:
        _demultiplexers.append(Demultiplexer())
    _demultiplexers[0].survives(data)


def close() -> None:
    """Close the engine that `fuzz_demultiplexer` has opened."""
    while _demultiplexers:
        _demultiplexers.pop().close()


TARGETS: Final[Mapping[str, Target]] = {
    "stun": fuzz_stun,
    "rtp": fuzz_rtp,
    "rtcp": fuzz_rtcp,
    "sdp": fuzz_sdp,
    "messages": fuzz_messages,
    "demultiplexer": fuzz_demultiplexer,
    **recording_targets.TARGETS,
}
