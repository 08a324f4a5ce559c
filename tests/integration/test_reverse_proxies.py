"""nginx and Caddy in front of the relay, with the files of `deploy/` as operators copy them: only ports and paths are others."""

import asyncio
import contextlib
import socket
import ssl
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from relay.ids import Profile
from tests.edge.kit import write_certificate
from tests.integration.proxies import CLIENT, HERE, free_ports, program, running
from tests.kit.children import child
from tests.kit.peer import BLUE, RED, Peer
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import PATIENCE, eventually

pytestmark = pytest.mark.servers

DEPLOY: Final = Path(__file__).parents[2] / "deploy"

CALLER: Final[dict[str, Any]] = {"colour": RED, "size": (160, 120), "tone": 440.0}
CALLEE: Final[dict[str, Any]] = {"colour": BLUE, "size": (128, 96), "tone": 1200.0}

NAME: Final = "calls.example.org"
OTHER_NAME: Final = "www.example.org"


def replaced(text: str, others: Mapping[str, str]) -> str:
    """With every text replaced; each has to be there."""
    for old, new in others.items():
        assert old in text, f"{old!r} is not in the example"
        text = text.replace(old, new)
    return text


def listening(http: int, https: int, suffix: str) -> dict[str, str]:
    """What nginx listens on: ports of this machine instead of 80 and 443."""
    lines = {"listen [::]:443": f"listen [::1]:{https}", "listen 443": f"listen {HERE}:{https}"}
    if suffix:
        lines |= {"listen 80;": f"listen {HERE}:{http};", "listen [::]:80;": f"listen [::1]:{http};"}
    return lines


def nginx(folder: Path, relay: RunningRelay, http: int, https: int, certificate: tuple[str, str]) -> list[str]:
    live = f"/etc/letsencrypt/live/{NAME}"
    paths = {f"{live}/fullchain.pem": certificate[0], f"{live}/privkey.pem": certificate[1]}
    address = {"127.0.0.1:8000": relay.url.removeprefix("http://")}
    site = replaced((DEPLOY / "nginx.conf").read_text(), {**address, **paths, **listening(http, https, "ssl")})
    (folder / "call-relay.conf").write_text(site)
    return nginx_command(folder, f"http {{ access_log off; include {folder}/call-relay.conf; }}")


def nginx_command(folder: Path, part: str, module: str = "") -> list[str]:
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    part = part.replace("access_log off;", f"access_log off; {temporary}")
    head = f"{module} user root; daemon off; pid {folder}/nginx.pid; error_log stderr warn; events {{}}\n"
    (folder / "nginx.conf").write_text(head + part)
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def caddy(folder: Path, relay: RunningRelay, http: int, https: int, certificate: tuple[str, str]) -> list[str]:
    address = {"127.0.0.1:8000": relay.url.removeprefix("http://")}
    own = {f"{NAME} {{": f"{NAME} {{\n\ttls {certificate[0]} {certificate[1]}"}
    head = f"{{\n\tadmin off\n\thttp_port {http}\n\thttps_port {https}\n}}\n"
    (folder / "Caddyfile").write_text(head + replaced((DEPLOY / "Caddyfile").read_text(), {**address, **own}))
    return [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


class Everywhere(AbstractResolver):
    """Every name is this machine's."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [{"hostname": host, "host": HERE, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


def connector(certificate: tuple[str, str]) -> aiohttp.TCPConnector:
    trusting = ssl.create_default_context(cafile=certificate[0])
    return aiohttp.TCPConnector(local_addr=(CLIENT, 0), resolver=Everywhere(), ssl=trusting)


Build = Callable[[Path, RunningRelay, int, int, tuple[str, str]], list[str]]


@pytest.mark.parametrize("build", [nginx, caddy])
async def test_a_call_is_set_up_through_a_reverse_proxy_with_its_example_file(
    no_errors_logged: None, caplog: pytest.LogCaptureFixture, tmp_path: Path, build: Build
) -> None:
    """The page, the log-in, the WebSockets and their origin pass; the media goes to the relay itself."""
    http_port, port, media_port = free_ports(3)
    certificate = write_certificate(tmp_path, NAME)
    settings: dict[str, Any] = {"trusted_proxies": (HERE, "::1"), "media_tcp_port": media_port, "media_host": HERE}
    async with contextlib.AsyncExitStack() as stack:
        relay = await stack.enter_async_context(running_relay(tmp_path, **settings))
        async with running(tmp_path, build(tmp_path, relay, http_port, port, certificate), port):
            url = f"https://{NAME}:{port}"
            await sees_what_a_browser_sees(url, http_port, certificate)
            async with (
                Peer.connected(url, "student_456", connector=connector(certificate), **CALLER) as caller,
                Peer.connected(url, "tutor_789", connector=connector(certificate), **CALLEE) as callee,
            ):
                await caller.call("tutor_789", 123, "video", codecs=("VP8", "opus"))
                await callee.answer(await callee.ring())
                await caller.accept_answer()
                await eventually(
                    lambda: caller.sees(BLUE, CALLEE["size"]) and callee.sees(RED, CALLER["size"]), "each sees the other"
                )
                await caller.hang_up()
                await callee.expect("call_ended")
            assert (await relay.finished_call())["end_reason"] == "hangup"
    assert not [record.getMessage() for record in caplog.records if "proxy" in record.getMessage()]


async def sees_what_a_browser_sees(url: str, http_port: int, certificate: tuple[str, str]) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(url, connector=connector(certificate), cookie_jar=jar) as http:
        async with http.get(f"http://{NAME}:{http_port}/", allow_redirects=False) as response:
            assert response.status in {301, 308}
            assert response.headers["Location"].startswith(f"https://{NAME}")
        async with http.get("/") as response:
            assert "<title>" in await response.text()
        async with http.get("/metrics") as response:
            assert response.status == 404
        profile = Profile.parse("student_456")
        async with http.post("/api/dev/login", json=profile._asdict(), headers={"Origin": url}) as response:
            assert response.status == 200
            assert response.cookies
            assert all(cookie["secure"] for cookie in response.cookies.values()), "the relay knows that the browser has TLS"
        async with http.ws_connect("/ws/connectivity", origin=url) as test:
            assert await test.receive_json(timeout=PATIENCE) == {"type": "ready", "address": CLIENT}


async def test_media_over_tcp_and_turn_share_443_with_other_servers_behind_nginx(no_errors_logged: None, tmp_path: Path) -> None:
    """The connection test finds every hop working through one TCP port; another name leads to another server."""
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def other_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.put_nowait(await reader.readline())
        writer.close()

    _, port = free_ports(2)
    cert, key = write_certificate(tmp_path, "localhost")
    settings: dict[str, Any] = {"tls_cert": cert, "tls_key": key, "public_port": port, "trusted_proxies": (HERE, "::1")}
    other = await asyncio.start_server(other_server, HERE, 0)
    async with other, running_relay(tmp_path, **settings) as relay:
        addresses = {
            "127.0.0.1:8000": relay.url.removeprefix("https://"),
            "127.0.0.1:8444;": f"{HERE}:{other.sockets[0].getsockname()[1]};",
        }
        stream = replaced((DEPLOY / "nginx-stream.conf").read_text(), {**addresses, **listening(0, port, "")})
        module = f"load_module {stream_module()};"
        async with running(tmp_path, nginx_command(tmp_path, stream, module), port):
            report = await connection_test(f"https://localhost:{port}")
            for hop in ("page", "websocket", "udp", "tcp", "turn_tcp", "turn_tls", "call"):
                assert report[hop] == "ok", report
            with pytest.raises(OSError) as ended:  # the other server knows no TLS
                await asyncio.open_connection(HERE, port, ssl=ssl.create_default_context(), server_hostname=OTHER_NAME)
            try:
                said = await asyncio.wait_for(seen.get(), PATIENCE)
            except TimeoutError as error:
                error.add_note(f"the client saw {ended.value!r}")
                raise
            assert said.startswith(f"PROXY TCP4 {HERE} ".encode())


def stream_module() -> Path:
    [found] = Path("/usr/lib/nginx/modules").glob("ngx_stream_module.so")
    return found


async def connection_test(url: str) -> dict[str, str]:
    """What became of each hop, by `python -m relay check`."""
    arguments = ["-m", "relay", "check", url, "--insecure", "--json"]
    async with child(sys.executable, *arguments, stdout=PIPE, stderr=PIPE) as process:
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert out, err.decode()
    return {hop: result["state"] for hop, result in msgspec.json.decode(out)["report"]["hops"].items()}
