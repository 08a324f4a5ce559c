"""All settings, in one frozen object, read from the environment once.

Every setting `name` is the environment variable `RELAY_NAME`; docs/configuration.md lists them all.
"""

import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from relay.errors import ConfigurationError
from relay.settings import database_url, notation, spelling

PREFIX = "RELAY_"

MIN_SECRET_LENGTH = 32
"""Characters. RFC 7518 section 3.2: an HS256 key has at least 256 bits."""

MAX_PORT = 65535

Port = Annotated[int, Meta(ge=0, le=MAX_PORT)]
Quota = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400)]
Days = Annotated[int, Meta(ge=0, le=36500)]


_HOST_PORT: Final = re.compile(r"(?:[^\s:\[\]]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}")
_HOST: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|[0-9A-Fa-f]*:[0-9A-Fa-f:.]{1,43}")
_TURN_URL: Final = re.compile(r"turns?:[^\s,?]+(?:\?transport=(?:udp|tcp))?")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this relay runs. Build it with `from_environment`, or directly in tests and when embedding."""

    host: str = ""
    """Address that HTTP and WebSocket listen on; empty: all, or in development mode this machine only."""
    port: Port = 8000
    """TCP port of HTTP and WebSocket; 0: any free one."""
    media_host: str = ""
    """Address that media listens on; empty, `0.0.0.0` or `::`: every address of this machine, as they come and go."""
    media_port: Port = 40000
    """UDP port of all media, of the first worker's if there are several, the next ones following; 0: any free one."""
    media_max_mbit: Annotated[float, Meta(ge=0, le=100_000)] = 40.0
    """Mbit/s that a device may send in media, and in data; 0: any amount."""
    media_max_packets: Annotated[float, Meta(ge=0, le=10_000_000)] = 6000.0
    """Packets of media a second that a device may send; 0: any number."""
    workers: Annotated[int, Meta(ge=0, le=256)] | Literal["auto"] = "auto"
    """Processes that forward media; `auto`: one per core; 0: this process does it."""
    public_address: tuple[str, ...] = ()
    """Addresses to advertise for media, comma-separated, each PUBLIC or PUBLIC=PRIVATE; empty: the local ones."""
    public_port: Port = 0
    """TCP port at which browsers reach ICE-TCP and TURN, where ports are mapped; 0: the one that is listened on."""
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
    turn_host: str = ""
    """Name or address by which browsers reach TURN; empty: the one by which they reach the page."""
    turn_port: Port = 3478
    """UDP port of TURN; 0: any free one."""
    turn_secret: str = ""
    """Key of the TURN credentials, shared with external TURN servers; empty: made up at start."""
    turn_realm: Annotated[str, Meta(max_length=127)] = "relay"
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
    database_schema: Annotated[str, Meta(pattern="^([a-z_][a-z0-9_]{0,62})?$")] = ""
    """PostgreSQL schema of the relay's own tables, all but those of calls; empty: the one where new tables go."""
    database_prefix: Annotated[str, Meta(pattern="^([a-z][a-z0-9_]{0,15})?$")] = ""
    """What the names of the relay's own tables begin with, all but those of calls."""
    database_views: tuple[
        Literal["profiles", "conversations", "whiteboard_sessions", "connections", "settings", "blocks"], ...
    ] = ()
    """What is read from views of the platform instead of the relay's own tables, comma-separated."""
    journal: str = ""
    """File of what waits for a database that is away; empty: `calls-NODE.journal` beside the SQLite file, or where the relay
    runs; `off`: none."""
    dev: bool = False
    """Development mode: demo data, log-in without a password, a secret made up at start."""
    jwt_secret: str = ""
    """Key that signs the tokens (HS256), at least 32 characters. Required outside development mode."""
    jwks: str = ""
    """Path or https URL of the JSON Web Key Set that verifies the platform's own tokens (RS256, ES256, EdDSA)."""
    jwt_issuer: str = ""
    """The `iss` that a token must have; empty: any, or none."""
    jwt_audience: str = ""
    """The `aud` that a token must have; empty: it must have none."""
    jwt_profile_claim: str = "sub"
    """The claim that has the profile's key, such as `student_456`."""
    jwt_leeway: Annotated[float, Meta(ge=0, le=300)] = 5.0
    """Seconds that the clock of the tokens' issuer may differ; a token is good for so much longer."""
    token_lifetime: Seconds = 3600.0
    """Seconds until a token from `/api/dev/login` expires."""
    service_token: str = ""
    """What the platform shows to use `/api/admin`, at least 32 characters; empty: there is no such thing."""
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
    vanished_grace: Seconds = 5.0
    """Seconds that a call outlives a party without both: its page was closed, or is being loaded again."""
    max_call_minutes: Annotated[float, Meta(ge=0, le=10_080)] = 0.0
    """Minutes that a call may last from its answer on, then it ends with `time_limit`; 0: any time."""
    ping_interval: Seconds = 20.0
    """Seconds between two pings on a WebSocket; a client that does not answer within half of it is gone."""
    max_devices: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Devices that a profile may have connected at a time."""
    allowed_origins: tuple[str, ...] = ()
    """Origins whose pages may use the relay besides its own, comma-separated: `https://app.example`."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of the proxies whose X-Forwarded-* and PROXY headers are believed, comma-separated."""
    limit_messages: str = "100/second;1200/minute"
    """WebSocket messages of a profile. Each limit is `NUMBER/UNIT`, several with semicolons between, or `off`."""
    limit_messages_per_address: str = "12000/minute"
    """WebSocket messages from an address."""
    limit_invitations: str = "30/minute;300/hour"
    """Calls that a profile may begin."""
    limit_invitations_per_address: str = "300/minute"
    """Calls that may be begun from an address."""
    limit_connections: str = "300/minute"
    """WebSocket connections from an address."""
    limit_connections_per_profile: str = "60/minute"
    """WebSocket connections of a profile whose address is beyond the limit: others there may be the reason."""
    limit_requests: str = "3000/minute"
    """HTTP requests from an address, the files of the page among them."""
    limit_requests_per_profile: str = "600/minute"
    """HTTP requests of a profile whose address is beyond the limit."""
    limit_failed_logins: str = "30/minute"
    """Credentials from an address that were not good; those that have expired do not count."""
    vapid_private_key: str = ""
    """Private key that Web Push is signed with (`python -m relay vapid-keys` makes one); empty: there is no Web Push."""
    vapid_subject: str = ""
    """Whom push services may write to: `mailto:operator@relay.example` or an https URL. Required with the key."""
    retain_calls_days: Days = 0
    """Days that calls in conversations are kept, with their texts; 0, here and in the next ones: for ever."""
    retain_whiteboard_calls_days: Days = 0
    """Days that whiteboard calls are kept, with their texts."""
    retain_identities_days: Days = 0
    """Days that calls say the parties' names, avatars and user ids."""
    retain_chat_days: Days = 0
    """Days that texts of calls are kept."""
    retain_push_subscriptions_days: Days = 0
    """Days that a push subscription is kept after its last use."""
    log_format: Literal["text", "json"] = "text"
    """Format of the log: `text`, or `json`, an object per line."""
    log_level: Annotated[str, Meta(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Level of the log on standard error: DEBUG, INFO, WARNING or ERROR."""

    def __post_init__(self) -> None:
        problems = [
            *self._address_problems(),
            *self._port_problems(),
            *self._reach_problems(),
            *self._database_problems(),
            *self._secret_problems(),
            *self._service_token_problems(),
            *self._push_problems(),
            *self._notation_problems(),
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
        last = self.media_port + max(0, self.worker_count - 1)
        problems = []
        if last > MAX_PORT:
            problems.append(
                f"{PREFIX}MEDIA_PORT: {self.worker_count} workers from {self.media_port} on need ports above {MAX_PORT}"
            )
        if self.media_port and self.turn and not self.turn_urls and self.media_port <= self.turn_port <= last:
            problems.append(f"{PREFIX}TURN_PORT: media takes the UDP ports from {self.media_port} to {last}")
        return problems

    def _reach_problems(self) -> list[str]:
        problems = []
        if bool(self.tls_cert) != bool(self.tls_key):
            problems.append(f"{PREFIX}TLS_CERT, {PREFIX}TLS_KEY: one is of no use without the other")
        if self.stun_server and not _HOST_PORT.fullmatch(self.stun_server):
            problems.append(f"{PREFIX}STUN_SERVER: {self.stun_server!r} is not HOST:PORT")
        if self.turn_host and not _HOST.fullmatch(self.turn_host):
            problems.append(f"{PREFIX}TURN_HOST: {self.turn_host!r} is not a name or an address")
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
    def listens_locally(self) -> bool:
        """Whether only browsers on this machine are served: development mode, unless an address to listen on is given."""
        return self.dev and not self.host

    @property
    def media_hosts(self) -> tuple[str, ...]:
        """The address that media listens on, alone; none: every one."""
        return () if not self.media_host or ipaddress.ip_address(self.media_host).is_unspecified else (self.media_host,)

    @property
    def worker_count(self) -> int:
        """How many worker processes there are; 0: media is forwarded by this one."""
        return available_cores() if self.workers == "auto" else self.workers

    def _database_problems(self) -> list[str]:
        problems = []
        try:
            database_url.parse(self.database_url)
        except ValueError as error:
            problems.append(f"{PREFIX}DATABASE_URL: {error}")
        if self.database_schema and self.database_url.startswith("sqlite"):
            problems.append(f"{PREFIX}DATABASE_SCHEMA: SQLite has no schemas; set {PREFIX}DATABASE_PREFIX instead")
        if self.database_schema.startswith("pg_"):
            problems.append(f"{PREFIX}DATABASE_SCHEMA: PostgreSQL keeps names that begin with pg_ for itself")
        return problems

    def _secret_problems(self) -> list[str]:
        if not self.jwt_secret and (self.dev or self.jwks):
            return []
        if not self.jwt_secret:
            return [f"{PREFIX}JWT_SECRET: required outside development mode; try: openssl rand -hex 32"]
        if len(self.jwt_secret) < MIN_SECRET_LENGTH:
            return [f"{PREFIX}JWT_SECRET: needs at least {MIN_SECRET_LENGTH} characters; try: openssl rand -hex 32"]
        return []

    def _push_problems(self) -> list[str]:
        if not self.vapid_private_key and not self.vapid_subject:
            return []
        problems = []
        # RFC 8292 section 3.2 has the public half; the private one is 32 bytes.
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", self.vapid_private_key):
            problems.append(f"{PREFIX}VAPID_PRIVATE_KEY: needs 43 characters of base64url; try: python -m relay vapid-keys")
        if not self.vapid_subject.startswith(("mailto:", "https://")):
            problems.append(f"{PREFIX}VAPID_SUBJECT: is neither mailto:ADDRESS nor an https URL")
        return problems

    def _service_token_problems(self) -> list[str]:
        if not self.service_token or len(self.service_token) >= MIN_SECRET_LENGTH:
            return []
        return [f"{PREFIX}SERVICE_TOKEN: needs at least {MIN_SECRET_LENGTH} characters; try: openssl rand -hex 32"]

    def _notation_problems(self) -> list[str]:
        """Of settings that other modules parse again."""
        checks: list[tuple[str, Callable[[], object]]] = [
            ("JWKS", lambda: notation.check_key_source(self.jwks)),
            ("ALLOWED_ORIGINS", lambda: [notation.parse_origin(one) for one in self.allowed_origins]),
            ("TRUSTED_PROXIES", lambda: notation.parse_networks(self.trusted_proxies)),
        ]
        for name in self.__struct_fields__:
            if name.startswith("limit_"):
                checks.append((name.upper(), partial(notation.parse_limit, getattr(self, name))))
        problems = []
        for name, check in checks:
            try:
                check()
            except ValueError as error:
                problems.append(f"{PREFIX}{name}: {error}")
        return problems

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            ConfigurationError: one line per problem, each naming its variable.
        """
        given = {name: environment.get(PREFIX + name.upper(), "").strip() for name in cls.__struct_fields__}
        values = {
            name: _split(name, spelling.usual(name, cls.__annotations__[name], value)) for name, value in given.items() if value
        }
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
        known = cls._variables()
        return sorted(key for key in environment if key.upper().startswith(PREFIX) and key not in known)

    @classmethod
    def meant_by(cls, variable: str) -> str | None:
        """The variable that was likely meant by one that is no setting."""
        return spelling.resembling(variable, cls._variables())

    @classmethod
    def _variables(cls) -> list[str]:
        return [PREFIX + name.upper() for name in cls.__struct_fields__]

    def with_secret(self) -> "Settings":
        """These settings, with a made-up secret where development mode left it out: tokens then end with the process."""
        if self.jwt_secret or not self.dev:
            return self
        return msgspec.structs.replace(self, jwt_secret=secrets.token_hex(32))


def available_cores() -> int:
    """Cores that this process may use."""
    # Not on macOS.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _split(name: str, value: str) -> str | list[str]:
    if name in {"public_address", "allowed_origins", "trusted_proxies", "turn_urls", "database_views"}:
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _problem(settings: type[Settings], name: str, value: str | list[str]) -> str | None:
    """What is wrong with one value by itself, in a line; None if nothing is."""
    try:
        msgspec.convert(value, settings.__annotations__[name], strict=False)
    except msgspec.ValidationError as error:
        text = str(error).partition(" - at `$")[0]
        instead = spelling.hint(name, settings.__annotations__[name], value)
        return f"{PREFIX}{name.upper()}: {text[:1].lower()}{text[1:]}{'; ' if instead else ''}{instead}"
    return None
