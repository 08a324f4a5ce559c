"""RTCP that receivers send, and the relay does not."""

from collections.abc import Collection
from struct import Struct
from typing import Final

from relay.rtp.rtcp import ReportBlock, make_part

_RECEIVER_REPORT: Final = 201
_report_block = Struct("!IIIIII")


def receiver_report(sender_ssrc: int, blocks: Collection[ReportBlock] = ()) -> bytes:
    """RR (RFC 3550, 6.4.2). Without blocks: what a compound has to begin with where RFC 5506 was not agreed on."""
    body = b"".join(
        _report_block.pack(
            block.ssrc,
            block.fraction_lost << 24 | block.packets_lost & 0xFFFFFF,
            block.highest_sequence,
            block.jitter,
            block.last_sender_report,
            block.delay,
        )
        for block in blocks
    )
    return make_part(len(blocks), _RECEIVER_REPORT, sender_ssrc.to_bytes(4) + body)
