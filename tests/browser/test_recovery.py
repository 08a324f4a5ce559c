"""When the page looks for another path to the relay: `web/client/media/recovery.js` alone, in a browser, in simulated time."""

from itertools import pairwise
from typing import Any, Final

import pytest
from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

LIVE = """
async (steps) => {
  const { Recovery, PERIOD } = await import("/client/media/recovery.js");
  const done = [];
  let [now, packets, restarts, answered] = [0, 0, 0, true];
  const note = (what) => done.push([what, now / 1000]);
  const recovery = new Recovery({
    restart: () => { note("restart"); restarts += answered; return true; },
    probe: () => note("probe"),
  });
  for (const { event, seconds = 0, media = true, held = false, answer = true, ...path } of steps) {
    const { state = "connected", roundabout = false } = path;
    answered = answer;
    recovery.hold(held);
    if (event) recovery[event](now);
    for (const end = now + 1000 * seconds; now < end; now += PERIOD) {
      if (media) packets += 12;
      recovery.look({ state, packets, roundabout, credentials: `number ${restarts}` }, now);
    }
  }
  return done;
}
"""

Step = dict[str, Any]

TALK: Final[Step] = {"seconds": 10}
"""Media comes, by UDP."""


async def live(bare_page: Page, *steps: Step) -> list[tuple[str, float]]:
    """What the page does, and after how many seconds."""
    return [(what, when) for what, when in await bare_page.evaluate(LIVE, steps)]


async def restarts(bare_page: Page, *steps: Step) -> list[float]:
    return [when for what, when in await live(bare_page, *steps) if what == "restart"]


async def test_the_page_requests_nothing_while_media_flows(bare_page: Page) -> None:
    assert await live(bare_page, TALK) == []


async def test_silence_is_first_asked_about_and_then_ended(bare_page: Page) -> None:
    begin = 9.75  # the last packets
    assert await live(bare_page, TALK, {"seconds": 3, "media": False}, TALK) == [("probe", begin + 0.5), ("restart", begin + 2)]


async def test_each_silence_is_asked_about_at_once_however_short_before_there_was_another(bare_page: Page) -> None:
    short, long = {"seconds": 1, "media": False}, {"seconds": 8, "media": False}
    done = await live(bare_page, TALK, short, {"seconds": 1}, long, {"seconds": 1})
    begin, again = 9.75, 11.75  # the last packets before each
    assert [when for what, when in done if what == "probe"] == [begin + 0.5, again + 0.5, again + 5.5]


async def test_restarts_that_do_not_help_become_rarer(bare_page: Page) -> None:
    first, second, third, fourth = await restarts(bare_page, TALK, {"seconds": 60, "media": False})
    assert second - first < third - second < fourth - third


async def test_once_media_has_flowed_again_the_next_silence_is_ended_as_fast(bare_page: Page) -> None:
    silence = {"seconds": 3, "media": False}
    first, second = await restarts(bare_page, TALK, silence, TALK, silence)
    assert second - first == 3 + 10


async def test_a_server_that_is_back_is_asked_at_once_if_media_has_stopped(bare_page: Page) -> None:
    silence = {"seconds": 1, "media": False}
    assert await restarts(bare_page, TALK, silence, {"event": "serverIsBack"}, TALK) == [11.0]
    assert await restarts(bare_page, TALK, {"event": "serverIsBack"}, TALK) == []


async def test_a_request_without_an_answer_is_repeated(bare_page: Page) -> None:
    asked = await restarts(bare_page, TALK, {"seconds": 5, "media": False, "answer": False})
    assert [later - earlier for earlier, later in pairwise(asked)] == [1.0] * (len(asked) - 1)
    assert len(asked) > 2


async def test_silence_is_expected_while_a_call_is_on_hold(bare_page: Page) -> None:
    assert await live(bare_page, TALK, {"seconds": 60, "media": False, "held": True}, TALK) == []


async def test_silence_is_expected_in_a_call_without_media(bare_page: Page) -> None:
    assert await live(bare_page, {"seconds": 60, "media": False}) == []


@pytest.mark.parametrize(("state", "patience"), [("failed", 0.0), ("disconnected", 2.0)])
async def test_a_path_that_the_browser_gives_up_is_given_up(bare_page: Page, state: str, patience: float) -> None:
    nothing = {"media": False, "held": True}
    first, *_ = await restarts(bare_page, {"seconds": 1, **nothing}, {"seconds": 4, "state": state, **nothing})
    assert first == 1 + patience


async def test_another_network_is_tried_at_once(bare_page: Page) -> None:
    assert await restarts(bare_page, TALK, {"event": "networkChanged"}, TALK) == [10.0]


async def test_media_that_takes_another_way_than_udp_looks_for_a_better_one_ever_less_often(bare_page: Page) -> None:
    asked = await restarts(bare_page, {"seconds": 3600, "roundabout": True})
    pauses = [later - earlier for earlier, later in pairwise([0.0, *asked])]
    assert pauses[:6] == [30, 60, 120, 240, 480, 600]
    assert set(pauses[6:]) == {600}
    assert await restarts(bare_page, {"seconds": 40, "roundabout": True}, {"seconds": 600}) == [30], "by UDP it has what it wants"
