"""A push service with TLS, and a browser that subscribes there."""

import contextlib
import json
import os
import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import http_ece
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from relay.push.endpoints import Address
from relay.push.sender import Sender
from relay.push.vapid import VapidKey, generate
from relay.records.calls import PushSubscription

HOST = "localhost"
PRIVATE_KEY, PUBLIC_KEY = generate()
SUBJECT = "mailto:operator@relay.test"
KEY = VapidKey.parse(PRIVATE_KEY, SUBJECT)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def is_loopback(address: Address) -> bool:
    return address.is_loopback


def base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


@dataclass
class Browser:
    """Has the private half of what it subscribes with."""

    endpoint: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def p256dh(self) -> str:
        return base64url(self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))

    @property
    def auth(self) -> str:
        return base64url(self.secret)

    @property
    def subscription(self) -> PushSubscription:
        return PushSubscription(self.endpoint, self.p256dh, self.auth, LONG_AGO, LONG_AGO)

    def read(self, body: bytes) -> Any:
        """What a message says."""
        return json.loads(http_ece.decrypt(body, private_key=self.key, auth_secret=self.secret, version="aes128gcm"))


@dataclass
class Received:
    """A request to the push service."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class LocalPushService:
    """Answers as it is told to."""

    tls: ssl.SSLContext
    port: int = 0
    status: int = 201
    location: str = ""
    received: list[Received] = field(default_factory=list)

    def browser(self, name: str = "one") -> Browser:
        return Browser(self.url(name))

    def url(self, name: str) -> str:
        return f"https://{HOST}:{self.port}/to/{name}"

    @contextlib.asynccontextmanager
    async def sender(self, **otherwise: Any) -> AsyncIterator[Sender]:
        """The relay's way here."""
        sender = Sender(KEY, 4, **{"allowed": is_loopback, "tls": self.tls, "ports": {self.port}, **otherwise})
        try:
            yield sender
        finally:
            await sender.close()

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(Received(request.raw_path, dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers={"Location": self.location} if self.location else {})


@contextlib.asynccontextmanager
async def push_service(folder: Path) -> AsyncIterator[LocalPushService]:
    """Serve until the context ends."""
    certificate = _certificate(folder)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate)
    service = LocalPushService(ssl.create_default_context(cafile=str(certificate)))
    app = web.Application()
    app.router.add_post("/to/{name}", service.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving).start()
        service.port = runner.addresses[0][1]
        yield service
    finally:
        await runner.cleanup()


def _certificate(folder: Path) -> Path:
    """A certificate for `HOST` that it signed itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "push.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(signed.public_bytes(Encoding.PEM) + private)
    return file
