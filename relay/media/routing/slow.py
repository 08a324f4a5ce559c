"""The slow path: every packet that is not the forwarding path's plain case crosses here, and nowhere else.

Those are RTCP, packets from addresses that no transport has validated, and what came before its keys. None of this is fast, and
all of it is bounded.
"""

import logging

from relay.media.net.dtls_srtp import unprotect
from relay.media.routing.rtcp import read_rtcp
from relay.media.transport.intake import decrypt, hear, refusal
from relay.media.transport.transport import Transport
from relay.rtp.packet import is_rtcp, peek, ssrc_of

logger = logging.getLogger(__name__)

TappedPackets = list[tuple[Transport, bytes]]
"""Decrypted packets that the taps of their transports are still to see, in order of arrival."""


def receive(source: Transport, datagram: bytes, now: float, tapped: TappedPackets) -> bytes | str:
    """Take an SRTP or SRTCP datagram of at least 12 bytes that may be of `source`, whose keys are there.

    It is decrypted, counted, kept for the tap, read if it is RTCP, and buffered if the other party's transport is not up yet.

    Args:
        now: seconds, monotonic.
        tapped: gets it, if the transport has a tap.

    Returns:
        The decrypted packet that is to be sent to the other party now, empty if there is none; or the counter of why the datagram
        was refused, which the caller adds to.
    """
    control = is_rtcp(datagram[1])
    packet = _decrypt_rtcp(source, datagram, now) if control else decrypt(source, datagram, is_rtcp=False, now=now)
    if isinstance(packet, str):
        return packet
    counters = source.counters
    counters["packets_received"] += 1
    counters["bytes_received"] += len(datagram)
    if not control:
        _count(source, packet, now)
    if source.tap is not None:
        tapped.append((source, packet))
    target = source.peer
    if target is None:
        counters["dropped_unjoined"] += 1
        return b""
    if control:
        packet = read_rtcp(source, packet, now) or b""
    if packet and target.tx is None:
        source.buffer(packet, is_rtcp=control)
        return b""
    return packet


def forward(source: Transport, datagram: bytes, now: float, tapped: TappedPackets) -> str | None:
    """`receive` a datagram, and send what there is to be sent.

    Returns:
        The counter of why it was refused, which the caller adds to; None if it was taken.
    """
    packet = receive(source, datagram, now, tapped)
    if isinstance(packet, str):
        return packet
    if packet:
        assert source.peer is not None, "`receive` returns nothing to send where there is no other party"
        if is_rtcp(datagram[1]):
            source.peer.send_rtcp(packet)
        else:
            source.peer.send_rtp(packet)
    return None


def forward_early(source: Transport, now: float) -> None:
    """Take what came before the keys of `source`, which are there now."""
    counters = source.counters
    tapped: TappedPackets = []
    for datagram in source.take_early():
        refused = forward(source, datagram, now, tapped)
        counters[refused or "packets_early"] += 1
    show(tapped, now)


def show(tapped: TappedPackets, now: float) -> None:
    """Show packets to the taps of their transports, and keep none. That comes when all of them are sent: what a tap does with a
    packet must not hold up those that came with it.
    """
    for source, packet in tapped:
        if source.tap is not None:
            try:
                source.tap(packet, now)
            except Exception as error:
                _remove_tap(source, error)
    tapped.clear()


def _remove_tap(source: Transport, error: Exception) -> None:
    """The tap of a transport has failed: it is taken off, and the call goes on."""
    source.tap = None
    reason = f"{type(error).__name__}: {error}"
    logger.warning("the tap of transport %s has failed, and sees no more of it: %s", source.transport_id, reason)
    if source.on_tap_failed is not None:
        source.on_tap_failed(reason)


def _decrypt_rtcp(source: Transport, datagram: bytes, now: float) -> bytes | str:
    ssrc = ssrc_of(datagram)
    if not source.ssrcs.has_room(ssrc, now):
        return "dropped_streams"
    packet = unprotect(source.rx, datagram, rtcp=True)
    if not isinstance(packet, bytes):
        return refusal(packet)
    if not source.budget.admits_rtcp(now):
        return "dropped_policed"
    return packet if hear(source, ssrc, now) else "dropped_streams"


def _count(source: Transport, packet: bytes, now: float) -> None:
    _, _, sequence, timestamp, ssrc = peek(packet)
    stream = source.streams[ssrc]
    if stream.received(sequence, timestamp, len(packet), now):
        source.read_payload(stream, memoryview(packet), timestamp)
