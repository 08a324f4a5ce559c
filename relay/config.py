"""All settings, in one frozen object, read from the environment once.

Every setting `name` is the environment variable `RELAY_NAME`; docs/configuration.md lists them all.
"""

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from relay.errors import ConfigurationError

PREFIX = "RELAY_"

MIN_SECRET_LENGTH = 32
"""Characters. RFC 7518 section 3.2: an HS256 key has at least 256 bits."""

MAX_PORT = 65535

Port = Annotated[int, Meta(ge=0, le=MAX_PORT)]
Quota = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400)]


_HOST_PORT: Final = re.compile(r"(?:[^\s:\[\]]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}")
_TURN_URL: Final = re.compile(r"turns?:[^\s,?]+(?:\?transport=(?:udp|tcp))?")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this relay runs. Build it with `from_environment`, or directly in tests and when embedding."""

    host: str = ""
    """Address that HTTP and WebSocket listen on; empty: all."""
    port: Port = 8000
    """TCP port of HTTP and WebSocket; 0: any free one."""
    media_host: str = ""
    """Address that media listens on; empty: every address of this machine."""
    media_port: Port = 40000
    """UDP port of all media, of the first worker's if there are several, the next ones following; 0: any free one."""
    workers: Annotated[int, Meta(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes that forward media; `auto`: one per core; 0: this process does it."""
    public_address: tuple[str, ...] = ()
    """Addresses to advertise for media, comma-separated, each PUBLIC or PUBLIC=PRIVATE; empty: the local ones."""
    stun_server: str = ""
    """HOST:PORT of a STUN server that is asked at start for the public address, unless one is set."""
    tls_cert: str = ""
    """File with the TLS certificate and its chain, in PEM; empty: no TLS."""
    tls_key: str = ""
    """File with the key of the certificate, in PEM."""
    media_tcp: bool = True
    """Media over TCP (ICE-TCP), for networks that let no UDP through."""
    media_tcp_port: Port = 0
    """TCP port of ICE-TCP and of TURN over TCP and TLS; 0: they share the one of HTTP."""
    turn: bool = True
    """The built-in TURN server, for networks that let only TLS through."""
    turn_port: Port = 3478
    """UDP port of TURN; 0: any free one."""
    turn_secret: str = ""
    """Key of the TURN credentials, shared with external TURN servers; empty: made up at start."""
    turn_realm: str = "relay"
    """Realm that the built-in TURN server names."""
    turn_lifetime: Annotated[int, Meta(ge=60, le=604800)] = 43200
    """Seconds that TURN credentials are good for a new allocation."""
    turn_urls: tuple[str, ...] = ()
    """URLs of external TURN servers that share the secret, comma-separated; the built-in one is off then."""
    turn_allocations: Quota = 10000
    """TURN allocations at a time, in all."""
    turn_allocations_per_profile: Quota = 64
    """TURN allocations at a time, of one profile."""
    turn_allocations_per_address: Quota = 1000
    """TURN allocations at a time, from one IPv4 address or IPv6 /64."""
    database_url: str = "sqlite+aiosqlite:///relay.db"
    """SQLAlchemy URL with an async driver: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://USER:PASSWORD@HOST/NAME`."""
    dev: bool = False
    """Development mode: demo data, log-in without a password, a secret made up at start."""
    jwt_secret: str = ""
    """Key that signs the tokens (HS256), at least 32 characters. Required outside development mode."""
    token_lifetime: Seconds = 3600.0
    """Seconds until a token from `/api/dev/login` expires."""
    node: str = "relay"
    """Name of this server in `call_logs`. Servers that share a database need different ones."""
    ring_timeout: Seconds = 45.0
    """Seconds until an unanswered call ends with `no_answer`."""
    connect_timeout: Seconds = 15.0
    """Seconds from the answer until media must flow both ways, else the call ends with `ice_failed`."""
    media_grace: Seconds = 30.0
    """Seconds that a call outlives the media of one party, before it ends with `ice_timeout`."""
    signaling_grace: Seconds = 30.0
    """Seconds that a call outlives the WebSocket of one party whose media still flows, before it ends with `signaling_lost`."""
    log_level: Annotated[str, Meta(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Level of the log on standard error: DEBUG, INFO, WARNING or ERROR."""

    def __post_init__(self) -> None:
        problems = [
            *self._address_problems(),
            *self._port_problems(),
            *self._reach_problems(),
            *self._database_problems(),
            *self._secret_problems(),
        ]
        if problems:
            raise ConfigurationError("\n".join(problems))

    def _address_problems(self) -> list[str]:
        problems = []
        public = [part for one in self.public_address for part in one.split("=", 1)]
        for name, value in [("MEDIA_HOST", self.media_host), *(("PUBLIC_ADDRESS", one) for one in public)]:
            if not value and name == "MEDIA_HOST":
                continue
            try:
                ipaddress.ip_address(value)
            except ValueError:
                problems.append(f"{PREFIX}{name}: {value!r} is not an IPv4 or IPv6 address")
        return problems

    def _port_problems(self) -> list[str]:
        if self.media_port + max(0, self.worker_count - 1) <= MAX_PORT:
            return []
        return [f"{PREFIX}MEDIA_PORT: {self.worker_count} workers from {self.media_port} on need ports above {MAX_PORT}"]

    def _reach_problems(self) -> list[str]:
        problems = []
        if bool(self.tls_cert) != bool(self.tls_key):
            problems.append(f"{PREFIX}TLS_CERT, {PREFIX}TLS_KEY: one is of no use without the other")
        if self.stun_server and not _HOST_PORT.fullmatch(self.stun_server):
            problems.append(f"{PREFIX}STUN_SERVER: {self.stun_server!r} is not HOST:PORT")
        if self.media_tcp_port and self.media_tcp_port == self.port:
            problems.append(f"{PREFIX}MEDIA_TCP_PORT: leave it out to share {PREFIX}PORT")
        if self.turn_urls and not self.turn_secret:
            problems.append(f"{PREFIX}TURN_SECRET: required with {PREFIX}TURN_URLS, the servers there must know it too")
        problems += [
            f"{PREFIX}TURN_URLS: {one!r} is not a URL such as turn:turn.example.org:3478?transport=udp"
            for one in self.turn_urls
            if not _TURN_URL.fullmatch(one)
        ]
        return problems

    @property
    def advertised_addresses(self) -> tuple[str, ...]:
        """The public addresses, then the private ones that stand for the same, to those who are on that side of the NAT."""
        pairs = [one.split("=", 1) for one in self.public_address]
        return tuple(dict.fromkeys([one[0] for one in pairs] + [one[-1] for one in pairs]))

    @property
    def worker_count(self) -> int:
        """How many worker processes there are; 0: media is forwarded by this one."""
        return available_cores() if self.workers == "auto" else self.workers

    def _database_problems(self) -> list[str]:
        if self.database_url.startswith(("sqlite+aiosqlite://", "postgresql+asyncpg://")):
            return []
        scheme = self.database_url.partition(":")[0]
        return [
            f"{PREFIX}DATABASE_URL: {scheme!r} is not supported; "
            "use sqlite+aiosqlite:///FILE or postgresql+asyncpg://USER:PASSWORD@HOST/NAME"
        ]

    def _secret_problems(self) -> list[str]:
        if self.dev and not self.jwt_secret:
            return []
        if not self.jwt_secret:
            return [f"{PREFIX}JWT_SECRET: required outside development mode; try: openssl rand -hex 32"]
        if len(self.jwt_secret) < MIN_SECRET_LENGTH:
            return [f"{PREFIX}JWT_SECRET: needs at least {MIN_SECRET_LENGTH} characters; try: openssl rand -hex 32"]
        return []

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            ConfigurationError: one line per problem, each naming its variable.
        """
        given = {name: environment.get(PREFIX + name.upper(), "").strip() for name in cls.__struct_fields__}
        values = {name: _split(name, value) for name, value in given.items() if value}
        problems = {name: problem for name, value in values.items() if (problem := _problem(cls, name, value))}
        good = {name: value for name, value in values.items() if name not in problems}
        if "dev" in problems:
            good["dev"] = "true"  # whether a secret is needed cannot be told, so it is not asked for
        try:
            settings = msgspec.convert(good, cls, strict=False)
        except ConfigurationError as error:
            raise ConfigurationError("\n".join([*problems.values(), str(error)])) from None
        if problems:
            raise ConfigurationError("\n".join(problems.values()))
        return settings

    @classmethod
    def unknown(cls, environment: Mapping[str, str]) -> list[str]:
        """Variables that look like settings and are none: likely a spelling mistake, but others may share the prefix."""
        known = {PREFIX + name.upper() for name in cls.__struct_fields__}
        return sorted(key for key in environment if key.startswith(PREFIX) and key not in known)

    def with_secret(self) -> "Settings":
        """These settings, with a made-up secret where development mode left it out: tokens then end with the process."""
        return self if self.jwt_secret else msgspec.structs.replace(self, jwt_secret=secrets.token_hex(32))


def available_cores() -> int:
    """Cores that this process may use."""
    # Not on macOS.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _split(name: str, value: str) -> str | list[str]:
    if name in {"public_address", "turn_urls"}:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _problem(settings: type[Settings], name: str, value: str | list[str]) -> str | None:
    """What is wrong with one value by itself, in a line; None if nothing is."""
    try:
        msgspec.convert(value, settings.__annotations__[name], strict=False)
    except msgspec.ValidationError as error:
        text = str(error).partition(" - at `$")[0]
        return f"{PREFIX}{name.upper()}: {text[:1].lower()}{text[1:]}"
    return None
