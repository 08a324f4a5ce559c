"""Browsers answer the checks of a lite agent, for as long as a call goes on; and one that only listens is not said to be away."""

from pathlib import Path

import pytest

from tests.kit.wait import eventually
from tests.lab.calls import LabCall, video_call
from tests.lab.gateways import Access
from tests.lab.network import Internet
from tests.lab.pages import BrowserKind

pytestmark = pytest.mark.browser

SEND_NOTHING = """
async () => {
  // As if both only received; and note each state that the call is in from now on.
  await Promise.all(relayCall.peerConnection.getSenders().map((sender) => sender.replaceTrack(null)));
  window.phases = new Set();
  setInterval(() => window.phases.add(relayCall.phase), 100);
}
"""


async def answered(call: LabCall) -> float:
    return (await call.relay.counters())["relay_media_consent_checks_answered_total"]


async def test_a_call_in_which_nobody_sends_stays_connected_by_answers_to_the_checks_of_the_relay(
    internet: Internet, tmp_path: Path
) -> None:
    caller, callee = internet.site(Access.OPEN), internet.site(Access.OPEN)
    async with video_call(internet, tmp_path, caller, callee, (BrowserKind.FIREFOX, BrowserKind.CHROMIUM)) as call:
        await call.statistics()
        for _, page in call.pages:
            await page.run(SEND_NOTHING)
        before = await answered(call)

        async def both_twice() -> bool:
            return await answered(call) >= before + 4

        await eventually(both_twice, "the browsers answer", within=40)
        for name, page in call.pages:
            assert await page.run("() => [...window.phases]") == ["connected"], name
        counters = await call.relay.counters()
        assert counters["relay_media_dropped_unconsented_total"] == 0
        assert counters["relay_media_consent_checks_sent_total"] - counters["relay_media_consent_checks_answered_total"] <= 2
