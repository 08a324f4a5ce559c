"""The pages in `web/` with all that they load: made once, and again when a file has changed where that is looked for."""

import base64
import gzip
import hashlib
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

import brotli

from relay.http.assets.linker import link

FOLDER: Final = "assets"
"""Of the bundles, in URLs: `assets/VERSION/app-start.js`."""

PAGES: Final = ("index.html", "connectivity.html", "recordings.html")

_LINK: Final = r'[ \t]*<link rel="{rel}" href="css/[^"]+">\n'
_FIRST: Final = re.compile(f"(?:{_LINK.format(rel='stylesheet')})+")
"""Stand in the page itself: what is seen first waits for no second round trip."""
_LATER: Final = re.compile(f"(?:{_LINK.format(rel='later')})+")
"""Become one. Browsers load nothing for them: a script does, behind the first screen."""
_STYLE: Final = re.compile(r'href="(css/[^"]+)"')
_SCRIPT: Final = re.compile(r'<script type="module" src="([^"]+)"></script>')
_HTML_COMMENT: Final = re.compile(r"[ \t]*<!--.*?-->\n", re.DOTALL)
_CSS_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_INDENTATION: Final = re.compile(r"\s*\n\s*")

_TYPES: Final = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".tflite": "application/octet-stream",
}


LARGE: Final = 1_000_000
"""Bytes that Brotli would take seconds for to make them a few percent smaller."""

Coding = Literal["br", "gzip"]
"""Brotli (RFC 7932) or gzip (RFC 1952), as HTTP names them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent.

    Attributes:
        tag: names the content.
    """

    content_type: str
    plain: bytes
    tag: str
    _coded: dict[Coding, bytes] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, name: str, plain: bytes) -> Self:
        return cls(_TYPES[Path(name).suffix], plain, _digest([plain]))

    def known(self, coding: Coding) -> bytes | None:
        """The file, compressed; None: `coded` has not been called yet."""
        return self._coded.get(coding)

    def coded(self, coding: Coding) -> bytes:
        """The file, compressed when it is asked for first, as small as can be. That takes up to 0.2 s: call it in a thread."""
        if coding not in self._coded:
            # Without the time in the header of gzip: the same content has the same bytes.
            if coding == "gzip":
                self._coded[coding] = gzip.compress(self.plain, 9, mtime=0)
            else:
                self._coded[coding] = brotli.compress(self.plain, quality=11 if len(self.plain) < LARGE else 6)
        return self._coded[coding]


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that browsers load, made of one state of the files.

    Attributes:
        version: names the content of all bundles.
        pages: file name in `web/` → page, which refers to bundles of that version.
        styles: file name in `web/` → the styles that stand in the page, as the Content Security Policy names them (level 3,
            section 2.3.1).
        bundles: file name → program or stylesheet.
    """

    version: str
    pages: Mapping[str, Asset]
    styles: Mapping[str, str]
    bundles: Mapping[str, Asset]


def _made_of(web: Path) -> Site:
    """
    Raises:
        LinkError: a module cannot be linked.
    """
    sources = {name: _HTML_COMMENT.sub("", (web / name).read_text(encoding="utf-8")) for name in PAGES}
    bundles: dict[str, str] = {}
    styles: dict[str, str] = {}
    for name, page in sources.items():
        styles[name] = _styles(web, _FIRST, page)
        if later := _styles(web, _LATER, page):
            bundles[_later_of(name)] = later
        for entry in _SCRIPT.findall(page):
            bundles |= link(entry, lambda path: (web / path).read_text(encoding="utf-8"))
    version = _digest(f"{name}\n{text}".encode() for name, text in sorted(bundles.items()))
    return Site(
        version,
        {
            name: Asset.of(name, _page(name, page, styles[name], f"{FOLDER}/{version}", bundles).encode())
            for name, page in sources.items()
        },
        {name: _source_of(text) for name, text in styles.items()},
        {name: Asset.of(name, text.encode()) for name, text in bundles.items()},
    )


def _page(name: str, page: str, style: str, folder: str, bundles: Mapping[str, str]) -> str:
    """The page with its styles in it, and with its bundles in place of its modules and other stylesheets."""

    def scripted(found: re.Match[str]) -> str:
        bundle = f"{folder}/{_bundle_of(found[1], bundles)}"
        return f'<link rel="modulepreload" href="{bundle}">\n    <script type="module" src="{bundle}"></script>'

    page = _FIRST.sub(lambda _: f"    <style>{style}</style>\n", page)
    page = _LATER.sub(lambda _: f'    <link rel="later" href="{folder}/{_later_of(name)}">\n', page)
    return _SCRIPT.sub(scripted, page)


def _bundle_of(entry: str, bundles: Mapping[str, str]) -> str:
    name = entry.replace("/", "-")
    assert name in bundles, "the linker names the bundle of an entry so"
    return name


def _later_of(page: str) -> str:
    return f"{Path(page).stem}-later.css"


def _styles(web: Path, links: re.Pattern[str], page: str) -> str:
    """The stylesheets that a page refers to so, without comments and indentation."""
    paths = [path for block in links.finditer(page) for path in _STYLE.findall(block[0])]
    return "".join(_INDENTATION.sub("\n", _CSS_COMMENT.sub("", (web / path).read_text(encoding="utf-8"))) for path in paths)


def _source_of(style: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


class Website:
    """The files in a folder as browsers load them. Its methods read files and compress: call them in a thread.

    Args:
        watched: look at each call whether a file has changed, as one who works on the page expects.
    """

    _made: ClassVar[dict[object, Site]] = {}
    """By the state of the files: several relays of one process, as in tests, make it once."""

    def __init__(self, web: Path, *, watched: bool) -> None:
        self._web = web
        self._watched = watched
        self._site: Site | None = None
        self._files: dict[Path, tuple[int, Asset]] = {}
        self._lock = threading.Lock()

    @property
    def known(self) -> Site | None:
        """The site, if nothing has to be done for it."""
        return None if self._watched else self._site

    def site(self) -> Site:
        """
        Raises:
            LinkError: a module cannot be linked.
        """
        with self._lock:
            if self._site is None or self._watched:
                state = tuple((file, file.stat().st_mtime_ns) for file in sorted(self._web.rglob("*.*")))
                if state not in self._made:
                    self._made.clear()
                    self._made[state] = _made_of(self._web)
                self._site = self._made[state]
            return self._site

    def file(self, path: str) -> Asset | None:
        """A single file, as programs and pages of other origins import it; None: there is none that browsers load."""
        try:
            file = (self._web / path).resolve()
            if not file.is_relative_to(self._web) or file.suffix not in _TYPES:
                return None
            changed = file.stat().st_mtime_ns
            known = self._files.get(file)
            if known is None or known[0] != changed:
                known = self._files[file] = changed, Asset.of(file.name, file.read_bytes())
        except (OSError, ValueError):  # there is no such file, or the name is too long or has a NUL
            return None
        return known[1]
