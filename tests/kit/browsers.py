"""Real browsers: Debian's Chromium, driven by Playwright. Tests take the build of it that has no user interface of its own
(`chromium-headless-shell`): a page costs less than half there, and audio, video and networks are the same code. One of the
network lab has Chromium as its users have it.

Playwright's objects belong to the event loop that made them. One browser serves the whole run, so whatever uses it runs in the
session's loop: `@pytest.mark.asyncio(loop_scope="session")` for tests, `loop_scope="session"` for fixtures.
"""

import contextlib
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self

from playwright.async_api import Browser, ConsoleMessage, Error, Page, Playwright, async_playwright

Program = Literal["chromium", "chromium-headless-shell"]

CHROMIUM: Final = "chromium"
SHELL: Final = "chromium-headless-shell"

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
)

INSTRUMENTS = """
// Milliseconds since 1970 at which things happened for the first time in this page, whatever page it is.
window.moments = {};
// How many messages of each type have arrived.
window.arrivals = {};
// The latest of what its WebSocket did, each with its milliseconds since 1970: for the message of a test that fails.
window.story = [];
(() => {
  const note = (name) => { window.moments[name] ??= Date.now(); };
  const tell = (what) => { window.story = [...window.story.slice(-99), `${Date.now()} ${what}`]; };
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      tell("begun");
      this.addEventListener("close", ({ code }) => tell(`closed: ${code}`));
      this.addEventListener("message", ({ data }) => {
        const { type } = JSON.parse(data);
        note(`received ${type}`);
        tell(`received ${type}`);
        window.arrivals[type] = (window.arrivals[type] ?? 0) + 1;
      });
    }
    send(data) {
      const { type } = JSON.parse(data);
      note(`sent ${type}`);
      tell(`sent ${type}`);
      return super.send(data);
    }
  };
  const watched = new WeakSet();
  new MutationObserver(() => {
    const video = document.querySelector("video[data-testid=remote-video]");
    if (video && !watched.has(video)) {
      watched.add(video);
      video.requestVideoFrameCallback(() => note("first remote frame"));
    }
    if (document.querySelector("[data-testid=incoming]")?.checkVisibility()) note("asked");
    if (document.querySelector("[data-testid=ended-card]")?.checkVisibility()) note("ended card");
  }).observe(document, { subtree: true, childList: true, attributes: true });
})();
"""

LOOK: Final = 0.25
"""Seconds between two looks at the statistics of a page. Ten a second took a tenth of what a call takes."""

CRASHED = "the page crashed"

PLAIN_SCALING = """
// Scale video without smoothing it: painted in software, that takes a sixth of what a call takes.
(() => {
  const style = new CSSStyleSheet();
  style.replaceSync("video { image-rendering: pixelated; }");
  document.adoptedStyleSheets.push(style);
})();
"""

SMALL_CAMERA = """
// A camera of 320 × 240.
(() => {
  if (!window.MediaDevices) return; // an empty page has none
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = function ({ video, ...wanted }) {
    const { deviceId, facingMode } = video ?? {};
    return open.call(this, video ? { ...wanted, video: { deviceId, facingMode, width: 320, height: 240 } } : wanted);
  };
})();
"""

MEDIA_AT = """
// Send media to another address than the one that the relay names in its descriptions.
(() => {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    sdp = sdp.replace(/^(a=candidate:\\S+ \\S+ \\S+ \\S+) \\S+ \\d+ /gm, "$1 %s %d ");
    return set.call(this, { type, sdp });
  };
})();
"""

STATISTICS = """
async (connection) => {
  const report = [...(await connection.getStats()).values()];
  const find = (type, kind) => report.find((entry) => entry.type === type && (!kind || entry.kind === kind)) ?? {};
  // The first video section is the camera's, the second the screen's.
  const used = ({ mid, receiver }) => mid !== null && receiver.track.kind === "video";
  const sections = connection.getTransceivers().filter(used).map(({ mid }) => mid);
  const video = (type, index) => {
    const mid = sections[index] ?? "none";
    return report.find((entry) => entry.type === type && entry.kind === "video" && entry.mid === mid) ?? {};
  };
  const named = (id) => report.find((entry) => entry.id === id) ?? {};
  const [heard, seen, shown] = [find("inbound-rtp", "audio"), video("inbound-rtp", 0), video("outbound-rtp", 0)];
  // Firefox marks the pair instead of naming it.
  const pair = named(find("transport").selectedCandidatePairId ?? report.find((entry) => entry.selected)?.id);
  const [local, remote] = [named(pair.localCandidateId), named(pair.remoteCandidateId)];
  return {
    state: connection.connectionState,
    frames_decoded: seen.framesDecoded ?? 0,
    screen_frames_decoded: video("inbound-rtp", 1).framesDecoded ?? 0,
    size_received: [seen.frameWidth ?? 0, seen.frameHeight ?? 0],
    size_sent: [shown.frameWidth ?? 0, shown.frameHeight ?? 0],
    freezes: seen.freezeCount ?? 0,
    nacks: seen.nackCount ?? 0,
    packets_lost: report.reduce((sum, entry) => sum + (entry.type === "inbound-rtp" ? (entry.packetsLost ?? 0) : 0), 0),
    audio_energy: heard.totalAudioEnergy ?? 0,
    estimate: pair.availableOutgoingBitrate ?? 0,
    route: local.candidateType === "relay" ? `turn-${local.relayProtocol}` : (local.protocol ?? ""),
    remote: [remote.address ?? "", remote.port ?? 0],
    offered: [...(connection.remoteDescription?.sdp ?? "").matchAll(/^a=candidate:\\S+ \\S+ \\S+ \\S+ (\\S+) (\\d+)/gm)]
      .map(([, address, port]) => [address, Number(port)]),
  };
}
"""


@dataclass(frozen=True)
class Statistics:
    """What `RTCPeerConnection.getStats` says of a call."""

    state: str
    frames_decoded: int
    """Of the other's camera."""
    screen_frames_decoded: int
    """Of the other's screen."""
    size_received: tuple[int, int]
    size_sent: tuple[int, int]
    freezes: int
    nacks: int
    """Requests for lost packets of the video, sent."""
    packets_lost: int
    """Of all streams received: those that never arrived."""
    audio_energy: float
    """`totalAudioEnergy` of what was received."""
    estimate: float
    """What congestion control believes that the path to the relay carries, in bit/s."""
    route: str
    """How media gets to the relay: `udp`, `tcp`, `turn-udp`, `turn-tcp` or `turn-tls`; empty: not yet."""
    remote: tuple[str, int]
    """Address and port of the other end of the selected candidate pair."""
    offered: frozenset[tuple[str, int]]
    """The addresses and ports that the remote description names."""

    @classmethod
    def from_page(cls, values: dict[str, Any]) -> Self:
        tuples = {name: tuple(values[name]) for name in ("size_received", "size_sent", "remote")}
        return cls(**{**values, **tuples, "offered": frozenset(map(tuple, values["offered"]))})


@contextlib.asynccontextmanager
async def chromium(
    *flags: str, within: Sequence[str] = (), program: Program = SHELL, driver: Playwright | None = None
) -> AsyncIterator[Browser]:
    """Chromium, as Debian installs it.

    Args:
        flags: of its command line, besides the usual ones.
        program: `CHROMIUM` for the browser as its users have it, with everything around its pages.
        within: a command that runs the command behind it in the same process, somewhere else: in a network namespace.
        driver: one that drives other browsers, too; None: it has its own, another process.
    """
    path = shutil.which(program) or f"/usr/bin/{program}"
    with tempfile.TemporaryDirectory(prefix="chromium-") as folder:
        if within:
            script = Path(folder) / "chromium"
            script.write_text(f'#!/bin/sh\nexec {shlex.join([*within, path])} "$@"\n')
            script.chmod(0o755)
            path = str(script)
        async with contextlib.AsyncExitStack() as stack:
            if driver is None:
                driver = await stack.enter_async_context(async_playwright())
            browser = await driver.chromium.launch(executable_path=path, args=[*FLAGS, *flags])
            stack.push_async_callback(browser.close)
            yield browser


class BrowserPage:
    """A page in a context of its own, with a camera and a microphone, and everything that went wrong in it.

    Attributes:
        problems: what it wrote to its console as errors, and uncaught exceptions.
    """

    small_camera: ClassVar = True
    """For tests in which it does not matter how much video there is."""

    any_certificate: ClassVar = False
    """Whether it takes certificates that sign themselves."""

    connection: str
    """JavaScript: the `RTCPeerConnection` of the call, or null."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        page.on("crash", lambda _: self.problems.append(CRASHED))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(f"{message.text} ({message.location.get('url', '')})")

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, browser: Browser, media_at: tuple[str, int] | None = None) -> AsyncIterator[Self]:
        """An empty page.

        Args:
            media_at: where its calls send their media, instead of to the relay.

        Raises:
            AssertionError: at the end, if anything went wrong in the page.
        """
        context = await browser.new_context(
            permissions=["camera", "microphone"],
            ignore_https_errors=cls.any_certificate,
            # Painted in software, sixty frames a second of animations take half of what a call takes.
            reduced_motion="reduce",
        )
        try:
            await context.add_init_script(INSTRUMENTS + PLAIN_SCALING)
            if cls.small_camera:
                await context.add_init_script(SMALL_CAMERA)
            if media_at:
                await context.add_init_script(MEDIA_AT % media_at)
            page = cls(await context.new_page())
            try:
                yield page
            except Exception as error:
                error.add_note(f"errors in the page: {page.problems}")
                raise
        finally:
            await context.close()
        assert not page.problems, f"errors in the page: {page.problems}"

    async def statistics(self) -> Statistics | None:
        """None without a call."""
        values = await self.page.evaluate(f"{self.connection} && ({STATISTICS})({self.connection})")
        return Statistics.from_page(values) if values else None

    async def moment(self, name: str) -> float:
        """When that happened for the first time: seconds since 1970; waits until it has."""
        handle = await self.page.wait_for_function("(name) => window.moments[name]", arg=name)
        return float(await handle.json_value()) / 1000

    async def receives(self, kind: str, number: int) -> None:
        """Wait until so many messages of that type have arrived."""
        await self.page.wait_for_function("([kind, number]) => window.arrivals[kind] >= number", arg=[kind, number])

    def forgive(self, *texts: str) -> None:
        """Problems with one of these texts were to be expected."""
        self.problems = [problem for problem in self.problems if not any(text in problem for text in texts)]

    async def close(self) -> None:
        """Close the tab, as a user does."""
        await self.page.close()

    async def crash(self) -> None:
        """As when the browser gives up on the tab: nothing in it runs any more, no good-bye is said."""
        async with self.page.expect_event("crash"):
            with contextlib.suppress(Error):  # as it should, the page never arrives there
                await self.page.goto("chrome://crash")
        self.problems.remove(CRASHED)
