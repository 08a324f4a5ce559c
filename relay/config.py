"""All settings, in one frozen object, read from the environment once.

Every setting `name` is the environment variable `RELAY_NAME`; docs/configuration.md lists them all.
"""

import ipaddress
import os
import secrets
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from relay.errors import ConfigurationError

PREFIX = "RELAY_"

MIN_SECRET_LENGTH = 32
"""Characters. RFC 7518 section 3.2: an HS256 key has at least 256 bits."""

MAX_PORT = 65535

Port = Annotated[int, Meta(ge=0, le=MAX_PORT)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400)]


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
    """Addresses to advertise for media, comma-separated; empty: the one that the browser reached, or all local ones."""
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
        problems = [*self._address_problems(), *self._port_problems(), *self._database_problems(), *self._secret_problems()]
        if problems:
            raise ConfigurationError("\n".join(problems))

    def _address_problems(self) -> list[str]:
        problems = []
        for name, value in [("MEDIA_HOST", self.media_host), *(("PUBLIC_ADDRESS", one) for one in self.public_address)]:
            if not value:
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
    if name == "public_address":
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
