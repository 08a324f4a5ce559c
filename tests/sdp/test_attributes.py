"""Which lines of a description pass: in whatever spelling, none of a transport's does."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import SignalingError
from relay.sdp.parse import parse_sdp
from relay.sdp.rewrite import rewrite_sdp
from tests.sdp.descriptions import DESCRIPTIONS, RELAY, VOICE_OFFER, description

MARK = "203.0.113.9"
"""An address that only the hostile lines have."""

TRANSPORT_LINES = [
    f"candidate:1 1 udp 2130706431 {MARK} 9 typ host",
    f"remote-candidates:1 {MARK} 9",
    f"rtcp:9 IN IP4 {MARK}",
    f"source-filter:incl IN IP4 * {MARK}",
    f"altc:1 IP4 {MARK} 5",
    f"connection:{MARK}",
    f"path:msrp://{MARK}:9/x;tcp",
    f"acap:1 candidate:1 1 udp 2130706431 {MARK} 9 typ host",
    f"cpar:a=candidate:1 1 udp 2130706431 {MARK} 9 typ host",
    f"x-candidate:1 1 udp 2130706431 {MARK} 9 typ host",
    f"identity:{MARK}",
    f"x-unheard-of:{MARK}",
    f"x-unheard-of:{MARK}:9",
    f"x-unheard-of:sip:me@{MARK}",
    f"ice-ufrag:EVIL{MARK}",
    f"ice-pwd:EVIL{MARK}EVILEVILEVIL",
    f"ice-options:{MARK}",
    f"fingerprint:sha-256 {MARK}",
    f"dtls-message:client {MARK}",
    f"tls-id:{MARK}",
    f"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{MARK}",
    f"setup:{MARK}",
]


def relayed(line: str, *, section: bool, text: str = VOICE_OFFER) -> str | None:
    """A description with that line, after the relay; None: it is refused."""
    place = len(text) if section else text.index("m=")
    try:
        return rewrite_sdp(parse_sdp(f"{text[:place]}{line}\r\n{text[place:]}"), RELAY)
    except SignalingError as refused:
        assert refused.code == "invalid_sdp"
        return None


SPELLINGS = [
    "a=CANDIDATE:1 1 udp 2130706431 203.0.113.9 9 typ host",
    "a=Candidate:1 1 udp 2130706431 203.0.113.9 9 typ host",
    "a=candidate 1 1 udp 2130706431 203.0.113.9 9 typ host",
    "a= candidate:1 1 udp 2130706431 203.0.113.9 9 typ host",
    "a=candidate :1 1 udp 2130706431 203.0.113.9 9 typ host",
    "a=candidate\t1 1 udp 2130706431 203.0.113.9 9 typ host",
    "a=:candidate:1 1 udp 2130706431 203.0.113.9 9 typ host",
    "a=\tcandidate:1 1 udp 2130706431 203.0.113.9 9 typ host",
    "A=candidate:1 1 udp 2130706431 203.0.113.9 9 typ host",
    "C=IN IP4 203.0.113.9",
    "q=203.0.113.9",
    "k=uri:http://203.0.113.9/",
    "c=IN IP4 203.0.113.9",
    "a=ICE-UFRAG:EVIL203.0.113.9",
    "a=ice-ufrag EVIL203.0.113.9",
    "a=ice-pwd aaaaaaaaaaaaaaaaaaaaaaaa203.0.113.9",
    "a=fingerprint sha-256 203.0.113.9",
    "a=setup active203.0.113.9",
    "a=remote-candidates:1 203.0.113.9 9",
    "a=rtcp:9 IN IP4 203.0.113.9",
]


@pytest.mark.parametrize("section", [False, True], ids=["session", "section"])
@pytest.mark.parametrize("line", SPELLINGS)
def test_a_transport_attribute_does_not_pass_in_the_spelling_of_a_lenient_parser(line: str, section: bool) -> None:
    result = relayed(line, section=section)
    assert result is None or MARK not in result


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """A transport line in the spelling of some lenient parser."""
    name, _, value = draw(st.sampled_from(TRANSPORT_LINES)).partition(":")
    name = "".join(draw(st.sampled_from([char, char.upper()])) for char in name)
    blank = st.text(alphabet=" \t:\u00a0", max_size=2)
    separator = draw(st.sampled_from([":", " ", "\t", " :", ": ", "::", "=", ""]))
    prefix = draw(st.sampled_from(["a=", "a=", "a=", "A=", "a =", " a=", "a= a="]))
    return f"{prefix}{draw(blank)}{name}{draw(blank)}{separator}{value}"


@given(spelled(), st.booleans(), st.sampled_from(DESCRIPTIONS))
def test_no_spelling_of_a_transport_attribute_reaches_the_other_party(line: str, section: bool, name: str) -> None:
    result = relayed(line, section=section, text=description(name))
    assert result is None or MARK not in result


@given(st.text(alphabet="aAcC=: \tcandidate-iceufragpwdrtcp0123456789.", max_size=40), st.booleans())
def test_every_line_that_reaches_the_other_party_conforms_to_the_grammar(line: str, section: bool) -> None:
    result = relayed(line, section=section)
    if result is not None:
        lines = result.removesuffix("\r\n").split("\r\n")
        assert not [one for one in lines if not re.fullmatch(r"[vosiuepbtrzcm]=.*|a=[!#-'*+\-.^-~\w]+(:.*)?", one, re.ASCII)]
        own = set(rewrite_sdp(parse_sdp(VOICE_OFFER), RELAY).split("\r\n"))
        transports = [one for one in lines if re.match(r"(?i)a=(candidate|ice-.*|rtcp|setup|fingerprint)(:|$)", one)]
        assert set(transports) <= own


MEDIA_LINES = [
    "a=rtpmap:120 VP10/90000",
    "a=fmtp:120 sprop-parameter-sets=Z0LAHtkA2D3m,aMuMsg==;host=10.0.0.1",
    "a=ssrc:1 cname:user@192.0.2.1",
    "a=extmap:15 http://192.0.2.1/extension",
    "a=rtcp-fb:* ccm tmmbr",
    "a=rtcp-mux-only",
    "a=X-Next-Year:full of promise",
    "a=candidates-of-the-election:none",
    "a=voice-service:192 kbit",
    "a=fec-repair-flow:encoding-id=0; window-size=200ms",
    "a=packetization:96 raw",
    "a=x-google-flag:conference",
    "a=sctpmap:5000 webrtc-datachannel 1024",
    "a=imageattr:97 send [x=800,y=640,sar=1.1,q=0.6]",
    "a=maxptime:60",
    "a=silenceSupp:off - - - -",
    "a=curr:qos local none",
    "a=rtcp-of-next-year:1",
    "b=TIAS:1000000",
]


@pytest.mark.parametrize("section", [False, True], ids=["session", "section"])
@pytest.mark.parametrize("line", MEDIA_LINES)
def test_what_describes_media_passes_untouched_known_or_not(line: str, section: bool) -> None:
    result = relayed(line, section=section)
    assert result is not None
    assert line in result.split("\r\n")


@pytest.mark.parametrize(
    "line",
    [
        *("a=x-relay-host:example.org", "a=dtls-next-year:1", "a=ice-next-year", "a=X-nat:0"),
        *("a=x-hint:fd00::2", "a=x-hint:9b36eaac-bb2e-49bb-bb78-21c41c499900.local 9", "a=x-hint:[2001:db8::1]:9"),
    ],
)
def test_an_unknown_attribute_that_looks_like_a_transports_does_not_pass(line: str) -> None:
    result = relayed(line, section=True)
    assert result is not None
    assert line not in result


def test_the_senders_own_transport_is_understood_in_capitals() -> None:
    text = VOICE_OFFER.replace("a=ice-ufrag", "a=ICE-UFRAG").replace("a=fingerprint", "a=Fingerprint").replace("a=mid", "a=MID")
    assert parse_sdp(text).transport == parse_sdp(VOICE_OFFER).transport
