"""The pages in `web/` with all that they load: made once, and again when a file has changed where that is looked for."""

import gzip
import hashlib
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Self

from relay.http.assets.linker import link

FOLDER: Final = "assets"
"""Of the bundles, in URLs: `assets/VERSION/app-start.js`."""

PAGES: Final = ("index.html", "connectivity.html", "recordings.html")

_LINK: Final = r'[ \t]*<link rel="{rel}" href="css/[^"]+">\n'
_STYLES: Final = re.compile(f"(?P<first>(?:{_LINK.format(rel='stylesheet')})+)|(?P<later>(?:{_LINK.format(rel='later')})+)")
"""Neighbours become one. Browsers load nothing for `later`: a script does, behind the first screen."""
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


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent.

    Attributes:
        compressed: by gzip (RFC 1952).
        tag: names the content.
    """

    content_type: str
    plain: bytes
    compressed: bytes
    tag: str

    @classmethod
    def of(cls, name: str, plain: bytes) -> Self:
        # Without the time in the header of gzip: the same content has the same bytes.
        return cls(_TYPES[Path(name).suffix], plain, gzip.compress(plain, 9, mtime=0), _digest([plain]))


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that browsers load, made of one state of the files.

    Attributes:
        version: names the content of all bundles.
        pages: file name in `web/` → page, which refers to bundles of that version.
        bundles: file name → program or stylesheet.
    """

    version: str
    pages: Mapping[str, Asset]
    bundles: Mapping[str, Asset]


def _made_of(web: Path) -> Site:
    """
    Raises:
        LinkError: a module cannot be linked.
    """
    sources = {name: (web / name).read_text(encoding="utf-8") for name in PAGES}
    bundles: dict[str, str] = {}
    for name, page in sources.items():
        for block in _STYLES.finditer(_HTML_COMMENT.sub("", page)):
            bundles[_style_of(name, block)] = "".join(_style(web / path) for path in _STYLE.findall(block[0]))
        for entry in _SCRIPT.findall(page):
            bundles |= link(entry, lambda path: (web / path).read_text(encoding="utf-8"))
    version = _digest(f"{name}\n{text}".encode() for name, text in sorted(bundles.items()))
    return Site(
        version,
        {name: Asset.of(name, _page(name, page, f"{FOLDER}/{version}", bundles).encode()) for name, page in sources.items()},
        {name: Asset.of(name, text.encode()) for name, text in bundles.items()},
    )


def _page(name: str, page: str, folder: str, bundles: Mapping[str, str]) -> str:
    """The page with its bundles in place of its modules and stylesheets."""

    def styled(block: re.Match[str]) -> str:
        rel = "later" if block["later"] else "stylesheet"
        return f'    <link rel="{rel}" href="{folder}/{_style_of(name, block)}">\n'

    def scripted(found: re.Match[str]) -> str:
        bundle = f"{folder}/{_bundle_of(found[1], bundles)}"
        return f'<link rel="modulepreload" href="{bundle}">\n    <script type="module" src="{bundle}"></script>'

    return _SCRIPT.sub(scripted, _STYLES.sub(styled, _HTML_COMMENT.sub("", page)))


def _bundle_of(entry: str, bundles: Mapping[str, str]) -> str:
    name = entry.replace("/", "-")
    assert name in bundles, "the linker names the bundle of an entry so"
    return name


def _style_of(page: str, block: re.Match[str]) -> str:
    return f"{Path(page).stem}{'-later' if block['later'] else ''}.css"


def _style(file: Path) -> str:
    return _INDENTATION.sub("\n", _CSS_COMMENT.sub("", file.read_text(encoding="utf-8")))


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
