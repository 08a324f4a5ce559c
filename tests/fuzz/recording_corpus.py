"""The seeds of what reads recordings: payloads of each codec, what they are wrapped in, and the files. Deterministic.

The frames are of real encoders, 64×64.
"""

from pathlib import Path
from struct import pack
from tempfile import TemporaryDirectory
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.sealed import MAGIC, Sealer, key_id
from relay.sealed import _cipher as cipher_of
from tests.recording import kit
from tests.recording.capture_file import (
    AUDIO_RED,
    AV1,
    H264,
    OPUS,
    RED,
    RTX,
    ULPFEC,
    VP8,
    VP9,
    CaptureFile,
    audio_section,
    video_section,
)

KEY: Final = bytes(range(32))
"""That sealed files are sealed with."""

MORE, MARKER, GAP, NEXT = 0, 1, 2, 4
"""Of a payload: the last one of its frame; packets are missing before it; its timestamp is another one."""

REPAIR, IN_RED = 1, 2
"""Of a packet beside ULPFEC."""


def run(*payloads: tuple[int, bytes]) -> bytes:
    """Payloads in a row, each with what is said of it in front. As of `make_corpus.frames`."""
    return b"".join(pack("!BH", said, len(payload)) + payload for said, payload in payloads)


def _frames(*frames: list[bytes]) -> bytes:
    payloads = []
    for frame in frames:
        payloads += [(NEXT if not index else MORE, payload) for index, payload in enumerate(frame)]
        said, last = payloads.pop()
        payloads.append((said | MARKER, last))
    return run(*payloads)


_VP8_KEY: Final = bytes.fromhex(
    "3005009d012a40004000390500011c240c2c2c44cc24401007712063823285cf85749525b569ab2cc5951a917d45f517d45db0feffb68ffffc919ffbdefd"
    "cc22b5801cc11d78a07b0c5681cdb9235313db910000"
)
_VP8_DELTA: Final = bytes.fromhex(
    "310500e34bd80467af104f4fb10a2fde3f8029818afee010081fb03f8039e13b03f80201495d47ae00219c00fee9ac18388cd928097d00bd5e87fdec455b"
    "dd259e5c16d1d9516015a3b2a2c02b4600"
)
_VP9_KEY: Final = bytes.fromhex(
    "824983420003f003f60638241c18420000904fb1fafaf6802fc0007e700ff0378fa53db13f31b00d7d90a7e207a14bd3cb152abc37db5af9a95a9d822714"
    "370eb41138a1b84b6cc1220bd4f77c12ccd49441a49ecd7c60"
)
_VP9_DELTA: Final = bytes.fromhex(
    "860040928c2c4ac00003700000162dff317fe1affc35ff86bff0d78bde2f78bdff86bc5ef17bc5eff937da3f68fda20000"
)
_SPS: Final = bytes.fromhex("6742c014da109a1000000300100000030320f142aa")
_SPS_HIGH: Final = bytes.fromhex("64640028acd9405005ba100003e900012440a4ed0c2c0e0a000001")
_PPS: Final = bytes.fromhex("68ce3c80")
_IDR: Final = bytes.fromhex("65888404bffe5f0a28a000402a8a080140a200") * 6
_SLICE: Final = bytes.fromhex(
    "419a201aac1c7fff8a8340042202a002000201080a80084405400400040210150010880a8008000804202a00211015001000"
)
_AV1_KEY: Final = bytes.fromhex("12000a0a00000002afff895f200832151000bc80492208080000226af1aecefdf084af86c0")
_AV1_DELTA: Final = bytes.fromhex("12003211300200000000239000000200020018c2c0")
_OPUS: Final = (b"\x78opus, 20 ms", b"\xf8\xff\xfe", b"\x7b\x03three frames", b"\xfb\x83\x02\x05\x06cbr", b"\x0clong silk frame")

_START: Final = b"\0\0\0\1"


def _h264(*units: bytes, size: int = 40) -> list[bytes]:
    return kit.h264_payloads(b"".join(_START + unit for unit in units), size)


VIDEO: Final = {
    "vp8": {
        "chromium": _frames(kit.vp8_payloads(_VP8_KEY, 7, size=40), kit.vp8_payloads(_VP8_DELTA, 8, size=40)),
        "temporal_layers": _frames(
            kit.vp8_payloads(_VP8_KEY, 7, layer=0, base=255, size=60),
            kit.vp8_payloads(_VP8_DELTA, 8, layer=1, base=255, sync=True),
            kit.vp8_payloads(_VP8_DELTA, 9, layer=0, base=0),
        ),
        "shortest_descriptor": run((NEXT | MARKER, b"\x10" + _VP8_KEY), (NEXT, b"\x10" + _VP8_DELTA[:20])),
        "gap": run((NEXT, b"\x10" + _VP8_KEY[:30]), (GAP, b"\0" + _VP8_KEY[30:]), (NEXT | MARKER, b"\x10" + _VP8_DELTA)),
    },
    "vp9": {
        "chromium": _frames(
            kit.vp9_payloads(_VP9_KEY, 7, key=True, size=40), kit.vp9_payloads(_VP9_DELTA, 8, key=False, size=40)
        ),
        "spatial_layers": _frames(
            [*kit.vp9_payloads(_VP9_KEY, 7, key=True, spatial=0, size=60), *kit.vp9_payloads(_VP9_DELTA, 7, key=True, spatial=1)],
            [*kit.vp9_payloads(_VP9_DELTA, 8, key=False, spatial=0), *kit.vp9_payloads(_VP9_DELTA, 8, key=False, spatial=1)],
        ),
        "scalability_structure": run((NEXT | MARKER, bytes.fromhex("8e 8007 38 0280 0168 0280 0168 01 04 01") + _VP9_KEY)),
        "flexible": run((NEXT | MARKER, bytes.fromhex("dc 8008 03 05 02") + _VP9_DELTA)),
    },
    "h264": {
        "aggregate_and_fragments": _frames(_h264(_SPS, _PPS, _IDR), _h264(_SLICE)),
        "single_units": _frames([_SPS, _PPS, _IDR], [_SLICE]),
        "high_profile": _frames(_h264(_SPS_HIGH, _PPS, _IDR, size=1000)),
        "fragment_without_end": run((NEXT, b"\x7c\x85" + _IDR[1:30]), (NEXT | MARKER, b"\x7c\x45" + _IDR[30:])),
        "empty_units": run((NEXT | MARKER, b"\x78\0\0\0\1\x67"), (NEXT | MARKER, b"\x7c\x85")),
    },
    "av1": {
        "one_obu_each": _frames(kit.av1_payloads(_AV1_KEY, key=True, size=16), kit.av1_payloads(_AV1_DELTA, key=False)),
        "two_elements": run(
            (NEXT | MARKER, bytes.fromhex("28 0b 0a 0a00000002afff895f2008") + bytes.fromhex("32") + _AV1_KEY[16:])
        ),
        "sizes_within": run((NEXT | MARKER, b"\x08\x0c" + _AV1_KEY[2:14] + b"\x17" + _AV1_KEY[14:])),
        "goes_on": run((NEXT, b"\x58" + _AV1_KEY[14:20]), (MORE, b"\xd0" + _AV1_KEY[20:30]), (MARKER, b"\x90" + _AV1_KEY[30:])),
    },
}

OPUS_RUNS: Final = {
    "in_a_row": run(*((0, payload) for payload in _OPUS)),
    "with_pauses": run((0, _OPUS[0]), (200, _OPUS[1]), (255, _OPUS[2]), (1, _OPUS[0])),
    "too_long": run((0, b"\xff\x3f"), (0, b"\xff\x00"), (0, b"")),
}


def red(*blocks: tuple[int, int, bytes]) -> bytes:
    """RFC 2198: payload type, offset and payload of each block, the primary one last."""
    *redundant, (primary, _, last) = blocks
    heads = b"".join(bytes([0x80 | kind]) + (offset << 10 | len(data)).to_bytes(3) for kind, offset, data in redundant)
    return heads + bytes([primary]) + b"".join(data for _, _, data in redundant) + last


RED_PAYLOADS: Final = {
    "video": red((VP8, 0, kit.vp8_payloads(_VP8_KEY, 7)[0])),
    "audio": red((OPUS, 960, _OPUS[1]), (OPUS, 0, _OPUS[0])),
    "audio_of_distance_two": red((OPUS, 1920, _OPUS[1]), (OPUS, 960, _OPUS[2]), (OPUS, 0, _OPUS[0])),
    "red_in_red": red((AUDIO_RED, 960, red((OPUS, 0, _OPUS[0]))), (AUDIO_RED, 0, red((OPUS, 0, _OPUS[1])))),
    "empty_blocks": red((OPUS, 0, b""), (OPUS, 0, b"")),
}

RTX_PAYLOADS: Final = {
    "again": pack("!H", 65_531) + kit.vp8_payloads(_VP8_KEY, 7)[0],
    "in_red": pack("!H", 65_531) + bytes([VP8]) + kit.vp8_payloads(_VP8_KEY, 7)[0],
    "probe": b"\0\0",
    "nothing": b"",
}

_SSRC: Final = 0xA1
_SENT: Final = [
    kit.rtp(
        RED, 65_534 + n, 3000 * (n // 2), _SSRC, bytes([VP8]) + _VP8_DELTA[n : n + 40], marker=bool(n & 1), extensions={4: b"1"}
    )
    for n in range(4)
]


def _repair(packets: list[bytes], mask: int, base: int) -> bytes:
    """RFC 5109 section 7, over packets as they are without RED."""
    plain = []
    for one in packets:
        bare = bytearray(one)
        bare[1] = one[1] & 0x80 | VP8
        del bare[20]
        plain.append(bytes(bare))
    longest = max(len(one) for one in plain)
    head, length, body = 0, 0, 0
    for one in plain:
        head ^= int.from_bytes(one[:8])
        length ^= len(one) - 12
        body ^= int.from_bytes(one[12:].ljust(longest - 12, b"\0"))
    recovery = head.to_bytes(8)
    fec = bytes([recovery[0] & 0x3F, recovery[1]]) + pack("!H", base) + recovery[4:] + pack("!H", length)
    return fec + pack("!HH", longest - 12, mask) + body.to_bytes(longest - 12)


ULPFEC_RUNS: Final = {
    "repairs_the_second": run(
        (IN_RED, _SENT[0]), (IN_RED, _SENT[2]), (IN_RED, _SENT[3]), (REPAIR, _repair(_SENT, 0xF000, 65_534))
    ),
    "repairs_when_all_are_there": run((REPAIR, _repair(_SENT, 0xF000, 65_534)), *((IN_RED, one) for one in _SENT[:3])),
    "long_mask": run((IN_RED, _SENT[0]), (REPAIR, b"\x40" + _repair(_SENT, 0xC000, 65_534)[1:14] + bytes(4) + bytes(60))),
    "without_red": run((MORE, kit.rtp(VP8, 1, 0, _SSRC, _VP8_DELTA)), (REPAIR, _repair(_SENT, 0x8000, 1))),
}

_MEDIA: Final = [audio_section("0", [1, 3]), video_section("1", [2], [("FID", [2, 12])])]


def capture_of(packets: list[tuple[float, int, bytes]], *, media: list[dict[str, object]] | None = None) -> bytes:
    """A capture of these packets: when each came, on which interface (1: A, 2: B), and its bytes."""
    with TemporaryDirectory() as folder:
        file = CaptureFile(Path(folder) / "x.pcapng")
        for name in ("A", "B"):
            file.interface(name, _MEDIA if media is None else media)
        end = 0.0
        for time, interface, data in packets:
            file.packet(time, interface, data)
            end = time
        file.event(end, "hold", on=True)
        file.event(end + 0.5, "ended", reason="stopped")
        return file.close().read_bytes()


def _call() -> list[tuple[float, int, bytes]]:
    audio = [(n * 0.02, 1, kit.rtp(OPUS, 65_534 + n, 960 * n, 1, _OPUS[n % 5])) for n in range(10)]
    redundant = [(n * 0.02, 2, kit.rtp(AUDIO_RED, n, 960 * n, 3, RED_PAYLOADS["audio"])) for n in (1, 2, 4)]
    video = kit.Stream(2, VP8, 90_000, wrap=RED)
    sent = list(video.frames([(_VP8_KEY, True), (_VP8_DELTA, False), (_VP8_DELTA, False)]))
    again = kit.rtp(99, 5, 0, 12, sent[1].data[2:4] + sent[1].data[12:])
    repair = kit.rtp(RED, sent[2].data[3] + 1, 9000, 2, bytes([ULPFEC]) + _repair(_SENT, 0xF000, 65_534))
    shown = [(one.time, 1, one.data) for one in (sent[0], sent[2], video.report(0.1))] + [(0.2, 1, again), (0.21, 1, repair)]
    plain = [
        (0.02 * n, 2, kit.rtp(kind, n, 3600 * n, 2, payload, marker=True))
        for n, (kind, payload) in enumerate(
            ((VP9, b"\x0c" + _VP9_KEY), (H264, _SPS), (H264, _IDR), (AV1, b"\x18" + _AV1_KEY[2:14]), (RTX, b"\0\1" + _VP8_KEY))
        )
    ]
    return sorted(audio + redundant + shown + plain, key=lambda one: one[0])


CALL: Final = _call()

CAPTURES: Final = {
    "call": run(*((interface | min(63, int(time * 100)) << 2, data) for time, interface, data in CALL)),
    "many_senders": run(*((1, kit.rtp(OPUS, 1, 0, 1000 + n, _OPUS[1])) for n in range(60))),
    "restarts": run(*((1 | 4, kit.rtp(OPUS, n // 2 * 20_000, n // 2 * 99_999_999, 1, _OPUS[0])) for n in range(20))),
    "gaps": run(*((1, kit.rtp(VP8, 3 * n, 3000 * n, 2, b"\x10" + _VP8_KEY, marker=True)) for n in range(20))),
}
"""Packets, each with the interface (2 bits) and the hundredths of a second since the one before (6 bits) that it came on."""

FILES: Final = {
    "call": capture_of(CALL),
    "no_packets": capture_of([]),
    "no_description": capture_of(CALL[:4], media=[]),
}


def sealed(plain: bytes, size: int, salt: bytes, *, last: bool = True) -> bytes:
    """A sealed file with chunks of so many bytes; a salt makes it the same each time."""
    sealer = Sealer(KEY)
    header = MAGIC + bytes.fromhex(key_id(KEY)) + salt
    object.__setattr__(sealer, "header", header)
    cipher: AESGCM = cipher_of(KEY, header)
    sealer._cipher = cipher
    chunks = [plain[at : at + size] for at in range(0, len(plain), size)] or [b""]
    return header + b"".join(sealer.seal(one, last=last and number == len(chunks)) for number, one in enumerate(chunks, 1))


PLAIN: Final = bytes(range(256)) * 2

SEALED: Final = {
    "whole": sealed(PLAIN, 64 * 1024, b"w" * 32),
    "in_blocks": sealed(PLAIN, 100, b"b" * 32),
    "cut_off": sealed(PLAIN, 100, b"c" * 32, last=False),
    "empty": sealed(b"", 100, b"e" * 32),
    "of_another_key": MAGIC + bytes(8) + bytes(32) + pack("!I", 17) + bytes(17),
}

CORPUS: Final[dict[str, dict[str, bytes]]] = {
    **VIDEO,
    "opus": OPUS_RUNS,
    "red": RED_PAYLOADS,
    "rtx": RTX_PAYLOADS,
    "ulpfec": ULPFEC_RUNS,
    "capture": CAPTURES,
    "pcapng": FILES,
    "sealed": SEALED,
}
"""Target → name → bytes."""
