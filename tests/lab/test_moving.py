"""Video calls of a client whose address changes in mid-call. One of them hangs up itself: the server must still hear it."""

import pytest

from tests.lab.calls import A_SECOND, Record, video_call
from tests.lab.gateways import Access
from tests.lab.network import Site
from tests.lab.shared import Lab

pytestmark = [pytest.mark.browser, pytest.mark.alone, pytest.mark.asyncio(loop_scope="session")]

LONGEST_GAP = 3.0
"""Seconds without a new video frame."""


async def test_a_call_survives_that_its_clients_move(lab: Lab, record_property: Record) -> None:
    caller, callee = lab.site(Access.SYMMETRIC), lab.site(Access.SYMMETRIC)
    moves = (
        ("its NAT forgets it", caller, Site.new_mapping),
        ("then it changes its interface", caller, Site.new_interface),
        ("a client that has not moved before changes its interface", callee, Site.new_interface),
    )
    async with video_call(lab, caller, callee, hung_up_by="caller") as call:
        await call.goes_on(2 * A_SECOND)
        for what, client, move in moves:
            async with call.gaps(record_property) as gaps:
                move(client)
                await call.goes_on(4 * A_SECOND)
            assert max(gaps.values()) <= LONGEST_GAP, what
