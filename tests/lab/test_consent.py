"""Browsers answer the checks of a lite agent, for as long as a call goes on; and one that only listens is not said to be away."""

import re

import pytest

from tests.kit.wait import eventually
from tests.lab.calls import LabCall, video_call
from tests.lab.gateways import Access
from tests.lab.pages import BrowserKind
from tests.lab.shared import Lab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SEND_NOTHING = """
async () => {
  // As if both only received; and note whether the page ever says that a party is reconnecting.
  await Promise.all(relayCall.peerConnection.getSenders().map((sender) => sender.replaceTrack(null)));
  window.flapped = false;
  setInterval(() => { window.flapped ||= /reconnecting/i.test(document.body.innerText); }, 100);
}
"""

COUNTERS = """async () => (await fetch("/metrics")).text()"""


async def counted(call: LabCall, name: str) -> int:
    """A counter of the relay's media plane, which only machines of the lab can read."""
    found = re.search(rf"^relay_media_{name}_total ([0-9.e+]+)$", await call.callee.run(COUNTERS), re.MULTILINE)
    assert found is not None, name
    return int(float(found[1]))


async def test_a_call_without_media_stays_connected_by_answers_to_the_checks_of_the_relay(
    lab: Lab,
) -> None:
    caller, callee = lab.site(Access.OPEN), lab.site(Access.OPEN)
    async with video_call(lab, caller, callee, (BrowserKind.FIREFOX, BrowserKind.CHROMIUM)) as call:
        await call.statistics()
        for _, page in call.pages:
            await page.run(SEND_NOTHING)
        sent, before = [await counted(call, f"consent_checks_{what}") for what in ("sent", "answered")]
        dropped = await counted(call, "dropped_unconsented")

        async def both_twice() -> bool:
            return await counted(call, "consent_checks_answered") >= before + 4

        await eventually(both_twice, "the browsers answer", within=40, every=1)
        for name, page in call.pages:
            assert await page.run("() => window.flapped") is False, name
        assert await counted(call, "dropped_unconsented") == dropped
        answered = await counted(call, "consent_checks_answered") - before
        assert await counted(call, "consent_checks_sent") - sent <= answered + 1, "each is answered"
