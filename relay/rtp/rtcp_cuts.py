"""Compound RTCP packets with parts left out: what the relay has seen to itself, or does not pass on."""

from collections.abc import Collection, Mapping

from relay.rtp.packet import Buffer
from relay.rtp.rtcp import (
    BYE,
    FIR,
    NACK,
    PAYLOAD_FEEDBACK,
    PLI,
    TRANSPORT_FEEDBACK,
    feedback_header,
    feedback_ssrcs,
    make_part,
    nack_entry,
    nacked,
    part_header,
    walk,
    word,
)


def without_byes(compound: Buffer) -> bytes | None:
    """A compound packet without its BYE parts; None when nothing is left.

    Raises:
        RtcpError: it is no compound packet.
    """
    return b"".join(bytes(compound[begin:end]) for kind, _, begin, end, _ in walk(compound) if kind != BYE) or None


def count_nacked(compound: Buffer) -> int:
    """The sequence numbers that the NACKs of a compound packet ask for; 0 where it is none. Cheap: nothing is unpacked singly."""
    count = begin = 0
    length = len(compound)
    while begin + 12 <= length:
        flags, packet_type, words = part_header.unpack_from(compound, begin)
        end = begin + 4 + 4 * words
        if packet_type == TRANSPORT_FEEDBACK and flags & 0x1F == NACK and end <= length:
            entries = bytes(compound[begin + 12 : end])
            # Each entry is one number, and one for each bit of its mask, whose two bytes are the last ones.
            masks = int.from_bytes(entries[2::4]).bit_count() + int.from_bytes(entries[3::4]).bit_count()
            count += len(entries) // 4 + masks
        begin = end
    return count


def cut_nacks(compound: Buffer, numbers: int) -> bytes:
    """A compound packet whose NACKs ask for so many sequence numbers at most: whole entries, the first ones. It may be empty.

    Raises:
        RtcpError: it is no compound packet.
    """
    parts: list[bytes] = []
    for packet_type, kind, begin, end, _ in walk(compound):
        if packet_type != TRANSPORT_FEEDBACK or kind != NACK or end - begin < 16:
            parts.append(bytes(compound[begin:end]))
            continue
        stop = begin + 12
        while stop + 4 <= end and (asked := 1 + nack_entry.unpack_from(compound, stop)[1].bit_count()) <= numbers:
            numbers -= asked
            stop += 4
        if stop > begin + 12:
            parts.append(make_part(NACK, TRANSPORT_FEEDBACK, bytes(compound[begin + 4 : stop])))
    return b"".join(parts)


def without_keyframe_requests(compound: Buffer, ssrcs: Collection[int]) -> bytes:
    """A compound packet without the requests (PLI, FIR) for key frames of these streams. It may be empty.

    Raises:
        RtcpError: it is no compound packet.
    """
    parts: list[bytes] = []
    for packet_type, kind, begin, end, body_end in walk(compound):
        part = bytes(compound[begin:end])
        if packet_type == PAYLOAD_FEEDBACK and kind == PLI and feedback_ssrcs(compound, begin + 4, body_end)[1] in ssrcs:
            continue
        if packet_type == PAYLOAD_FEEDBACK and kind == FIR:
            entries = [compound[at : at + 8] for at in range(begin + 12, body_end - 7, 8)]
            left = [bytes(one) for one in entries if word.unpack_from(one)[0] not in ssrcs]
            if not left:
                continue
            if len(left) < len(entries):
                part = make_part(FIR, PAYLOAD_FEEDBACK, bytes(compound[begin + 4 : begin + 12]) + b"".join(left))
        parts.append(part)
    return b"".join(parts)


def without_nacks(compound: Buffer, answered: Mapping[int, Collection[int]]) -> bytes | None:
    """A compound packet without the NACKs that the relay has answered itself: what still concerns the media's sender.

    Args:
        compound: decrypted.
        answered: the sequence numbers to leave out, by the media's SSRC. Sets, when they are many.

    Returns:
        None when nothing is left. Parts without an answered NACK are as they were, byte for byte.

    Raises:
        RtcpError: it is no compound packet.
    """
    parts: list[bytes] = []
    for packet_type, kind, begin, end, body_end in walk(compound):
        if packet_type == TRANSPORT_FEEDBACK and kind == NACK:
            parts.append(_without_answered(compound, begin, end, body_end, answered))
        else:
            parts.append(bytes(compound[begin:end]))
    return b"".join(parts) or None


def _without_answered(compound: Buffer, begin: int, end: int, body_end: int, answered: Mapping[int, Collection[int]]) -> bytes:
    """One NACK part without what was answered. Each entry stays one or goes: what is left must fit where the part was."""
    sender, media = feedback_ssrcs(compound, begin + 4, body_end)
    here: Collection[int] = answered.get(media, ())
    body, whole = bytearray(), True
    for position in range(begin + 12, body_end - 3, 4):
        asked = list(nacked(compound, position, position + 4))
        left = [sequence for sequence in asked if sequence not in here]
        whole = whole and len(left) == len(asked)
        if left:
            body += nack_entry.pack(left[0], sum({1 << ((one - left[0] - 1) & 0xFFFF) for one in left[1:]}))
    if whole:
        return bytes(compound[begin:end])
    return make_part(NACK, TRANSPORT_FEEDBACK, feedback_header.pack(sender, media) + body) if body else b""
