"""Descriptions: the media part goes through, the transport part is the relay's, everything else is refused."""

import re

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import SignalingError
from relay.media.api import Codec, DtlsRole, TransportParameters
from relay.sdp.negotiate import opposite
from relay.sdp.parse import is_candidate, parse_sdp
from relay.sdp.rewrite import rewrite_sdp
from tests.sdp.descriptions import (
    ANSWERS,
    DESCRIPTIONS,
    OFFERS,
    RELAY,
    RELAY_SECTION,
    VIDEO_OFFER,
    VOICE_OFFER,
    description,
    seen,
)

every_description = pytest.mark.parametrize("name", DESCRIPTIONS)

TRANSPORT = re.compile(
    r"[oc]=|a=(candidate|end-of-candidates|ice-ufrag|ice-pwd|ice-options|ice-lite|fingerprint|setup|rtcp|crypto|tls-id)(:|$)"
)
"""The lines that describe one end of a transport: RFC 8839, RFC 8122, RFC 8842, RFC 3605, RFC 4568."""


def rendered(text: str, transport: TransportParameters = RELAY) -> str:
    return rewrite_sdp(parse_sdp(text), transport)


def sections(text: str) -> list[list[str]]:
    """The session part and each media section, as lines. Split only where browsers do, at line feeds."""
    return [part.rstrip("\r\n").split("\r\n") for part in re.split(r"(?m)^(?=m=)", text)]


def media_part(text: str) -> list[list[str]]:
    """Each part without its transport lines and without the port of its m-line."""
    return [[re.sub(r"^(m=\w+) \d+", r"\1", line) for line in part if not TRANSPORT.match(line)] for part in sections(text)]


def secrets_of(text: str) -> set[str]:
    """Everything in a description that leads to its author's network or keys."""
    found = set(re.findall(r"[0-9a-f-]+\.local", text))
    for line in text.split("\r\n"):
        if line.startswith("a=candidate:"):
            found |= {line.split(" ")[4], line.partition(":")[2]}
            found |= set(re.findall(r"raddr (\S+)", line))
        elif line.startswith(("c=", "o=")):
            found |= {line, line.rsplit(" ", 1)[1]}
        elif line.startswith(("a=ice-ufrag:", "a=ice-pwd:")):
            found.add(line)
        elif line.startswith("a=fingerprint:"):
            found.add(line.split(" ")[1])
    return found


REPEATED = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")
"""What a section without a port of its own may repeat; never the candidates."""


def problem_of(text: str) -> str:
    """With which words a description is refused."""
    with pytest.raises(SignalingError) as refused:
        parse_sdp(text)
    assert refused.value.code == "invalid_sdp"
    return str(refused.value)


def without(text: str, *beginnings: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(beginnings))


# -- what goes through ------------------------------------------------------------------------------------------------


@every_description
def test_everything_that_is_not_transport_goes_through_byte_for_byte_and_in_order(name: str) -> None:
    assert media_part(rendered(description(name))) == media_part(description(name))


@every_description
def test_nothing_of_the_senders_transport_is_left(name: str) -> None:
    text = description(name)
    result = rendered(text)
    assert len(secrets_of(text)) >= 5
    assert not [secret for secret in secrets_of(text) if secret in result]
    assert not [line for line in result.split("\r\n") if line.startswith(("a=rtcp:", "a=ice-options", "a=crypto"))]
    assert "mozilla" not in result


@every_description
def test_every_live_section_carries_the_relays_own_transport_and_no_other(name: str) -> None:
    _, *before = sections(description(name))
    relayed, *after = sections(rendered(description(name)))
    assert [line for line in relayed if TRANSPORT.match(line)] == [OWN_ORIGIN, "a=ice-lite"]
    for old, new in zip(before, after, strict=True):
        transport = [line for line in new if TRANSPORT.match(line)]
        if old[0].split(" ")[1] == "0":
            assert new[0] == old[0]
            repeated = [line for line in old if line.startswith(REPEATED)]
            assert transport == [
                line for line in RELAY_SECTION if line.startswith("c=") or (repeated and line.startswith(REPEATED))
            ]
        else:
            assert new[0] == re.sub(r" \d+", " 40000", old[0], count=1)
            assert transport == list(RELAY_SECTION)


OWN_ORIGIN = "o=- 1 1 IN IP4 198.51.100.1"
"""Of the first description that the relay gives a device, whatever the party behind it has given before."""


@pytest.mark.parametrize("version", [1, 2, 70])
def test_a_description_has_the_version_that_the_relay_gives_it(version: int) -> None:
    """RFC 3264 section 8: of the relay's session with that device."""
    text = rewrite_sdp(parse_sdp(VOICE_OFFER), RELAY, version)
    assert f"o=- 1 {version} IN IP4 198.51.100.1" in text.splitlines()


@every_description
def test_the_result_is_what_another_implementation_understands(name: str) -> None:
    parsed = SessionDescription.parse(rendered(description(name)))
    before = SessionDescription.parse(description(name))
    assert [media.kind for media in parsed.media] == [media.kind for media in before.media]
    live = seen(rendered(description(name)))
    assert live
    for section in live:
        assert section.lite
        assert (section.ufrag, section.pwd) == (RELAY.ufrag, RELAY.pwd)
        assert section.candidates == (("198.51.100.1", 40000, "host"), ("2001:db8::1", 40001, "host"))
        assert section.complete
        assert section.fingerprints == (RELAY.fingerprints[0].value,)


@every_description
def test_relaying_twice_changes_nothing_more(name: str) -> None:
    assert rendered(rendered(description(name))) == rendered(description(name))


@every_description
def test_lines_may_end_in_a_bare_line_feed_and_leave_as_the_standard_says(name: str) -> None:
    text = description(name)
    assert rendered(text.replace("\r\n", "\n")) == rendered(text)
    assert rendered(text).endswith("\r\n")
    assert "\n" not in rendered(text).replace("\r\n", "")


def test_a_rejected_section_stays_rejected_and_has_the_transport_lines_that_it_had() -> None:
    text = description("chromium_answer_without_video")
    _, audio, video = sections(rendered(text))
    assert audio[0].startswith("m=audio 40000 ")
    assert video[0].startswith("m=video 0 ")
    # webrtcbin refuses an answer without them: "No fingerprint lines in sdp for media".
    assert [line for line in video if line.startswith(REPEATED)] == [line for line in RELAY_SECTION if line.startswith(REPEATED)]
    before, video_line, after = text.partition("m=video")
    _, _, bare = sections(rendered(before + video_line + without(after, *REPEATED)))
    assert bare[0].startswith("m=video 0 ")
    assert not [line for line in bare if line.startswith(REPEATED)]


def test_bundle_only_sections_keep_their_port_of_zero_and_are_no_rejection() -> None:
    _, audio, video, channel = sections(rendered(description("firefox_offer")))
    assert audio[0].startswith("m=audio 40000 ")
    assert video[0].startswith("m=video 0 ")
    assert channel[0] == "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
    assert "a=bundle-only" in video
    assert [media.kind for media in parse_sdp(description("firefox_offer")).media] == ["audio", "video", "application"]


def test_a_bundle_only_section_has_the_transport_lines_that_its_author_gave_it() -> None:
    """As webrtcbin writes them with `bundle-policy=max-bundle`; it and aiortc refuse a description without."""
    _, audio, video = sections(
        rendered(VIDEO_OFFER.replace("m=video 9", "m=video 0").replace("a=mid:1", "a=bundle-only\r\na=mid:1"))
    )
    assert [line for line in video if TRANSPORT.match(line)] == [*RELAY_SECTION[:5]]
    assert [line for line in audio if TRANSPORT.match(line)] == list(RELAY_SECTION)


@pytest.mark.parametrize("given", ["ice-ufrag", "fingerprint", "setup"])
def test_a_bundle_only_section_has_no_more_transport_lines_than_its_author_gave_it(given: str) -> None:
    head, audio, video = re.split(r"(?m)^(?=m=)", VIDEO_OFFER.replace("m=video 9", "m=video 0"))
    kept = "".join(line for line in video.splitlines(keepends=True) if not TRANSPORT.match(line) or f"a={given}:" in line)
    _, _, after = sections(rendered(f"{head}{audio}{kept}a=bundle-only\r\n"))
    there = {line.partition(":")[0].removeprefix("a=") for line in after if TRANSPORT.match(line)} - {"c=IN IP4 198.51.100.1"}
    assert there == ({"ice-ufrag", "ice-pwd"} if given == "ice-ufrag" else {given})


def test_one_section_shares_its_transport_with_none_and_needs_no_bundle() -> None:
    """So it comes from SIP gateways, and from webrtcbin by default."""
    text = without(VOICE_OFFER, "a=group")
    assert media_part(rendered(text)) == media_part(text)
    text = without(text, "a=mid")
    assert media_part(rendered(text)) == media_part(text)
    rejected = VIDEO_OFFER[VIDEO_OFFER.index("m=video") :].replace("m=video 9", "m=video 0")
    assert media_part(rendered(without(VOICE_OFFER, "a=group") + rejected))


@pytest.mark.parametrize("character", "-_=#+/")
def test_ice_credentials_may_have_the_characters_that_gateways_put_in(character: str) -> None:
    text = VOICE_OFFER.replace("ufrag:Abcd", f"ufrag:ab{character}d").replace("pwd:abc", f"pwd:ab{character}")
    transport = parse_sdp(text).transport
    assert (transport.ufrag, transport.pwd) == (f"ab{character}d", f"ab{character}defghijklmnopqrstuvwx")


def test_a_data_channel_goes_through() -> None:
    *_, channel = sections(rendered(description("chromium_video_offer")))
    assert channel[0] == "m=application 40000 UDP/DTLS/SCTP webrtc-datachannel"
    assert {"a=sctp-port:5000", "a=max-message-size:262144", "a=mid:2"} <= set(channel)


def test_simulcast_goes_through() -> None:
    _, _, video, _ = sections(rendered(description("chromium_video_offer")))
    assert {"a=rid:h send", "a=rid:l send", "a=simulcast:send h;l"} <= set(video)


def test_titles_stand_before_the_connection_line() -> None:
    text = VOICE_OFFER.replace("c=IN IP4 0.0.0.0\r\n", "i=a title\r\nc=IN IP4 0.0.0.0\r\nb=AS:100\r\n")
    _, audio = sections(rendered(text))
    assert audio[1:4] == ["i=a title", "c=IN IP4 198.51.100.1", "b=AS:100"]


def test_what_the_relay_has_never_heard_of_is_media_and_stays() -> None:
    text = VOICE_OFFER + "a=x-next-year:full of promise\r\na=candidates-of-the-election:none\r\n"
    assert {"a=x-next-year:full of promise", "a=candidates-of-the-election:none"} <= set(sections(rendered(text))[1])


def test_an_ipv6_relay_says_so() -> None:
    relay = TransportParameters(RELAY.ufrag, RELAY.pwd, RELAY.fingerprints, DtlsRole.PASSIVE, RELAY.candidates[1:])
    session, audio = sections(rendered(VOICE_OFFER, relay))
    assert "o=- 1 1 IN IP6 2001:db8::1" in session
    assert "c=IN IP6 2001:db8::1" in audio
    assert "a=setup:passive" in audio


HIDING_PLACES = {
    "candidate in the session part": ("t=0 0\r\n", "t=0 0\r\na=candidate:1 1 udp 1 203.0.113.9 5 typ host\r\n"),
    "connection of the session": ("s=-\r\n", "s=-\r\nc=IN IP4 203.0.113.9\r\n"),
    "a second origin": ("s=-\r\n", "o=bob 1 1 IN IP4 203.0.113.9 \r\ns=-\r\n"),
    "a second connection": ("a=mid:0\r\n", "a=mid:0\r\nc=IN IP4 203.0.113.9\r\n"),
    "an origin in a section": ("a=mid:0\r\n", "a=mid:0\r\no=bob 1 1 IN IP4 203.0.113.9\r\n"),
    "rtcp": ("a=mid:0\r\n", "a=mid:0\r\na=rtcp:9 IN IP4 203.0.113.9\r\n"),
    "remote candidates": ("a=mid:0\r\n", "a=mid:0\r\na=remote-candidates:1 203.0.113.9 5\r\n"),
    "source filter": ("a=mid:0\r\n", "a=mid:0\r\na=source-filter: incl IN IP4 * 203.0.113.9\r\n"),
    "SDES keys": ("a=mid:0\r\n", "a=mid:0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:203.0.113.9\r\n"),
    "alternative connection (RFC 6947)": ("a=mid:0\r\n", "a=mid:0\r\na=altc:1 IP4 203.0.113.9 5\r\n"),
    "connection capability (RFC 7006)": ("a=mid:0\r\n", "a=mid:0\r\na=ccap:1 IN IP4 203.0.113.9\r\n"),
}


@pytest.mark.parametrize(("place", "with_address"), HIDING_PLACES.values(), ids=HIDING_PLACES.keys())
def test_an_address_is_found_wherever_a_standard_lets_it_stand(place: str, with_address: str) -> None:
    text = VOICE_OFFER.replace(place, with_address)
    assert text != VOICE_OFFER
    assert "203.0.113.9" not in rendered(text)


# -- what the media plane is told -------------------------------------------------------------------------------------


def test_the_senders_transport_is_read_from_its_section() -> None:
    transport = parse_sdp(VOICE_OFFER).transport
    assert (transport.ufrag, transport.pwd, transport.role) == ("Abcd", "abcdefghijklmnopqrstuvwx", DtlsRole.ACTPASS)
    assert [(one.algorithm, one.value) for one in transport.fingerprints] == [("sha-256", ":".join(["0C"] * 32))]
    assert transport.candidates == ()


def test_a_fingerprint_may_stand_in_the_session_part() -> None:
    transport = parse_sdp(description("firefox_offer")).transport
    assert [one.algorithm for one in transport.fingerprints] == ["sha-256"]
    assert transport.fingerprints[0].value.startswith("9F:CE:3B")
    assert transport.ufrag == "5f0c1d2e"


def test_fingerprints_come_out_in_one_spelling() -> None:
    text = VOICE_OFFER.replace("sha-256 0C", "SHA-256 0c").replace(":0C", ":0c")
    assert parse_sdp(text).transport.fingerprints == parse_sdp(VOICE_OFFER).transport.fingerprints


def test_several_fingerprints_are_all_kept() -> None:
    assert [one.algorithm for one in parse_sdp(description("aiortc_offer")).transport.fingerprints] == [
        "sha-256",
        "sha-384",
        "sha-512",
    ]


def test_the_transport_is_that_of_the_section_that_bundle_names_first() -> None:
    second = VOICE_OFFER[VOICE_OFFER.index("m=") :].replace("a=mid:0", "a=mid:1").replace("ufrag:Abcd", "ufrag:Second")
    text = VOICE_OFFER.replace("BUNDLE 0", "BUNDLE 1 0") + second
    assert parse_sdp(text).transport.ufrag == "Second"


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


def test_the_two_ends_of_a_handshake_have_opposite_roles() -> None:
    assert (opposite(DtlsRole.ACTIVE), opposite(DtlsRole.PASSIVE)) == (DtlsRole.PASSIVE, DtlsRole.ACTIVE)


@pytest.mark.parametrize("name", OFFERS)
def test_browsers_offer_both_roles(name: str) -> None:
    assert parse_sdp(description(name)).transport.role is DtlsRole.ACTPASS


@pytest.mark.parametrize("name", ANSWERS)
def test_browsers_answer_in_the_active_role(name: str) -> None:
    assert parse_sdp(description(name)).transport.role is DtlsRole.ACTIVE


# -- what is refused --------------------------------------------------------------------------------------------------

AUDIO = VOICE_OFFER[VOICE_OFFER.index("m=") :]

REFUSED = {
    "nothing": ("", "v=0"),
    "prose": ("Dear relay,\r\n", "v=0"),
    "another version": (VOICE_OFFER.replace("v=0", "v=1"), "v=0"),
    "a line that is none": (VOICE_OFFER + "hello\r\n", "a letter, '=' and a value"),
    "an empty line in the middle": (VOICE_OFFER.replace("s=-\r\n", "s=-\r\n\r\n"), "a letter, '=' and a value"),
    "no media": (VOICE_OFFER.partition("m=")[0], "no media section"),
    "33 sections": (VOICE_OFFER + AUDIO * 32, "more than 32 media sections"),
    "no origin": (without(VOICE_OFFER, "o="), "o= line"),
    "an origin that is none": (VOICE_OFFER.replace("o=- 17 2 IN IP4 127.0.0.1", "o=127.0.0.1"), "o= line"),
    "an m-line without formats": (VOICE_OFFER.replace("SAVPF 111 0", "SAVPF"), "m= line"),
    "an m-line with a tab": (VOICE_OFFER.replace("m=audio 9", "m=audio\t9"), "m= line"),
    "an m-line with a port that is none": (VOICE_OFFER.replace("m=audio 9", "m=audio nine"), "m= line"),
    "a type of line that there is not": (VOICE_OFFER + "A=sendrecv\r\n", "begin with 'A='"),
    "an attribute with a space in its name": (VOICE_OFFER + "a=ice-ufrag EVIL\r\n", "a name without spaces"),
    "an attribute without a name": (VOICE_OFFER + "a=:EVIL\r\n", "a name without spaces"),
    "every section rejected": (VOICE_OFFER.replace("m=audio 9", "m=audio 0"), "rejected"),
    "two sections and no BUNDLE": (without(VIDEO_OFFER, "a=group"), "BUNDLE"),
    "a section outside BUNDLE": (VOICE_OFFER + AUDIO.replace("a=mid:0", "a=mid:1"), "BUNDLE"),
    "a section without a name": (VOICE_OFFER + without(AUDIO, "a=mid"), "BUNDLE"),
    "two BUNDLE groups": (
        VOICE_OFFER.replace("BUNDLE 0", "BUNDLE 0\r\na=group:BUNDLE 1") + AUDIO.replace("a=mid:0", "a=mid:1"),
        "BUNDLE",
    ),
    "no rtcp-mux": (without(VOICE_OFFER, "a=rtcp-mux"), "rtcp-mux"),
    "no fingerprint": (without(VOICE_OFFER, "a=fingerprint"), "a=fingerprint"),
    "a fingerprint that is none": (VOICE_OFFER.replace("0C:0C:0C", "0C:0C:0G"), "a=fingerprint"),
    "a fingerprint that is too short": (re.sub("(0C:)+", "0C:", VOICE_OFFER), "a=fingerprint"),
    "a good fingerprint and a bad one": (VOICE_OFFER + "a=fingerprint:sha-256 zz\r\n", "a=fingerprint"),
    "no ufrag": (without(VOICE_OFFER, "a=ice-ufrag"), "a=ice-ufrag"),
    "a ufrag that is too short": (VOICE_OFFER.replace("ufrag:Abcd", "ufrag:abc"), "a=ice-ufrag"),
    "a ufrag with a space": (VOICE_OFFER.replace("ufrag:Abcd", "ufrag:ab cd"), "a=ice-ufrag"),
    "a ufrag with a colon": (VOICE_OFFER.replace("ufrag:Abcd", "ufrag:ab:cd"), "a=ice-ufrag"),
    "no password": (without(VOICE_OFFER, "a=ice-pwd"), "a=ice-pwd"),
    "a password that is too short": (
        VOICE_OFFER.replace("pwd:abcdefghijklmnopqrstuvwx", "pwd:abcdefghijklmnopqrstu"),
        "a=ice-pwd",
    ),
    "a password that is too long": (VOICE_OFFER.replace("pwd:a", "pwd:" + "a" * 257), "a=ice-pwd"),
    "no setup": (without(VOICE_OFFER, "a=setup"), "a=setup"),
    "a setup that holds the connection": (VOICE_OFFER.replace("actpass", "holdconn"), "a=setup"),
    "a null": (VOICE_OFFER.replace("s=-", "s=\0"), "control characters"),
    "a lone carriage return that hides a candidate": (
        VOICE_OFFER + "a=x:\ra=candidate:1 1 udp 1 203.0.113.9 5 typ host\r\n",
        "control characters",
    ),
    "a form feed": (VOICE_OFFER + "a=x:\x0ca=candidate:1 1 udp 1 203.0.113.9 5 typ host\r\n", "control characters"),
}


@pytest.mark.parametrize(("text", "because"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_relayed_is_refused_and_told_why(text: str, because: str) -> None:
    assert because in problem_of(text)


def test_thirty_two_sections_are_taken() -> None:
    mids = [str(number) for number in range(32)]
    text = VOICE_OFFER[: VOICE_OFFER.index("m=")].replace("BUNDLE 0", f"BUNDLE {' '.join(mids)}")
    text += "".join(AUDIO.replace("a=mid:0", f"a=mid:{mid}") for mid in mids)
    assert len(parse_sdp(text).sections) == 32


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029"], ids=["NEL", "LINE SEPARATOR", "PARAGRAPH SEPARATOR"])
def test_no_candidate_hides_behind_what_some_software_takes_for_the_end_of_a_line(separator: str) -> None:
    """aiortc, for one, parses with `str.splitlines`."""
    text = VOICE_OFFER + f"a=x:{separator}a=candidate:9 1 udp 1 203.0.113.9 5 typ host\r\n"
    try:
        result = rendered(text)
    except SignalingError:
        return
    [audio] = SessionDescription.parse(result).media
    assert "203.0.113.9" not in [one.ip for one in audio.ice_candidates]


# -- whatever comes ---------------------------------------------------------------------------------------------------

LINES = sorted({line for name in DESCRIPTIONS for line in description(name).split("\r\n") if line})
ADDRESSES = st.sampled_from(["203.0.113.9", "2001:db8:bad::9", "0f0e0d0c-1111-4222-8333-444455556666.local"])


@given(st.text() | st.lists(st.sampled_from(LINES) | st.text(max_size=20)).map("\r\n".join).map("v=0\r\n".__add__))
def test_no_text_is_too_strange(text: str) -> None:
    try:
        rendered(text)
    except SignalingError as error:
        assert error.code == "invalid_sdp"


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """A real description after a few accidents: lines dropped, doubled, moved, cut, and characters changed."""
    lines = description(draw(st.sampled_from(DESCRIPTIONS))).rstrip("\r\n").split("\r\n")
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["drop", "double", "move", "cut", "change", "insert"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, lines[at])
            case "move":
                lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
            case "cut":
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "change":
                lines[at] = lines[at].replace(draw(st.sampled_from("amv=:0 1/")), draw(st.text(max_size=3)))
            case _:
                lines.insert(at, draw(st.text(max_size=30)))
    return draw(st.sampled_from(["\r\n", "\n"])).join(lines)


@given(spoiled())
def test_a_description_that_was_spoiled_on_its_way_is_relayed_or_refused(text: str) -> None:
    try:
        result = rendered(text)
    except SignalingError as error:
        assert error.code == "invalid_sdp"
    else:
        assert rendered(result) == result


@st.composite
def with_addresses(draw: st.DrawFn) -> tuple[str, str]:
    """A real description, full of lines that carry an address; and the address."""
    address = draw(ADDRESSES)
    family = "IP6" if ":" in address else "IP4"
    carriers = [
        f"a=candidate:1 1 udp 1 {address} 5 typ host",
        f"a=candidate:1 1 udp 1 0.0.0.0 5 typ srflx raddr {address} rport 5",
        f"a=rtcp:9 IN {family} {address}",
        f"c=IN {family} {address}",
        f"c=IN {family} {address}/127",
        f"o=- 1 1 IN {family} {address}",
        f"o={address} 1 1 IN {family} 0.0.0.0",
        f"a=remote-candidates:1 {address} 5",
        f"a=connection:{address}",
        f"a=ice-options:{address}",
        f"a=source-filter: incl IN {family} * {address}",
    ]
    lines = description(draw(st.sampled_from(DESCRIPTIONS))).rstrip("\r\n").split("\r\n")
    for carrier in draw(st.lists(st.sampled_from(carriers), min_size=1)):
        lines.insert(draw(st.integers(1, len(lines))), carrier)
    return "\r\n".join(lines) + "\r\n", address


@given(with_addresses())
def test_no_address_of_the_sender_is_ever_in_the_result(case: tuple[str, str]) -> None:
    text, address = case
    assert address not in rendered(text)


# -- candidates on their own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:1 1 udp 2113937151 203.0.113.4 50000 typ host",
        "a=candidate:1 1 UDP 1677729535 203.0.113.5 50001 typ srflx raddr 203.0.113.6 rport 50002 generation 0",
        "candidate:0 1 TCP 2105524479 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 9 typ host tcptype active",
        "candidate:1 1 udp 2113937151 fd00::2 50000 typ host",
    ],
)
def test_a_candidate_is_known_when_seen(text: str) -> None:
    assert is_candidate(text)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "candidate:1 1 udp 2113937151 203.0.113.4 50000 typ",
        "candidate:1 one udp 2113937151 203.0.113.4 50000 typ host",
        "candidate:1 1 udp high 203.0.113.4 50000 typ host",
        "candidate:1 1 udp 2113937151 203.0.113.4 port typ host",
        "candidate:1 1 udp 2113937151 203.0.113.4 50000 is host",
    ],
)
def test_what_is_no_candidate_is_known_too(text: str) -> None:
    assert not is_candidate(text)


@given(st.text())
def test_no_text_is_too_strange_for_a_candidate(text: str) -> None:
    assert is_candidate(text) in (True, False)


def test_where_every_section_is_bundle_only_the_one_they_share_carries_the_transport() -> None:
    section = "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=mid:{mid}\r\na=rtcp-mux\r\n"
    transport = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\na=fingerprint:sha-256 " + ":".join(
        ["AB"] * 32
    )
    text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" + transport + "\r\n"
    result = rendered(text + section.format(mid=0) + section.format(mid=1))
    assert result.count("a=ice-ufrag:") == 1
    assert rendered(result) == result
