"""A description that its receiver would refuse is refused first, and its sender learns why."""

import pytest

from relay.errors import SignalingError
from relay.media.api import DtlsRole
from relay.sdp.negotiate import check_answer, check_next_offer, opposite
from relay.sdp.parse import parse_sdp
from tests.sdp.descriptions import ANSWERED_BY, VIDEO_ANSWER, VIDEO_OFFER, VOICE_ANSWER, VOICE_OFFER, description, plain


def problem(offer: str, answer: str, role: DtlsRole = DtlsRole.ACTPASS) -> str | None:
    """What is wrong with an answer."""
    try:
        check_answer(parse_sdp(offer), parse_sdp(answer), role)
    except SignalingError as error:
        assert error.code == "invalid_sdp"
        return str(error)
    return None


def without_group(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("a=group"))


def with_other_mids(text: str) -> str:
    return text.replace("BUNDLE 0 1", "BUNDLE one two").replace("a=mid:0", "a=mid:one").replace("a=mid:1", "a=mid:two")


def with_rejected_video(text: str) -> str:
    return text.replace("m=video 9", "m=video 0").replace("BUNDLE 0 1", "BUNDLE 0")


def in_another_order(text: str) -> str:
    head, audio, video = (
        text[: text.index("m=audio")],
        text[text.index("m=audio") : text.index("m=video")],
        text[text.index("m=video") :],
    )
    return head + video + audio


@pytest.mark.parametrize(("offer", "answer"), ANSWERED_BY.values(), ids=ANSWERED_BY)
def test_answers_of_real_software_fit(offer: str, answer: str) -> None:
    assert problem(description(offer), description(answer)) is None


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        pytest.param(VOICE_OFFER, VOICE_ANSWER, id="audio"),
        pytest.param(VIDEO_OFFER, with_rejected_video(VIDEO_ANSWER), id="the answer rejects a section"),
        pytest.param(with_rejected_video(VIDEO_OFFER), with_rejected_video(VIDEO_ANSWER), id="both reject it"),
        pytest.param(without_group(VOICE_OFFER), without_group(VOICE_ANSWER), id="one section without BUNDLE"),
        pytest.param(without_group(VOICE_OFFER), VOICE_ANSWER, id="one section, and BUNDLE in the answer"),
        pytest.param(
            without_group(VOICE_OFFER).replace("a=mid:0\r\n", ""), VOICE_ANSWER, id="one section without a name, and one with"
        ),
        pytest.param(VOICE_OFFER, without_group(VOICE_ANSWER).replace("a=mid:0\r\n", ""), id="an answer without names"),
        pytest.param(
            VIDEO_OFFER, without_group(with_rejected_video(VIDEO_ANSWER)), id="one section that is left, without BUNDLE"
        ),
    ],
)
def test_an_answer_that_fits_is_taken(offer: str, answer: str) -> None:
    assert problem(offer, answer) is None


@pytest.mark.parametrize(
    ("offer", "answer", "because"),
    [
        pytest.param(VIDEO_OFFER, VOICE_ANSWER, "as many media sections", id="fewer sections"),
        pytest.param(VOICE_OFFER, VIDEO_ANSWER, "as many media sections", id="more sections"),
        pytest.param(VIDEO_OFFER, in_another_order(VIDEO_ANSWER), "section 1 of the offer is audio", id="another order"),
        pytest.param(VOICE_OFFER, plain("video", setup="active"), "is audio, not video", id="another kind"),
        pytest.param(VIDEO_OFFER, with_other_mids(VIDEO_ANSWER), "has the mid '0'", id="other mids"),
        pytest.param(with_rejected_video(VIDEO_OFFER), VIDEO_ANSWER, "section 2 is rejected", id="a rejected section accepted"),
        pytest.param(
            VIDEO_OFFER,
            VIDEO_ANSWER.replace("BUNDLE 0 1", "BUNDLE 0 1 9"),
            "has no mid",
            id="a mid that was not offered in BUNDLE",
        ),
        pytest.param(VOICE_OFFER, VOICE_OFFER, "active or passive", id="no decision on the role"),
    ],
)
def test_an_answer_that_cannot_work_is_refused_with_the_reason(offer: str, answer: str, because: str) -> None:
    assert because in (problem(offer, answer) or "it is taken")


@pytest.mark.parametrize(("offered", "fits"), [(DtlsRole.ACTPASS, True), (DtlsRole.PASSIVE, True), (DtlsRole.ACTIVE, False)])
def test_two_ends_never_have_the_same_role(offered: DtlsRole, fits: bool) -> None:
    assert (problem(VOICE_OFFER, VOICE_ANSWER, offered) is None) is fits


def test_an_answer_in_mid_call_comes_from_the_same_peer_connection() -> None:
    offer, before, now = (
        parse_sdp(text) for text in (VOICE_OFFER, VOICE_ANSWER, plain("audio", setup="active", certificate="0D"))
    )
    check_answer(offer, before, before=before)
    with pytest.raises(SignalingError, match="call_rejoin"):
        check_answer(offer, now, before=before)


def test_the_two_ends_of_a_handshake_have_opposite_roles() -> None:
    assert (opposite(DtlsRole.ACTIVE), opposite(DtlsRole.PASSIVE)) == (DtlsRole.PASSIVE, DtlsRole.ACTIVE)


# -- offers in mid-call -----------------------------------------------------------------------------------------------


def next_problem(offer: str, before: str = VIDEO_OFFER, other: str = VIDEO_ANSWER) -> str | None:
    try:
        check_next_offer(parse_sdp(offer), parse_sdp(before), parse_sdp(other))
    except SignalingError as error:
        assert error.code == "invalid_sdp"
        return str(error)
    return None


@pytest.mark.parametrize("offer", [VIDEO_OFFER, plain("audio", "video", "video"), plain("audio", "video", ufrag="Efgh")])
def test_an_offer_adds_sections_and_keeps_those_that_are_there(offer: str) -> None:
    assert next_problem(offer) is None


@pytest.mark.parametrize(
    "offer", [VOICE_OFFER, in_another_order(VIDEO_OFFER), with_other_mids(VIDEO_OFFER), plain("audio", "audio")]
)
def test_an_offer_that_changes_sections_that_are_in_use_is_refused(offer: str) -> None:
    assert next_problem(offer) is not None


def test_a_section_that_was_rejected_may_be_used_again() -> None:
    again = plain("audio", "audio").replace("BUNDLE 0 1", "BUNDLE 0 7").replace("a=mid:1", "a=mid:7")
    assert next_problem(again, other=with_rejected_video(VIDEO_ANSWER)) is None
    assert next_problem(again, before=with_rejected_video(VIDEO_OFFER)) is None
