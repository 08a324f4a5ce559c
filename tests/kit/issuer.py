"""An external token issuer: real private keys, and a real server for the public ones."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import AllowedPrivateKeys, ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ALGORITHMS = ("RS256", "ES256", "EdDSA")


@cache
def rsa_key(bits: int = 2048, name: str = "") -> rsa.RSAPrivateKey:
    """Made once per name: they take a while."""
    return rsa.generate_private_key(65537, bits)


def private_key(algorithm: str, name: str = "") -> AllowedPrivateKeys:
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa_key(name=name)


def jwk_of(key: Any, **more: Any) -> dict[str, Any]:
    """A public or private key as JSON (RFC 7517)."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return {**ECAlgorithm.to_jwk(key, as_dict=True), **more}
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return {**OKPAlgorithm.to_jwk(key, as_dict=True), **more}
    return {**RSAAlgorithm.to_jwk(key, as_dict=True), **more}


@dataclass
class Issuer:
    """A key and the name that it goes by."""

    algorithm: str
    key_id: str | None = "one"
    key: AllowedPrivateKeys = field(init=False)

    def __post_init__(self) -> None:
        self.key = private_key(self.algorithm, self.key_id or "")

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half."""
        named = {} if self.key_id is None else {"kid": self.key_id}
        return jwk_of(self.key.public_key(), **named)

    def token(self, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        named = {} if self.key_id is None else {"kid": self.key_id}
        body = {"sub": "student_456", "exp": time.time() + 3600, **claims}
        return jwt.encode(body, self.key, algorithm=self.algorithm, headers={**named, **(headers or {})})


def key_set(*issuers: Issuer) -> bytes:
    return json.dumps({"keys": [one.jwk for one in issuers]}).encode()


@dataclass
class KeyServer:
    """Serves a key set, in whatever way it is told to."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    url: str = ""
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """Not set: a request waits for it."""
    endless: bool = False
    """The body has no end: it goes on until the client closes the connection."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        await self.answering.wait()
        if not self.endless:
            return web.Response(body=self.body, status=self.status, headers=self.headers)
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" " * 16_384)
        return response


@contextlib.asynccontextmanager
async def key_server(body: bytes = b"") -> AsyncIterator[KeyServer]:
    server = KeyServer(body)
    server.answering.set()
    app = web.Application()
    app.router.add_get("/keys", server.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
        yield server
    finally:
        server.answering.set()
        await runner.cleanup()
