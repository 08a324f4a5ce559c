"""Keyframes by the first bytes of their packets, for each codec that browsers send."""

import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from hypothesis import given
from hypothesis import strategies as st

from relay.rtp.keyframes import keyframe_detector

CODECS = ("vp8", "vp9", "h264", "av1")
VP8_KEY = b"\x10\x02\x00\x9d\x01\x2a"
VP8_DELTA = b"\x11\x02\x00"


def is_keyframe(codec: str, payload: bytes) -> bool:
    detector = keyframe_detector(codec)
    assert detector is not None
    # Something before and after it, as in a receive buffer.
    answer = detector(bytes(12) + payload + b"\xff" * 4, 12, 12 + len(payload))
    assert detector(payload, 0, len(payload)) is answer
    return answer


def test_other_codecs_have_no_detector() -> None:
    assert keyframe_detector("opus") is None
    assert keyframe_detector("rtx") is None


@given(st.sampled_from(CODECS), st.binary(max_size=40))
def test_any_bytes_are_a_keyframe_or_not(codec: str, payload: bytes) -> None:
    assert is_keyframe(codec, payload) in (True, False)


@pytest.mark.parametrize("codec", CODECS)
def test_an_empty_payload_is_no_keyframe(codec: str) -> None:
    assert not is_keyframe(codec, b"")


@given(
    st.none() | st.integers(0, 0x7FFF),
    st.none() | st.integers(0, 255),
    st.none() | st.tuples(st.integers(0, 3), st.integers(0, 1)),
    st.none() | st.integers(0, 31),
)
def test_vp8_keyframes_are_found_behind_every_descriptor_of_aiortc(
    picture_id: int | None, tl0picidx: int | None, tid: tuple[int, int] | None, keyidx: int | None
) -> None:
    descriptor = bytes(
        VpxPayloadDescriptor(
            partition_start=1, partition_id=0, picture_id=picture_id, tl0picidx=tl0picidx, tid=tid, keyidx=keyidx
        )
    )
    assert is_keyframe("vp8", descriptor + VP8_KEY)
    assert not is_keyframe("vp8", descriptor + VP8_DELTA)
    assert not is_keyframe("vp8", descriptor)


@pytest.mark.parametrize("descriptor", ["00", "11", "12", "90", "9080", "908080"])
def test_vp8_packets_that_do_not_begin_a_frame_or_are_cut_off_are_no_keyframe(descriptor: str) -> None:
    assert not is_keyframe("vp8", bytes.fromhex(descriptor))


def test_vp8_packets_in_the_middle_of_a_keyframe_do_not_begin_one() -> None:
    assert not is_keyframe("vp8", b"\x00" + VP8_KEY)
    assert not is_keyframe("vp8", b"\x11" + VP8_KEY)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param("08", True, id="begins a frame that is not predicted"),
        pytest.param("48", False, id="predicted"),
        pytest.param("00", False, id="in the middle of a frame"),
        pytest.param("8805", True, id="with a picture id of 7 bits"),
        pytest.param("a80500", True, id="spatial layer 0 after 7 bits of picture id"),
        pytest.param("a8810500", True, id="spatial layer 0 after 15 bits of picture id"),
        pytest.param("a8810502", False, id="spatial layer 1"),
        pytest.param("2803", False, id="spatial layer 1 without a picture id"),
        pytest.param("28", False, id="layers cut off"),
        pytest.param("a8", False, id="picture id cut off"),
        pytest.param("a881", False, id="picture id cut in half"),
    ],
)
def test_vp9_keyframes_are_read_from_the_descriptor(payload: str, expected: bool) -> None:
    assert is_keyframe("vp9", bytes.fromhex(payload)) is expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param("65", True, id="IDR"),
        pytest.param("67", True, id="SPS"),
        pytest.param("68", False, id="PPS alone"),
        pytest.param("41", False, id="P slice"),
        pytest.param("78 0002 6742 0001 68", True, id="STAP-A with SPS"),
        pytest.param("78 0001 09 0003 658880", True, id="STAP-A with an IDR behind a delimiter"),
        pytest.param("78 0001 41", False, id="STAP-A with a P slice"),
        pytest.param("78 0000 0000 0001 65", True, id="STAP-A with empty units"),
        pytest.param("78 00ff 41", False, id="STAP-A cut off"),
        pytest.param("78 00", False, id="STAP-A without a unit"),
        pytest.param("7c 85", True, id="FU-A begins an IDR"),
        pytest.param("7c 05", False, id="FU-A goes on with an IDR"),
        pytest.param("7c 45", False, id="FU-A ends an IDR"),
        pytest.param("7c 81", False, id="FU-A begins a P slice"),
        pytest.param("7c", False, id="FU-A cut off"),
    ],
)
def test_h264_keyframes_are_found_in_units_aggregates_and_fragments(payload: str, expected: bool) -> None:
    assert is_keyframe("h264", bytes.fromhex(payload)) is expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        pytest.param("18", True, id="a new coded video sequence"),
        pytest.param("10", False, id="the same sequence"),
        pytest.param("98", False, id="goes on with a unit, which N forbids"),
    ],
)
def test_av1_keyframes_are_read_from_the_aggregation_header(payload: str, expected: bool) -> None:
    assert is_keyframe("av1", bytes.fromhex(payload)) is expected
