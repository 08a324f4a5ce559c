"""Pages of other origins that use the relay's modules and its API: those that the operator names can, and no other."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser

from tests.http.recordings.recorded import NODE, recordings_of
from tests.kit.server import running_relay

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

USE = """
async ([relay, recording]) => {
  const outcome = {};
  const attempt = async (name, what) => {
    try {
      outcome[name] = await what();
    } catch (error) {
      outcome[name] = error.code ?? error.name;
    }
  };
  await attempt("module", async () => Object.keys(await import(`${relay}/client/calls/calls.js`)).length > 0);
  await attempt("style", () => new Promise((resolve, reject) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", crossOrigin: "anonymous" });
    Object.assign(link, { href: `${relay}/css/tokens.css`, onload: () => resolve(true), onerror: () => reject(new TypeError()) });
    document.head.append(link);
  }));
  let token = "";
  await attempt("change", async () => {
    const body = JSON.stringify({ profile_type: "student", profile_id: 456 });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`${relay}/api/dev/login`, { method: "POST", body, headers });
    token = (await response.json()).token;
    return response.status;
  });
  const headers = { Authorization: `Bearer ${token}` };
  const read = async (path) => (await fetch(`${relay}${path}`, { headers })).json();
  await attempt("reading", async () => (await read("/api/conversations")).conversations.length > 0);
  await attempt("client", async () => {
    const { Credentials } = await import(`${relay}/client/credentials.js`);
    const { Api } = await import(`${relay}/client/api.js`);
    const credentials = new Credentials(`${relay}/`);
    const reasons = [];
    credentials.addEventListener("tokenneeded", (event) => {
      reasons.push(event.reason);
      event.respondWith(token);
    });
    await credentials.signIn(token);
    credentials.token = "revoked meanwhile";
    const conversations = await new Api(`${relay}/`, credentials).conversations();
    return conversations.length > 0 && reasons.join();
  });
  await attempt("error", async () => (await read("/api/calls/none")).error.code);
  // As a player of its own does: the last bytes, then the first ones of the same version.
  const part = (range) => fetch(`${relay}/api/recordings/${recording}/files/A.webm`, { headers: { ...headers, ...range } });
  await attempt("range", async () => {
    const last = await part({ Range: "bytes=-4" });
    const first = await part({ Range: "bytes=0-3", "If-Range": last.headers.get("ETag") });
    const said = ({ status, headers }) => [status, headers.get("Accept-Ranges"), headers.get("Content-Range")].join(" ");
    return [last, first].map(said);
  });
  await attempt("platform", async () => (await fetch(`${relay}/api/admin/profiles/student/456`, { headers })).status);
  await attempt("metrics", async () => (await fetch(`${relay}/metrics`)).status);
  return outcome;
}
"""


@contextlib.asynccontextmanager
async def page_server() -> AsyncIterator[str]:
    """The origin of an empty page, on a port of its own."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>A platform</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_page_uses_the_modules_and_the_api_from_an_origin_that_is_named_and_from_no_other(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        page_server() as named,
        page_server() as other,
        running_relay(tmp_path, allowed_origins=(named,), service_token="s" * 32, node=NODE, assemblers=0) as relay,
        recordings_of(relay, tmp_path) as recorded,
        await browser.new_context() as context,
    ):
        recording = await recorded.add(products={"A.webm": b"0123456789"})
        outcomes = {}
        for origin in (named, other):
            page = await context.new_page()
            await page.goto(origin)
            outcomes[origin] = await page.evaluate(USE, [relay.url, recording])
    closed = {"platform": "TypeError", "metrics": "TypeError"}
    parts = ["206 bytes bytes 6-9/10", "206 bytes bytes 0-3/10"]
    read = {
        "module": True,
        "style": True,
        "change": 200,
        "reading": True,
        "client": "refused",
        "error": "not_found",
        "range": parts,
    }
    assert outcomes[named] == {**read, **closed}
    assert set(outcomes[other].values()) == {"TypeError"}
