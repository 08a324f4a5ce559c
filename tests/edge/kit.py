"""A edge with a real media engine behind it and a real web server before it, and the bytes that clients say to it."""

import asyncio
import contextlib
import datetime
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from aioice import stun
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from relay.app import EDGE
from relay.edge.edge import Edge, LocalAddresses
from relay.edge.limits import DEFAULTS, EdgeLimits
from relay.edge.reach import ReachableEngine
from relay.edge.tcp.bounds import Bounds
from relay.edge.tcp.framing import Frames, frame
from relay.media.api import TransportParameters
from relay.media.engine import LocalEngine
from relay.serving import count_websockets, not_idle
from relay.settings.all import Settings
from relay.settings.edge import EdgeSettings
from relay.settings.turn import TurnSettings
from tests.kit.media import connectivity_check
from tests.kit.wait import PATIENCE, eventually

HERE: Final = "127.0.0.1"

REQUEST: Final = b"GET /here HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


def write_certificate(folder: Path, name: str, days: float = 30) -> tuple[str, str]:
    """A certificate for `name` that signs itself, good for so many days, and its key: two files, always the same, in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HERE))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "certificate.pem", folder / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    return str(files[0]), str(files[1])


def trusting() -> ssl.SSLContext:
    """The settings of a client that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def common_name(der: bytes) -> str:
    """Whom a certificate is for."""
    [name] = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(name.value)


def limited(**limits: float) -> pytest.MarkDecorator:
    """Gives the edge of a test other `EdgeLimits` than usual."""
    return pytest.mark.parametrize("limits", [EdgeLimits(**limits)], ids=["limited"])  # type: ignore[arg-type]


class Connection:
    """A TCP connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._frames = Frames()
        self._arrived: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def send_frame(self, datagram: bytes) -> None:
        self.writer.write(frame(datagram))

    async def frame(self) -> bytes:
        """The next datagram that came in a frame."""
        async with asyncio.timeout(PATIENCE):
            while not self._arrived:
                data = await self.reader.read(65536)
                assert data, "the connection was closed"
                self._arrived += self._frames.feed(data)
        return self._arrived.pop(0)

    async def rest(self) -> bytes:
        """Everything until the relay closes the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def check(self, relay: TransportParameters) -> stun.Message:
        """Send an authentic connectivity check; the answer."""
        request = connectivity_check(relay)
        self.send_frame(bytes(request))
        answer = stun.parse_message(await self.frame())
        assert answer.check_message_integrity(relay.pwd.encode())
        assert answer.transaction_id == request.transaction_id
        return answer


class RunningEdge:
    """An edge that serves until its context ends.

    Attributes:
        engine: as signaling would use it.
        media: the engine that forwards.
        workers_are_gone: there are no UDP ports of media any more.
    """

    workers_are_gone = False

    def __init__(self, edge: Edge, engine: ReachableEngine, media: LocalEngine) -> None:
        self.edge, self.engine, self.media = edge, engine, media
        self.counters = edge.counters

    @classmethod
    @contextlib.asynccontextmanager
    async def started(
        cls,
        worker_ports: tuple[int, ...] = (),
        local: LocalAddresses | None = None,
        bounds: Bounds = Bounds(),  # noqa: B008 - it is frozen
        addresses: tuple[str, ...] = (HERE,),
        limits: EdgeLimits = DEFAULTS,
        **settings: Any,
    ) -> AsyncIterator["RunningEdge"]:
        """An edge on free ports of the loopback.

        Args:
            worker_ports: UDP ports of this machine that stand for media workers; empty: the real one's.
            local: this machine's addresses, as far as TURN may relay to them.
            bounds: how many connections there may be.
            addresses: where media is said to be.
            limits: times and rates of the edge.
            settings: those that differ from free ports of the loopback.
        """
        media = LocalEngine(lambda _: None, hosts=[HERE])
        await media.start()
        engine = ReachableEngine(media)
        chosen = Settings(**{"dev": True, "host": HERE, "port": 0, "turn_port": 0, **settings})
        own, turn = chosen.only(EdgeSettings), chosen.only(TurnSettings)
        edge = Edge(own, turn, engine, lambda: running.worker_ports(worker_ports), addresses, local, bounds, limits)
        running = cls(edge, engine, media)
        runner = web.AppRunner(_app(edge), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            assert runner.server is not None
            await edge.start(runner.server)
            yield running
        finally:
            edge.stop_listening()
            await runner.cleanup()
            edge.close()
            await media.close()

    def worker_ports(self, instead: tuple[int, ...]) -> tuple[int, ...]:
        return () if self.workers_are_gone else instead or self.media.ports

    @contextlib.asynccontextmanager
    async def connected(self, port: int | None = None, **options: Any) -> AsyncIterator[Connection]:
        """A connection; `options` as `asyncio.open_connection` takes them: `local_addr` makes it another address's."""
        reader, writer = await asyncio.open_connection(HERE, port or self.edge.port, **options)
        try:
            yield Connection(reader, writer)
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def transport(self, name: str = "one") -> TransportParameters:
        """A transport of the media engine."""
        return await self.engine.open_transport("call", name)

    async def counted(self, name: str, count: int = 1) -> None:
        """Wait until the edge has counted that."""
        await eventually(lambda: self.counters[name] >= count, lambda: f"{count} {name}; there are {self.counters}")

    def credentials(self) -> tuple[str, str]:
        """User name and password for TURN."""
        [server] = self.edge.ice_servers("student_456", HERE, time.time())
        return server.username, server.credential


def _app(edge: Edge) -> web.Application:
    async def here(request: web.Request) -> web.Response:
        assert request.transport is not None
        reached = request.transport.get_extra_info("sockname")
        return web.json_response({"scheme": request.scheme, "body": await request.text(), "reached": reached})

    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket

    app = web.Application(middlewares=[not_idle])
    app[EDGE] = edge
    app.on_response_prepare.append(count_websockets)
    app.router.add_route("*", "/here", here)
    app.router.add_get("/echo", echo)
    return app
