"""JavaScript as tokens, as far as it takes to drop comments and to find what a module imports and exports.

It reads the modules in `web/`, not JavaScript at large: what it does not know is an error that a test finds, never a guess.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<template>`)"
    r"|(?P<word>[\w$#]+)"
    r"|(?P<space>\s+)"
    r"|(?P<mark>.)",
    re.DOTALL,
)
_REGEX: Final = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_TEMPLATE_PART: Final = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?P<end>`|\$\{)", re.DOTALL)

_BEFORE_EXPRESSION: Final = frozenset(
    {"return", "typeof", "case", "in", "of", "new", "delete", "void", "throw", "await", "yield", "else", "do", "instanceof"}
)
"""Words behind which a slash begins a regular expression (ECMA-262 section 12.1); behind any other word it divides."""

_IMPORT: Final = re.compile(
    r"^import\s+(?:(?P<names>\{[^}]*\})\s*from\s*|\*\s*as\s+(?P<all>\w+)\s+from\s*)?\"(?P<path>[^\"]+)\";?[ \t]*$", re.MULTILINE
)
_EXPORT: Final = re.compile(r"^export\s+(?=(?:async\s+function\*?|function\*?|class|const)\s+(?P<name>[\w$]+))", re.MULTILINE)
_EXPORT_LIST: Final = re.compile(r"^export\s*(?P<names>\{[^}]*\})(?:\s*from\s*\"(?P<path>[^\"]+)\")?;?[ \t]*$", re.MULTILINE)
_DYNAMIC: Final = re.compile(r"\bimport\(\s*\"([^\"]+)\"\s*\)")
_ADDRESS: Final = re.compile(r"\bnew\s+URL\(\s*\"([^\"]+)\",\s*import\.meta\.url\s*\)")
"""Of a worker's script, or of a file that a program fetches."""
_UNKNOWN: Final = re.compile(r"^(?:export|import)\b(?!\().*$|\bimport\.meta\b", re.MULTILINE)


class ScriptError(Exception):
    """A module has what this reader does not know."""


@dataclass(frozen=True, slots=True)
class Import:
    """`import { name as local } from "path"`; `names` maps local names to exported ones."""

    path: str
    names: Mapping[str, str]
    namespace: str | None = None
    """The local name of the whole module: `import * as namespace`."""


@dataclass(frozen=True, slots=True)
class Script:
    """A module, read.

    Attributes:
        body: without its imports and the word `export`; `import("…")` and `new URL("…", import.meta.url)` are still in it.
        exports: exported name → local name.
        reexports: `export { … } from "…"`, exported names by the ones of the other module.
    """

    body: str
    imports: tuple[Import, ...]
    exports: Mapping[str, str]
    reexports: tuple[Import, ...] = ()

    @property
    def dynamic(self) -> list[str]:
        """The paths of its dynamic imports."""
        return _DYNAMIC.findall(self.body)

    @property
    def addresses(self) -> list[str]:
        """The paths of `new URL("…", import.meta.url)`: of workers, and of files."""
        return _ADDRESS.findall(self.body)

    def with_dynamic(self, calls: Mapping[str, str], addresses: Mapping[str, str]) -> str:
        """The body with other expressions in place of its dynamic imports, and with other addresses; both by their paths."""
        body = _DYNAMIC.sub(lambda found: calls[found[1]], self.body)
        return _ADDRESS.sub(lambda found: f'new URL("{addresses[found[1]]}", import.meta.url)', body)


def read_script(source: str) -> Script:
    """
    Raises:
        ScriptError: it has an import or an export of a kind that is not known here.
    """
    text = _plain(source)
    imports: list[Import] = []
    exports: dict[str, str] = {}
    reexports: list[Import] = []

    def imported(found: re.Match[str]) -> str:
        names = {local: name for name, local in _pairs(found["names"] or "{}")}
        imports.append(Import(found["path"], names, found["all"]))
        return ""

    def listed(found: re.Match[str]) -> str:
        pairs = _pairs(found["names"])
        if found["path"] is None:
            exports.update({outer: local for local, outer in pairs})
        else:
            reexports.append(Import(found["path"], {outer: name for name, outer in pairs}))
        return ""

    def declared(found: re.Match[str]) -> str:
        exports[found["name"]] = found["name"]
        return ""

    text = _EXPORT.sub(declared, _EXPORT_LIST.sub(listed, _IMPORT.sub(imported, text)))
    if unknown := _UNKNOWN.search(_ADDRESS.sub("", text)):
        raise ScriptError(f"not known to the linker: {unknown[0]}")
    return Script(text.strip(), tuple(imports), exports, tuple(reexports))


def _plain(source: str) -> str:
    """The same program without comments, indentation and empty lines; what is within strings and templates stays."""
    parts: list[str] = []
    for kind, text in tokens(source):
        if kind == "space":
            if not parts or parts[-1] not in ("\n", " "):
                parts.append(text)
            if "\n" in text:
                parts[-1] = "\n"
        elif kind != "comment":
            parts.append(text)
        elif "\n" in text and parts and parts[-1] != "\n":
            parts.append("\n")  # ECMA-262 section 12.4: it counts as the end of a line
    return "".join(parts)


def tokens(source: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token: `comment`, `string`, `template` (a part of one), `regex`, `word`, `space` or `mark`.

    Raises:
        ScriptError: a template does not end.
    """
    at, before = 0, ""
    braces: list[int] = []  # for each `${` that is open: the braces that are open within it
    while at < len(source):
        kind, text = _token_at(source, at, before)
        if kind == "mark" and braces:
            braces[-1] += {"{": 1, "}": -1}.get(text, 0)
            if braces[-1] < 0:  # the end of `${…}`: the template goes on
                braces.pop()
                kind = "template"
        if kind == "template":
            part = _TEMPLATE_PART.match(source, at + 1)
            if part is None:
                raise ScriptError("a template does not end")
            text = source[at : part.end()]
            if part["end"] == "${":
                braces.append(0)
        yield kind, text
        at += len(text)
        if kind not in ("space", "comment"):
            # A template that goes on behind `${` begins an expression, one that has ended is one.
            before = "(" if kind == "template" and text.endswith("${") else text if kind in ("word", "mark") else "value"


def _token_at(source: str, at: int, before: str) -> tuple[str, str]:
    found = _TOKEN.match(source, at)
    assert found is not None, "its last alternative takes any character"
    kind, text = found.lastgroup or "mark", found[0]
    if kind == "mark" and text == "/" and _begins_expression(before) and (regex := _REGEX.match(source, at)):
        return "regex", regex[0]
    return kind, text


def _begins_expression(before: str) -> bool:
    """Whether an expression may begin behind that token: then a slash is no division."""
    if not before or before in _BEFORE_EXPRESSION:
        return True
    return before not in (")", "]", "}", "value") and not (before[0].isalnum() or before[0] in "_$#")


def _pairs(names: str) -> list[tuple[str, str]]:
    """`{ a, b as c }` → (a, a), (b, c)."""
    listed = (one.split(" as ") for one in names.strip("{} \n").replace("\n", " ").split(",") if one.strip())
    return [(one[0].strip(), one[-1].strip()) for one in listed]
