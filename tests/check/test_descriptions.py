"""The relay's candidates, found and exchanged."""

from dataclasses import replace

from aiortc.sdp import SessionDescription

from relay.check.descriptions import candidates, with_candidates
from relay.check.report import Target
from relay.media.api import Candidate
from relay.sdp.parse import parse_sdp
from relay.sdp.rewrite import rewrite_sdp
from tests.sdp.descriptions import RELAY, VIDEO_OFFER, seen

ENDS = (Candidate("203.0.113.10", 40000), Candidate("2001:db8::1", 40000), Candidate("203.0.113.10", 443, "tcp"))
TEXT = rewrite_sdp(parse_sdp(VIDEO_OFFER), replace(RELAY, candidates=ENDS))
"""As the relay writes it."""


def test_each_candidate_is_found_once_by_its_transport() -> None:
    assert candidates(TEXT, "udp") == (Target("203.0.113.10", 40000), Target("2001:db8::1", 40000))
    assert candidates(TEXT, "tcp") == (Target("203.0.113.10", 443),)


def test_a_description_without_candidates_has_none() -> None:
    assert candidates("v=0\r\n", "udp") == candidates("", "tcp") == ()


def test_other_candidates_take_their_place_in_every_section() -> None:
    text = with_candidates(TEXT, [Target("127.0.0.1", 5000), Target("127.0.0.1", 5001)])
    sections = seen(text)
    assert len(sections) == 2
    for section in sections:
        assert section.candidates == (("127.0.0.1", 5000, "host"), ("127.0.0.1", 5001, "host"))
        assert section.complete
        assert (section.ufrag, section.pwd, section.lite) == (RELAY.ufrag, RELAY.pwd, True)


def test_nothing_else_changes() -> None:
    before, after = (SessionDescription.parse(one) for one in (TEXT, with_candidates(TEXT, [])))
    for media in before.media:
        media.ice_candidates.clear()
    assert str(before) == str(after)
