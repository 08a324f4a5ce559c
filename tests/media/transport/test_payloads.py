"""What a payload type carries, RED and its like included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.media.api import Codec, MediaDescription
from relay.media.transport.payloads import PayloadFormats
from tests.kit.media import rtp_packet

VP8, VP8_RTX, RED, RED_RTX, ULPFEC, FLEXFEC, OPUS, AUDIO_RED = 96, 97, 118, 119, 120, 121, 111, 63
CHROMIUM = (
    MediaDescription("0", "audio", (Codec(OPUS, "opus", 48_000), Codec(AUDIO_RED, "red", 48_000))),
    MediaDescription(
        "1",
        "video",
        (
            *(Codec(VP8, "vp8", 90_000), Codec(VP8_RTX, "rtx", 90_000), Codec(RED, "red", 90_000), Codec(RED_RTX, "rtx", 90_000)),
            *(Codec(ULPFEC, "ulpfec", 90_000), Codec(FLEXFEC, "flexfec-03", 90_000)),
        ),
    ),
)
"""What a default Chromium says that it sends."""

KEY, DELTA = b"\x10\x02\x00\x9d\x01\x2a", b"\x11\x02\x00"

formats = PayloadFormats(CHROMIUM)


def begins_keyframe(payload_type: int, payload: bytes) -> bool:
    return formats.begins_keyframe(rtp_packet(1, payload_type=payload_type, payload=payload))


def test_key_frames_are_requested_of_video_streams_only() -> None:
    every = (VP8, VP8_RTX, RED, RED_RTX, ULPFEC, FLEXFEC, OPUS, AUDIO_RED, 77)
    assert [one for one in every if formats.is_video(one)] == [VP8, RED]


def test_payload_types_that_may_share_an_ssrc_with_video_are_watched() -> None:
    every = (VP8, VP8_RTX, RED, RED_RTX, ULPFEC, FLEXFEC, OPUS, AUDIO_RED, 77)
    assert [one for one in every if formats.may_become_video(one)] == [VP8, RED, ULPFEC]


def test_a_keyframe_is_seen_inside_red() -> None:
    assert begins_keyframe(VP8, KEY)
    assert begins_keyframe(RED, bytes([VP8]) + KEY)
    assert not begins_keyframe(RED, bytes([VP8]) + DELTA)
    assert not begins_keyframe(RED, bytes([ULPFEC]) + KEY), "it only protects one"
    assert not begins_keyframe(AUDIO_RED, bytes([OPUS]) + KEY)


def test_a_keyframe_is_seen_behind_redundant_blocks_and_in_none_of_them() -> None:
    def red(redundant: bytes, primary: bytes) -> bytes:
        return bytes([0x80 | VP8, 0x12, 0x34, len(redundant), VP8]) + redundant + primary

    assert begins_keyframe(RED, red(DELTA, KEY))
    assert not begins_keyframe(RED, red(KEY, DELTA))


@pytest.mark.parametrize("payload", [b"", bytes([VP8]), bytes([0x80 | VP8, 0, 0]), bytes([0x80 | VP8, 0, 0, 200, VP8]) + KEY])
def test_red_that_is_cut_off_begins_no_keyframe(payload: bytes) -> None:
    assert not begins_keyframe(RED, payload)


@given(st.sampled_from([VP8, RED, ULPFEC, OPUS, 77]), st.binary(max_size=40))
def test_any_bytes_begin_a_keyframe_or_not(payload_type: int, payload: bytes) -> None:
    packet = rtp_packet(1, payload_type=payload_type, payload=payload)
    for cut in (len(packet), 14, 11, 0):
        assert formats.begins_keyframe(packet[:cut]) in (True, False)


def test_an_unknown_payload_type_has_the_clock_of_video() -> None:
    assert formats.clock_rate(OPUS) == 48_000
    assert formats.clock_rate(77) == 90_000
