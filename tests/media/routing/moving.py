"""Peers that talk, and whose addresses change."""

from relay.media.transport.ice import FOLLOW_AFTER_SILENCE
from tests.kit.media import IPV4, MediaPeer, RunningEngine, rtp_packet
from tests.kit.wires import Path

SOUND = bytes(150)
"""What a packet of sound carries: it is longer than a check."""
OURS, THEIRS = 0xA0A0, 0xB0B0
"""SSRCs of the two parties of a call; `still_talk` has its own."""


async def a_call(relay: RunningEngine, host: str = IPV4) -> tuple[MediaPeer, MediaPeer]:
    """Two peers that have talked."""
    first, second = await relay.call(host, host)
    await talk(first, second)
    for peer in (first, second):
        peer.checks.clear()  # those that asked for its consent to begin with
    return first, second


async def talk(first: MediaPeer, second: MediaPeer) -> None:
    first.send_rtp(there := rtp_packet(1, OURS))
    second.send_rtp(back := rtp_packet(1, THEIRS))
    await second.receives(there)
    await first.receives(back)


def falls_silent(relay: RunningEngine, peer: MediaPeer) -> None:
    """Let time pass, for the address that the peer had."""
    relay.engine._transports[peer.transport_id].destination.last_seen -= FOLLOW_AFTER_SILENCE


def moves(relay: RunningEngine, peer: MediaPeer) -> Path:
    """Give the peer another address, of which it does not know itself: it checks nothing. Its old one."""
    old, peer.path = peer.path, peer.another_path()
    falls_silent(relay, peer)
    return old


def media_in(path: Path) -> list[bytes]:
    return [one for one in path.received if one[0] > 127]
