"""Peers of the media plane: what a browser does below its SDP, on real UDP sockets of this machine.

`MediaPeer` checks connectivity (aioice), shakes hands (aiortc) and encrypts (libsrtp); every step can be left out, repeated or
spoiled. `RunningEngine` is the engine that it talks to.
"""

import asyncio
import contextlib
import itertools
import struct
from collections.abc import AsyncIterator
from typing import Any, Final, cast

from aioice import stun
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport

from relay.media.api import (
    CaptureEnded,
    Codec,
    DtlsRole,
    Fingerprint,
    MediaDescription,
    MediaEvent,
    TransportParameters,
)
from relay.media.engine import LocalEngine
from relay.settings.media import UNLIMITED, MediaLimits
from tests.kit.wait import eventually
from tests.kit.wires import Cipher, Path, Wire

IPV4: Final = "127.0.0.1"
IPV6: Final = "::1"

VIDEO: Final = MediaDescription(
    mid="1", kind="video", codecs=(Codec(96, "vp8", 90_000), Codec(97, "rtx", 90_000), Codec(98, "h264", 90_000))
)
AUDIO: Final = MediaDescription(mid="0", kind="audio", codecs=(Codec(111, "opus", 48_000),))

INTAKE: Final = (
    "packets_received",
    "dropped_streams",
    "srtp_unauthentic",
    "srtp_replayed",
    "srtp_early",
    "rtp_malformed",
    "unknown_address",
    "unknown_class",
    "datagrams_too_long",
    "stun_checks",
    "stun_malformed",
    "stun_unknown_ufrag",
    "stun_unauthentic",
    "stun_ignored",
    "stun_limited",
    "stun_address_taken",
    "strays_limited",
    "checks_answered",
    "consent_checks_answered",
    "stun_checks_limited",
    "dropped_policed",
    "dropped_filtered",
)
"""The counters of which every datagram is counted in exactly one, except DTLS from an address that is known."""

CERTIFICATE: Final = RTCCertificate.generateCertificate()
"""That of every peer that brings none of its own."""


# -- packets ----------------------------------------------------------------------------------------------------------


def rtp_packet(
    sequence: int, ssrc: int = 0x1234, *, payload_type: int = 96, payload: bytes = b"picture", csrcs: int = 0
) -> bytes:
    """An RTP packet with a one-byte header extension (RFC 8285): a transport-wide sequence number and a mid."""
    extension = bytes([0x51]) + struct.pack("!H", sequence & 0xFFFF) + bytes([0x30, 0x31, 0, 0, 0])
    header = struct.pack("!BBHII", 0x90 | csrcs, payload_type, sequence & 0xFFFF, sequence * 3000 & 0xFFFFFFFF, ssrc)
    return header + bytes(4 * csrcs) + struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension + payload


def rtcp_compound(ssrc: int = 0x1234, packets: int = 7) -> bytes:
    """A sender report and a source description (RFC 3550, 6.1)."""
    report = struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, 0xE000_0000_0000_0000, 90_000, packets, 1000)
    return report + struct.pack("!BBHI", 0x81, 202, 3, ssrc) + b"\x01\x05relay\x00"


def picture_loss_indication(ssrc: int) -> bytes:
    """What a relay asks a sender for a keyframe with (RFC 4585, 6.3.1), its own SSRC being 1."""
    return struct.pack("!BBHII", 0x81, 206, 2, 1, ssrc)


def connectivity_check(
    relay: TransportParameters,
    *,
    ufrag: str | None = None,
    pwd: str | None = None,
    signed: bool = True,
    nominates: bool = True,
    controlled: bool = False,
    message_class: stun.Class = stun.Class.REQUEST,
) -> stun.Message:
    """A browser's connectivity check (RFC 8445, 7.2.2), unless told otherwise an authentic and nominating one."""
    attributes: dict[str, Any] = {
        "USERNAME": f"{relay.ufrag if ufrag is None else ufrag}:peer",
        "PRIORITY": 0x6E7F1EFF,
        "ICE-CONTROLLED" if controlled else "ICE-CONTROLLING": 0x0123456789ABCDEF,
    }
    if nominates:
        attributes["USE-CANDIDATE"] = None
    message = stun.Message(stun.Method.BINDING, message_class, attributes=attributes)
    if signed:
        message.add_message_integrity((relay.pwd if pwd is None else pwd).encode())
    else:
        message.add_fingerprint()
    return message


# -- a peer -----------------------------------------------------------------------------------------------------------


class MediaPeer:
    """One device, as the media plane sees it.

    Attributes:
        relay: the relay's end, as `open_transport` described it.
        path: where it sends from; `move` changes it.
        packets: RTP and RTCP that arrived, decrypted, in order.
        undecryptable: how many packets arrived that were not for its keys.
        answers: STUN responses that arrived.
        checks: STUN requests that arrived, each with the path that it arrived by.
        answers_checks: whether it answers these, as browsers do.
        ufrag, pwd: its ICE credentials.
    """

    def __init__(
        self,
        transport_id: str,
        relay: TransportParameters,
        host: str = IPV4,
        role: DtlsRole = DtlsRole.ACTIVE,
        certificate: RTCCertificate = CERTIFICATE,
    ) -> None:
        self.transport_id = transport_id
        self.relay = relay
        self.host = host
        self.role = role
        self.certificate = certificate
        self.packets: list[bytes] = []
        self.undecryptable = 0
        self.answers: list[stun.Message] = []
        self.checks: list[tuple[Path, stun.Message]] = []
        self.answers_checks = True
        self.ufrag, self.pwd = "peer", "p" * 24
        candidate, *_ = [one for one in relay.candidates if (":" in one.address) is (":" in host)]
        self._relay_address = (candidate.address, candidate.port)
        self._paths: list[Path] = []
        self.path = self.another_path()
        self._wire = Wire(lambda datagram: self.path.send(datagram))  # noqa: PLW0108 - the path of that moment
        self.dtls = RTCDtlsTransport(cast(RTCIceTransport, self._wire), [certificate])
        self.dtls._set_role("client" if role is DtlsRole.ACTIVE else "server")
        self._handshake: asyncio.Task[None] | None = None
        self._outgoing: Cipher | None = None
        self._incoming: Cipher | None = None
        self._early: list[bytes] = []
        self.dtls.on("statechange", self._changed)

    @property
    def parameters(self) -> TransportParameters:
        """Its own end, as its SDP would describe it."""
        prints = tuple(Fingerprint(one.algorithm, one.value) for one in self.certificate.getFingerprints())
        return TransportParameters(ufrag=self.ufrag, pwd=self.pwd, fingerprints=prints, role=self.role)

    def another_path(self) -> Path:
        """A further socket: another network interface, or the same one behind another NAT mapping."""
        path = Path(self.host, self._relay_address, lambda datagram: self._deliver(path, datagram))
        self._paths.append(path)
        return path

    # -- ICE and DTLS

    async def check(self, path: Path | None = None, *, nominates: bool = True) -> stun.Message:
        """One connectivity check, and the answer to it."""
        request = connectivity_check(self.relay, nominates=nominates)
        (path or self.path).send(bytes(request))
        return await self.answer_to(request)

    async def answer_to(self, request: stun.Message) -> stun.Message:
        return await eventually(
            lambda: next((one for one in self.answers if one.transaction_id == request.transaction_id), None),
            "an answer to a connectivity check",
        )

    def answer_check(self, check: stun.Message, *, pwd: str | None = None, transaction_id: bytes | None = None) -> bytes:
        """The answer to a check of the relay's, unless told otherwise an authentic one."""
        answer = stun.Message(
            stun.Method.BINDING,
            stun.Class.RESPONSE,
            transaction_id or check.transaction_id,
            {"XOR-MAPPED-ADDRESS": self._relay_address},
        )
        answer.add_message_integrity((pwd or self.pwd).encode())
        return bytes(answer)

    def shake_hands(self) -> None:
        """Begin DTLS; as a client that sends a ClientHello."""
        prints = [RTCDtlsFingerprint(one.algorithm, one.value) for one in self.relay.fingerprints]
        self._handshake = asyncio.create_task(self.dtls.start(RTCDtlsParameters(prints)))

    async def connected(self) -> None:
        """Wait until the handshake is done on this end."""
        assert self._handshake is not None, "shake_hands comes first"
        await asyncio.wait_for(self._handshake, 20)
        assert self.dtls.state == "connected", f"DTLS is {self.dtls.state}"

    # -- media

    def encrypted(self, packet: bytes, *, rtcp: bool = False) -> bytes:
        assert self._outgoing is not None, "connected comes first"
        return self._outgoing.protect(packet, rtcp=rtcp)

    def send_rtp(self, packet: bytes) -> bytes:
        """Send an RTP packet; what went out, encrypted."""
        self.path.send(datagram := self.encrypted(packet))
        return datagram

    def send_rtcp(self, packet: bytes) -> bytes:
        self.path.send(datagram := self.encrypted(packet, rtcp=True))
        return datagram

    async def receives(self, *packets: bytes) -> None:
        """Wait until these, and only these, have arrived since the last time this was asked, in that order."""
        await eventually(lambda: len(self.packets) >= len(packets), lambda: f"{len(packets)} packets, but {len(self.packets)}")
        arrived, self.packets[:] = list(self.packets), []
        assert arrived == list(packets), "other packets arrived, or in another order"

    def _deliver(self, path: Path, datagram: bytes) -> None:
        first = datagram[0]
        if first <= 3:
            self._take_stun(path, stun.parse_message(datagram))
        elif 20 <= first <= 63:
            self._wire.queue.put_nowait(datagram)
        elif self._incoming is None:
            self._early.append(datagram)
        else:
            self._take_packet(self._incoming, datagram)

    def _take_stun(self, path: Path, message: stun.Message) -> None:
        if message.message_class is not stun.Class.REQUEST:
            self.answers.append(message)
            return
        self.checks.append((path, message))
        if self.answers_checks:
            assert message.check_message_integrity(self.pwd.encode()), "the relay's check is authentic"
            assert message.attributes["USERNAME"] == f"{self.ufrag}:{self.relay.ufrag}", "and meant for this peer"
            path.send(self.answer_check(message))

    def _take_packet(self, incoming: Cipher, datagram: bytes) -> None:
        try:
            self.packets.append(incoming.unprotect(datagram))
        except ValueError:
            self.undecryptable += 1

    def _changed(self) -> None:
        """DTLS is a task here, and SRTP that came right behind its last flight has been seen before it."""
        if self.dtls.state == "connected":
            self._incoming, self._outgoing = Cipher(self.dtls._rx_srtp), Cipher(self.dtls._tx_srtp)
            early, self._early = self._early, []
            for datagram in early:
                self._take_packet(self._incoming, datagram)

    # -- the end

    async def say_goodbye(self) -> None:
        """DTLS close_notify."""
        pump = self.dtls._task
        await self.dtls.stop()
        await self._over(pump)

    async def vanish(self) -> None:
        """Close the socket without a close_notify or a BYE."""
        for path in self._paths:
            path.close()
        self._wire.closed = True  # a task of asyncio can overlook that it was cancelled: then this ends it
        await self._over(self._handshake)
        await self.say_goodbye()

    @staticmethod
    async def _over(task: "asyncio.Future[None] | None") -> None:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


# -- an engine --------------------------------------------------------------------------------------------------------


class RunningEngine:
    """An engine that serves until its context ends, and the peers that tests made for it.

    Attributes:
        events: what it said, in order.
    """

    def __init__(self, *hosts: str, limits: MediaLimits = MediaLimits(), **options: Any) -> None:  # noqa: B008 - it is frozen
        """`options`: as of `LocalEngine`."""
        self.events: list[MediaEvent] = []
        self.engine = LocalEngine(self.events.append, hosts=hosts or (IPV4,), limits=limits, **options)
        self._peers: list[MediaPeer] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def started(
        cls,
        *hosts: str,
        limits: MediaLimits = UNLIMITED,
        **options: Any,
    ) -> AsyncIterator["RunningEngine"]:
        self = cls(*hosts, limits=limits, **options)
        await self.engine.start()
        try:
            yield self
        finally:
            for peer in self._peers:
                await peer.vanish()
            await self.engine.close()

    async def peer(
        self,
        transport_id: str,
        *,
        host: str = IPV4,
        role: DtlsRole = DtlsRole.ACTIVE,
        router: str = "call",
        certificate: RTCCertificate = CERTIFICATE,
    ) -> MediaPeer:
        """A peer with a transport that has not sent anything yet."""
        relay = await self.engine.open_transport(router, transport_id)
        peer = MediaPeer(transport_id, relay, host, role, certificate)
        self._peers.append(peer)
        return peer

    async def introduce(self, peer: MediaPeer, *media: MediaDescription) -> None:
        """Connect the peer's transport with its remote parameters."""
        await self.engine.connect_transport(peer.transport_id, peer.parameters, media or (AUDIO, VIDEO))

    async def connect(self, *peers: MediaPeer) -> None:
        """Take peers all the way: check, introduction, handshake, up on both ends."""
        for peer in peers:
            await peer.check()
            await self.introduce(peer)
            peer.shake_hands()
        for peer in peers:
            await peer.connected()
            await self.says("TransportUp", peer)

    async def call(self, first_host: str = IPV4, second_host: str = IPV4) -> tuple[MediaPeer, MediaPeer]:
        """Two peers that are routed and up."""
        first, second = await self.peer("first", host=first_host), await self.peer("second", host=second_host)
        await self.engine.route("call", ("first", "second"))
        await self.connect(first, second)
        return first, second

    async def says(self, kind: str, peer: MediaPeer) -> MediaEvent:
        """Wait for an event of that kind about a peer."""

        def found() -> MediaEvent | None:
            found = (one for one in self.events if not isinstance(one, CaptureEnded) and one.transport_id == peer.transport_id)
            return next((one for one in found if type(one).__name__ == kind), None)

        return await eventually(found, lambda: f"{kind} of {peer.transport_id}, but {self.events}")

    async def counted(self) -> dict[str, int]:
        """The counters that are not zero."""
        return {name: value for name, value in (await self.engine.counters()).items() if value}

    async def counts(self, name: str, value: int = 1) -> None:
        """Wait until a counter has that value."""

        async def reached() -> bool:
            return (await self.engine.counters())[name] >= value

        await eventually(reached, lambda: f"{name} to be {value}, but {self.engine._counters}")
        assert (await self.engine.counters())[name] == value, name

    async def takes_in(self, number: int) -> None:
        """Wait until that many datagrams have been counted, and no more."""

        async def reached() -> bool:
            return await self.taken_in() >= number

        await eventually(reached, lambda: f"{number} datagrams, but {self.engine._counters}")
        assert await self.taken_in() == number

    async def taken_in(self) -> int:
        """How many datagrams have been counted, each once."""
        counters = await self.engine.counters()
        return sum(counters[name] for name in INTAKE)


_sequence = itertools.count(1)


async def still_talk(first: MediaPeer, second: MediaPeer) -> None:
    """A packet crosses each way, and nothing else was waiting to arrive."""
    sequence = next(_sequence)
    there, back = rtp_packet(sequence, 0xAAAA), rtp_packet(sequence, 0xBBBB)
    first.send_rtp(there)
    second.send_rtp(back)
    await second.receives(there)
    await first.receives(back)
