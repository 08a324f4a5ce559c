"""Rewriting: the media part passes, the transport part becomes the relay's."""

import re

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import SignalingError
from relay.media.api import DtlsRole, TransportParameters
from relay.sdp.parse import parse_sdp
from relay.sdp.rewrite import rewrite_sdp
from tests.integration.sdp import without
from tests.sdp.descriptions import (
    DESCRIPTIONS,
    RELAY,
    RELAY_SECTION,
    VIDEO_OFFER,
    VOICE_OFFER,
    description,
    seen,
)

every_description = pytest.mark.parametrize("name", DESCRIPTIONS)

TRANSPORT = re.compile(
    r"[oc]=|a=(candidate|end-of-candidates|ice-ufrag|ice-pwd|ice-options|ice-lite|fingerprint|setup|rtcp|crypto|tls-id"
    r"|connection)(:|$)"
)
"""The lines that describe one end of a transport: RFC 8839, RFC 8122, RFC 8842, RFC 3605, RFC 4568, RFC 4145."""


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
    return found - {"::1"}  # every machine's own, and the end of the relay's address here


REPEATED = ("a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=setup")
"""What a section without a port of its own may repeat; never the candidates."""


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
    session, *before = sections(description(name))
    relayed, *after = sections(rendered(description(name)))
    assert [line for line in relayed if TRANSPORT.match(line)] == [OWN_ORIGIN, "a=ice-lite"]
    for old, new in zip(before, after, strict=True):
        transport = [line for line in new if TRANSPORT.match(line)]
        if old[0].split(" ")[1] == "0":
            assert new[0] == old[0]
            # A fingerprint for all sections is that of a bundle-only one too; a rejected one has no use for it.
            for_all = [line for line in session if "a=bundle-only" in old and line.startswith("a=fingerprint:")]
            repeated = tuple(f"{one}:" for one in REPEATED if any(line.startswith(f"{one}:") for line in (*old, *for_all)))
            assert transport == [line for line in RELAY_SECTION if line.startswith(("c=", *repeated))]
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


@every_description
def test_what_the_other_party_reads_of_media_is_what_the_sender_said(name: str) -> None:
    before, after = parse_sdp(description(name)), parse_sdp(rendered(description(name)))
    assert after.media == before.media
    for old, new in zip(before.sections, after.sections, strict=True):
        assert (new.mid, new.msids, new.bundle_only, new.rejected) == (old.mid, old.msids, old.bundle_only, old.rejected)


KNOWN = st.from_regex(r"a=(fmtp:96 |rid:|simulcast:|ssrc:|imageattr:|rtcp-fb:)[ -~]{1,60}", fullmatch=True)
UNKNOWN = st.from_regex(r"a=(x-)?[j-m]{1,9}(:[A-Za-z ;=/]{1,60})?|b=[A-Z]{2}:[0-9]{1,6}", fullmatch=True)
"""Lines of media: known attributes with any value, and attributes that the relay has never heard of."""

OTHER_TRANSPORT = {
    r"a=ice-ufrag:.*": "a=ice-ufrag:Other",
    r"a=ice-pwd:.*": "a=ice-pwd:OtherOtherOtherOtherOther",
    r"a=fingerprint:.*": f"a=fingerprint:sha-256 {':'.join(['EE'] * 32)}",
    r"a=candidate:.*": "a=candidate:9 1 udp 1 192.0.2.99 9 typ host",
    r"a=setup:.*": "a=setup:passive",
    r"a=rtcp:.*": "a=rtcp:99 IN IP6 2001:db8:99::9",
    r"c=.*": "c=IN IP4 192.0.2.99",
    r"o=.*": "o=other 9 9 IN IP4 192.0.2.99",
    r"(m=\w+) [1-9]\d*( .*)": r"\1 999\2",
}
"""The same description from another network, with another certificate."""


def elsewhere(line: str) -> str:
    """A line of a description as its sender would write it there."""
    for pattern, other in OTHER_TRANSPORT.items():
        if match := re.fullmatch(pattern, line):
            return match.expand(other)
    return line


@st.composite
def with_more_media(draw: st.DrawFn) -> str:
    """A real description with more lines of media in its sections."""
    lines = description(draw(st.sampled_from(DESCRIPTIONS))).removesuffix("\r\n").split("\r\n")
    first = next(at for at, line in enumerate(lines) if line.startswith("m="))
    for line in draw(st.lists(KNOWN | UNKNOWN, max_size=5)):
        lines.insert(draw(st.integers(first + 2, len(lines))), line)
    return "\r\n".join(lines) + "\r\n"


@given(with_more_media())
def test_the_transport_is_exchanged_and_nothing_else(text: str) -> None:
    assert media_part(rendered(text)) == media_part(text)


@given(with_more_media())
def test_nothing_of_the_result_depends_on_the_senders_transport(text: str) -> None:
    moved = "\r\n".join(map(elsewhere, text.split("\r\n")))
    assert moved != text
    assert rendered(moved) == rendered(text)


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


def test_bundle_only_sections_have_the_fingerprint_that_their_author_gave_once_for_all() -> None:
    """As Firefox does. Chromium rejects the second of two bundle-only sections in a row that have none."""
    text = description("firefox_screen_offer")
    *_, screen = sections(rendered(text.replace("m=video 9", "m=video 0").replace("a=mid:1", "a=bundle-only\r\na=mid:1")))
    assert "a=bundle-only" in screen
    assert [line for line in RELAY_SECTION if line.startswith("a=fingerprint:")] == [
        line for line in screen if line.startswith("a=fingerprint:")
    ]


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
def test_any_text_is_relayed_or_refused(text: str) -> None:
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
    with_address = [
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
    for line in draw(st.lists(st.sampled_from(with_address), min_size=1)):
        lines.insert(draw(st.integers(1, len(lines))), line)
    return "\r\n".join(lines) + "\r\n", address


@given(with_addresses())
def test_no_address_of_the_sender_is_ever_in_the_result(case: tuple[str, str]) -> None:
    text, address = case
    assert address not in rendered(text)


def test_where_every_section_is_bundle_only_the_one_they_share_carries_the_transport() -> None:
    section = "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=bundle-only\r\na=mid:{mid}\r\na=rtcp-mux\r\n"
    transport = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:actpass\r\na=fingerprint:sha-256 " + ":".join(
        ["AB"] * 32
    )
    text = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" + transport + "\r\n"
    result = rendered(text + section.format(mid=0) + section.format(mid=1))
    assert result.count("a=ice-ufrag:") == 1
    assert rendered(result) == result
