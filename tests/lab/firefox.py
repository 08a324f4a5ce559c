"""Firefox ESR, as Debian installs it, driven by WebDriver BiDi: Playwright knows a Firefox of its own only.

https://w3c.github.io/webdriver-bidi/
"""

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, Self

import aiohttp

from tests.kit.wait import PATIENCE

PREFERENCES: Final[Mapping[str, bool | int]] = {
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    # Cameras on pages that came over plain HTTP.
    "media.devices.insecure.enabled": True,
    "media.getusermedia.insecure.enabled": True,
    "media.autoplay.default": 0,
    # No connections that no page asked for: the lab has no internet.
    "app.normandy.enabled": False,
    "app.update.enabled": False,
    "browser.safebrowsing.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "remote.active-protocols": 1,
    "toolkit.telemetry.enabled": False,
}

START: Final = 60.0
"""Seconds."""


class Machine(Protocol):
    """Where the browser runs: a machine of the lab, or this one."""

    def command(self, *arguments: str) -> list[str]:
        """A command line that runs there."""
        ...

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        """A new IPv4 socket of that machine, which does not block."""
        ...


class ThisMachine:
    """In place of a machine of the lab."""

    def command(self, *arguments: str) -> list[str]:
        return [*arguments]

    def socket(self, kind: socket.SocketKind) -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        made.setblocking(False)
        return made


class ScriptFailed(Exception):
    """The page's script threw."""


class FirefoxBrowser:
    """The program. Make it with `started`."""

    def __init__(self, socket_: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket_
        self._ids = itertools.count(1)
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._tabs: list[Firefox] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def started(
        cls, machine: Machine, preferences: Mapping[str, bool | int | str] = {}, environment: Mapping[str, str] = {}
    ) -> AsyncIterator[Self]:
        """Start it on a machine of the lab, with an empty profile.

        Args:
            environment: variables, besides those of this process.

        Raises:
            AssertionError: it does not start.
        """
        program = shutil.which("firefox-esr") or "/usr/bin/firefox-esr"
        with tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True) as folder:
            lines = (f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in {**PREFERENCES, **preferences}.items())
            (Path(folder) / "user.js").write_text("".join(lines))
            arguments = ("--headless", "--no-remote", "--profile", folder, "--remote-debugging-port", "0")
            process = await asyncio.create_subprocess_exec(
                *machine.command(program, *arguments),
                env={**os.environ, **environment, "HOME": folder, "MOZ_CRASHREPORTER_DISABLE": "1"},
                stdout=DEVNULL,
                stderr=PIPE,
                start_new_session=True,
            )
            try:
                async with asyncio.timeout(START):
                    url = await _address(process)
                async with _drained(process), _session(machine) as http, http.ws_connect(url, max_msg_size=0) as opened:
                    firefox = cls(opened)
                    reader = asyncio.create_task(firefox._read())
                    try:
                        await firefox._open()
                        yield firefox
                    finally:
                        reader.cancel()
                        await asyncio.gather(reader, return_exceptions=True)
            finally:
                # The whole group: its pages have processes of their own.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.communicate()

    @contextlib.asynccontextmanager
    async def tab(self) -> AsyncIterator["Firefox"]:
        """A new tab in front, with cookies and storage of its own."""
        user = (await self.command("browser.createUserContext"))["userContext"]
        context = (await self.command("browsingContext.create", type="tab", userContext=user))["context"]
        tab = Firefox(self, context)
        self._tabs.append(tab)
        try:
            yield tab
        finally:
            self._tabs.remove(tab)
            await self.command("browsingContext.close", context=context)
            await self.command("browser.removeUserContext", userContext=user)

    async def command(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command of WebDriver BiDi, and its result."""
        number = next(self._ids)
        reply = self._replies[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        message = await asyncio.wait_for(reply, 2 * PATIENCE)
        assert message["type"] == "success", f"{method}: {message}"
        result: dict[str, Any] = message["result"]
        return result

    async def _open(self) -> None:
        await self.command("session.new", capabilities={"alwaysMatch": {"acceptInsecureCerts": True}})
        await self.command("session.subscribe", events=["log.entryAdded"])

    async def _read(self) -> None:
        async for frame in self._socket:
            message = json.loads(frame.data)
            if reply := self._replies.pop(message.get("id"), None):
                reply.set_result(message)
            elif message.get("method") == "log.entryAdded" and message["params"]["level"] == "error":
                # It may be of a frame, of which it does not say whose. Tests have one tab at a time.
                for tab in self._tabs:
                    tab.problems.append(str(message["params"]["text"]))


class Firefox:
    """A tab.

    Attributes:
        problems: what its pages wrote to the console as errors, uncaught exceptions among them.
    """

    def __init__(self, browser: FirefoxBrowser, context: str) -> None:
        self._browser = browser
        self._context = context
        self.problems: list[str] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, machine: Machine, preferences: Mapping[str, bool | int | str] = {}) -> AsyncIterator["Firefox"]:
        """A browser with this tab alone; otherwise as `FirefoxBrowser.started`."""
        async with FirefoxBrowser.started(machine, preferences) as browser, browser.tab() as tab:
            yield tab

    async def goto(self, url: str) -> None:
        await self._browser.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def reload(self) -> None:
        await self._browser.command("browsingContext.reload", context=self._context, wait="complete")

    async def set_files(self, selector: str, *files: Path) -> None:
        """Choose these files in the `<input>` that the CSS selector finds."""
        locator = {"type": "css", "value": selector}
        found = await self._browser.command("browsingContext.locateNodes", context=self._context, locator=locator)
        [node] = found["nodes"]
        element = {"sharedId": node["sharedId"]}
        await self._browser.command("input.setFiles", context=self._context, element=element, files=[str(one) for one in files])

    async def before_every_page(self, script: str) -> None:
        """Run a script in every page of this tab before its own."""
        function = f"() => {{ {script} }}"
        await self._browser.command("script.addPreloadScript", functionDeclaration=function, contexts=[self._context])

    async def evaluate(self, function: str, *arguments: object) -> Any:
        """Call a JavaScript function, async or not, in the page.

        Args:
            arguments: what JSON can carry, like the result.

        Raises:
            ScriptFailed: it threw.
        """
        call = f"({function})(...{json.dumps(arguments)})"
        result = await self._browser.command(
            "script.evaluate",
            expression=f"(async () => JSON.stringify((await {call}) ?? null))()",
            target={"context": self._context},
            awaitPromise=True,
            userActivation=True,
        )
        if result["type"] == "exception":
            raise ScriptFailed(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])


async def _address(process: Process) -> str:
    """Where Firefox listens for WebDriver BiDi."""
    assert process.stderr is not None
    said = b""
    async for line in process.stderr:
        said += line
        if found := re.search(rb"WebDriver BiDi listening on (ws://\S+)", line):
            return f"{found[1].decode()}/session"
    raise AssertionError(f"Firefox did not start:\n{said.decode()}")


@contextlib.asynccontextmanager
async def _drained(process: Process) -> AsyncIterator[None]:
    """Go on reading what it says: a full pipe would stop it."""
    assert process.stderr is not None
    reading = asyncio.create_task(process.stderr.read())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def _session(machine: Machine) -> aiohttp.ClientSession:
    """HTTP on that machine."""

    def made(_: object) -> socket.socket:
        return machine.socket(socket.SOCK_STREAM)

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=made))
