"""What tests of DTLS need: another certificate, either role, records that are hostile."""

import random

import pytest
from aiortc import RTCCertificate

from relay.media.api import DtlsRole
from tests.kit.media import MediaPeer, rtcp_compound

OTHER_CERTIFICATE = RTCCertificate.generateCertificate()
BOTH_ROLES = pytest.mark.parametrize("role", [DtlsRole.ACTIVE, DtlsRole.PASSIVE])


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


def send_once_connected(peer: MediaPeer, packets: list[bytes]) -> None:
    """Have the peer send RTP and a report in the moment in which it has its keys."""

    def send_at_once() -> None:
        if peer.dtls.state == "connected":
            for packet in packets:
                peer.send_rtp(packet)
            peer.send_rtcp(rtcp_compound())

    peer.dtls.on("statechange", send_at_once)
