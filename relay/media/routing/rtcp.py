"""RTCP that crosses: what the relay reads on the way, and the NACKs that it answers itself."""

from typing import Final

from relay.media.transport.transport import Transport
from relay.rtp.rtcp import Bye, Nack, RtcpError, RtcpPacket, parse
from relay.rtp.rtcp_cuts import count_nacked, cut_nacks, without_byes, without_keyframe_requests, without_nacks

_TRANSPORT_CC: Final = (0x8F, 205)
"""First two bytes of transport-wide congestion control feedback (version 2, no padding, format 15). Browsers send it by itself,
up to twenty times a second, and there is nothing in it for the relay."""


def read_rtcp(source: Transport, compound: bytes, now: float) -> bytes | None:
    """Take a decrypted compound packet of `source`, which is routed: count what it says, answer what can be answered.

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
    assert source.peer is not None, "only a routed transport's packets are read"
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
