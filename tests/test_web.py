"""Which module of the page imports which: `app → client`, as pages of others import the library without our page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

WEB: Final = Path(__file__).parents[1] / "web"
_IMPORT: Final = re.compile(r'(?:\bfrom |\bimport |\bimport\()"(\.[^"]+)"')
DRAWS: Final = {"client/connectivity/synthetic.js"}
"""A camera of its own, drawn on a canvas that no page shows."""

_FILTERED: Final = re.compile(r"([^{}]+)\{[^{}]*?\b((?:backdrop-)?filter:[^;]*)")
STILL: Final = re.compile(r".*\[data-(stalled|phase=\"reconnecting\")\].*")
"""In these no video moves."""


def _modules(folder: str) -> Iterator[tuple[str, str]]:
    found = list((WEB / folder).rglob("*.js"))
    assert found
    for file in found:
        yield str(file.relative_to(WEB)), file.read_text(encoding="utf-8")


def _imported(path: str, source: str) -> set[str]:
    return {str((WEB / path).parent.joinpath(one).resolve().relative_to(WEB)) for one in _IMPORT.findall(source)}


def test_the_library_imports_nothing_of_the_page() -> None:
    for path, source in _modules("client"):
        assert all(one.startswith("client/") for one in _imported(path, source)), path


def test_the_library_touches_no_document() -> None:
    for path, source in _modules("client"):
        assert path in DRAWS or not re.search(r"\bdocument\.|\binnerHTML\b", source), path


def test_what_all_parts_of_the_page_show_with_knows_none_of_them() -> None:
    for path, source in _modules("app/ui"):
        code = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
        assert all(one.startswith(("client/", "app/ui/")) for one in _imported(path, code)), path


def test_no_filter_is_over_video_that_moves() -> None:
    """Each frame would pass it: without a graphics card, a blur behind a dialog took as much as the whole call. Firefox draws it
    even below what covers it: behind a call, that of the top bar took four times as much as the videos.
    """
    found = []
    for file in (WEB / "css").glob("*.css"):
        code = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        found += [(selector.strip(), what) for selector, what in _FILTERED.findall(code)]
    assert found
    assert [one for one in found if not STILL.fullmatch(one[0])] == []


def test_no_module_of_the_page_is_over_420_lines() -> None:
    for path, source in [*_modules("client"), *_modules("app")]:
        assert len(source.splitlines()) <= 420, path
