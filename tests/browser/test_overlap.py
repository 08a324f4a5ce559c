"""When a page lets the former peer connection of its call go: a module of `web/client/media` alone, in a browser."""

from typing import Any, Final

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WATCH: Final = """
async ([older, newer, before, after, sees]) => {
  const { Overlap } = await import("/client/media/overlap.js");
  const reportOf = (found) => new Map(found.map((entry, at) => [at, { type: "inbound-rtp", ...entry }]));
  let looks = 0;
  const former = { connectionState: older, close: () => { former.connectionState = "closed"; } };
  // What comes is there from its third look on.
  const next = { connectionState: newer, getStats: async () => reportOf(looks++ < 2 ? before : after) };
  return new Promise((resolve) => {
    const said = (seamless) => resolve({ seamless, looks, former: former.connectionState });
    new Overlap(former, next, sees, said);
  });
}
"""

AUDIO: Final = {"kind": "audio", "packetsReceived": 3}
SILENCE: Final = {"kind": "audio", "packetsReceived": 0}
VIDEO: Final = {"kind": "video", "framesDecoded": 1}
NO_VIDEO: Final = {"kind": "video", "framesDecoded": 0}

CASES: Final[dict[str, tuple[tuple[str, str, Any, Any, bool], dict[str, Any]]]] = {
    "audio comes": (("connected", "connected", [SILENCE], [AUDIO], False), {"seamless": True, "looks": 3}),
    "video is awaited": (
        ("connected", "connected", [AUDIO, NO_VIDEO], [AUDIO, VIDEO], True),
        {"seamless": True, "looks": 3},
    ),
    "no video was there": (("connected", "connected", [SILENCE], [AUDIO, NO_VIDEO], False), {"seamless": True, "looks": 3}),
    "the former one is lost": (("disconnected", "connecting", [], [], True), {"seamless": False, "looks": 0}),
    "the next one cannot connect": (("connected", "failed", [], [], True), {"seamless": False, "looks": 0}),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_former_peer_connection_stays_until_all_comes_by_the_next_or_one_of_them_is_lost(
    bare_page: Page, case: str
) -> None:
    given, expected = CASES[case]
    assert await bare_page.evaluate(WATCH, given) == {**expected, "former": "closed"}
