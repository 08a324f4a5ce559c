"""A real ICE agent, behind a real NAT."""

import asyncio

from aiortc import RTCIceCandidate, RTCIceGatherer, RTCIceParameters, RTCIceTransport
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport

from relay.media.api import DtlsRole, Fingerprint, TransportParameters
from relay.media.net.addresses import local_addresses
from relay.media.transport.ice import FOLLOW_AFTER_SILENCE
from tests.kit.impair import ImpairedPath
from tests.kit.media import (
    AUDIO,
    CERTIFICATE,
    VIDEO,
    RunningEngine,
    rtp_packet,
)
from tests.kit.wait import eventually
from tests.kit.wires import Cipher
from tests.media.routing.moving import SOUND, THEIRS


class FullAgent:
    """A client whose ICE is aioice's, below aiortc's DTLS; it believes that the relay is where the NAT is.

    Attributes:
        heard: RTP that arrived.
    """

    def __init__(self, nat: ImpairedPath) -> None:
        self._nat = nat
        self._gatherer = RTCIceGatherer(iceServers=[])
        self._ice = RTCIceTransport(self._gatherer)
        self._ice._connection.ice_controlling = True
        self._dtls = RTCDtlsTransport(self._ice, [CERTIFICATE])
        self._dtls._set_role("client")
        self.heard: list[bytes] = []

    async def parameters(self) -> TransportParameters:
        await self._gatherer.gather()
        own = self._gatherer.getLocalParameters()
        assert own.usernameFragment is not None and own.password is not None
        prints = tuple(Fingerprint(one.algorithm, one.value) for one in CERTIFICATE.getFingerprints())
        return TransportParameters(own.usernameFragment, own.password, prints, DtlsRole.ACTIVE)

    async def connect(self, relay: TransportParameters) -> None:
        host, port = self._nat.address
        await self._ice.addRemoteCandidate(RTCIceCandidate(1, "1", host, port, 1, "udp", "host"))
        await self._ice.addRemoteCandidate(None)
        await self._ice.start(RTCIceParameters(usernameFragment=relay.ufrag, password=relay.pwd, iceLite=True))
        await self._dtls.start(RTCDtlsParameters([RTCDtlsFingerprint(one.algorithm, one.value) for one in relay.fingerprints]))
        self._dtls._handle_rtp_data = self._hear  # type: ignore[method-assign]
        self._cipher = Cipher(self._dtls._tx_srtp)

    async def send(self, packet: bytes) -> None:
        await self._ice._send(self._cipher.protect(packet))

    async def close(self) -> None:
        await self._dtls.stop()
        await self._ice.stop()

    async def _hear(self, data: bytes, arrival_time_ms: int) -> None:
        self.heard.append(data)


async def test_a_full_ice_agent_is_followed_when_its_nat_forgets_it() -> None:
    host = local_addresses()[0]
    async with RunningEngine.started(host) as relay, asyncio.timeout(20):
        ours = await relay.engine.open_transport("call", "first")
        second = await relay.peer("second", host=host)
        await relay.engine.route("call", ("first", "second"))
        await relay.connect(second)
        async with ImpairedPath.to((ours.candidates[0].address, ours.candidates[0].port), 1) as nat:
            first = FullAgent(nat)
            await relay.engine.connect_transport("first", await first.parameters(), (AUDIO, VIDEO))
            await first.connect(ours)
            await first.send(packet := rtp_packet(1))
            await second.receives(packet)
            nat.forget()
            relay.engine._transports["first"].destination.last_seen -= FOLLOW_AFTER_SILENCE
            await first.send(packet := rtp_packet(2, payload=SOUND))
            await second.receives(packet)
            await relay.counts("checks_answered")
            second.send_rtp(packet := rtp_packet(1, THEIRS))
            await eventually(lambda: first.heard == [packet], "the other party is heard through the new mapping")
            await first.close()
