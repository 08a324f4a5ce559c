"""Packets of streams that were not heard for long, or never. `relay.media.routing.direct` leaves them to this module."""

from relay.media.net.dtls_srtp import REPLAY_STATUSES, forget_stream, unprotect, unprotect_after
from relay.media.transport.transport import Transport
from relay.rtp.packet import PAYLOAD_TYPE, peek
from relay.rtp.rollover import guesses


def take_first(source: Transport, datagram: bytes, now: float) -> bytes | str:
    """Decrypt an SRTP packet whose SSRC is not in `source.streams`, and put it there if the packet is authentic.

    Args:
        source: the transport that it arrived at, which is up.
        datagram: at least 12 bytes.

    Returns:
        The RTP packet, which has yet to be counted by `StreamStatistics.received`; or the counter of why it is none.
    """
    _, second, sequence, timestamp, ssrc = peek(datagram)
    if not source.ssrcs.has_room(ssrc, now):
        return "dropped_streams"
    stream = source.statistics.streams.get(ssrc)
    packet = unprotect(source.rx, datagram, rtcp=False)
    if not isinstance(packet, bytes):
        if stream is None or not source.received.may_search():
            return refusal(packet)
        silence = now - stream.heard_at
        found = unprotect_after(source.rx, datagram, ssrc, lambda counter: guesses(counter, silence, source.timing.packet_rate))
        if found is None:
            return refusal(packet)
        packet, counter = found
        source.counters["rollovers_found"] += 1
        # Unwrapped numbers are a cycle up (`StreamStatistics`).
        last = stream.highest
        stream.skip_to((counter + 1 << 16) + sequence)
        if source.peer is not None:
            source.peer.gap.sender_skips(ssrc, last)
    if not hear(source, ssrc, now):
        return "dropped_streams"
    if stream is None:
        stream = source.received.open(ssrc, second & PAYLOAD_TYPE, sequence, timestamp, now)
        source.read_payload(stream, memoryview(packet), timestamp)
    source.streams[ssrc] = stream
    return packet


def decrypt(source: Transport, datagram: bytes, *, is_rtcp: bool, now: float) -> bytes | str:
    """Decrypt an SRTP or SRTCP packet outside the forwarding path: arguments and result as of `take_first`."""
    if not is_rtcp and peek(datagram)[4] not in source.streams:
        return take_first(source, datagram, now)
    packet = unprotect(source.rx, datagram, rtcp=is_rtcp)
    return packet if isinstance(packet, bytes) else refusal(packet)


def hear(source: Transport, ssrc: int, now: float) -> bool:
    """Note that an authentic packet of the peer has this SSRC, for which there was room; False if there is none after all."""
    forgotten = source.ssrcs.hear(ssrc, now)
    if forgotten is None:
        return True
    forget_stream(source.rx, forgotten)
    if forgotten == ssrc:
        return False
    source.counters["streams_forgotten"] += 1
    source.forget_stream(forgotten)
    return True


def refusal(status: int) -> str:
    """The counter of a packet that libsrtp does not take."""
    return "srtp_replayed" if status in REPLAY_STATUSES else "srtp_unauthentic"
