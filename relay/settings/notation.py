"""Settings that mean more than their text: each is parsed as it is checked, and again where it is used."""

import ipaddress
from collections.abc import Iterable
from typing import Final

from limits import RateLimitItem, parse_many
from yarl import URL

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Origin = tuple[str, str, int]
"""Scheme, host and port."""

OFF: Final = "off"

MAX_WINDOWS: Final = 4
"""Of one limit: each is counted at each message."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def parse_limit(text: str) -> tuple[RateLimitItem, ...]:
    """The windows of a rate limit; none for `off`.

    Raises:
        ValueError: it is not in the notation of the library `limits`.
    """
    if text.strip().lower() == OFF:
        return ()
    try:
        items = tuple(parse_many(text))
        valid = 0 < len(items) <= MAX_WINDOWS and all(item.amount > 0 and item.get_expiry() > 0 for item in items)
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"{text[:60]!r} is not a limit such as 100/minute, 10/second;1000/hour or {OFF}")
    return items


def parse_origin(text: str) -> Origin:
    """An origin as a browser writes it (RFC 6454 section 6.1): `https://app.example` or `http://localhost:3000`.

    Raises:
        ValueError: it is none, or has more than scheme, host and port.
    """
    problem = f"{text[:100]!r} is not an origin such as https://app.example"
    try:
        url = URL(text)
        port = url.port
    except (ValueError, TypeError):
        raise ValueError(problem) from None
    more = url.raw_user or url.raw_password or url.raw_query_string or url.raw_fragment or url.raw_path not in ("", "/")
    if url.scheme not in ("http", "https") or not url.host or port is None or more:
        raise ValueError(problem)
    return url.scheme, url.host.lower(), port


def write_origin(origin: Origin) -> str:
    """As browsers write it."""
    scheme, host, port = origin
    usual = {"http": 80, "https": 443}[scheme]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}" + ("" if port == usual else f":{port}")


def check_page_url(text: str) -> None:
    """The address of a page that the browser is led to: absolute and by https, or a path on the same host. Empty: none.

    Raises:
        ValueError: it is neither. By http only this machine is led to, for trying things out: the page hands out tokens.
    """
    if not text:
        return
    problem = f"{text[:100]!r} is neither an https URL nor a path such as /sign-in"
    try:
        url = URL(text)
    except (ValueError, TypeError):
        raise ValueError(problem) from None
    local = url.scheme == "http" and url.host in ("localhost", "127.0.0.1", "::1")
    path = not url.scheme and not url.raw_authority and text.startswith("/") and "\\" not in text
    if not (url.scheme == "https" or local or path) or url.raw_user or url.raw_password or url.raw_fragment:
        raise ValueError(problem)
    if not path and not url.host:
        raise ValueError(problem)


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Addresses, and networks in CIDR notation.

    Raises:
        ValueError: one of them is neither.
    """
    return tuple(ipaddress.ip_network(one) for one in texts)


def is_url(source: str) -> bool:
    """Whether it is a URL, not a path."""
    return "://" in source


def check_key_source(source: str) -> None:
    """Whether keys that are believed may come from there: from a file, or from a URL that no other server can answer.

    Raises:
        ValueError: they may not.
    """
    if not is_url(source):
        return
    url = URL(source)
    if not url.host or url.raw_user or url.raw_password:
        raise ValueError("the URL needs a host, and no user name")
    if url.scheme != "https" and not (url.scheme == "http" and url.host in _LOOPBACK):
        raise ValueError("keys come from a file, by https, or by http from this machine")
