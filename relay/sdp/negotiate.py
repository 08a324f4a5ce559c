"""Whether a description fits the one that it answers, or follows (RFC 3264, RFC 9429).

Browsers match media sections by their position, and refuse a description that does not fit. The receiver cannot repair it, so the
error goes to its sender: a call whose answer the other browser refuses could never connect.
"""

from relay.errors import SignalingError
from relay.media.api import DtlsRole
from relay.sdp.model import SessionDescription


def opposite(role: DtlsRole) -> DtlsRole:
    """The role of the other end of a handshake, once it is settled."""
    assert role is not DtlsRole.ACTPASS, "it is settled"
    return DtlsRole.ACTIVE if role is DtlsRole.PASSIVE else DtlsRole.PASSIVE


def check_answer(
    offer: SessionDescription,
    answer: SessionDescription,
    offered_role: DtlsRole = DtlsRole.ACTPASS,
    before: SessionDescription | None = None,
) -> None:
    """Check an answer.

    Args:
        offer: what was offered, in the other party's words.
        offered_role: of the DTLS handshake, as the relay offered it.
        before: what the answerer has said of the same peer connection before; None: the answer is the first.

    Raises:
        SignalingError: `invalid_sdp`; the text says what is wrong.
    """
    if len(answer.sections) != len(offer.sections):
        raise _invalid(f"an answer has as many media sections as its offer: {len(offer.sections)}, not {len(answer.sections)}")
    for position, (asked, given) in enumerate(zip(offer.sections, answer.sections, strict=True), 1):
        if given.kind != asked.kind:
            raise _invalid(f"media section {position} of the offer is {asked.kind}, not {given.kind} (RFC 3264 section 6)")
        # JSEP lets an answerer leave the mid out, and an offerer that knows no BUNDLE has none (RFC 9429 section 5.3.1).
        if asked.mid and given.mid and given.mid != asked.mid:
            raise _invalid(f"media section {position} of the offer has the mid {asked.mid!r}, not {given.mid!r}")
        if asked.rejected and not given.rejected:
            raise _invalid(f"media section {position} is rejected in the offer, and so in the answer (RFC 3264 section 6)")
    if not _bundle(answer) <= (_bundle(offer) or {section.mid for section in offer.sections if section.mid} or _bundle(answer)):
        raise _invalid("a=group:BUNDLE of an answer has no mid that the offer's has not (RFC 9143 section 7.3)")
    role = answer.transport.role
    if role is DtlsRole.ACTPASS:
        raise _invalid("a=setup of an answer is active or passive")
    if offered_role is not DtlsRole.ACTPASS and role is not opposite(offered_role):
        raise _invalid(f"a=setup:{offered_role} is answered by a=setup:{opposite(offered_role)} (RFC 4145 section 4.1)")
    if before is not None:
        check_same_connection(before, answer)


def check_next_offer(offer: SessionDescription, before: SessionDescription, other: SessionDescription) -> None:
    """Check an offer in mid-call.

    Args:
        before: what its sender has said last.
        other: what the other party has said last.

    Raises:
        SignalingError: `invalid_sdp`; the text says what is wrong.
    """
    if len(offer.sections) < len(before.sections):
        raise _invalid("media sections may be added, not taken away (RFC 9429 section 5.2.2)")
    rejecting = [{at for at, section in enumerate(one.sections) if section.rejected} for one in (before, other)]
    for at, (old, new) in enumerate(zip(before.sections, offer.sections, strict=False)):
        # A rejected section may be used again for something else (RFC 9429 section 5.2.2).
        if not any(at in rejected for rejected in rejecting) and (
            new.kind != old.kind or (old.mid and new.mid and new.mid != old.mid)
        ):
            raise _invalid(f"media section {at + 1} was {old.kind} with the mid {old.mid!r}, and has to stay so")
    check_same_connection(before, offer)


def check_same_connection(before: SessionDescription, now: SessionDescription) -> None:
    """Check that a description is of the same peer connection as an earlier one.

    Raises:
        SignalingError: `invalid_sdp`.
    """
    if now.transport.fingerprints != before.transport.fingerprints:
        raise _invalid("another certificate is another peer connection: use call_rejoin")


def _bundle(description: SessionDescription) -> set[str]:
    return {mid for mids in description.bundle_groups for mid in mids}


def _invalid(problem: str) -> SignalingError:
    return SignalingError("invalid_sdp", problem)
