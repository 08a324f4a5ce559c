"""The handshake, its keys, and the one module that knows what aiortc and pylibsrtp keep to themselves."""

import ast
import asyncio
import contextlib
import functools
import importlib
import inspect
import random
from pathlib import Path
from typing import Any

import aiortc.rtcdtlstransport
import pylibsrtp._binding
import pytest
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import RTCDtlsTransport
from cryptography.hazmat.primitives.asymmetric import rsa
from pylibsrtp import Policy, Session

import relay as package
from relay.media.api import DtlsRole, Fingerprint, TransportClosed, TransportParameters, TransportUp
from relay.media.net import dtls_srtp
from relay.media.net.dtls_srtp import (
    QUEUE_LENGTH,
    REPLAY_STATUSES,
    SRTCP_TRAILER,
    Certificate,
    DtlsSrtp,
    fingerprints,
    protect,
)
from relay.media.transport.buffers import MAX_BUFFERED_RECORDS
from tests.kit.media import CERTIFICATE, MediaPeer, RunningEngine, rtcp_compound, rtp_packet, still_talk
from tests.kit.wait import eventually

OTHER_CERTIFICATE = RTCCertificate.generateCertificate()

BOTH_ROLES = pytest.mark.parametrize("role", [DtlsRole.ACTIVE, DtlsRole.PASSIVE])


# -- two ends, without a network --------------------------------------------------------------------------------------


class End:
    """A `DtlsSrtp` and all that it said."""

    def __init__(self, certificate: RTCCertificate) -> None:
        self.certificate = certificate
        self.sent: list[bytes] = []
        self.keys: list[tuple[Any, Any]] = []
        self.closed: list[str] = []
        self.data: list[bytes] = []
        self.other: End | None = None
        self.dtls = DtlsSrtp(
            certificate, self._send, lambda rx, tx: self.keys.append((rx, tx)), self.closed.append, self.data.append
        )

    def _send(self, datagram: bytes) -> None:
        self.sent.append(datagram)
        if self.other is not None:
            self.other.dtls.receive(datagram)

    async def heard(self, records: int) -> None:
        await eventually(lambda: len(self.data) >= records, lambda: f"{records} records, but {len(self.data)}", within=5)

    def start(self, role: DtlsRole, shown: RTCCertificate) -> None:
        """Begin with a peer of that role that is expected to show that certificate."""
        self.dtls.start(TransportParameters("u" * 4, "p" * 22, fingerprints(shown), role))


def ends() -> tuple[End, End]:
    client, server = End(CERTIFICATE), End(OTHER_CERTIFICATE)
    client.other, server.other = server, client
    return client, server


async def connected_ends() -> tuple[End, End]:
    client, server = ends()
    server.start(DtlsRole.ACTIVE, client.certificate)
    client.start(DtlsRole.PASSIVE, server.certificate)
    await eventually(lambda: client.keys and server.keys, "the handshake to be done")
    return client, server


async def closed(*every: End) -> None:
    for end in every:
        await asyncio.wait_for(end.dtls.close(), 5)


async def test_both_ends_get_keys_that_fit_each_other_once() -> None:
    client, server = await connected_ends()
    for sender, receiver in ((client, server), (server, client)):
        assert len(sender.keys) == 1
        datagram = protect(sender.keys[0][1], packet := rtp_packet(1), rtcp=False)
        assert datagram is not None
        assert packet not in datagram
        buffer = pylibsrtp._binding.ffi.new("unsigned char[]", datagram)
        dtls_srtp.length_cell[0] = len(datagram)
        assert dtls_srtp.srtp_unprotect(receiver.keys[0][0], buffer, dtls_srtp.length_cell) == 0
        assert bytes(pylibsrtp._binding.ffi.buffer(buffer, dtls_srtp.length_cell[0])) == packet
    await closed(client, server)


async def test_application_data_crosses_both_ways() -> None:
    client, server = await connected_ends()
    await asyncio.sleep(0)
    for sender, receiver in ((client, server), (server, client)):
        records = [bytes([n]) * 200 * (n + 1) for n in range(6)]
        for record in records:
            assert sender.dtls.send(record)
        await receiver.heard(6)
        assert receiver.data == records
    await closed(client, server)


async def test_nothing_can_be_sent_before_the_handshake_or_after_the_end() -> None:
    client, server = ends()
    assert not client.dtls.send(b"early")
    client.start(DtlsRole.PASSIVE, server.certificate)
    assert not client.dtls.send(b"early")
    await closed(client, server)
    client, server = await connected_ends()
    await closed(client)
    assert not client.dtls.send(b"late")
    await eventually(lambda: server.closed, "the other end to hear of it")
    assert not server.dtls.send(b"late")
    await closed(server)


class RsaCertificate(type(Certificate().current())):  # type: ignore[misc] # a class that only the module knows
    """As GStreamer makes them, and `RTCPeerConnection.generateCertificate` where a page asks for RSA."""

    @classmethod
    def generateCertificate(cls) -> RTCCertificate:  # noqa: N802 - aiortc's name
        key: Any = rsa.generate_private_key(65537, 2048)
        return cls(key=key, cert=aiortc.rtcdtlstransport.generate_certificate(key))


@pytest.mark.parametrize("role_of_rsa", ["client", "server"])
async def test_a_peer_whose_certificate_has_an_rsa_key_gets_keys_in_either_role(role_of_rsa: str) -> None:
    ours, theirs = End(Certificate().current()), End(RsaCertificate.generateCertificate())
    ours.other, theirs.other = theirs, ours
    client, server = (theirs, ours) if role_of_rsa == "client" else (ours, theirs)
    server.start(DtlsRole.ACTIVE, client.certificate)
    client.start(DtlsRole.PASSIVE, server.certificate)
    await eventually(lambda: client.keys and server.keys, "the handshake to be done")
    await closed(client, server)


@pytest.mark.parametrize("wrong", ["client", "server"])
async def test_a_certificate_that_is_not_the_announced_one_fails_and_gives_no_keys(wrong: str) -> None:
    client, server = ends()
    stranger = RTCCertificate.generateCertificate()
    server.start(DtlsRole.ACTIVE, stranger if wrong == "client" else client.certificate)
    client.start(DtlsRole.PASSIVE, stranger if wrong == "server" else server.certificate)
    betrayed = server if wrong == "client" else client
    await eventually(lambda: betrayed.closed, "the handshake to fail")
    assert (betrayed.closed, betrayed.keys) == (["dtls_failed"], [])
    await closed(client, server)
    assert betrayed.closed == ["dtls_failed"], "said once"


async def test_fingerprints_of_no_known_algorithm_fail() -> None:
    client, server = ends()
    unknown = (Fingerprint("sha-1", "AB"), Fingerprint("md5", "CD"))
    server.dtls.start(TransportParameters("u", "p", unknown, DtlsRole.ACTIVE))
    client.start(DtlsRole.PASSIVE, server.certificate)
    await eventually(lambda: server.closed == ["dtls_failed"], "the handshake to fail")
    await closed(client, server)


async def test_no_fingerprint_at_all_fails() -> None:
    client, server = ends()
    server.dtls.start(TransportParameters("u", "p", (), DtlsRole.ACTIVE))
    client.start(DtlsRole.PASSIVE, server.certificate)
    await eventually(lambda: server.closed == ["dtls_failed"], "the handshake to fail", within=3)
    await closed(client, server)


async def test_closing_says_close_notify_and_is_not_told_to_who_closes() -> None:
    client, server = await connected_ends()
    await closed(server)
    await eventually(lambda: client.closed == ["closed"], "the other end to hear of it")
    assert not server.closed
    sent = len(client.sent)
    await closed(client, server, client)
    assert client.closed == ["closed"]
    assert len(client.sent) == sent, "there is nobody left to say it to"


async def test_a_handshake_can_be_closed_after_any_number_of_steps_and_leaves_no_task() -> None:
    """A task that has just been given a datagram can overlook that it was cancelled (asyncio.wait_for, Python 3.11)."""
    before = asyncio.all_tasks()
    for steps in range(40):
        client, server = ends()
        server.start(DtlsRole.ACTIVE, client.certificate)
        client.start(DtlsRole.PASSIVE, server.certificate)
        for _ in range(steps):
            await asyncio.sleep(0)
        for end in (server, client) if steps % 2 else (client, server):
            await asyncio.wait_for(end.dtls.close(), 2)
        left = asyncio.all_tasks() - before
        assert not left, f"after {steps} steps: {left}"


async def test_what_comes_before_the_start_waits_but_not_more_than_there_is_room_for() -> None:
    client, server = ends()
    client.start(DtlsRole.PASSIVE, server.certificate)
    await eventually(lambda: client.sent, "a ClientHello")
    for _ in range(QUEUE_LENGTH - len(client.sent)):
        assert server.dtls.receive(b"\x16garbage")
    assert not server.dtls.receive(b"\x16one too many")
    server.start(DtlsRole.ACTIVE, client.certificate)
    await eventually(lambda: client.keys and server.keys, "the handshake to be done")
    await closed(client, server)


def hostile_records(seed: int, count: int) -> list[bytes]:
    """DTLS records that are wrong in all sorts of ways."""
    rng = random.Random(seed)
    records = []
    for _ in range(count):
        kind, version = rng.choice([20, 21, 22, 23, 24, 25, 32, 63]), rng.choice([b"\xfe\xfd", b"\xfe\xff", b"\3\3", b"\0\0"])
        epoch, sequence, body = rng.choice([1, 2, 0xFFFF]), rng.getrandbits(48), rng.randbytes(rng.randrange(60))
        length = rng.choice([len(body), 0, 0xFFFF, rng.randrange(100)])
        records.append(bytes([kind]) + version + epoch.to_bytes(2) + sequence.to_bytes(6) + length.to_bytes(2) + body)
        records.append(bytes([kind]) + rng.randbytes(rng.randrange(30)))
    return records


async def test_garbage_before_and_after_the_handshake_does_no_harm() -> None:
    client, server = ends()
    server.start(DtlsRole.ACTIVE, client.certificate)
    for record in hostile_records(1, QUEUE_LENGTH // 2):
        server.dtls.receive(record)
    await asyncio.sleep(0)
    client.start(DtlsRole.PASSIVE, server.certificate)
    await eventually(lambda: client.keys and server.keys, "the handshake to be done")
    for record in hostile_records(2, 300):
        client.dtls.receive(record)
        server.dtls.receive(record)
        await asyncio.sleep(0)
    assert client.dtls.send(b"still here")
    await eventually(lambda: server.data == [b"still here"], "data to cross")
    assert not client.closed + server.closed
    await closed(client, server)


async def test_data_that_comes_in_the_same_datagram_or_is_long_arrives_whole() -> None:
    """DTLS may put several records in one datagram (RFC 6347, 4.1.1), and a record may be longer than aiortc reads at a time."""
    client, server = await connected_ends()
    server.other = None
    client.other = None
    for record in (b"one", b"two", b"three"):
        assert client.dtls.send(record)
    server.dtls.receive(b"".join(client.sent[-3:]))
    await server.heard(3)
    assert server.data == [b"one", b"two", b"three"]
    await closed(client, server)


# -- through the engine -----------------------------------------------------------------------------------------------


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
    await first.dtls._send_data(b"nobody there")
    await relay.counts("data_dropped")


async def test_media_right_behind_the_last_flight_of_a_dtls_server_is_not_lost(relay: RunningEngine) -> None:
    """A browser that is the server has its keys first: its first key frame comes before the relay has read the flight."""
    first, second = await relay.peer("first"), await relay.peer("second", role=DtlsRole.PASSIVE)
    early = [rtp_packet(number, payload=bytes(40)) for number in range(20)]

    def send_at_once() -> None:
        if second.dtls.state == "connected":
            for packet in early:
                second.send_rtp(packet)
            second.send_rtcp(rtcp_compound())

    second.dtls.on("statechange", send_at_once)
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


# -- SRTP outside the forwarding path ---------------------------------------------------------------------------------


def sessions() -> tuple[Session, Session]:
    """One that encrypts and one that decrypts what it did."""
    gcm = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return Session(Policy(bytes(28), Policy.SSRC_ANY_OUTBOUND, srtp_profile=gcm)), Session(
        Policy(bytes(28), Policy.SSRC_ANY_INBOUND, srtp_profile=gcm)
    )


def test_protect_encrypts_rtp_and_rtcp() -> None:
    sender, receiver = sessions()
    media, control = protect(sender._srtp[0], rtp_packet(1), rtcp=False), protect(sender._srtp[0], rtcp_compound(), rtcp=True)
    assert media is not None
    assert control is not None
    assert receiver.unprotect(media) == rtp_packet(1)
    assert receiver.unprotect_rtcp(control) == rtcp_compound()


@pytest.mark.parametrize("rtcp", [False, True])
def test_protect_refuses_what_is_no_packet(rtcp: bool) -> None:
    session = sessions()[0]._srtp
    for packet in (b"", b"\x80", bytes(5000), b"\x80\x60"):
        assert protect(session[0], packet, rtcp=rtcp) is None


def test_replays_and_trailers_are_what_libsrtp_says_they_are() -> None:
    names = {status: pylibsrtp.ERRORS[status] for status in REPLAY_STATUSES}
    assert all("replay" in name for name in names.values())
    assert len([name for name in pylibsrtp.ERRORS if "replay" in name]) == len(REPLAY_STATUSES)
    assert pylibsrtp.SRTP_MAX_SRTCP_TRAILER_LEN == SRTCP_TRAILER


def test_one_certificate_serves_until_it_is_due() -> None:
    certificate = Certificate()
    assert certificate.current() is certificate.current()
    [fingerprint] = fingerprints(certificate.current())
    assert fingerprint.algorithm == "sha-256"
    assert len(fingerprint.value.split(":")) == 32
    assert fingerprint.value == fingerprint.value.upper()


# -- private names ----------------------------------------------------------------------------------------------------

OF_CLASSES: dict[type, list[str]] = {
    RTCCertificate: ["_create_ssl_context"],
    RTCDtlsTransport: ["_set_role", "_set_state", "_register_data_receiver"],
}
OF_INSTANCES: dict[type, list[str]] = {
    RTCDtlsTransport: ["_srtp_profiles", "_state", "_ssl", "_task", "_rx_srtp", "_tx_srtp"],
    Session: ["_srtp"],
}
OF_MODULES = {
    aiortc.rtcdtlstransport: ["SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80", "State", "RTCDtlsTransport"],
    pylibsrtp._binding: ["ffi", "lib", "__file__"],
}
OF_LIB = ["srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp", "srtp_remove_stream"]
OF_LIBRARY = ["srtp_get_stream_roc", "srtp_set_stream_roc"]

FOREIGN = ("aiortc", "pylibsrtp")


def private_names(tree: ast.AST) -> set[str]:
    """`_x` of whatever is not `self` or `cls`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and ast.unparse(node.value) not in ("self", "cls")
    }


def test_every_private_name_that_is_used_exists() -> None:
    for module, names in OF_MODULES.items():
        assert [name for name in names if not hasattr(module, name)] == []
    for kind, names in OF_CLASSES.items():
        assert [name for name in names if not callable(getattr(kind, name, None))] == []
    for kind, names in OF_INSTANCES.items():
        source = inspect.getsource(kind)
        assert [name for name in names if f"self.{name}" not in source] == []
    assert [name for name in OF_LIB if not callable(getattr(pylibsrtp._binding.lib, name, None))] == []
    assert [name for name in OF_LIBRARY if not hasattr(dtls_srtp._counters_lib, name)] == []
    assert "._recv()" in inspect.getsource(RTCDtlsTransport)
    assert "._send(" in inspect.getsource(RTCDtlsTransport)
    assert "._handle_data(" in inspect.getsource(RTCDtlsTransport)


def test_no_private_name_is_used_that_the_test_above_does_not_know() -> None:
    used = private_names(ast.parse(Path(dtls_srtp.__file__).read_text()))
    known = {name for group in (OF_CLASSES, OF_INSTANCES) for names in group.values() for name in names}
    assert used == known


@functools.cache
def modules() -> tuple[Path, ...]:
    return tuple(sorted(Path(package.__file__).parent.rglob("*.py")))


def test_only_one_module_touches_private_names_of_aiortc_and_pylibsrtp() -> None:
    known = {name for group in (OF_CLASSES, OF_INSTANCES) for names in group.values() for name in names}
    for path in modules():
        if path.name == "dtls_srtp.py":
            continue
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FOREIGN:
                private = [part for part in (node.module or "").split(".") if part.startswith("_")]
                assert not private + [name.name for name in node.names if name.name.startswith("_")], path
            if isinstance(node, ast.Import):
                assert not [one.name for one in node.names if one.name.split(".")[0] == "pylibsrtp"], path
        if any(isinstance(node, ast.ImportFrom) and (node.module or "").startswith(FOREIGN) for node in ast.walk(tree)):
            assert not private_names(tree) & (known - {"_state", "_task"}), path
    assert importlib.import_module("relay.media.net.dtls_srtp") is dtls_srtp
