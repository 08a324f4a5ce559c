"""Reading descriptions: what the relay depends on is there, and everything else is refused with its reason."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import SignalingError
from relay.media.api import DtlsRole
from relay.sdp.parse import is_candidate, parse_sdp
from tests.integration.sdp import without
from tests.sdp.descriptions import ANSWERS, OFFERS, VIDEO_OFFER, VOICE_OFFER, description


def problem_of(text: str) -> str:
    """With which words a description is refused."""
    with pytest.raises(SignalingError) as refused:
        parse_sdp(text)
    assert refused.value.code == "invalid_sdp"
    return str(refused.value)


@pytest.mark.parametrize("name", [*OFFERS, *ANSWERS])
def test_the_text_of_a_description_is_what_it_was_read_from(name: str) -> None:
    text = description(name)
    read = parse_sdp(text)
    assert read.text.split("\r\n") == [*text.replace("\r\n", "\n").rstrip("\n").split("\n"), ""]
    assert parse_sdp(read.text) == read


# -- the sender's transport ---------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", OFFERS)
def test_browsers_offer_both_roles(name: str) -> None:
    assert parse_sdp(description(name)).transport.role is DtlsRole.ACTPASS


@pytest.mark.parametrize("name", ANSWERS)
def test_browsers_answer_in_the_active_role(name: str) -> None:
    assert parse_sdp(description(name)).transport.role is DtlsRole.ACTIVE


@pytest.mark.parametrize("character", "-_=#+/")
def test_ice_credentials_may_have_the_characters_that_gateways_put_in(character: str) -> None:
    text = VOICE_OFFER.replace("ufrag:Abcd", f"ufrag:ab{character}d").replace("pwd:abc", f"pwd:ab{character}")
    transport = parse_sdp(text).transport
    assert (transport.ufrag, transport.pwd) == (f"ab{character}d", f"ab{character}defghijklmnopqrstuvwx")


# -- what is refused --------------------------------------------------------------------------------------------------

AUDIO = VOICE_OFFER[VOICE_OFFER.index("m=") :]

REFUSED = {
    "nothing": ("", "v=0"),
    "prose": ("Dear relay,\r\n", "v=0"),
    "another version": (VOICE_OFFER.replace("v=0", "v=1"), "v=0"),
    "a line that is none": (VOICE_OFFER + "hello\r\n", "one character, '=' and a value"),
    "an empty line in the middle": (VOICE_OFFER.replace("s=-\r\n", "s=-\r\n\r\n"), "one character, '=' and a value"),
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
def test_a_description_that_cannot_be_relayed_is_refused_with_the_reason(text: str, because: str) -> None:
    assert because in problem_of(text)


def test_thirty_two_sections_are_taken() -> None:
    mids = [str(number) for number in range(32)]
    text = VOICE_OFFER[: VOICE_OFFER.index("m=")].replace("BUNDLE 0", f"BUNDLE {' '.join(mids)}")
    text += "".join(AUDIO.replace("a=mid:0", f"a=mid:{mid}") for mid in mids)
    assert len(parse_sdp(text).sections) == 32


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
def test_other_text_is_not_a_candidate(text: str) -> None:
    assert not is_candidate(text)


@given(st.text())
def test_any_text_is_a_candidate_or_not(text: str) -> None:
    assert is_candidate(text) in (True, False)
