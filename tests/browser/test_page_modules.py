"""What modules of the page decide, without calls: links in texts, names of files, zoom, transfers; and one that does not come."""

import re

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from tests.browser.pages import PATIENCE
from tests.kit.wait import eventually

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


# -- parts that are loaded on demand ----------------------------------------------------------------------------------


async def test_a_part_of_the_page_that_does_not_come_is_said_and_comes_with_the_next_load(bare_page: Page) -> None:
    page = await bare_page.context.new_page()
    uncaught: list[object] = []
    page.on("pageerror", lambda error: uncaught.append(error))  # noqa: PLW0108 - Playwright marks the function

    async def cannot_be_loaded(route: Route) -> None:
        await route.abort()

    await page.route("**/*entrance-signin.js", cannot_be_loaded)
    await page.goto(bare_page.url)
    await expect(page.get_by_role("heading", name="Calls are not available")).to_be_visible(timeout=PATIENCE)
    await page.unroute("**/*entrance-signin.js")
    await page.get_by_role("button", name="Try again").click()

    await page.route("**/*ringingcard.js", cannot_be_loaded)
    await page.get_by_role("button", name="Maya Lindgren").click()
    await page.get_by_role("tab", name="Settings").click()
    await expect(page.get_by_text("This part of the page could not be loaded.")).to_be_visible(timeout=PATIENCE)
    await expect(page.get_by_role("switch", name="Do not disturb")).to_be_enabled(timeout=PATIENCE)
    await page.unroute("**/*ringingcard.js")
    await page.reload()
    await page.get_by_role("tab", name="Settings").click()
    await expect(page.get_by_role("combobox", name="Ringtone")).to_be_visible(timeout=PATIENCE)
    assert uncaught == []
    await page.close()


# -- a server that is not heard any more ------------------------------------------------------------------------------

DOUBTING = """
async () => {
  const { Connection } = await import("/client/connection.js");
  const url = new URL("/ws/deaf", location.href.replace("http", "ws")).href;
  const connection = new Connection({ url, token: () => "", renew: async () => true, device: null, remember() {} });
  connection.open();
  setInterval(() => connection.retryNow(), 250);
}
"""


async def test_a_server_that_does_not_answer_is_given_up_however_often_it_is_asked(bare_page: Page) -> None:
    page = await bare_page.context.new_page()
    sockets: list[WebSocketRoute] = []

    def welcome_only(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        socket.on_message(lambda _: None)
        socket.send('{"type": "welcome", "resume": "a device", "resumed": false}')

    await page.route_web_socket(re.compile("/ws/deaf"), welcome_only)
    await page.goto(bare_page.url)
    await page.evaluate(DOUBTING)
    await eventually(lambda: len(sockets) > 1, "the page has connected again")
    await page.close()


# -- links ------------------------------------------------------------------------------------------------------------

LINKS = """
async (texts) => {
  const { partsOf } = await import("/app/call/links.js");
  return texts.map((text) => {
    const parts = partsOf(text);
    if (parts.map((part) => part.text).join("") !== text) throw new Error(`lost a part of ${text}`);
    return parts.filter(({ url }) => url).map((part) => [part.text, part.url]);
  });
}
"""


async def test_web_addresses_in_a_text_are_links_and_nothing_else_is(bare_page: Page) -> None:
    good = {
        "See https://example.org/a?b=c#d.": "https://example.org/a?b=c#d",
        "(https://en.wikipedia.org/wiki/Set_(mathematics))": "https://en.wikipedia.org/wiki/Set_(mathematics)",
        "http://127.0.0.1:8080/x, please": "http://127.0.0.1:8080/x",
        "HTTPS://Example.ORG!": "HTTPS://Example.ORG",
        "https://münchen.example/straße": "https://münchen.example/straße",
        "**https://example.org**": "https://example.org",
    }
    found = await bare_page.evaluate(LINKS, list(good))
    assert [[text for text, _ in one] for one in found] == [[one] for one in good.values()]
    two = await bare_page.evaluate(LINKS, ["https://a.example and https://b.example"])
    assert [text for text, _ in two[0]] == ["https://a.example", "https://b.example"]


async def test_hostile_texts_have_no_links(bare_page: Page) -> None:
    hostile = [
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd ftp://example.org //example.org",
        "https://bank.example@evil.example/",
        "https://user:secret@evil.example/",
        "https://",
        "https:///",
        f"https://example.org/{'a' * 3000}",
        "\u202ehttps\u202e://example.org",
    ]
    assert await bare_page.evaluate(LINKS, hostile) == [[] for _ in hostile]
    [[(shown, url)]] = await bare_page.evaluate(LINKS, ['https://example.org/\u202egnp.exe"onclick=alert(1)'])
    assert (shown, url) == ("https://example.org/", "https://example.org/"), "what turns a text around ends an address"
    [found] = await bare_page.evaluate(LINKS, ["https://example.org/<img src=x onerror=alert(1)>"])
    assert found == [["https://example.org/", "https://example.org/"]]


# -- files ------------------------------------------------------------------------------------------------------------


async def test_names_of_files_are_made_safe_and_stay_readable(bare_page: Page) -> None:
    names = {
        "Homework 3.pdf": "Homework 3.pdf",
        "Übung – lös mich.docx": "Übung – lös mich.docx",
        "作业.png": "作业.png",
        "../../etc/passwd": "passwd",
        "C:\\Windows\\system32\\calc.exe": "calc.exe",
        "..": "file",
        "": "file",
        ".bashrc": "bashrc",
        "report\u202efdp.exe": "report_fdp.exe",
        "a\u0000b\nc\r.txt": "a_b_c_.txt",
        "con.txt": "_con.txt",
        "LPT1": "_LPT1",
        "trailing. . ": "trailing",
        'a"b<c>d|e?f*g:h.txt': "a_b_c_d_e_f_g_h.txt",
        "$(reboot) `x` %PATH%.sh": "_(reboot) _x_ _PATH_.sh",
        "a" * 500 + ".tar.gz": "a" * 117 + ".gz",
        "b." + "c" * 500: "b." + "c" * 118,
    }
    safe = "async (names) => { const { safeName } = await import('/client/files/names.js'); return names.map(safeName); }"
    assert await bare_page.evaluate(safe, list(names)) == list(names.values())
    assert await bare_page.evaluate(safe, [None, 7, {"toString": 1}, ["x"]]) == ["file"] * 4


async def test_a_file_that_is_on_its_way_shows_how_much_of_it_has_come_and_can_be_cancelled(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { createFileBubble } = await import("/app/call/filebubble.js");
      const cancelled = [];
      const entry = { key: "one", own: false, name: "film.mkv", size: 50_000_000, at: 0, blob: null, problem: null };
      const nothing = () => {};
      const actions = { onAcceptFile: nothing, onDeclineFile: nothing, onCancelFile: (key) => cancelled.push(key) };
      const { element, render } = createFileBubble(entry, actions);
      document.body.append(element);
      const seen = [["asking", 0], ["moving", 12_500_000], ["checking", 50_000_000]].map(([state, done]) => {
        render({ ...entry, state, done }, "Daniel Okafor");
        const bar = element.querySelector("progress");
        return [bar.checkVisibility() ? bar.value : null, element.querySelector("[role=status]").textContent];
      });
      render({ ...entry, state: "moving", done: 1 }, "Daniel Okafor");
      element.querySelector("[data-testid=file-cancel]").click();
      element.remove();
      return { seen, cancelled };
    }
    """)
    assert outcome == {
        "seen": [
            [None, "50 MB · Daniel would like to send you this"],
            [0.25, "25 % of 50 MB"],
            [None, "50 MB · Checking that nothing changed…"],
        ],
        "cancelled": ["one"],
    }


# -- zoom -------------------------------------------------------------------------------------------------------------


async def test_zoom_keeps_what_is_under_the_pointer_and_shows_no_gap(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { WHOLE, zoomed, moved, within, pinched } = await import("/app/call/zoommath.js");
      const box = { width: 1000, height: 500 };
      const near = zoomed(WHOLE, 2, { x: 250, y: 100 }, box);
      const far = zoomed(WHOLE, 1e9, { x: 0, y: 0 }, box);
      const fingers = pinched(WHOLE, [{ x: 400, y: 250 }, { x: 600, y: 250 }], [{ x: 300, y: 250 }, { x: 700, y: 250 }], box);
      return {
        near,
        largest: far.scale,
        smallest: zoomed(near, 1e-9, { x: 5, y: 5 }, box),
        right: moved(near, -1e9, -1e9, box),
        left: moved(near, 1e9, 1e9, box),
        turned: within({ scale: 2, x: -900, y: -400 }, { width: 500, height: 300 }),
        fingers,
      };
    }
    """)
    assert outcome == {
        "near": {"scale": 2, "x": -250, "y": -100},
        "largest": 8,
        "smallest": {"scale": 1, "x": 0, "y": 0},
        "right": {"scale": 2, "x": -1000, "y": -500},
        "left": {"scale": 2, "x": 0, "y": 0},
        "turned": {"scale": 2, "x": -500, "y": -300},
        "fingers": {"scale": 2, "x": -500, "y": -250},
    }


# -- transfer ---------------------------------------------------------------------------------------------------------


async def test_a_transfer_offers_those_who_can_be_reached_first_and_says_why_others_cannot(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { rowsOf } = await import("/app/call/transfer.js");
      const person = (id, name) => ({ type: "parent", id, name, avatar: "" });
      const [ann, ben, cleo] = [person(1, "Ann A"), person(2, "Ben B"), person(3, "Cleo C")];
      const rows = (targets) => rowsOf("Maya", [ann, ben, cleo], targets).map(({ person, problem }) => [person.id, problem]);
      return [
        rows([{ person: cleo, reason: null }, { person: ben, reason: "offline" }]),
        rows("unknown"),
        rows(null),
        rows([{ person: ann, reason: "of the future" }]),
      ];
    }
    """)
    assert outcome == [
        [[3, ""], [2, "Not online now"], [1, "Maya can’t call Ann"]],
        [[1, ""], [2, ""], [3, ""]],
        [],
        [[1, "Can’t be reached now"], [2, "Maya can’t call Ben"], [3, "Maya can’t call Cleo"]],
    ]


# -- the call on another device ---------------------------------------------------------------------------------------


async def test_the_question_for_the_call_waits_for_the_user_and_says_how_long(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { createMoveRequest } = await import("/app/call/move.js");
      const answers = [];
      let now = 1_000;
      const [clock, every] = [performance.now, window.setInterval];
      const ticks = [];
      performance.now = () => now;
      window.setInterval = (tick) => ticks.push(tick);
      const request = createMoveRequest({ onMoveAnswer: (accepted) => answers.push(accepted) });
      document.body.append(request.element);
      const seen = [];
      const pass = (milliseconds) => {
        now += milliseconds;
        ticks.at(-1)();
        seen.push(request.element.querySelector("[role=timer]").textContent);
      };
      request.render({ id: "first", lasts: 30_000 });
      pass(3_000);
      request.render({ id: "first", lasts: 27_000 });
      pass(26_999);
      pass(3_600_000); // a page that sleeps hears of the end late
      const early = answers.length;
      request.render(null);
      const open = request.element.open;
      for (const choice of ["move-refuse", "move-accept"]) {
        request.render({ id: choice, lasts: 30_000 });
        request.element.querySelector(`[data-testid=${choice}]`).click();
        request.render(null);
      }
      [performance.now, window.setInterval] = [clock, every];
      request.element.remove();
      return { seen, early, open, answers };
    }
    """)
    stays = "Without an answer it stays here. The question goes in {} s."
    assert outcome["seen"] == [stays.format(left) for left in (27, 1, 1)]
    assert (outcome["early"], outcome["open"], outcome["answers"]) == (0, False, [False, True])


async def test_the_device_that_asks_for_a_call_is_told_why_it_stays_there(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { keptOutcome } = await import("/client/calls/rejoin.js");
      const { briefEnd } = await import("/app/announcements.js");
      return ["refused", "expired", "of a later server"].map((reason) => briefEnd({ outcome: keptOutcome(reason) }));
    }
    """)
    keeps = "Your other device keeps the call"
    assert outcome == [keeps, "Your other device did not answer: the call stays there", keeps]


# -- music ------------------------------------------------------------------------------------------------------------


async def test_descriptions_say_that_music_is_sent_and_wanted_in_stereo(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { withMusic, sendsMusic } = await import("/client/media/opus.js");
      const plain = ["v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 111 63", "a=rtpmap:111 opus/48000/2",
        "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=rtpmap:96 VP8/90000",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10", ""].join("\\r\\n");
      const fmtp = (sdp) => sdp.split("\\r\\n").filter((line) => line.startsWith("a=fmtp:111"));
      const offer = withMusic(plain, { sends: true, receives: false });
      const both = withMusic(offer, { sends: true, receives: true });
      const bare = plain.replace("a=fmtp:111 minptime=10;useinbandfec=1\\r\\n", "");
      return {
        same: withMusic(plain, { sends: false, receives: false }) === plain,
        offer: fmtp(offer),
        answer: fmtp(withMusic(plain, { sends: false, receives: true })),
        both: fmtp(both)[0],
        again: withMusic(both, { sends: true, receives: true }) === both,
        over: withMusic(both, { sends: false, receives: false }) === plain,
        firefox: fmtp(withMusic(plain.replace("minptime=10;", "stereo=1;"), { sends: false, receives: false }))[0],
        bare: fmtp(withMusic(bare, { sends: true, receives: false }))[0],
        length: [plain, offer, both].map((sdp) => sdp.split("\\r\\n").length),
        sends: [plain, offer, both, bare, "", undefined, withMusic(plain, { sends: false, receives: true })].map(sendsMusic),
        without: withMusic("v=0\\r\\nm=video 9 X 96\\r\\n", { sends: true, receives: true }),
      };
    }
    """)
    rate = "stereo=1;maxaveragebitrate=192000"
    assert outcome == {
        "same": True,
        "offer": ["a=fmtp:111 minptime=10;useinbandfec=1;sprop-stereo=1", "a=fmtp:111 minptime=10"],
        "answer": [f"a=fmtp:111 minptime=10;useinbandfec=1;{rate}", "a=fmtp:111 minptime=10"],
        "both": f"a=fmtp:111 minptime=10;useinbandfec=1;{rate};sprop-stereo=1",
        "again": True,
        "over": True,
        "firefox": "a=fmtp:111 stereo=1;useinbandfec=1",
        "bare": "a=fmtp:111 sprop-stereo=1",
        "length": [12, 12, 12],
        "sends": [False, True, True, False, False, False, False],
        "without": "v=0\r\nm=video 9 X 96\r\n",
    }


# -- poor lines --------------------------------------------------------------------------------------------------------


async def test_a_poor_line_is_told_with_the_sentence_that_helps_with_it(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { adviceOf } = await import("/app/call/advice.js");
      const advice = (path, care = {}, more = {}) => adviceOf({
        other: { name: "Daniel Okafor" },
        phase: "connected",
        talk: { isHeld: false, qualities: { yours: { loss: 0, roundTrip: 40, route: "udp", ...path } } },
        care: { isPoor: true, otherIsPoor: false, video: "sending", ...care },
        ...more,
      }).text;
      return [
        advice({ loss: 0.03 }),
        advice({ roundTrip: 350 }),
        advice({ route: "turn-tls", loss: 0.2 }),
        advice({ roundTrip: null }),
        advice({}, { isPoor: false, otherIsPoor: true }),
        advice({ loss: 0.2 }, { video: "offered" }),
        advice({ loss: 0.2 }, { isPoor: false }),
        advice({ loss: 0.2 }, {}, { phase: "reconnecting" }),
      ];
    }
    """)
    assert outcome == [
        "Your connection loses data. Move closer to your Wi-Fi, or use a cable.",
        "Your connection is slow. Stop downloads, and turn a VPN off.",
        "Your network slows calls down. Another one may do better, such as your phone’s.",
        "Your connection is poor. Stop downloads and videos that use it, too.",
        "Daniel’s connection is poor: speak slowly, and repeat what matters.",
        *[""] * 3,
    ]


async def test_what_is_done_about_a_poor_line_is_told_and_can_be_undone(bare_page: Page) -> None:
    outcome = await bare_page.evaluate("""
    async () => {
      const { createLineNotice } = await import("/app/call/linenotice.js");
      const pressed = [];
      const [onPauseVideo, onSendVideo, onDeclineOffer] = ["pause", "send", "decline"].map((name) => () => pressed.push(name));
      const notice = createLineNotice({ onPauseVideo, onSendVideo, onDeclineOffer });
      document.body.append(notice.element);
      const shown = ["sending", "offered", "paused", "paused_by_itself", "good", "returned"].map((video) => {
        notice.render({ isAnswered: true, leg: { isConnected: true }, care: { video } });
        for (const button of notice.element.querySelectorAll("button")) if (button.checkVisibility()) button.click();
        const isSeen = notice.element.querySelector(".pill").checkVisibility();
        return [isSeen ? notice.element.querySelector("span").innerText.trim() : "", pressed.splice(0)];
      });
      notice.element.remove();
      return shown;
    }
    """)
    assert outcome == [
        ["", []],
        ["Your connection is poor. Turn off your video to keep the audio.", ["pause", "decline"]],
        ["Your video is off to keep the audio.", ["send"]],
        ["Your video is off to keep the audio. It comes back when your connection is better.", ["send"]],
        ["Your connection is good again.", ["send"]],
        ["Your video is back: your connection is good again.", []],
    ]
