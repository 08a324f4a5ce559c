"""Where messages may be sent."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.push.endpoints import Forbidden, GuardedResolver, check_keys, is_public, parse_endpoint
from tests.push.service import Browser, base64url

BROWSER = Browser("https://push.example/to/one")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/dpH5lCsTSSM:APA91bHqjZxM0VImWWqDRN7U0a3AycjUf4O-byuxb_wJsKRaKvV_iKw56s16",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAAAABY%3A%2F",
        "https://wns2-by3p.notify.windows.com/w/?token=BQYAAABSW%2bcY%3d",
        "https://web.push.apple.com/QGuQyavXutnMH6t2Yc",
    ],
)
def test_the_urls_of_push_services_are_kept_verbatim(endpoint: str) -> None:
    assert str(parse_endpoint(endpoint)) == endpoint


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "push.example/to/one",
        "/to/one",
        "http://push.example/to/one",
        "ftp://push.example/",
        "https:///to/one",
        "https://user:secret@push.example/",
        "https://user@push.example/",
        "https://127.0.0.1/",
        "https://203.0.113.1/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://127.0.0.1./",
        "https://[::1]/",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://push.example:0/",
        "https://push.example:8443/to/one",
        "https://push.example:22/",
        "https://push.example:99999/",
        "https://push.example/a b",
        "https://push.example/\r\nX-Header: 1",
        "https://püsh.example/",
        "https://push.example/" + "a" * 2048,
    ],
)
def test_other_strings_are_no_endpoint(endpoint: str) -> None:
    with pytest.raises(ValueError, match="push service"):
        parse_endpoint(endpoint)


@given(st.text() | st.from_regex(r"https://[!-~]{0,40}", fullmatch=True))
def test_no_endpoint_is_too_strange(endpoint: str) -> None:
    try:
        url = parse_endpoint(endpoint)
    except ValueError as error:
        assert "push service" in str(error)
    else:
        assert url.scheme == "https"
        assert url.host


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.2.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2001:db8::1",
        "2001::1",
        "2002:7f00:1::1",
        "2002:c0a8:101::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_an_address_that_is_not_public_is_not_connected_to(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "142.250.80.10", "2606:4700::1111", "2a00:1450:4001::200a", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_a_public_address_is_connected_to(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


async def test_a_name_of_this_machine_is_refused() -> None:
    resolver = GuardedResolver()
    with pytest.raises(Forbidden):
        await resolver.resolve("localhost", 443)
    await resolver.close()


async def test_only_the_allowed_of_several_addresses_are_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["10.0.0.1", "1.1.1.1", "127.0.0.1"]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    resolver = GuardedResolver()
    assert [(one["host"], one["port"]) for one in await resolver.resolve("push.example", 443)] == [("1.1.1.1", 443)]
    await resolver.close()


def test_the_keys_of_a_browser_are_taken_with_padding_and_without() -> None:
    check_keys(BROWSER.p256dh, BROWSER.auth)
    check_keys(BROWSER.p256dh + "=", BROWSER.auth + "==")


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", BROWSER.auth),
        (BROWSER.p256dh, ""),
        (BROWSER.p256dh[:-4], BROWSER.auth),
        (BROWSER.p256dh, BROWSER.auth[:-2]),
        (BROWSER.p256dh, BROWSER.auth + "AA"),
        (base64url(b"\x04" + bytes(64)), BROWSER.auth),
        (BROWSER.p256dh.replace(BROWSER.p256dh[5], "*"), BROWSER.auth),
        ("A" * 1000, BROWSER.auth),
        ("A", "A"),
    ],
    ids=[
        "no key",
        "no secret",
        "short key",
        "short secret",
        "long secret",
        "no point",
        "no base64url",
        "very long",
        "very short",
    ],
)
def test_invalid_keys_of_a_browser_are_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(ValueError, match="RFC 8291"):
        check_keys(p256dh, auth)
