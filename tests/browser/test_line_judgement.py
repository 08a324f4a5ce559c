"""What the page makes of a line and of a microphone: modules of `web/client/media` alone, in a browser, in simulated time."""

from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MEDIA: Final = Path(__file__).parents[2] / "web" / "client" / "media"

LIVE: Final = """
async ([source, name, steps]) => {
  const module = await import(`data:text/javascript,${encodeURIComponent(source)}`);
  const one = new module[name]();
  let now = 0;
  const heard = [];
  const note = (...said) => {
    const text = said.join(" ");
    if (heard.at(-1)?.[0] !== text) heard.push([text, Math.round(now) / 1000]);
  };
  await (%s)(one, steps, (milliseconds) => (now += milliseconds), note);
  return heard;
}
"""

RECEIVE: Final = """
(one, steps, pass, note) => {
  const seen = { packets: 0, audio: 0, anything: 0, frames: 0, sent: 0 };
  for (const { seconds = 0, audio = 12, video = 6, reports = 3, checks = 0, sent = 12, held, showsChecks = true } of steps) {
    if (held !== undefined) one.hold(held);
    for (let at = 0; at < 1000 * seconds; at += 250) {
      seen.audio += audio;
      seen.frames += video;
      seen.packets += audio + 2 * video;
      seen.sent += sent;
      const isChecked = checks && at % (1000 * checks) === 0;
      seen.anything += audio + 2 * video + reports + (isChecked ? 1 : 0);
      one.look({ ...seen, showsChecks }, pass(250));
      note(one.line, one.picture);
    }
  }
}
"""

RELIEVE: Final = """
(one, steps, pass, note) => {
  for (const { seconds = 0, bars = 4, sends = true, does } of steps) {
    if (does) one[does](pass(0));
    for (let at = 0; at < 1000 * seconds; at += 500) {
      one.look({ bars, sends }, pass(500));
      note(one.video, one.isPoor ? "poor" : "fine");
    }
  }
}
"""

LISTEN: Final = """
(one, steps, pass, note) => {
  for (const { seconds = 0, levels } of steps) {
    for (let look = 0; look < 10 * seconds; look++) {
      one.look(levels[look % levels.length], pass(100));
      note(one.isSpeaking ? "speaks" : "is silent");
    }
  }
}
"""

Step = dict[str, Any]
Said = list[tuple[str, float]]

NOTHING: Final[Step] = {"audio": 0, "video": 0, "reports": 0}
TALK: Final[Step] = {"seconds": 5}
"""Media comes, and reports about ours."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    one = await browser.new_page()
    yield one
    await one.close()


async def live(page: Page, file: str, name: str, script: str, steps: tuple[Step, ...]) -> Said:
    """What is said, and after how many seconds it was said first, without the state at the beginning."""
    said = await page.evaluate(LIVE % script, [(MEDIA / file).read_text(encoding="utf-8"), name, steps])
    return [(what, when) for what, when in said]


async def received(page: Page, *steps: Step) -> Said:
    return await live(page, "reception.js", "Reception", RECEIVE, steps)


async def relieved(page: Page, *steps: Step) -> Said:
    return await live(page, "relief.js", "Relief", RELIEVE, steps)


async def listened(page: Page, *steps: Step) -> Said:
    return await live(page, "mutedspeech.js", "MutedSpeech", LISTEN, steps)


def in_turn(said: Said) -> list[str]:
    """What became of the video."""
    return [video for video, _ in groupby(what.split()[0] for what, _ in said)]


# -- what arrives ----------------------------------------------------------------------------------------------------------------


async def test_a_line_on_which_nothing_arrives_is_dead_within_three_seconds_and_lives_with_the_first_packet(page: Page) -> None:
    said = await received(page, TALK, {"seconds": 6, **NOTHING}, TALK)
    assert said[0] == ("live flowing", 0.25)
    [dead] = [when for what, when in said if what.startswith("dead")][:1]
    assert dead - TALK["seconds"] <= 3
    assert said[-2:] == [("dead paused", 8), ("live flowing", 11.25)]


async def test_a_picture_is_missed_after_a_second_while_audio_goes_on(page: Page) -> None:
    said = await received(page, TALK, {"seconds": 5, "video": 0}, TALK)
    assert said == [("live flowing", 0.25), ("live stalled", 6.0), ("live paused", 8.0), ("live flowing", 10.25)]


async def test_a_single_frame_does_not_bring_a_missing_picture_back(page: Page) -> None:
    said = await received(
        page, TALK, {"seconds": 2, "video": 0}, {"seconds": 0.25, "video": 1}, {"seconds": 0.5, "video": 0}, TALK
    )
    assert said == [("live flowing", 0.25), ("live stalled", 6.0), ("live flowing", 8.0)]


async def test_a_party_that_stops_sending_is_silent_and_its_line_is_not_dead(page: Page) -> None:
    said = await received(page, TALK, {"seconds": 20, "audio": 0, "video": 0, "reports": 3})
    assert [what for what, _ in said] == ["live flowing", "live paused", "silent paused"] or [what for what, _ in said] == [
        "live flowing",
        "silent flowing",
        "silent paused",
    ]


async def test_checks_alone_keep_a_line_alive_on_which_neither_party_sends(page: Page) -> None:
    said = await received(page, TALK, {"seconds": 30, **NOTHING, "sent": 0, "checks": 5})
    assert not [what for what, _ in said if what.startswith("dead")]


async def test_a_line_without_even_checks_dies_although_neither_party_sends(page: Page) -> None:
    silence = {"seconds": 12, **NOTHING, "sent": 0}
    assert (await received(page, TALK, silence))[-1][0] == "dead paused"
    said = await received(page, TALK, {**silence, "showsChecks": False})
    assert said[-1][0] == "live paused", "a browser that counts no checks has to say so itself"


async def test_nothing_is_expected_before_media_has_come_nor_on_hold(page: Page) -> None:
    assert await received(page, {"seconds": 20, **NOTHING}) == [("unknown none", 0.25)]
    said = await received(page, TALK, {"held": True, "seconds": 20, **NOTHING}, {"held": False, **TALK})
    assert not [what for what, _ in said if what.startswith("dead")]


async def test_a_voice_call_misses_no_picture(page: Page) -> None:
    assert await received(page, {**TALK, "video": 0}) == [("live none", 0.25)]


# -- a poor line -----------------------------------------------------------------------------------------------------------------

GOOD: Final[Step] = {"seconds": 10}
POOR: Final[Step] = {"bars": 2}
VERY_POOR: Final[Step] = {"bars": 1}


async def test_a_poor_line_is_told_and_then_it_is_offered_to_keep_the_video_back(page: Page) -> None:
    said = await relieved(page, GOOD, {"seconds": 20, **POOR}, GOOD)
    assert said == [
        ("sending fine", 0.5),
        ("sending poor", 13.5),
        ("offered poor", 16.5),
        ("sending fine", 35.5),
    ]


async def test_a_moment_of_a_poor_line_is_not_told(page: Page) -> None:
    assert await relieved(page, GOOD, {"seconds": 2, **VERY_POOR}, GOOD) == [("sending fine", 0.5)]


async def test_a_very_poor_line_loses_its_video_and_has_it_back_when_it_has_been_good_for_a_while(page: Page) -> None:
    said = await relieved(page, GOOD, {"seconds": 20, **VERY_POOR}, {"seconds": 20})
    assert in_turn(said) == ["sending", "offered", "paused", "sending"]


async def test_a_line_on_the_edge_gets_its_video_back_ever_later(page: Page) -> None:
    edge: list[Step] = [{"seconds": 10, **VERY_POOR}, {"seconds": 14}] * 4
    video = in_turn(await relieved(page, GOOD, *edge))
    assert [one for one in video if one != "offered"] == ["sending", "paused", "sending", "paused"], (
        "it takes longer the second time"
    )


async def test_a_line_that_is_poor_now_and_then_keeps_its_video_away(page: Page) -> None:
    ups_and_downs = [{"seconds": 5, "bars": bars} for bars in (4, 1, 3, 2)]
    said = await relieved(page, {"seconds": 10, **VERY_POOR}, *ups_and_downs * 3)
    assert in_turn(said)[-1] == "paused"
    assert in_turn(said).count("paused") == 1


async def test_who_turns_the_video_off_turns_it_on_again(page: Page) -> None:
    said = await relieved(
        page, {"seconds": 8, **POOR}, {"does": "pause", "seconds": 2, **POOR}, {"seconds": 20}, {"does": "send", "seconds": 2}
    )
    assert [what for what, _ in said] == [
        "sending fine",
        "sending poor",
        "offered poor",
        "paused poor",
        "paused fine",
        "good fine",
        "sending fine",
    ]


async def test_who_wants_to_be_seen_is_seen_whatever_the_line_is_like(page: Page) -> None:
    said = await relieved(page, {"seconds": 10, **VERY_POOR}, {"does": "send", "seconds": 60, **VERY_POOR})
    assert in_turn(said)[-2:] == ["paused", "sending"]


async def test_an_offer_that_was_declined_is_not_made_again_at_once(page: Page) -> None:
    said = await relieved(
        page, {"seconds": 8, **POOR}, {"does": "decline", "seconds": 100, **POOR}, GOOD, {"seconds": 100, **POOR}
    )
    offers = [when for what, when in said if what.startswith("offered")]
    assert len(offers) == 2
    assert offers[1] - offers[0] >= 180


async def test_nothing_is_decided_of_a_dead_line_or_an_unknown_one_or_without_a_camera(page: Page) -> None:
    for step in ({"bars": 0}, {"bars": None}, {"bars": 1, "sends": False}):
        said = await relieved(page, GOOD, {"seconds": 30, **step})
        assert {what.split()[0] for what, _ in said} <= {"sending", "offered"} - ({"offered"} if step["bars"] != 0 else set()), (
            step
        )


async def test_a_line_that_was_dead_and_is_back_keeps_its_video_until_it_is_known_what_it_is_like(page: Page) -> None:
    dead, unknown = {"seconds": 8, "bars": 0}, {"seconds": 4, "bars": None}
    assert "paused" not in in_turn(await relieved(page, GOOD, dead, unknown, GOOD))
    assert in_turn(await relieved(page, GOOD, dead, unknown, {"seconds": 1, **VERY_POOR}))[-1] == "paused"


# -- a voice at a muted microphone -----------------------------------------------------------------------------------------------

ROOM: Final[Step] = {"levels": [0.002, 0.003]}
VOICE: Final[Step] = {"levels": [0.08, 0.11, 0.09, 0.01, 0.12, 0.07, 0.004, 0.1]}


async def test_who_talks_is_heard_within_a_second_and_silence_ends_it(page: Page) -> None:
    said = await listened(page, {"seconds": 5, **ROOM}, {"seconds": 4, **VOICE}, {"seconds": 10, **ROOM})
    assert [what for what, _ in said] == ["is silent", "speaks", "is silent"]
    assert said[1][1] - 5 <= 1
    assert 2 <= said[2][1] - 9 <= 4


async def test_a_cough_a_quiet_room_and_a_fan_are_no_voice(page: Page) -> None:
    assert await listened(page, {"seconds": 30, **ROOM}) == [("is silent", 0.1)]
    assert await listened(page, {"seconds": 5, **ROOM}, {"seconds": 0.2, "levels": [0.3]}, {"seconds": 5, **ROOM}) == [
        ("is silent", 0.1)
    ]
    said = await listened(page, {"seconds": 60, "levels": [0.05, 0.055]})
    assert said[-1] == ("is silent", said[-1][1]), "it is the room after a while"


async def test_a_voice_is_heard_beside_a_fan(page: Page) -> None:
    loud = {"levels": [0.3, 0.25, 0.35, 0.03, 0.28, 0.3, 0.02]}
    said = await listened(page, {"seconds": 30, "levels": [0.02, 0.022]}, {"seconds": 3, **loud})
    assert said[-1][0] == "speaks"
