"""What a media section says of its packets, and that nothing a client writes makes it large."""

import msgspec
import pytest
from aiortc.sdp import MediaDescription as OtherSection
from aiortc.sdp import SessionDescription as OtherDescription
from hypothesis import given
from hypothesis import strategies as st

from relay.media.api import Codec, Direction, MediaDescription, Rid, Simulcast, SsrcGroup
from relay.sdp import media
from relay.sdp.model import Msid
from relay.sdp.parse import parse_sdp
from tests.sdp.descriptions import DESCRIPTIONS, VOICE_OFFER, description, plain

every_description = pytest.mark.parametrize("name", DESCRIPTIONS)


def audio_with(*lines: str) -> MediaDescription:
    """The media of a voice offer with more lines."""
    [audio] = parse_sdp(VOICE_OFFER + "".join(f"{line}\r\n" for line in lines)).media
    return audio


def codec_of(description: MediaDescription, payload_type: int) -> Codec:
    [codec] = [one for one in description.codecs if one.payload_type == payload_type]
    return codec


# -- real descriptions ------------------------------------------------------------------------------------------------


def test_the_media_of_an_offer_is_told_in_numbers() -> None:
    audio, video, channel = parse_sdp(description("chromium_video_offer")).media
    assert [audio.kind, video.kind, channel.kind] == ["audio", "video", "application"]
    assert [audio.mid, video.mid, channel.mid] == ["0", "1", "2"]
    assert Codec(111, "opus", 48000, 2, {"minptime": "10", "useinbandfec": "1"}) in audio.codecs
    assert Codec(96, "vp8", 90000) in video.codecs
    assert audio.ssrcs == (1030330694,)
    assert video.extensions[3] == "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
    assert (channel.codecs, channel.ssrcs, dict(channel.extensions)) == ((), (), {})


def test_the_direction_of_a_header_extension_is_no_part_of_its_number() -> None:
    audio, *_ = parse_sdp(description("firefox_offer")).media
    assert audio.extensions[2] == "urn:ietf:params:rtp-hdrext:csrc-audio-level"


def test_rejected_sections_send_nothing() -> None:
    assert [media.kind for media in parse_sdp(description("chromium_answer_without_video")).media] == ["audio"]


def test_numbers_beyond_32_bits_are_no_ssrc() -> None:
    [audio] = parse_sdp(VOICE_OFFER + "a=ssrc:4294967296 cname:x\r\na=ssrc:4294967295 cname:x\r\n").media
    assert audio.ssrcs == (4294967295,)


def other_codecs(section: OtherSection) -> list[tuple[int, str, int, int, dict[str, str]]]:
    """Those of a section, as aiortc reads them."""
    return [
        (
            one.payloadType or 0,
            one.name.lower(),
            one.clockRate,
            one.channels or 1,
            {name.strip().lower(): "" if value is None else str(value) for name, value in one.parameters.items()},
        )
        for one in section.rtp.codecs
    ]


@every_description
def test_codecs_parameters_and_ssrc_groups_are_those_that_another_implementation_reads(name: str) -> None:
    ours = parse_sdp(description(name)).media
    theirs = {one.rtp.muxId: one for one in OtherDescription.parse(description(name)).media}
    for section in ours:
        if section.kind == "application":
            assert (section.codecs, section.ssrcs) == ((), ())
            continue
        other = theirs[section.mid]
        codecs = [(one.payload_type, one.name, one.clock_rate, one.channels, dict(one.parameters)) for one in section.codecs]
        mapped = {number for number, *_ in other_codecs(other)}
        assert sorted(one for one in codecs if one[0] in mapped) == sorted(other_codecs(other))
        assert [(one.semantics, list(one.ssrcs)) for one in section.ssrc_groups] == [
            (one.semantic, one.items) for one in other.ssrc_group
        ]
        assert section.direction == (other.direction or "sendrecv")
        assert section.ssrcs == tuple(one.ssrc for one in other.ssrc)


@every_description
def test_codecs_come_in_the_order_of_the_m_line(name: str) -> None:
    for section in parse_sdp(description(name)).sections:
        if section.is_rtp and not section.rejected:
            [read] = [one for one in parse_sdp(description(name)).media if one.mid == section.mid]
            order = [one.payload_type for one in read.codecs]
            assert order == [int(one) for one in section.formats if int(one) in order]
            assert len(order) == len(section.formats), "each format of real software has a mapping, or is a static one"


@every_description
def test_each_retransmission_names_the_payload_type_that_it_repeats(name: str) -> None:
    for section in parse_sdp(description(name)).media:
        known = {one.payload_type for one in section.codecs}
        assert all(int(one.parameters["apt"]) in known for one in section.codecs if one.name == "rtx")


@every_description
def test_what_is_known_of_media_crosses_to_a_worker_process_as_it_is(name: str) -> None:
    read = parse_sdp(description(name)).media
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(read), type=tuple[MediaDescription, ...]) == read


def test_h264_has_its_profile_and_opus_two_channels() -> None:
    audio, video, _ = parse_sdp(description("safari_offer")).media
    assert codec_of(audio, 111) == Codec(111, "opus", 48_000, 2, {"minptime": "10", "useinbandfec": "1"})
    assert codec_of(video, 96).parameters["profile-level-id"] == "640c1f"
    assert codec_of(video, 97) == Codec(97, "rtx", 90_000, 1, {"apt": "96"})
    assert video.ssrc_groups == (SsrcGroup("FID", (1195308841, 3640229515)),)


def test_a_camera_that_is_off_and_a_screen_that_is_shared_have_different_directions() -> None:
    for browser in ("chromium", "firefox"):
        offer, answer = (parse_sdp(description(f"{browser}_screen_{kind}")).media for kind in ("offer", "answer"))
        assert [one.direction for one in offer if one.kind == "video"] == [Direction.RECVONLY, Direction.SENDRECV]
        assert [one.direction for one in answer if one.kind == "video"] == [Direction.SENDONLY, Direction.RECVONLY]


def test_the_layers_of_simulcast_are_known_and_which_of_them_are_paused() -> None:
    [chromium] = parse_sdp(description("chromium_simulcast_offer")).media
    assert chromium.rids == (Rid("q", "send"), Rid("h", "send", paused=True), Rid("f", "send"))
    assert chromium.simulcast == Simulcast(send=(("q",), ("h",), ("f",)))
    [firefox] = parse_sdp(description("firefox_simulcast_offer")).media
    assert [one.id for one in firefox.rids] == ["q", "h", "f"]
    assert [group.semantics for group in firefox.ssrc_groups] == ["FID"] * 3


def test_a_gateway_names_static_payload_types_by_their_numbers_alone() -> None:
    [audio] = parse_sdp(description("rtpengine_answer")).media
    assert audio.codecs == (
        Codec(8, "pcma", 8000),
        Codec(0, "pcmu", 8000),
        Codec(126, "telephone-event", 8000, 1, {"0-16": ""}),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("freeswitch_offer", [Msid("Wm2kq8ZrTf0LxYc5VhUeGdB1nJs9oPiA", "a0")]),
        ("asterisk_offer", [Msid("0fbb0a4c-37bd-4d0a-8c43-0e97b1b9dca6", "7a50f9cd-52c8-4a53-8d1f-f4bda3a1c0be")]),
        ("chromium_simulcast_offer", [Msid("-", "")]),
        ("rtpengine_answer", []),
    ],
)
def test_the_tracks_of_a_section_are_known_wherever_their_ids_stand(name: str, expected: list[Msid]) -> None:
    [section] = parse_sdp(description(name)).sections
    found = list(section.msids)
    if name.startswith("chromium"):
        found = [Msid(one.stream, "") for one in found]
    assert found == expected


# -- as the standards' grammar allows -----------------------------------------------------------------------------------


@given(st.permutations(["a=rtpmap:96 VP8/90000", "a=fmtp:96 max-fs=99;max-fr=60", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]))
def test_attributes_may_come_in_any_order(lines: list[str]) -> None:
    """Firefox has all `a=fmtp` before the first `a=rtpmap`."""
    text = plain("video").replace("SAVPF 111 0", "SAVPF 96 97")
    [video] = parse_sdp(text + "".join(f"{line}\r\n" for line in lines)).media
    assert video.codecs == (
        Codec(96, "vp8", 90_000, 1, {"max-fs": "99", "max-fr": "60"}),
        Codec(97, "rtx", 90_000, 1, {"apt": "96"}),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("packetization-mode=1; sprop-parameter-sets=Z0IAKeKQ,aM48gA==", {"sprop-parameter-sets": "Z0IAKeKQ,aM48gA=="}),
        ("Profile-Level-ID=42e01f;;level-asymmetry-allowed = 1", {"profile-level-id": "42e01f", "level-asymmetry-allowed": "1"}),
        ("111/111", {"111/111": ""}),
        ("minptime=10;minptime=20", {"minptime": "10"}),
    ],
)
def test_format_parameters_are_read_in_every_spelling(text: str, expected: dict[str, str]) -> None:
    parameters = codec_of(audio_with(f"a=fmtp:111 {text}"), 111).parameters
    assert {name: parameters.get(name) for name in expected} == expected
    assert "" not in parameters


def test_rids_have_their_restrictions() -> None:
    audio = audio_with("a=rid:hi send pt=111,0;max-width=1280;max-br=800000", "a=rid:hi recv", "a=rid:? send", "a=rid:x sideways")
    assert audio.rids == (Rid("hi", "send", (111, 0), {"max-width": "1280", "max-br": "800000"}), Rid("hi", "recv"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("send 1,2;3", Simulcast(send=(("1", "2"), ("3",)))),
        ("recv ~4;5 send 1,~2", Simulcast(send=(("1", "2"),), recv=(("4",), ("5",)))),
        ("send ;", Simulcast()),
        ("sideways 1", Simulcast()),
        ("", Simulcast()),
    ],
)
def test_simulcast_has_alternatives_and_both_directions(text: str, expected: Simulcast) -> None:
    assert audio_with(f"a=simulcast:{text}").simulcast == expected


@pytest.mark.parametrize("direction", list(Direction))
def test_the_direction_of_a_section_may_stand_before_the_first_one(direction: Direction) -> None:
    text = VOICE_OFFER.replace("a=sendrecv\r\n", "")
    assert parse_sdp(text).media[0].direction is Direction.SENDRECV, "RFC 8866 section 6.7"
    assert parse_sdp(text.replace("t=0 0\r\n", f"t=0 0\r\na={direction}\r\n")).media[0].direction is direction
    assert parse_sdp(text + f"a={direction}\r\n").media[0].direction is direction


# -- hostile ones -----------------------------------------------------------------------------------------------------

MANY = range(3000)

FLOODS = {
    "format parameters": [f"a=fmtp:111 {';'.join(f'p{one}=1' for one in MANY)}", *(f"a=fmtp:111 q{one}=1" for one in MANY)],
    "payload types": [f"a=rtpmap:{one % 1000} x{one}/8000" for one in MANY],
    "SSRCs": [f"a=ssrc:{one} cname:x" for one in MANY],
    "SSRC groups": [f"a=ssrc-group:FID {one} {one + 1}" for one in MANY],
    "SSRCs of a group": ["a=ssrc-group:SIM " + " ".join(map(str, MANY))],
    "header extensions": [f"a=extmap:{one} urn:x" for one in MANY],
    "encodings": [f"a=rid:{one} send" for one in MANY],
    "restrictions of an encoding": ["a=rid:x send " + ";".join(f"r{one}=1" for one in MANY)],
    "streams of simulcast": ["a=simulcast:send " + ";".join(map(str, MANY))],
    "alternatives of simulcast": ["a=simulcast:send " + ",".join(map(str, MANY))],
}


@pytest.mark.parametrize("lines", FLOODS.values(), ids=FLOODS)
def test_what_a_section_may_say_is_bounded(lines: list[str]) -> None:
    found = audio_with(*lines)
    assert len(found.codecs) <= media.MAX_PAYLOAD_TYPE + 1
    assert all(len(one.parameters) <= media.MAX_PARAMETERS for one in found.codecs)
    assert len(found.ssrcs) <= media.MAX_SSRCS
    assert len(found.ssrc_groups) <= media.MAX_SSRC_GROUPS
    assert all(len(one.ssrcs) <= media.MAX_GROUP_SSRCS for one in found.ssrc_groups)
    assert len(found.extensions) <= 255
    assert len(found.rids) <= media.MAX_RIDS
    assert all(len(one.restrictions) <= media.MAX_PARAMETERS for one in found.rids)
    assert len(found.simulcast.send) <= media.MAX_RIDS
    assert all(len(one) <= media.MAX_RIDS for one in found.simulcast.send)
    assert len(msgspec.msgpack.encode(found)) < 20_000


def test_payload_types_are_those_of_the_m_line() -> None:
    text = VOICE_OFFER.replace("SAVPF 111 0", "SAVPF 111 0 128 999 x 1234")
    [audio] = parse_sdp(text + "a=rtpmap:128 x/8000\r\na=rtpmap:999 x/8000\r\na=rtpmap:96 x/8000\r\n").media
    assert [one.payload_type for one in audio.codecs] == [111, 0]


LINES = sorted({line for name in DESCRIPTIONS for line in description(name).split("\r\n") if line.startswith("a=")})
STRANGE = st.from_regex(r"a=(rid|simulcast|ssrc-group|fmtp|rtpmap|ssrc|extmap|msid):.{0,40}", fullmatch=True)


@given(st.lists(st.sampled_from(LINES) | STRANGE))
def test_any_attribute_is_read_without_an_error(lines: list[str]) -> None:
    found = media.read_media("video", "0", ("96", "97", "111"), lines, ())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=MediaDescription) == found
