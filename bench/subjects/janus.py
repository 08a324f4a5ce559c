"""Janus: how it is started and spoken to; the plugins are in modules of their own."""

import asyncio
import json
import shutil
import socket
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.legs import Leg
from bench.namespace import ADDRESS, INSIDE
from bench.sdp import read
from bench.subjects.program import Program
from bench.webrtc import Peer, Peers

_LIBRARIES: Final = (*Path("/usr/lib").glob("*/janus"), Path("/usr/lib/janus"))
_START_TRIES: Final = 50
_START_INTERVAL: Final = 0.1
_REPLY_TIMEOUT: Final = 20.0

PATIENCE: Final = 0.1
"""Seconds between ICE and DTLS. Janus drops what comes before its ICE agent has told it that it is connected, and the DTLS
retransmission timer would cost ten times as much."""

_CORE_CONFIG: Final = """
general: {{
  configs_folder = "{0}"
  plugins_folder = "{0}/plugins"
  transports_folder = "{0}/transports"
  events_folder = "{0}/events"
  loggers_folder = "{0}/loggers"
  debug_level = 2
  debug_colors = false
  session_timeout = 0
  event_loops = {2}
}}
media: {{ ipv6 = false }}
nat: {{
  ice_lite = true
  ice_enforce_list = "{1}"
}}
"""
_WEBSOCKET_CONFIG: Final = """
general: {{ json = "compact" ws = true ws_port = {0} ws_ip = "{1}" wss = false }}
admin: {{ admin_ws = false admin_wss = false }}
"""


class Janus(Program):
    """Debian's Janus with one plugin and the WebSocket transport, all else off; ICE-lite, as the relay is."""

    def __init__(self, plugin: str, event_loops: int = 0) -> None:
        """`event_loops` as in janus.jcfg: how many threads serve all transports, or 0 for a thread for each, as shipped."""
        super().__init__("janus")
        self._plugin = plugin
        self._event_loops = event_loops
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._up: dict[int, asyncio.Event] = {}
        self._transactions = count(1)
        self._session = 0
        self._peers = Peers()

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        if not (shutil.which("janus") and _library()):
            return "janus is not installed"
        return None if INSIDE else "janus gathers no loopback candidates, and no network namespace can be made here"

    async def start(self) -> None:
        """Start the server and open a session with it."""
        port = _free_port()
        self._configure(self._directory, port)
        self._launch("janus", "-F", str(self._directory))
        self._http = aiohttp.ClientSession()
        for _ in range(_START_TRIES):
            try:
                self._socket = await self._http.ws_connect(f"http://{ADDRESS}:{port}", protocols=("janus-protocol",))
                break
            except aiohttp.ClientError:
                await asyncio.sleep(_START_INTERVAL)
        else:
            raise self._not_started()
        self._reader = asyncio.create_task(self._read(self._socket))
        self._session = (await self._request({"janus": "create"}))["data"]["id"]

    async def attach(self) -> int:
        """A new handle of the plugin."""
        reply = await self._request({"janus": "attach", "plugin": f"janus.plugin.{self._plugin}"})
        handle: int = reply["data"]["id"]
        self._up[handle] = asyncio.Event()
        return handle

    async def message(self, handle: int, body: dict[str, Any], jsep: dict[str, str] | None = None) -> dict[str, Any]:
        """Send a message to the plugin and wait for its answer."""
        request: dict[str, Any] = {"janus": "message", "handle_id": handle, "body": body}
        if jsep is not None:
            request["jsep"] = jsep
        return await self._request(request)

    def peer(self) -> Peer:
        """A new far end, closed when the server stops."""
        return self._peers.make()

    async def offer(self, handle: int, body: dict[str, Any], peer: Peer, sdp: str) -> Leg:
        """Offer a transport, take the answer, and connect."""
        reply = await self.message(handle, body, {"type": "offer", "sdp": sdp})
        leg = await peer.leg(read(reply["jsep"]["sdp"]), PATIENCE)
        await asyncio.wait_for(self._up[handle].wait(), _REPLY_TIMEOUT)
        return leg

    async def hold(self, seconds: float) -> None:
        """Keep the transports alive without media."""
        await self._peers.hold(seconds)

    async def stop(self) -> None:
        """End the server and free the sockets."""
        self._peers.close()
        if self._reader is not None:
            self._reader.cancel()
        if self._http is not None:
            await self._http.close()
        await super().stop()

    def _configure(self, directory: Path, port: int) -> None:
        library = _library()
        assert library is not None
        for folder in ("plugins", "transports", "events", "loggers"):
            (directory / folder).mkdir()
        for folder, name in (("plugins", self._plugin), ("transports", "websockets")):
            (directory / folder / f"libjanus_{name}.so").symlink_to(_newest(library / folder, name))
        (directory / "janus.jcfg").write_text(_CORE_CONFIG.format(directory, ADDRESS, self._event_loops))
        (directory / "janus.transport.websockets.jcfg").write_text(_WEBSOCKET_CONFIG.format(port, ADDRESS))
        (directory / f"janus.plugin.{self._plugin}.jcfg").write_text("general: { }\n")

    async def _request(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._socket is not None
        transaction = str(next(self._transactions))
        request["transaction"] = transaction
        if self._session:
            request["session_id"] = self._session
        reply = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = reply
        await self._socket.send_str(json.dumps(request))
        return await asyncio.wait_for(reply, _REPLY_TIMEOUT)

    async def _read(self, incoming: aiohttp.ClientWebSocketResponse) -> None:
        async for message in incoming:
            reply = json.loads(message.data)
            # A message to a plugin is acknowledged first; its answer is an event with the same transaction.
            if reply["janus"] == "ack":
                continue
            if reply["janus"] == "webrtcup":
                self._up[reply["sender"]].set()
                continue
            waiting = self._waiting.pop(reply.get("transaction", ""), None)
            if waiting is None or waiting.done():
                continue
            error = reply.get("error") or reply.get("plugindata", {}).get("data", {}).get("error")
            if error:
                waiting.set_exception(RuntimeError(f"janus: {error}"))
            else:
                waiting.set_result(reply)


def _library() -> Path | None:
    return next((path for path in _LIBRARIES if path.is_dir()), None)


def _newest(folder: Path, name: str) -> Path:
    return sorted(folder.glob(f"libjanus_{name}.so*"))[-1]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((ADDRESS, 0))
        port: int = sock.getsockname()[1]
        return port
