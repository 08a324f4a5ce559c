"""DTLS and SRTP of peers of a running engine."""

import contextlib
import functools

from aiortc.rtcdtlstransport import RTCDtlsTransport

from relay.media.api import DtlsRole, TransportClosed, TransportUp
from relay.media.net.dtls_srtp import (
    QUEUE_LENGTH,
)
from relay.media.transport.buffers import MAX_BUFFERED_RECORDS
from tests.kit.media import MediaPeer, RunningEngine, rtcp_compound, rtp_packet, still_talk
from tests.kit.wait import eventually
from tests.media.net.dtls import BOTH_ROLES, OTHER_CERTIFICATE, hostile_records, send_once_connected


@BOTH_ROLES
async def test_the_relay_takes_the_role_that_the_peer_leaves_to_it(relay: RunningEngine, role: DtlsRole) -> None:
    first, second = await relay.peer("first", role=role), await relay.peer("second")
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first, second)
    await still_talk(first, second)
    await relay.counts("dtls_handshakes", 2)


async def test_a_passive_peer_may_check_after_the_relay_was_told_of_it(relay: RunningEngine) -> None:
    peer = await relay.peer("first", role=DtlsRole.PASSIVE)
    await relay.introduce(peer)
    peer.shake_hands()
    await peer.check()
    await peer.connected()
    await relay.says("TransportUp", peer)


async def test_a_client_hello_before_the_relay_knows_the_peer_is_answered_as_soon_as_it_does(relay: RunningEngine) -> None:
    peer = await relay.peer("first")
    await peer.check()
    peer.shake_hands()
    transport = relay.engine._transports["first"]
    await eventually(transport._dtls._dtls._wire._queue.qsize, "a ClientHello to wait")
    assert not [one for one in peer.path.received if one[0] > 3]
    await relay.introduce(peer)
    await peer.connected()
    assert await relay.says("TransportUp", peer) == TransportUp("first")


async def test_too_much_before_the_relay_knows_the_peer_is_dropped_and_counted(relay: RunningEngine) -> None:
    peer = await relay.peer("first")
    await peer.check()
    for _ in range(QUEUE_LENGTH + 5):
        peer.path.send(b"\x16 not a handshake")
    await relay.counts("dtls_overflow", 5)
    await relay.introduce(peer)
    peer.shake_hands()
    await peer.connected()


@BOTH_ROLES
async def test_a_peer_with_another_certificate_is_turned_away_and_hears_and_says_nothing(
    relay: RunningEngine, role: DtlsRole
) -> None:
    first, second = await relay.peer("first"), await relay.peer("second", role=role)
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    first.send_rtp(rtp_packet(1))
    await second.check()
    await relay.introduce(second)
    impostor = second
    impostor.dtls = RTCDtlsTransport(second.dtls.transport, [OTHER_CERTIFICATE])
    impostor.dtls._set_role("client" if role is DtlsRole.ACTIVE else "server")
    impostor.dtls.on("statechange", impostor._changed)
    impostor.shake_hands()
    assert await relay.says("TransportClosed", impostor) == TransportClosed("second", "dtls_failed")
    await relay.counts("dtls_failed")
    with contextlib.suppress(AssertionError):
        await impostor.connected()
    impostor.path.send(rtp_packet(1, payload=bytes(40)))
    await relay.counts("srtp_early")
    assert not impostor.packets
    assert not first.packets
    assert not [one for one in impostor.path.received if one[0] > 127]
    assert not [event for event in relay.events if event == TransportUp("second")]


async def test_the_end_of_a_peer_is_heard_once_and_its_packets_are_dropped(relay: RunningEngine) -> None:
    first, second = await relay.call()
    await second.say_goodbye()
    assert await relay.says("TransportClosed", second) == TransportClosed("second", "closed")
    second.send_rtp(rtp_packet(1))
    await relay.counts("srtp_early")
    assert len([event for event in relay.events if isinstance(event, TransportClosed)]) == 1
    await relay.engine.close_router("call")
    await eventually(lambda: first.dtls.state == "closed", "the other one to hear of it")


def is_closed(peer: MediaPeer) -> bool:
    return peer.dtls.state == "closed"


async def test_the_relay_says_close_notify_when_it_closes(relay: RunningEngine) -> None:
    first, second = await relay.call()
    await relay.engine.close_router("call")
    for peer in (first, second):
        await eventually(functools.partial(is_closed, peer), "close_notify to arrive")
    assert not [event for event in relay.events if isinstance(event, TransportClosed)]


async def test_dtls_from_an_address_that_was_never_checked_is_dropped_and_counted(relay: RunningEngine) -> None:
    peer = await relay.peer("first")
    await relay.introduce(peer)
    peer.shake_hands()
    await relay.counts("unknown_address")
    assert not peer.path.received


async def test_garbage_during_and_after_a_handshake_does_no_harm(relay: RunningEngine) -> None:
    first, second = await relay.peer("first"), await relay.peer("second", role=DtlsRole.PASSIVE)
    await relay.engine.route("call", ("first", "second"))
    for peer in (first, second):
        await peer.check()
        for record in hostile_records(3, 10):
            peer.path.send(record)
        await relay.introduce(peer)
        peer.shake_hands()
        for record in hostile_records(4, 3):
            peer.path.send(record)
    for peer in (first, second):
        await peer.connected()
        await relay.says("TransportUp", peer)
    for record in hostile_records(5, 200):
        first.path.send(record)
        second.path.send(record)
    await still_talk(first, second)
    assert not [event for event in relay.events if isinstance(event, TransportClosed)]


async def test_data_of_a_channel_crosses_the_router(relay: RunningEngine) -> None:
    first, second = await relay.call()
    heard: list[bytes] = []

    class Receiver:
        async def _handle_data(self, data: bytes) -> None:
            heard.append(data)

    second.dtls._register_data_receiver(Receiver())
    await first.dtls._send_data(b"an SCTP packet")
    await eventually(lambda: heard == [b"an SCTP packet"], "data to cross")
    await relay.counts("data_messages")
    await relay.engine.close_transport("second")
    await first.dtls._send_data(b"to a closed transport")
    await relay.counts("data_dropped")


async def test_media_right_behind_the_last_flight_of_a_dtls_server_is_not_lost(relay: RunningEngine) -> None:
    """A browser that is the server has its keys first: its first key frame comes before the relay has read the flight."""
    first, second = await relay.peer("first"), await relay.peer("second", role=DtlsRole.PASSIVE)
    early = [rtp_packet(number, payload=bytes(40)) for number in range(20)]
    send_once_connected(second, early)
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first, second)
    await first.receives(*early, rtcp_compound())
    assert "srtp_early" not in await relay.counted()
    await relay.counts("packets_early", len(early) + 1)
    await still_talk(first, second)


async def test_the_first_data_of_a_channel_waits_for_the_other_party(relay: RunningEngine) -> None:
    """SCTP would send it again, but only after a second."""
    first, second = await relay.peer("first"), await relay.peer("second", role=DtlsRole.PASSIVE)
    heard: list[bytes] = []

    class Receiver:
        async def _handle_data(self, data: bytes) -> None:
            heard.append(data)

    second.dtls._register_data_receiver(Receiver())
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    records = [b"record %d" % number for number in range(MAX_BUFFERED_RECORDS + 3)]
    for record in records:
        await first.dtls._send_data(record)
    await relay.counts("data_dropped", 3)
    await relay.connect(second)
    await eventually(lambda: heard == records[:MAX_BUFFERED_RECORDS], "what was held to arrive, in order")
    await relay.counts("data_held", MAX_BUFFERED_RECORDS)
    await first.dtls._send_data(b"one more")
    await eventually(lambda: heard[-1] == b"one more", "data to cross")
