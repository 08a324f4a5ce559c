"""The pages and what they load: few files, compressed, and kept as long as they are the same."""

import base64
import hashlib
import re

import aiohttp
import pytest

from relay.http.pages import WEB
from tests.kit.server import RunningRelay

pytestmark = pytest.mark.changes_nothing


async def bundles_of(http: aiohttp.ClientSession, page: str) -> list[str]:
    async with http.get(page) as response:
        assert response.headers["Cache-Control"] == "no-cache"
        return re.findall(r'(?:src|href)="(assets/[^"]+)"', await response.text())


@pytest.mark.parametrize("page", ["/", "/connectivity", "/recordings"])
async def test_a_page_names_bundles_that_browsers_keep_for_ever(http: aiohttp.ClientSession, page: str) -> None:
    found = await bundles_of(http, page)
    assert {one.rpartition(".")[2] for one in found} == ({"css", "js"} if page == "/" else {"js"})
    for path, coding in ((path, coding) for path in found for coding in ("br", "gzip")):
        async with http.get(f"/{path}", headers={"Accept-Encoding": coding}) as response:
            assert response.status == 200
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert response.headers["Content-Encoding"] == coding
            assert response.headers["Vary"] == "Accept-Encoding"
            assert response.headers["Content-Type"].partition(";")[0] in ("text/css", "text/javascript")
            assert "/**" not in await response.text(), "comments are for those who work on it"


@pytest.mark.parametrize("page", ["/", "/connectivity", "/recordings"])
async def test_the_styles_in_a_page_are_those_that_its_policy_names_and_no_others(http: aiohttp.ClientSession, page: str) -> None:
    async with http.get(page) as response:
        [style] = re.findall(r"<style>(.*?)</style>", await response.text(), re.DOTALL)
        policy = dict(one.strip().split(" ", 1) for one in response.headers["Content-Security-Policy"].split(";"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy["style-src"] == f"'self' 'sha256-{digest}'"
    assert policy["script-src"] == "'self'"
    async with http.get("/api/session") as response:
        assert "style-src 'self';" in response.headers["Content-Security-Policy"]


async def test_a_client_gets_the_smallest_coding_that_it_takes_or_the_same_uncompressed(relay: RunningRelay) -> None:
    async with aiohttp.ClientSession(relay.url, auto_decompress=False) as http:
        for path in ("/", "/client/model.js", "/icon.svg"):
            sizes, plain = {}, set[bytes]()
            for asked, coding in {
                "gzip, br": "br",
                "gzip": "gzip",
                "gzip, br;q=0": "gzip",
                "*": "br",
                "*, br;q=0.000": "gzip",
                "gzip;q=0, br;q=0": None,
                "gzip;q=0": None,
                "identity": None,
            }.items():
                async with http.get(path, headers={"Accept-Encoding": asked}) as response:
                    assert response.headers.get("Content-Encoding") == coding, asked
                    body = await response.read()
                    sizes[coding] = len(body)
                    plain |= {body} if coding is None else set()
            assert len(plain) == 1
            assert sizes["br"] < sizes["gzip"] < len(plain.pop())


async def test_a_file_that_has_not_changed_is_not_sent_again(http: aiohttp.ClientSession) -> None:
    for path in ("/", "/sw.js", "/css/base.css"):
        async with http.get(path) as response:
            tag = response.headers["ETag"]
        async with http.get(path, headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == tag
        async with http.get(path, headers={"If-None-Match": '"another"'}) as response:
            assert response.status == 200


async def test_a_bundle_of_another_version_is_answered_with_this_one_and_not_kept(http: aiohttp.ClientSession) -> None:
    path = (await bundles_of(http, "/"))[-1]
    async with http.get(f"/{re.sub('/[0-9a-f]{16}/', '/0123456789abcdef/', path)}") as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")
    async with http.get("/assets/0123456789abcdef/js-gone.js") as response:
        assert response.status == 404


async def test_a_worker_may_run_webassembly_and_no_page_may(http: aiohttp.ClientSession) -> None:
    folder = (await bundles_of(http, "/"))[0].rpartition("/")[0]
    for path in (f"/{folder}/app-background-segmenter.worker.js", "/app/background/segmenter.worker.js"):
        async with http.get(path) as response:
            assert response.status == 200
            assert response.headers["Content-Security-Policy"] == (
                "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
            )
    for path in ("/", "/connectivity", "/recordings", "/app/background/filter.js", *await bundles_of(http, "/")):
        async with http.get(path) as response:
            assert "script-src 'self';" in response.headers["Content-Security-Policy"]


async def test_files_of_others_are_kept_for_ever_and_have_the_types_that_browsers_want(http: aiohttp.ClientSession) -> None:
    types = {".wasm": "application/wasm", ".tflite": "application/octet-stream"}
    files = [file for file in (WEB / "vendor").rglob("*") if file.suffix in types]
    assert len(files) == len(types)
    for file in files:
        async with http.get(f"/{file.relative_to(WEB)}") as response:
            assert (response.status, await response.read()) == (200, file.read_bytes())
            assert response.headers["Content-Type"] == types[file.suffix], "browsers compile WebAssembly of this type only"
            assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert response.headers["Content-Encoding"] == "br"
    async with http.get(f"/{files[0].relative_to(WEB).parent}/LICENSE.txt") as response:
        assert (response.status, response.headers["Cache-Control"]) == (200, "no-cache")
