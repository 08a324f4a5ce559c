"""The URL of the database: checked as the settings are read, and read again where the database is opened.

No text of an error here quotes what may be a password, or a part of one.
"""

import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

SQLITE: Final = "sqlite+aiosqlite"
POSTGRESQL: Final = "postgresql+asyncpg"

ENCODE: Final = "write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23 and % as %25 in the user's name and the password"

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""Of libpq (PostgreSQL's documentation, "SSL Support"); asyncpg has the same."""

SYSTEM: Final = "system"
"""`sslrootcert=system`, as libpq has it since PostgreSQL 16: the certification authorities that the machine trusts."""

_SSL_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_TLS: Final = ("sslmode", *_SSL_FILES, "sslpassword", "sslnegotiation", "ssl_min_protocol_version", "ssl_max_protocol_version")
"""Parameters that asyncpg takes in a URL of its own only."""

_PLAIN: Final = ("host", "port", "user", "password", "database", "passfile", "target_session_attrs", "krbsrvname", "gsslib")
"""Parameters that asyncpg takes as they are."""

_OWN: Final = ("application_name", "connect_timeout")
"""Those that asyncpg knows by other names."""

_SET_ANYWAY: Final = ("statement_cache_size", "prepared_statement_cache_size")
"""What others are told to write for PgBouncer. Right, and not needed."""

_TRANSLATED: Final = frozenset({*_TLS, *_OWN, *_SET_ANYWAY, "ssl"})
_KNOWN: Final = (*_PLAIN, "ssl", *_TLS, *_OWN, *_SET_ANYWAY)

_SECRET: Final = frozenset({"password", "sslpassword"})

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,40}")
_USER: Final = re.compile(r"(?P<name>[^:/]*)(?::[^@]*)?@")
"""As SQLAlchemy reads it."""
_HOST_AND_PORT: Final = re.compile(r"[^:,]+:[0-9]{1,5}")
_SERVER: Final = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])?(?::(?P<port>[0-9]{1,5}))?(?:/[^/]*)?")


def parse(text: str) -> URL:
    """The URL, once it is sure that it means what was meant.

    Raises:
        ValueError: it does not; a line that says what to write.
    """
    scheme, separator, rest = text.partition("://")
    if scheme not in (SQLITE, POSTGRESQL):
        named = repr(scheme) if separator and _SCHEME.fullmatch(scheme) else "what it begins with"
        raise ValueError(f"{named} is not supported; use {SQLITE}:///FILE or {POSTGRESQL}://USER:PASSWORD@HOST/NAME")
    if scheme == SQLITE and rest and not rest.startswith("/"):
        raise ValueError(f"a file comes after three slashes, {SQLITE}:///FILE, and after four if its path is absolute")
    if scheme == POSTGRESQL:
        _check_server(rest)
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(f"it cannot be read as a URL; {ENCODE}") from None


def displayed(url: URL) -> str:
    """The URL without its secrets."""
    query = {name: "hidden" if name in _SECRET else value for name, value in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True)


def shown(text: str) -> str:
    """The text of a URL, without its secrets."""
    return displayed(parse(text))


def for_asyncpg(given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `asyncpg.connect` that the parameters of a URL stand for.

    libpq's names are the ones that operators know, and that database hosts tell their customers to write.
    """
    arguments = {name: value for name, value in given.items() if name not in _TRANSLATED}
    tls: dict[str, str] = {name: given[name] for name in _TLS if name in given}
    if "ssl" in given:
        tls.setdefault("sslmode", given["ssl"])
    if tls.get("sslrootcert") == SYSTEM:
        arguments["ssl"] = ssl.create_default_context()
    elif tls:
        arguments["dsn"] = f"postgresql://?{urlencode(tls)}"
    if "application_name" in given:
        arguments["server_settings"] = {"application_name": given["application_name"]}
    if "connect_timeout" in given:
        arguments["timeout"] = float(given["connect_timeout"])
    return arguments


def files(url: URL) -> Iterable[tuple[str, str]]:
    """The files that a URL names, each with its parameter: OpenSSL does not say which of them it cannot read."""
    for name in _SSL_FILES:
        value = url.query.get(name)
        if isinstance(value, str) and value != SYSTEM:
            yield name, value


def _check_server(rest: str) -> None:
    """What comes after `://` for PostgreSQL. An @ that is not encoded moves everything after it to another place."""
    user = _USER.match(rest)
    server, _, query = rest[user.end() if user else 0 :].partition("?")
    match = _SERVER.fullmatch(server)
    if match is None or "@" in server or (user and "?" in user["name"]):
        raise ValueError(f"host, port and name of the database cannot be told from the password; {ENCODE}")
    if match["port"] and not 0 < int(match["port"]) < 65536:
        raise ValueError("the port is not one from 1 to 65535")
    given = parse_qsl(query, keep_blank_values=True)
    _check_hosts([value for name, value in given if name == "host"])
    parameters = dict(given)
    unknown = sorted(parameters.keys() - set(_KNOWN))
    if unknown and "@" in query:
        raise ValueError(f"what comes after the ? cannot be told from the password; {ENCODE}")
    if unknown:
        raise ValueError(
            f"{unknown[0][:40]!r} is not a parameter that asyncpg takes; leave it out. Known are: {', '.join(_KNOWN)}"
        )
    _check_parameters(parameters)


def _check_hosts(hosts: Sequence[str]) -> None:
    if any("," in one for one in hosts) or (len(hosts) > 1 and not all(_HOST_AND_PORT.fullmatch(one) for one in hosts)):
        raise ValueError("several hosts are written host=A:5432&host=B:5432, each with its port")


def _check_parameters(given: dict[str, str]) -> None:
    for name in ("sslmode", "ssl"):
        if given.get(name, "require") not in SSL_MODES:
            raise ValueError(f"{name} is one of {', '.join(SSL_MODES)}")
    if given.get("sslrootcert") == SYSTEM and (given.get("sslmode") != "verify-full" or "sslcert" in given):
        raise ValueError(f"sslrootcert={SYSTEM} goes with sslmode=verify-full, and without sslcert")
    if not re.fullmatch(r"[1-9][0-9]{0,3}", given.get("connect_timeout", "1")):
        raise ValueError("connect_timeout is a number of seconds, from 1 to 9999")
