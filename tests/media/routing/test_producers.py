"""Which source an RTP stream belongs to."""

import pytest

from relay.media.api import Codec, Direction, Encoding, MediaDescription, SsrcGroup
from relay.media.routing.producers import DescribedMedia, producers_of

OPUS, RED_AUDIO = Codec(111, "opus", 48_000, 2), Codec(63, "red", 48_000, 2)
VP8, RTX, RED, FEC = Codec(96, "vp8", 90_000), Codec(97, "rtx", 90_000), Codec(98, "red", 90_000), Codec(99, "ulpfec", 90_000)
VOICE = MediaDescription("0", "audio", (OPUS, RED_AUDIO))
CAMERA = MediaDescription("1", "video", (VP8, RTX, RED, FEC), ssrcs=(1, 2), ssrc_groups=(SsrcGroup("FID", (1, 2)),))
SCREEN = MediaDescription("2", "video", (VP8, RTX), ssrcs=(3, 4), ssrc_groups=(SsrcGroup("FID", (3, 4)),))


def encodings(media: tuple[MediaDescription, ...], heard: dict[int, int]) -> list[tuple[Encoding, ...]]:
    return [one.encodings for one in producers_of("t", media, heard)]


def test_each_section_that_sends_is_a_producer_before_anything_has_arrived() -> None:
    found = producers_of("t", (VOICE, CAMERA), {})
    assert [(one.id, one.kind) for one in found] == [("t/0", "audio"), ("t/1", "video")]
    assert [one.encodings for one in found] == [(), (Encoding(1, "", 2),)]


def test_a_stream_is_of_the_section_that_announced_its_ssrc() -> None:
    assert encodings((VOICE, CAMERA, SCREEN), {3: 96, 1: 96}) == [(), (Encoding(1, "vp8", 2),), (Encoding(3, "vp8", 4),)]


def test_a_stream_that_was_not_announced_is_of_the_section_with_its_payload_type() -> None:
    assert encodings((VOICE, CAMERA), {77: 111}) == [(Encoding(77, "opus"),), (Encoding(1, "", 2),)]


@pytest.mark.parametrize("payload_type", [97, 99])
def test_retransmissions_and_repair_are_no_encodings(payload_type: int) -> None:
    assert encodings((CAMERA,), {2: payload_type, 50: payload_type}) == [(Encoding(1, "", 2),)]


def test_what_is_inside_red_is_an_encoding() -> None:
    assert encodings((CAMERA,), {1: 98}) == [(Encoding(1, "red", 2),)]


@pytest.mark.parametrize("direction", [Direction.RECVONLY, Direction.INACTIVE])
def test_a_section_that_does_not_send_is_no_producer(direction: Direction) -> None:
    assert not producers_of("t", (MediaDescription("0", "audio", (OPUS,), direction=direction),), {5: 111})


def test_data_channel_sections_and_undescribed_payload_types_are_left_out() -> None:
    assert not producers_of("t", (MediaDescription("0", "application"),), {5: 111})


def test_simulcast_is_several_encodings_of_one_producer() -> None:
    layers = MediaDescription("1", "video", (VP8,), ssrcs=(10, 20, 30), ssrc_groups=(SsrcGroup("SIM", (10, 20, 30)),))
    assert encodings((layers,), {10: 96, 30: 96}) == [(Encoding(10, "vp8"), Encoding(20), Encoding(30, "vp8"))]


def test_what_is_kept_of_a_description_has_the_same_producers_whatever_arrives_and_in_whichever_order() -> None:
    media = (VOICE, CAMERA, SCREEN, MediaDescription("3", "application"))
    kept = DescribedMedia("t", media)
    for heard in ({}, {77: 111}, {77: 111, 1: 98}, {77: 111, 1: 96}, {3: 96}, {}):
        assert kept.producers(heard) == producers_of("t", media, heard)


def test_equal_lists_of_codecs_are_kept_once() -> None:
    kept = [DescribedMedia(name, (CAMERA,)) for name in ("first", "second")]
    first, second = (one._sections[0].codecs for one in kept)
    assert first is second
