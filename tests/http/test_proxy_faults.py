"""What a reverse proxy forgets is named in the log, once."""

import aiohttp
import pytest

WEBSOCKET = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
GOOD = {
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Proto": "https",
    "Host": "calls.example:8443",
    "Origin": "https://calls.example:8443",
}

trusted = pytest.mark.settings(trusted_proxies=("127.0.0.1",))


def without(name: str, **others: str) -> dict[str, str]:
    return {key: value for key, value in {**GOOD, **others}.items() if key != name}


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "relay.http.proxy_faults"]


def assert_one_line_names(fault: str, caplog: pytest.LogCaptureFixture) -> None:
    [line] = lines(caplog)
    assert fault in line


async def ask(http: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> None:
    for _ in range(3):
        async with http.get(path, headers=headers) as response:
            await response.read()


@trusted
@pytest.mark.parametrize(
    ("path", "headers", "named"),
    [
        ("/ws/456/student", {**GOOD, **WEBSOCKET}, "`Upgrade`"),
        ("/api/profiles", without("X-Forwarded-For"), "no X-Forwarded-For"),
        ("/api/profiles", without("X-Forwarded-Proto"), "no X-Forwarded-Proto"),
        ("/api/profiles", {**GOOD, "Host": "calls.example"}, "Host header without a port"),
        ("/api/profiles", {**GOOD, "Host": "127.0.0.1:8000"}, "`X-Forwarded-Host`"),
        ("/api/profiles", {**GOOD, "Host": "relay:8000"}, "`X-Forwarded-Host`"),
    ],
)
async def test_a_missing_header_is_logged_once_by_name(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, path: str, headers: dict[str, str], named: str
) -> None:
    await ask(http, path, headers)
    assert_one_line_names(named, caplog)


@pytest.mark.parametrize(
    ("path", "headers", "named"),
    [
        ("/ws/456/student", {**GOOD, **WEBSOCKET}, "`Upgrade`"),
        ("/api/profiles", {**GOOD, "Host": "calls.example"}, "open on port 8443"),
    ],
)
async def test_an_untrusted_proxy_that_drops_a_header_is_logged_too(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, path: str, headers: dict[str, str], named: str
) -> None:
    await ask(http, path, headers)
    assert_one_line_names(named, caplog)


@trusted
async def test_a_proxy_that_passes_all_headers_is_not_logged(
    http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    requests: list[tuple[str, dict[str, str]]] = [
        ("/api/profiles", GOOD),
        ("/ws/456/student", {**GOOD, **WEBSOCKET, "Upgrade": "websocket", "Connection": "Upgrade"}),
        ("/healthz", {}),
        ("/metrics", {}),
        ("/api/profiles", {**GOOD, "Origin": "https://evil.example"}),
        ("/api/profiles", {**GOOD, "Origin": "null"}),
        ("/api/profiles", {**GOOD, "Host": "10.0.0.2", "X-Forwarded-Host": "calls.example:8443"}),
        ("/api/profiles", {**GOOD, "Origin": "https://calls.example", "Host": "calls.example"}),
    ]
    for path, headers in requests:
        await ask(http, path, headers)
        assert lines(caplog) == [], (path, headers)
