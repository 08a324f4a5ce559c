"""Payload formats: frames come back as they went in; anything else is a ValueError, and little memory."""

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from relay.recording.assembly.streams import RedBlock, unpack_red, unpack_rtx
from relay.recording.payloads import av1, h264, vp8, vp9
from relay.recording.payloads.audio import linear, opus_concealment, opus_samples, opus_silence
from relay.recording.payloads.formats import MAY_BE_KEY, VIDEO, depacketizer
from relay.recording.payloads.frame import MAX_FRAME
from relay.rtp.extensions import header_extensions
from tests.fuzz.seeds import mutated
from tests.recording.capture_file import AV1, H264, VP8, VP9
from tests.recording.kit import MTU, annex_b_units, encoded, obus, opus_packets, payloads, rtp, vp8_payloads, vp9_payloads

CODECS = {"vp8": (VP8, "libvpx"), "vp9": (VP9, "libvpx-vp9"), "h264": (H264, "libx264"), "av1": (AV1, "av1")}


def packetised(codec: str, frames: int = 10, size: int = MTU) -> list[list[bytes]]:
    """The packets of each frame; with a small size they are many."""
    payload_type, encoder = CODECS[codec]
    sent = enumerate(encoded(encoder, frames, 640, 480))
    return [payloads(payload_type, frame, n, key=key, size=size) for n, (frame, key) in sent]


@pytest.mark.parametrize("codec", CODECS)
def test_frames_come_back_as_they_went_in(codec: str) -> None:
    unpacker = depacketizer(codec, {})
    for packets, (frame, key) in zip(packetised(codec), encoded(CODECS[codec][1], 10, 640, 480), strict=True):
        assert [unpacker.begins(one) for one in packets[:1]] == [True]
        for one in packets:
            unpacker.add(one)
        assert unpacker.facts().key == key
        if key:
            assert unpacker.facts().size == (640, 480)
        found = unpacker.take()
        if codec == "h264":
            assert annex_b_units(found) == annex_b_units(frame)
        elif codec == "av1":
            assert list(obus(found)) == list(obus(frame))
        else:
            assert found == frame


@pytest.mark.parametrize("codec", CODECS)
def test_key_frames_and_their_size_are_known_by_one_packet(codec: str) -> None:
    sizes = [[VIDEO[codec](one) for one in packets] for packets in packetised(codec)]
    assert (640, 480) in sizes[0]
    assert all(size in (None, (0, 0)) for packets in sizes[1:] for size in packets)
    for packets, found in zip(packetised(codec), sizes, strict=True):
        assert all(MAY_BE_KEY[codec][one[0]] for one, size in zip(packets, found, strict=True) if size is not None)


@pytest.mark.parametrize("codec", ["vp9", "h264", "av1"])
def test_a_frame_without_its_end_is_not_taken_for_a_whole_one(codec: str) -> None:
    packets = next(one for one in packetised(codec, size=20) if len(one) > 3)
    unpacker = depacketizer(codec, {})
    for one in packets[:-1]:
        unpacker.add(one)
    with pytest.raises(ValueError, match=r"missing|cut off"):
        unpacker.take()
    for one in packets:  # and leaves nothing behind
        unpacker.add(one)
    assert unpacker.take()


def test_vp8_temporal_layers_are_known() -> None:
    unpacker = vp8.Vp8Frames()
    for one in vp8_payloads(b"\x11" + bytes(3000), 7, layer=2, base=9, sync=True):
        unpacker.add(one)
    facts = unpacker.facts()
    assert (facts.layer, facts.base, facts.sync, facts.key) == (2, 9, True, False)


def test_spatial_layers_of_vp9_become_one_superframe() -> None:
    (low, _), *_ = encoded("libvpx-vp9", 3, 160, 120)
    (high, _), *_ = encoded("libvpx-vp9", 3, 320, 240)
    unpacker = vp9.Vp9Frames()
    for spatial, frame in enumerate((low, high)):
        for one in vp9_payloads(frame, 1, key=True, spatial=spatial):
            assert unpacker.begins(one) == (not spatial and bool(one[0] & 0x08))
            unpacker.add(one)
    whole = unpacker.take()
    # VP9 bitstream specification, annex B: sizes of 2 bytes, two frames.
    assert whole == low + high + bytes([0xC9]) + len(low).to_bytes(2, "little") + len(high).to_bytes(2, "little") + bytes([0xC9])


def test_parameter_sets_of_the_description_come_before_a_key_frame_without_its_own() -> None:
    import base64

    frame = encoded("libx264", 2)[0][0]
    units = annex_b_units(frame)
    sets = [one for one in units if one[0] & 0x1F in (7, 8)]
    sprop = ",".join(base64.b64encode(one).decode() for one in sets)
    unpacker = h264.H264Frames(sprop)
    for one in units:
        if one not in sets:
            unpacker.add(one)
    assert annex_b_units(unpacker.take())[: len(sets)] == sets


def test_opus_says_how_long_it_lasts() -> None:
    assert {opus_samples(one) for one in opus_packets(20)} == {960}
    assert opus_samples(bytes([0b11111_0_01])) == 1920
    assert opus_samples(bytes([0b00011_0_11, 2])) == 5760
    for bad in (b"", bytes([0b11111_0_11]), bytes([0b11111_0_11, 0]), bytes([0b00011_0_11, 3])):
        with pytest.raises(ValueError, match="Opus packet"):
            opus_samples(bad)


@pytest.mark.parametrize("samples", [120, 960, 1000, 48000, 2_880_000])
@pytest.mark.parametrize("stereo", [False, True])
def test_silence_lasts_as_long_as_it_should(samples: int, stereo: bool) -> None:
    pieces = opus_silence(samples, stereo=stereo)
    assert sum(length for length, _ in pieces) == samples - samples % 120
    assert all(opus_samples(payload) == length and bool(payload[0] & 4) == stereo for length, payload in pieces)


@pytest.mark.parametrize("config", range(32))
def test_a_concealed_gap_lasts_as_long_as_it_should_and_goes_on_as_the_packet_before(config: int) -> None:
    """RFC 7845, section 4.1."""
    own = opus_samples(bytes([config << 3]))
    for samples in (119, 120, 1080, 4560, 48_000):
        pieces = opus_concealment(samples, config << 3 | 4 | 3)
        assert sum(length for length, _ in pieces) == samples - samples % 120
        assert all(len(payload) == 1 and opus_samples(payload) == length and payload[0] & 4 for length, payload in pieces)
        assert pieces[: samples // own] == [(own, bytes([config << 3 | 4]))] * (samples // own)
        assert sum(length for length, _ in pieces[samples // own :]) < own


def test_a_gap_behind_speech_ends_with_the_other_mode_as_only_that_has_packets_so_short() -> None:
    """RFC 7845, section 4.1: its own example, 95 ms behind 20 ms of SILK in the medium band."""
    assert opus_concealment(95 * 48, 5 << 3) == [(960, b"\x28")] * 4 + [(480, b"\x20"), (240, bytes([21 << 3]))]


@pytest.mark.parametrize(("law", "decoder"), [("pcmu", "pcm_mulaw"), ("pcma", "pcm_alaw")])
def test_g711_is_what_its_decoder_makes_of_it(law: str, decoder: str) -> None:
    import av

    context = av.CodecContext.create(decoder, "r")
    context.sample_rate, context.layout = 8000, "mono"  # type: ignore[attr-defined]
    [frame] = context.decode(av.Packet(bytes(range(256))))  # type: ignore[attr-defined]
    assert linear(law, bytes(range(256))) == bytes(frame.planes[0])[:512]


def test_red_has_its_blocks_in_order() -> None:
    block = bytes([0x80 | 111]) + (960 << 10 | 3).to_bytes(3)
    assert unpack_red(block + bytes([111]) + b"oldnew") == [RedBlock(111, 960, b"old"), RedBlock(111, 0, b"new")]
    assert unpack_red(bytes([96]) + b"frame") == [RedBlock(96, 0, b"frame")]
    for bad in (b"", b"\x80", block, block + bytes([111]) + b"ol"):
        with pytest.raises(ValueError, match="cut off"):
            unpack_red(bad)


def test_retransmissions_of_nothing_are_probes() -> None:
    assert unpack_rtx(b"\x01\x02frame") == (0x0102, b"frame")
    assert unpack_rtx(b"\x01\x02") is None


def test_header_extensions_of_both_forms_are_read() -> None:
    assert list(header_extensions(rtp(96, 1, 2, 3, b"x", extensions={4: b"0", 10: b"hi"}))) == [(4, b"0"), (10, b"hi")]
    two_byte = b"\x90\x60" + bytes(10) + b"\x10\x00\x00\x02" + b"\x04\x010\x00\x0a\x02hi"
    assert list(header_extensions(two_byte)) == [(4, b"0"), (10, b"hi")]


@pytest.mark.parametrize("codec", CODECS)
def test_a_frame_has_no_more_than_eight_mebibytes(codec: str) -> None:
    first, *_, middle, _ = next(one for one in packetised(codec, size=20) if len(one) > 3)
    middle += bytes(MTU)
    unpacker = depacketizer(codec, {})
    unpacker.add(first)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"."):
        for _ in range(MAX_FRAME // MTU + 10):
            unpacker.add(middle)
    assert tracemalloc.get_traced_memory()[1] < 3 * MAX_FRAME
    tracemalloc.stop()


def hostile_frames(codec: str, data: bytes) -> None:
    """A payload, alone and after another one, as the assembler uses a depacketiser."""
    VIDEO[codec](data)
    unpacker = depacketizer(codec, {"sprop-parameter-sets": data[:40].decode("latin-1")})
    for payload in (data, data[: len(data) // 2], data[1:]):
        for step in (lambda: unpacker.begins(payload), lambda: unpacker.add(payload)):  # noqa: B023
            with suppress(ValueError):
                step()
        unpacker.facts()
    with suppress(ValueError):
        unpacker.take()


def hostile_red(data: bytes) -> None:
    with suppress(ValueError):
        unpack_red(data)
    unpack_rtx(data)
    list(header_extensions(data))
    h264.parameter_units(data)


def hostile_audio(data: bytes) -> None:
    with suppress(ValueError):
        opus_samples(data)


SPECIAL: dict[str, Callable[[bytes], None]] = {"red": hostile_red, "opus": hostile_audio}


@pytest.mark.long
@pytest.mark.parametrize("target", [*CODECS, *SPECIAL])
def test_hostile_payloads_are_value_errors_and_nothing_else(target: str) -> None:
    rng = Random(5)
    if target in CODECS:
        originals = [one for packets in packetised(target, 4) for one in packets]
    else:
        originals = [rtp(96, 1, 2, 3, b"x", extensions={4: b"0", 10: b"hi"}), b"\xef\x0f\x00\x03\x6foldnew", *opus_packets(5)]
    for _ in range(20_000):
        data = mutated(rng, originals)
        if target in CODECS:
            hostile_frames(target, data)
        else:
            SPECIAL[target](data)


def test_hostile_sequence_headers_end() -> None:
    """Numbers in them are bounded."""
    rng = Random(6)
    for _ in range(2000):
        data = rng.randbytes(rng.randrange(1, 600))
        for read in (av1.sequence_size, h264.sps_size):
            with suppress(ValueError):
                read(data)
