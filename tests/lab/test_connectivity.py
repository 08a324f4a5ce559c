"""The connectivity test, from networks that let only some of it through."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import expect

from tests.edge.kit import write_certificate
from tests.kit.browsers import LOOK, BrowserPage
from tests.kit.wait import eventually
from tests.lab.gateways import Access
from tests.lab.network import SERVER, SERVER_NAME, Internet, Site
from tests.lab.relay import relay_in
from tests.lab.shared import Lab

MOST: Final = 90.0
"""Seconds of one test, of the command or the page; only ever used up by a test that fails."""

UDP_IS_BLOCKED: Final = (
    f"UDP 40000 to {SERVER} is not answered; media will use TCP 443.",
    f"TURN over UDP 3478 to {SERVER} is not answered either.",
    f"For the best quality, open UDP 40000 to {SERVER}.",
)
NO_TLS: Final = "Turned off at the relay: TURN over TLS (RELAY_TLS_CERT)."

ONLY_TLS: Final = (
    f"UDP 40000 and TCP 443 to {SERVER} are not answered; media will use TURN over TLS 443.",
    f"TURN over UDP 3478 and TURN over TCP 443 to {SERVER_NAME} are not answered either.",
    f"For the best quality, open UDP 40000 to {SERVER}.",
)

ROWS = pytest.mark.parametrize(
    ("access", "route", "sentences"),
    [
        (Access.OPEN, "udp", (f"Everything works: media will use UDP 40000 to {SERVER}.", NO_TLS)),
        (Access.SYMMETRIC, "udp", (f"Everything works: media will use UDP 40000 to {SERVER}.", NO_TLS)),
        (Access.UDP_BLOCKED, "tcp", (*UDP_IS_BLOCKED, NO_TLS)),
        (Access.ONLY_TCP_443, "tcp", (*UDP_IS_BLOCKED, NO_TLS)),
    ],
    ids=["open", "symmetric", "UDP blocked", "only TCP 443"],
)


def beginning(sentences: list[str], expected: tuple[str, ...]) -> tuple[str, ...]:
    """As many as are expected: after those it may say that this machine is too busy for a good call."""
    return tuple(sentences[: len(expected)])


async def command(site: Site, url: str, *options: str) -> tuple[int, dict[str, Any]]:
    """`python -m relay check` on the site's client: its exit status, and what it found."""
    arguments = site.client.command(sys.executable, "-m", "relay", "check", url, "--json", *options)
    process = await asyncio.create_subprocess_exec(*arguments, stdout=PIPE, stderr=PIPE)
    try:
        out, err = await asyncio.wait_for(process.communicate(), MOST)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert err == b""
    return process.returncode or 0, json.loads(out)


@ROWS
async def test_the_command_names_the_failed_transports_and_the_one_that_media_will_use(
    internet: Internet, tmp_path: Path, access: Access, route: str, sentences: tuple[str, ...]
) -> None:
    site = internet.site(access)
    async with relay_in(internet, tmp_path) as relay:
        status, found = await command(site, relay.url)
    assert (status, beginning(found["sentences"], sentences)) == (0, sentences)
    figures = found["report"]["figures"]
    assert (figures["way"], figures["host"]) == (route, SERVER)
    assert figures["frames_per_second"] > 1


async def test_the_command_finds_turn_where_only_tls_gets_through(internet: Internet, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, SERVER_NAME)
    site = internet.site(Access.ONLY_TLS_443)
    async with relay_in(internet, tmp_path, scheme="https", tls_cert=certificate, tls_key=key):
        status, found = await command(site, f"https://{SERVER_NAME}", "--insecure")
    assert (status, beginning(found["sentences"], ONLY_TLS)) == (0, ONLY_TLS)
    assert found["report"]["figures"]["way"] == "turn_tls"


async def test_the_command_names_the_ports_to_open_where_no_media_gets_through(internet: Internet, tmp_path: Path) -> None:
    site = internet.site(Access.UDP_BLOCKED)
    async with relay_in(internet, tmp_path, media_tcp="false", turn="false") as relay:
        status, found = await command(site, relay.url)
    assert status == 1
    assert found["sentences"] == [
        f"No media gets through: UDP 40000 to {SERVER} is not answered.",
        f"Open UDP 40000 to {SERVER}.",
        "Turned off at the relay: media over TCP (RELAY_MEDIA_TCP) and TURN (RELAY_TURN).",
    ]


async def test_the_command_ends_where_the_page_is_not_reached_either(internet: Internet, tmp_path: Path) -> None:
    site = internet.site(Access.ONLY_TCP_443)
    async with relay_in(internet, tmp_path, port="8000"):
        status, found = await command(site, f"http://{SERVER}:8000")
    assert status == 2
    assert found["sentences"] == [f"TCP 8000 to {SERVER} is not answered. Open it, or check that the relay is running."]


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("access", "name", "sentences"),
    [(Access.UDP_BLOCKED, SERVER, UDP_IS_BLOCKED), (Access.ONLY_TLS_443, SERVER_NAME, ONLY_TLS)],
    ids=[Access.UDP_BLOCKED.value, Access.ONLY_TLS_443.value],
)
async def test_the_page_says_the_same(lab: Lab, access: Access, name: str, sentences: tuple[str, ...]) -> None:
    site = lab.site(access)
    async with lab.relay(tls_cert=lab.certificate, tls_key=lab.key), BrowserPage.opened(await lab.chromium(site)) as page:
        await page.page.goto(f"https://{name}/connectivity")
        await page.page.get_by_test_id("start").click()
        await expect(page.page.get_by_test_id("outcome")).to_be_visible(timeout=MOST * 1000)
        shown = await page.page.locator("[data-testid=headline], [data-testid=sentence]").all_inner_texts()
        assert beginning(shown, sentences) == sentences
        await expect(page.page.get_by_test_id("figures")).to_contain_text("frames/s")


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_the_page_says_the_same_in_firefox(lab: Lab) -> None:
    site = lab.site(Access.UDP_BLOCKED)
    async with lab.relay() as relay, lab.firefox(site) as firefox:
        await firefox.goto(f"{relay.url}/connectivity")
        await firefox.evaluate("() => document.querySelector('[data-testid=start]').click()")
        find = (
            "() => [...document.querySelectorAll('[data-testid=headline], [data-testid=sentence]')].map((one) => one.innerText)"
        )
        shown = await eventually(lambda: firefox.evaluate(find), "the page says what it means", MOST, every=LOOK)
        assert beginning(shown, (*UDP_IS_BLOCKED, NO_TLS)) == (*UDP_IS_BLOCKED, NO_TLS)
        assert not firefox.problems
