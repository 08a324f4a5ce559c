"""A bridge joins the two transports of a call. Media crosses it in `routing.direct`, packet by packet; here is what is rarer:
RTCP, which the relay reads on the way, NACKs that it answers itself, and data channel records.
"""

from typing import Final

from relay.media.transport.intake import decrypt
from relay.media.transport.transport import Transport
from relay.rtp.packet import peek
from relay.rtp.rtcp import Bye, Nack, RtcpError, RtcpPacket, parse
from relay.rtp.rtcp_cuts import count_nacked, cut_nacks, without_byes, without_keyframe_requests, without_nacks

_TRANSPORT_CC: Final = (0x8F, 205)
"""First two bytes of transport-wide congestion control feedback (version 2, no padding, format 15). Browsers send it by itself,
up to twenty times a second, and there is nothing in it for the relay."""


def read_rtcp(source: Transport, compound: bytes, now: float) -> bytes | None:
    """Take a decrypted compound packet of `source`, which is joined: count what it says, answer what can be answered.

    Returns:
        What the other party must still see to; None if that is nothing.
    """
    if (compound[0], compound[1]) == _TRANSPORT_CC:
        return compound
    try:
        compound = _few_nacks(source, compound, now)
        packets = parse(compound)
    except RtcpError:
        source.counters["rtcp_malformed"] += 1
        return compound
    assert source.peer is not None, "only a joined transport's packets are read"
    source.statistics.from_peer(packets, now)
    source.peer.statistics.for_peer(packets, now)
    if any(isinstance(packet, Bye) for packet in packets):
        # The party may come back with its streams, on this transport or on the next; aiortc decodes none after a BYE.
        source.counters["byes_withheld"] += 1
        compound = without_byes(compound) or b""
    too_soon = source.peer.budget.too_soon(packets, now)
    if too_soon:
        source.counters["keyframe_requests_limited"] += len(too_soon)
        compound = without_keyframe_requests(compound, too_soon)
    if not compound:
        return None
    remaining = _answer_nacks(source, compound, packets, now)
    if remaining is None:
        source.counters["nacks_answered"] += 1
    return remaining


def _few_nacks(source: Transport, compound: bytes, now: float) -> bytes:
    """A compound packet with no more sequence numbers in its NACKs than the peer may ask for. Cut before it is read: reading and
    answering them is what they cost."""
    numbers = count_nacked(compound)
    if not numbers:
        return compound
    granted = source.budget.nackable(numbers, source.statistics.rtt, now)
    if granted == numbers:
        return compound
    source.counters["nacks_limited"] += numbers - granted
    return cut_nacks(compound, granted)


def _answer_nacks(source: Transport, compound: bytes, packets: list[RtcpPacket], now: float) -> bytes | None:
    """Send again what `source` misses and the relay still holds; the part of the compound that the other party must see to."""
    answered: dict[int, set[int]] = {}
    for packet in packets:
        if isinstance(packet, Nack):
            again = source.peer.retransmissions_of(packet.media_ssrc) if source.peer is not None else None
            answer = source.history.answer(packet.media_ssrc, packet.sequences, now, source.statistics.rtt, again)
            for resent in answer.packets:
                source.counters["packets_resent"] += 1
                source.destination.send(resent)
                if source.loses_many:
                    source.counters["packets_doubled"] += 1
                    source.destination.send(resent)
            if answer.answered:
                answered.setdefault(packet.media_ssrc, set()).update(answer.answered)
    return without_nacks(compound, answered) if answered else compound


def forward(source: Transport, packet: bytes, *, is_rtcp: bool, now: float) -> None:
    """Take a decrypted packet across the bridge, as the forwarding path does, but outside of it."""
    if not is_rtcp:
        _count(source, packet, now)
    target = source.peer
    if target is None:
        source.counters["dropped_unjoined"] += 1
        return
    remaining = read_rtcp(source, packet, now) if is_rtcp else packet
    if remaining is None:
        return
    if target.tx is None:
        source.hold(remaining, is_rtcp=is_rtcp)
    elif is_rtcp:
        target.send_rtcp(remaining)
    else:
        target.send_rtp(remaining)


def _count(source: Transport, packet: bytes, now: float) -> None:
    _, _, sequence, timestamp, ssrc = peek(packet)
    stream = source.streams[ssrc]
    if stream.received(sequence, timestamp, len(packet), now):
        source.read_payload(stream, memoryview(packet), timestamp)


def forward_early(source: Transport, now: float) -> None:
    """Take across what came before the keys of `source`, which are there now."""
    counters = source.counters
    for datagram in source.take_early():
        # RFC 5761 section 4: payload types 64 to 95 would be RTCP packet types 192 to 223.
        is_rtcp = 191 < datagram[1] < 224
        packet = decrypt(source, datagram, is_rtcp=is_rtcp, now=now)
        if isinstance(packet, bytes):
            counters["packets_early"] += 1
            counters["packets_received"] += 1
            counters["bytes_received"] += len(datagram)
            forward(source, packet, is_rtcp=is_rtcp, now=now)
        else:
            counters[packet] += 1


def join(first: Transport, second: Transport) -> None:
    """Let media flow between two transports, as soon as each is up."""
    for one in (first, second):
        one.part()
    first.peer, second.peer = second, first
    for one in (first, second):
        one.gap.end()
    for source in (first, second):
        if source.statistics.streams and not source.holds_packets:
            # What was sent before there was anybody to receive it is gone, the first keyframe with it.
            source.request_keyframes()
        source.release_held()
