"""Video calls of a client whose address changes in mid-call. It hangs up itself: the server must still hear it."""

from collections.abc import Callable

import pytest

from tests.lab.calls import A_SECOND, Record, video_call
from tests.lab.gateways import Access
from tests.lab.network import Site
from tests.lab.shared import Lab

pytestmark = [pytest.mark.browser, pytest.mark.alone, pytest.mark.asyncio(loop_scope="session")]

LONGEST_GAP = 3.0
"""Seconds without a new video frame."""


Change = Callable[[Site], None]

MAPPING, INTERFACE = Site.new_mapping, Site.new_interface


@pytest.mark.parametrize(
    "changes",
    [[INTERFACE], [MAPPING, INTERFACE]],
    ids=["it changes its interface", "its NAT forgets it, and then it changes its interface"],
)
async def test_a_call_survives_that_a_client_moves(lab: Lab, record_property: Record, changes: list[Change]) -> None:
    caller, callee = lab.site(Access.SYMMETRIC), lab.site(Access.OPEN)
    async with video_call(lab, caller, callee, hung_up_by="caller") as call:
        await call.goes_on(2 * A_SECOND)
        for change in changes:
            async with call.gaps(record_property) as gaps:
                changed = await call.caller.run("() => Date.now()")
                change(caller)
                await call.goes_on(4 * A_SECOND)
            story = await call.caller.run("() => story.join(', ')")
            assert max(gaps.values()) <= LONGEST_GAP, f"changed at {changed}: {story}"
