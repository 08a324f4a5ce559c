"""Audio: how long a packet lasts, what stands for a missing one, and G.711 as linear samples, since Matroska has no other place
for it."""

from typing import Final

_OPUS_FRAME: Final = (
    *((480, 960, 1920, 2880) * 3),
    *((480, 960) * 2),
    *((120, 240, 480, 960) * 4),
)
"""Samples at 48 kHz of a frame, by the upper five bits of the first byte (RFC 6716, table 2)."""

_HYBRID: Final = 12
"""The first configuration of the hybrid mode; those before are of SILK."""

_OPUS_CELT: Final = (*[16] * 4, *[20] * 8, *[24] * 2, *[28] * 2)
"""By configuration of SILK and the hybrid mode: the first one of CELT with the same bandwidth, or with the next wider one for the
medium band, which CELT has not."""

OPUS_STEP: Final = 120
"""The shortest packet of Opus, 2.5 ms: what gaps are filled with."""

_OPUS_SILENCE: Final = ((960, 0xF8), (480, 0xF0), (240, 0xE8), (120, 0xE0))
"""Samples, and the first byte of a packet of so many: CELT, full band, one frame."""


def opus_samples(payload: bytes) -> int:
    """Samples at 48 kHz of a packet (RFC 6716 section 3).

    Raises:
        ValueError: it is none.
    """
    if not payload:
        raise ValueError("an Opus packet is empty")
    code = payload[0] & 3
    frames = (1, 2, 2)[code] if code < 3 else (payload[1] & 0x3F if len(payload) > 1 else 0)
    samples = frames * _OPUS_FRAME[payload[0] >> 3]
    if not 0 < samples <= 5760:
        raise ValueError("an Opus packet lasts for nothing, or for more than 120 ms")
    return samples


def opus_silence(samples: int, *, stereo: bool) -> list[tuple[int, bytes]]:
    """Packets of silence that together last for so many samples at 48 kHz, rounded down to 2.5 ms."""
    packets = []
    for length, first in _OPUS_SILENCE:
        while samples >= length:
            packets.append((length, bytes([first | (4 if stereo else 0), 0xFF, 0xFE])))
            samples -= length
    return packets


def opus_concealment(samples: int, before: int) -> list[tuple[int, bytes]]:
    """Packets that ask a decoder to conceal a loss of so many samples at 48 kHz, rounded down to 2.5 ms (RFC 7845, section 4.1).

    Their frames have no bytes (RFC 6716, section 3.2.1). Silence instead would replace what the decoder remembers, by which it
    decodes what follows: a tone behind it is 35 dB too quiet, and takes 100 ms to come back.

    Args:
        before: first byte of the packet before. Mode, bandwidth, channels and length of its frames go on as long as they fit.
    """
    packets = []
    for config in _shorter(before >> 3):
        length = _OPUS_FRAME[config]
        while samples >= length:
            packets.append((length, bytes([config << 3 | before & 4])))
            samples -= length
    return packets


def _shorter(config: int) -> list[int]:
    """That configuration, those of the same mode and bandwidth with shorter frames, and those of CELT that are shorter still."""
    if config >= len(_OPUS_CELT):
        return list(range(config, (config & ~3) - 1, -1))
    first = config & ~1 if config >= _HYBRID else config & ~3
    return [*range(config, first - 1, -1), _OPUS_CELT[config] + 1, _OPUS_CELT[config]]


def _mu_law(code: int) -> int:
    """ITU-T G.711 section 3, mu-law: 16-bit sample."""
    code ^= 0xFF
    value = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return -value if code & 0x80 else value


def _a_law(code: int) -> int:
    """ITU-T G.711 section 3, A-law: 16-bit sample."""
    code ^= 0x55
    exponent, mantissa = (code >> 4) & 7, (code & 0x0F) << 4
    value = mantissa + 8 if not exponent else (mantissa + 0x108) << (exponent - 1)
    return value if code & 0x80 else -value


def _tables(law: str) -> tuple[bytes, bytes]:
    samples = [(_mu_law if law == "pcmu" else _a_law)(code) & 0xFFFF for code in range(256)]
    return bytes(one & 0xFF for one in samples), bytes(one >> 8 for one in samples)


_LINEAR: Final = {law: _tables(law) for law in ("pcmu", "pcma")}

G711_SILENCE: Final = {"pcmu": b"\xff", "pcma": b"\xd5"}


def linear(law: str, payload: bytes) -> bytes:
    """G.711 as 16-bit little-endian samples.

    Args:
        law: `pcmu` or `pcma`.
    """
    low, high = _LINEAR[law]
    out = bytearray(2 * len(payload))
    out[0::2] = payload.translate(low)
    out[1::2] = payload.translate(high)
    return bytes(out)
