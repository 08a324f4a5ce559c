"""The URL of Redis: checked as the settings are read, and read again where Redis is opened.

No text of an error here quotes what may be a password, or a part of one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote

SCHEMES: Final = ("redis", "rediss", "redis+sentinel", "rediss+sentinel")

PORT: Final = 6379
SENTINEL_PORT: Final = 26379

_ENCODE: Final = "write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25 in the user's name and the password"
_FORMS: Final = (
    "redis://USER:PASSWORD@HOST:PORT/NUMBER, the same with rediss:// for TLS, "
    "or redis+sentinel://USER:PASSWORD@SENTINEL:PORT,SENTINEL:PORT/SERVICE"
)

_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Names of redis-py, which Celery's and Django's users know."""
_OF_SENTINELS: Final = ("sentinel_username", "sentinel_password")

_SERVER: Final = re.compile(r"(?P<host>[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is, and what it is shown."""

    servers: tuple[tuple[str, int], ...]
    """Of Redis, or of its Sentinels."""
    service: str = ""
    """The name by which Sentinels know it; empty: there are none."""
    username: str = ""
    password: str = ""
    number: int = 0
    """Of the database."""
    tls: bool = False
    ca_file: str = ""
    """Of the authorities that sign its certificate; empty: those that the machine trusts."""
    cert_file: str = ""
    key_file: str = ""
    sentinel_username: str = ""
    sentinel_password: str = ""

    @property
    def files(self) -> Sequence[tuple[str, str]]:
        """Parameter and name of each file."""
        named = zip(_FILES, (self.ca_file, self.cert_file, self.key_file), strict=True)
        return [(parameter, name) for parameter, name in named if name]

    def __str__(self) -> str:
        """The URL without its secrets."""
        scheme = f"redis{'s' if self.tls else ''}{'+sentinel' if self.service else ''}"
        secret = f"{self.username}:***@" if self.password else f"{self.username}@" if self.username else ""
        servers = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.servers)
        path = "/".join([*([self.service] if self.service else []), *([str(self.number)] if self.number else [])])
        return f"{scheme}://{secret}{servers}{f'/{path}' if path else ''}"


def parse(text: str) -> RedisAddress:
    """Read the URL.

    Raises:
        ValueError: it makes no sense; a line that says what to write.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"write {_FORMS}")
    rest, _, query = rest.partition("?")
    user, at, where = rest.rpartition("@")
    servers, _, path = where.partition("/")
    sentinel = scheme.endswith("+sentinel")
    if "/" in user or "#" in rest or (at and "@" in user):
        raise ValueError(f"host and port cannot be told from the password; {_ENCODE}")
    name, _, password = user.partition(":")
    service, number = _path(path, sentinel=sentinel)
    known = (*(_FILES if scheme.startswith("rediss") else ()), *(_OF_SENTINELS if sentinel else ()))
    given = dict(parse_qsl(query, keep_blank_values=True))
    if "@" in query:
        raise ValueError(f"what comes after the ? cannot be told from the password; {_ENCODE}")
    if unknown := sorted(given.keys() - set(known)):
        raise ValueError(
            f"{unknown[0][:40]!r} is not a parameter of {scheme}://{'; known are: ' if known else ''}{', '.join(known)}"
        )
    if given.get("ssl_keyfile") and not given.get("ssl_certfile"):
        raise ValueError("ssl_keyfile is the key of a certificate: name that as ssl_certfile")
    return RedisAddress(
        servers=tuple(
            _server(one, SENTINEL_PORT if sentinel else PORT) for one in (servers.split(",") if sentinel else [servers])
        ),
        service=service,
        username=unquote(name),
        password=unquote(password),
        number=number,
        tls=scheme.startswith("rediss"),
        ca_file=given.get("ssl_ca_certs", ""),
        cert_file=given.get("ssl_certfile", ""),
        key_file=given.get("ssl_keyfile", ""),
        sentinel_username=given.get("sentinel_username", ""),
        sentinel_password=given.get("sentinel_password", ""),
    )


def shown(text: str) -> str:
    """The text of a URL, without its secrets."""
    return str(parse(text)) if text else ""


def _path(path: str, *, sentinel: bool) -> tuple[str, int]:
    service, _, number = path.partition("/") if sentinel else ("", "", path)
    if sentinel and not service:
        raise ValueError("the name of the service comes after the Sentinels: redis+sentinel://SENTINEL:PORT/SERVICE")
    if number and not re.fullmatch(r"[0-9]{1,4}", number):
        raise ValueError("what comes after the host is the number of a database, such as /0")
    return unquote(service), int(number or 0)


def _server(text: str, usual: int) -> tuple[str, int]:
    match = _SERVER.fullmatch(text)
    if match is None:
        raise ValueError(f"host and port cannot be read; {_ENCODE}")
    port = int(match["port"] or usual)
    if not 0 < port <= 65535:
        raise ValueError("the port is not one from 1 to 65535")
    return match["host"].strip("[]"), port
