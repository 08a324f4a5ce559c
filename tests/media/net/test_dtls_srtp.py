"""The handshake and its keys, without a network."""

import asyncio
from typing import Any

import aiortc.rtcdtlstransport
import pylibsrtp._binding
import pytest
from aiortc import RTCCertificate
from cryptography.hazmat.primitives.asymmetric import rsa
from pylibsrtp import Policy, Session

from relay.media.api import DtlsRole, Fingerprint, TransportParameters
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
from tests.kit.media import CERTIFICATE, rtcp_compound, rtp_packet
from tests.kit.wait import eventually
from tests.media.net.dtls import OTHER_CERTIFICATE, hostile_records

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


async def test_closing_sends_close_notify_and_emits_no_event_at_the_closing_end() -> None:
    client, server = await connected_ends()
    await closed(server)
    await eventually(lambda: client.closed == ["closed"], "the other end to hear of it")
    assert not server.closed
    sent = len(client.sent)
    await closed(client, server, client)
    assert client.closed == ["closed"]
    assert len(client.sent) == sent, "the client is already closed, so that no second alert is sent"


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
