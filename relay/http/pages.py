"""Serves the files of the browser client in `web/`."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from aiohttp import ETag, hdrs, web

from relay.http.assets.site import FOLDER, Asset, Coding, Site, Website
from relay.http.proxies import asker_of
from relay.http.responses import content_policy
from relay.settings.notation import parse_origin, write_origin

_PACKAGE: Final = Path(__file__).resolve().parents[1]
WEB: Final = _PACKAGE / "web" if (_PACKAGE / "web").is_dir() else _PACKAGE.parent / "web"
"""Inside the package where it is installed from a wheel, beside it in a checkout (setup.py)."""

_FOR_EVER: Final = "public, max-age=31536000, immutable"
"""RFC 8246: what changes gets another name."""

_NAMED_BY_CONTENT: Final = re.compile(r"\.[0-9a-f]{16}\.\w+$")
"""A file of others in `web/vendor`, with the beginning of its SHA-256 in its name."""

_WORKER: Final = ".worker.js"
_WORKER_POLICY: Final = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'"
"""A worker's script has a policy of its own (CSP level 3, section 4.2.2): WebAssembly runs there, and in no page. A worker shows
nothing, and fetches from here only."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Pages:
    """The pages and what they load.

    Args:
        watched: the files change while the server runs.
        frame_ancestors: the origins whose pages may show these in a frame.
    """

    def __init__(self, *, watched: bool, frame_ancestors: Sequence[str]) -> None:
        self._website = Website(WEB, watched=watched)
        self._frame_ancestors = [write_origin(parse_origin(one)) for one in frame_ancestors]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._page("index.html")),
            web.get("/connectivity", self._page("connectivity.html")),
            web.get("/recordings", self._page("recordings.html")),
            web.get("/icon.svg", self._file("icon.svg")),
            # At the root, since the scope of a service worker is its own directory and those below.
            web.get("/sw.js", self._file("sw.js")),
            web.get("/{folder:app|client|css|vendor}/{path:.+}", self._part),
            web.get(f"/{FOLDER}/{{version}}/{{name}}", self._bundle),
        ]

    async def _site(self) -> Site:
        known = self._website.known
        return known if known is not None else await asyncio.to_thread(self._website.site)

    def _page(self, name: str) -> _Handler:
        async def page(request: web.Request) -> web.StreamResponse:
            # Asked for again at each load, and answered 304: it says which bundles belong together.
            site = await self._site()
            response = await _sent(request, site.pages[name])
            policy = content_policy(asker_of(request), self._frame_ancestors, [site.styles[name]])
            response.headers["Content-Security-Policy"] = policy
            return response

        return page

    def _file(self, path: str) -> _Handler:
        async def file(request: web.Request) -> web.StreamResponse:
            asset = await asyncio.to_thread(self._website.file, path)
            if asset is None:
                raise web.HTTPNotFound
            name = path.rpartition("/")[2]
            return await _sent(request, asset, _FOR_EVER if _NAMED_BY_CONTENT.search(name) else "no-cache", name)

        return file

    async def _part(self, request: web.Request) -> web.StreamResponse:
        """A stylesheet or a module, for pages that import single ones; or a file that programs fetch."""
        return await self._file(f"{request.match_info['folder']}/{request.match_info['path']}")(request)

    async def _bundle(self, request: web.Request) -> web.StreamResponse:
        site = await self._site()
        asset = site.bundles.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        # While several servers behind one name are updated, the page may be another's: a bundle of this version beats none.
        current = request.match_info["version"] == site.version
        return await _sent(request, asset, _FOR_EVER if current else "no-cache", request.match_info["name"])


async def _sent(request: web.Request, asset: Asset, cached: str = "no-cache", name: str = "") -> web.Response:
    """An asset, compressed where the client takes that.

    Args:
        name: of the file: a worker's script has a policy of its own.
    """
    headers = {hdrs.CACHE_CONTROL: cached, hdrs.VARY: hdrs.ACCEPT_ENCODING}
    tag = ETag(asset.tag, is_weak=True)
    if any(one.value in (asset.tag, "*") for one in request.if_none_match or ()):
        response = web.Response(status=304, headers=headers)
    elif coding := _coding_for(request):
        body = asset.known(coding) or await asyncio.to_thread(asset.coded, coding)
        response = web.Response(body=body, headers={**headers, hdrs.CONTENT_ENCODING: coding})
    else:
        response = web.Response(body=asset.plain, headers=headers)
    if response.status == 200:
        response.content_type = asset.content_type
        if asset.content_type.startswith(("text/", "image/svg", "application/json")):
            response.charset = "utf-8"  # WebAssembly takes its type without a parameter only
    response.etag = tag
    if name.endswith(_WORKER):
        response.headers["Content-Security-Policy"] = _WORKER_POLICY
    return response


def _coding_for(request: web.Request) -> Coding | None:
    """The smallest coding that the client takes (RFC 9110 section 12.5.3); None: none of those there are here."""
    taken: dict[str, bool] = {}
    for one in ",".join(request.headers.getall(hdrs.ACCEPT_ENCODING, ())).split(","):
        coding, _, weight = one.partition(";")
        taken[coding.strip().lower()] = weight.replace(" ", "").rstrip("0.") != "q="
    codings: tuple[Coding, ...] = ("br", "gzip")
    return next((one for one in codings if taken.get(one, taken.get("*", False))), None)
