"""The documents keep up with the code."""

import ast
import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from relay.settings.all import Settings
from relay.signaling.calls.call import EndReason, State
from relay.signaling.calls.diagram import recording_diagram, state_diagram
from relay.signaling.messages import incoming, outgoing
from tests.kit import metrics_document
from tests.kit.sources import parsed

ROOT = Path(__file__).parents[1]
CONFIGURATION = ROOT / "docs" / "configuration.md"
PROTOCOL = ROOT / "docs" / "protocol.md"
TROUBLESHOOTING = ROOT / "docs" / "troubleshooting.md"
INSTALL = ROOT / "docs" / "install.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
SECURITY = ROOT / "SECURITY.md"

DOCUMENTS = sorted(
    file
    for file in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in {"node_modules", "build"} for part in file.relative_to(ROOT).parts)
)


def default_of(name: str) -> str:
    """The default of a setting, as its environment variable would have it."""
    [field] = [one for one in dataclasses.fields(Settings) if one.name == name]
    value = field.default
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def structs(base: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The messages below `base`: those that have a type."""
    found = [base] if base.__struct_config__.tag not in (None, base.__name__) else []
    return found + [one for below in base.__subclasses__() for one in structs(below)]


def codes() -> set[str]:
    """The codes of all errors that the signaling plane raises or sends, read from its source."""
    found = set()
    for file in [*(ROOT / "relay" / "signaling").rglob("*.py"), *(ROOT / "relay" / "sdp").rglob("*.py")]:
        tree = parsed(file)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in {"SignalingError", "_refuse", "Error"} or (name == "__init__" and file.name == "parse.py"):
                    given = [*node.args, *(one.value for one in node.keywords if one.arg == "code")]
                    texts = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                    found |= {text for text in texts if re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}
            if isinstance(node, ast.FunctionDef) and node.name == "_code_of":
                found |= {
                    one.value
                    for returned in ast.walk(node)
                    if isinstance(returned, ast.Return)
                    for one in ast.walk(returned)
                    if isinstance(one, ast.Constant) and isinstance(one.value, str) and re.fullmatch(r"[a-z]+_?[a-z]+", one.value)
                }
    return found - {"type"}


def test_the_codes_are_found_in_the_source() -> None:
    expected = {"malformed", "unknown_type", "invalid_message", "too_large", "invalid_sdp"}
    expected |= {"no_call", "wrong_state", "not_in_call", "unavailable"}
    assert expected <= codes()


def test_every_setting_is_documented_with_its_default() -> None:
    missing = []
    for name in Settings.kinds():
        variable, default = f"RELAY_{name.upper()}", default_of(name)
        lines = [line for line in CONFIGURATION.read_text().splitlines() if f"`{variable}`" in line]
        if not lines or (default and not any(re.search(rf"(?<![\w.]){re.escape(default)}(?![\w])", line) for line in lines)):
            missing.append((variable, default))
    assert not missing


def test_no_setting_is_documented_that_does_not_exist() -> None:
    known = {f"RELAY_{name.upper()}" for name in Settings.kinds()} | {"RELAY_NAME"}
    of_tests = {"RELAY_ROLLING", "RELAY_DEATHS"}
    for file in DOCUMENTS:
        named = set(re.findall(r"\bRELAY_[A-Z][A-Z_]*[A-Z]\b", file.read_text()))
        named -= of_tests if file.name == "CONTRIBUTING.md" else set()
        assert named <= known, f"{file.name} names {named - known}"


def test_every_message_and_each_of_its_fields_is_documented() -> None:
    text = PROTOCOL.read_text()
    missing = []
    for message in [*structs(incoming.FromClient), *structs(outgoing.ToClient)]:
        tag = message.__struct_config__.tag
        if not re.search(rf'[`"#] ?{tag}\b', text):
            missing.append(tag)
        for name in (one.encode_name for one in msgspec.structs.fields(message)):
            pattern = "from_*" if name.startswith("from_") else "to_*" if name.startswith("to_") else name
            if name not in text and pattern not in text:
                missing.append(f"{tag}.{name}")
    assert not missing


def undocumented(words: Iterable[str]) -> list[str]:
    """Those that the protocol's document does not name."""
    text = PROTOCOL.read_text()
    return [word for word in words if f"`{word}`" not in text]


def test_every_error_code_is_documented() -> None:
    assert not undocumented(codes())


def test_every_reason_for_an_end_is_documented() -> None:
    assert not undocumented(reason.value for reason in EndReason)


def test_every_state_that_a_client_can_see_is_documented() -> None:
    assert not undocumented(state.value for state in State)


@pytest.mark.parametrize("diagram", [state_diagram, recording_diagram])
def test_the_diagrams_of_the_states_are_those_of_the_code(diagram: Callable[[], str]) -> None:
    assert f"```mermaid\n{diagram()}\n```" in PROTOCOL.read_text(), "see: python -m relay.signaling.calls.diagram"


def test_every_message_of_a_client_has_a_chapter_with_an_example() -> None:
    [_, chapters] = PROTOCOL.read_text().split("\n## From a client\n")
    for message in structs(incoming.FromClient):
        tag = message.__struct_config__.tag
        [chapter, *_] = [one for one in chapters.split("\n### ")[1:] if one.startswith(f"{tag}\n")]
        example = re.search(r"```json\n(.*?)\n```", chapter, re.DOTALL)
        assert example is not None, tag
        assert isinstance(incoming.decode(example[1]), message), tag


@pytest.mark.parametrize(("base", "sender"), [(incoming.FromClient, "client"), (outgoing.ToClient, "server")])
def test_the_index_has_every_message_its_version_and_its_chapter(base: type[msgspec.Struct], sender: str) -> None:
    text = PROTOCOL.read_text()
    first = {one.__struct_config__.tag for one in get_args(incoming.TheFive)}
    chapters = [(heading.split(", "), anchor) for heading, anchor in headings_of(text)]
    begins = [anchor for _, anchor in chapters].index("from-a-client" if sender == "client" else "from-the-server")
    expected = {}
    for message in structs(base):
        tag = str(message.__struct_config__.tag)
        chapter = next(anchor for names, anchor in chapters[begins:] if tag in names)
        expected[tag] = (chapter, 1 if tag in first else 2)
    rows = re.findall(rf"(?m)^\| \[`(\w+)`\]\(#([\w-]+)\) \| {sender} \| (\d) \| \S.* \|$", text)
    assert {tag: (anchor, int(since)) for tag, anchor, since in rows} == expected
    assert len(rows) == len(expected)


async def test_the_table_of_metrics_matches_those_of_a_relay() -> None:
    shown = await metrics_document.shown()
    assert {name: row for name, (row, _) in metrics_document.documented().items()} == shown, "see tests/kit/metrics_document.py"


def headings_of(text: str) -> list[tuple[str, str]]:
    """The headings of a document, and what GitHub calls them in a link: the second of the same name ends in `-1`."""
    seen: Counter[str] = Counter()
    found = []
    for heading in re.findall(r"(?m)^#+ +(.+?) *#*$", text):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append((heading, f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor))
        seen[anchor] += 1
    return found


def texts_of_the_source() -> list[str]:
    """Every string that the relay's source has, the ones of several lines put together."""
    nodes = (node for file in (ROOT / "relay").rglob("*.py") for node in ast.walk(parsed(file)))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def quoted(document: Path) -> set[str]:
    text = re.sub(r"(?ms)^```.*?^```", "", document.read_text())
    return set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text))


def test_every_log_line_that_the_troubleshooting_guide_quotes_is_one() -> None:
    commands = ("call-relay ", "systemctl ", "chmod ", "proxy_")
    lines = {one for one in quoted(TROUBLESHOOTING) if one.count(" ") >= 2 and not one.startswith(commands)}
    assert len(lines) > 15
    sources = texts_of_the_source()
    assert [line for line in sorted(lines) if not any(line in text for text in sources)] == []


def test_every_metric_that_a_guide_names_is_in_the_table() -> None:
    for document in (TROUBLESHOOTING, SECURITY, INSTALL):
        named = {one for one in quoted(document) if re.fullmatch(r"relay_[a-z_]+[a-z]", one)}
        assert named <= metrics_document.documented().keys(), document.name


def test_every_reason_in_the_troubleshooting_guide_is_one() -> None:
    [_, chapter] = TROUBLESHOOTING.read_text().split("\n## The call breaks off\n")
    reasons = re.findall(r"(?m)^\| `(\w+)` \|", chapter.partition("\n## ")[0])
    assert len(reasons) > 5
    assert set(reasons) <= {one.value for one in EndReason}


def test_every_term_of_the_glossary_has_one_line_with_its_source() -> None:
    rows = re.findall(r"(?m)^\| \*\*(.+?)\*\* \| (.+?) \| (.+?) \|$", GLOSSARY.read_text())
    assert len(rows) == GLOSSARY.read_text().count("\n| **")
    terms = [term for term, _, _ in rows]
    assert len(set(terms)) == len(terms) > 60
    assert [
        term for term, _, source in rows if not re.search(r"RFC \d+|W3C|ITU-T|here|mediasoup|Linux|draft-|haproxy", source)
    ] == []


def test_the_answers_to_the_three_questions_of_contributing_name_places_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert "def _forward(" in (ROOT / "relay" / "media" / "routing" / "direct.py").read_text()
    for question in ("Where is a packet forwarded?", "Where is an offer made?", "Where do I add a setting?"):
        answer = text.partition(f"**{question}**")[2].partition("\n\n")[0]
        paths = re.findall(r"`(relay/[\w/.]+)`", answer)
        assert paths, question
        assert [path for path in paths if not (ROOT / path).exists()] == []
    named = re.findall(r"(?m)^\| `([\w/.]+)` \|", text)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_architecture_names_modules_that_exist() -> None:
    named = {one for one in quoted(ROOT / "docs" / "architecture.md") if re.fullmatch(r"[\w/]+\.(py|js)", one)}
    files = [f"/{file.relative_to(ROOT)}" for folder in ("relay", "tests", "web") for file in (ROOT / folder).rglob("*.*")]
    assert len(named) > 30
    assert [one for one in sorted(named) if not any(file.endswith(f"/{one}") for file in files)] == []


def anchors_of(file: Path) -> set[str]:
    return {anchor for _, anchor in headings_of(file.read_text())}


def links_of(file: Path) -> list[str]:
    """What a document links to within the project."""
    text = re.sub(r"(?ms)^```.*?^```", "", file.read_text())
    targets = re.findall(r"\]\(([^)\s]+)[^)]*\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def test_links_lead_somewhere() -> None:
    broken = []
    for file in DOCUMENTS:
        for target in links_of(file):
            path, _, anchor = target.partition("#")
            found = (file.parent / path).resolve() if path else file
            if not found.exists() or (anchor and found.suffix == ".md" and anchor not in anchors_of(found)):
                broken.append((file.relative_to(ROOT), target))
    assert not broken
