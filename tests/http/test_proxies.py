"""Who is really asking."""

import logging
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from relay.http.proxies import Asker, Proxies, asker_of, remote_address

TRUSTED = Proxies(["10.0.0.0/8", "2001:db8::1"])


def request_of(remote: str | None, *headers: tuple[str, str], host: str = "relay.internal") -> Any:
    """A request as it comes out of the connection."""
    return make_mocked_request("GET", "/", CIMultiDict([("Host", host), *headers])).clone(remote=remote or "")


def forwarded(*entries: str) -> tuple[str, str]:
    return "X-Forwarded-For", ", ".join(entries)


def test_without_a_proxy_the_client_is_the_peer_of_the_connection() -> None:
    assert TRUSTED.asker(request_of("198.51.100.7")) == Asker("198.51.100.7", False, "relay.internal")
    assert remote_address(request_of("2001:DB8::7")) == "2001:db8::7"
    assert remote_address(request_of("::ffff:198.51.100.7")) == "198.51.100.7"
    assert remote_address(request_of(None)) is None


def test_a_stranger_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    proxies = Proxies(["10.0.0.0/8"])
    headers = [forwarded("203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "relay.example")]
    for _ in range(3):
        assert proxies.asker(request_of("198.51.100.7", *headers)) == Asker("198.51.100.7", False, "relay.internal")
    assert [record.levelno for record in caplog.records] == [logging.WARNING], "said once, not at each request"
    assert "198.51.100.7" not in caplog.text


def test_a_trusted_proxy_is_believed() -> None:
    headers = [forwarded("203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "relay.example")]
    assert TRUSTED.asker(request_of("10.0.0.1", *headers)) == Asker("203.0.113.9", True, "relay.example")
    assert TRUSTED.asker(request_of("2001:db8::1", *headers)).address == "203.0.113.9"
    assert TRUSTED.asker(request_of("::ffff:10.0.0.1", *headers)).address == "203.0.113.9"


def test_a_clients_own_headers_are_not_believed_through_a_proxy_either() -> None:
    spoofed = [
        forwarded("127.0.0.1", "10.9.9.9", "203.0.113.9", "10.0.0.2"),
        ("X-Forwarded-Proto", "https, http, http"),
        ("X-Forwarded-Host", "evil.example, relay.example, relay.inner"),
    ]
    assert TRUSTED.asker(request_of("10.0.0.1", *spoofed)) == Asker("203.0.113.9", False, "relay.example")


def test_several_headers_are_one_list() -> None:
    assert TRUSTED.asker(request_of("10.0.0.1", forwarded("1.1.1.1"), forwarded("203.0.113.9"))).address == "203.0.113.9"


def test_a_proxy_without_the_header_is_itself_the_client() -> None:
    """A health check, for one."""
    assert TRUSTED.asker(request_of("10.0.0.1")) == Asker("10.0.0.1", False, "relay.internal")


def test_if_all_addresses_are_proxies_the_first_is_the_client() -> None:
    assert TRUSTED.asker(request_of("10.0.0.1", forwarded("10.0.0.3", "10.0.0.2"))).address == "10.0.0.3"


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.9:51234", "203.0.113.9"),
        ("[2001:db8::9]:51234", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unknown", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("203.0.113.9999", "10.0.0.1"),
    ],
)
def test_an_entry_is_an_address_or_the_search_ends_before_it(entry: str, address: str) -> None:
    assert TRUSTED.asker(request_of("10.0.0.1", forwarded("1.1.1.1", entry))).address == address


PARTS = st.lists(
    st.sampled_from(["10.0.0.2", "203.0.113.9", "unknown", "", "[", "]", ":", "::1", "https", "http", "a.example", "%"])
)


@given(PARTS, PARTS, PARTS)
def test_no_header_is_too_strange(addresses: list[str], schemes: list[str], hosts: list[str]) -> None:
    names = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
    headers = [(name, ",".join(parts)) for name, parts in zip(names, (addresses, schemes, hosts), strict=True)]
    asker = TRUSTED.asker(request_of("10.0.0.1", *headers))
    assert asker.address in {"10.0.0.1", "10.0.0.2", "203.0.113.9", "::1"}
    assert asker.host


def test_a_chain_without_end_is_not_followed_to_its_end() -> None:
    assert TRUSTED.asker(request_of("10.0.0.1", forwarded("203.0.113.9", *["10.0.0.2"] * 5000))).address == "10.0.0.2"


def test_without_the_middleware_no_proxy_is_trusted() -> None:
    assert asker_of(request_of("10.0.0.1", forwarded("203.0.113.9"))).address == "10.0.0.1"
