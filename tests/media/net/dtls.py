"""What tests of DTLS need: another certificate, either role, records that are hostile."""

import random

import pytest
from aiortc import RTCCertificate

from relay.media.api import DtlsRole

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
