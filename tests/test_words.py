"""The project's words are the field's: what they are called in RFCs and by W3C, in plain technical English."""

import re
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

GONE: Final = {
    r"strays?|newcomers?": "path validation, NAT rebinding, peer-reflexive address",
    r"fresh pictures?|look for (a )?key ?frames?": "request a key frame, detect a key frame",
    r"pictures": "video, frames",
    r"the five messages|five-message|additive messages": "protocol version 1, protocol version 2",
    r"momentary": "transient",
    r"Standing": "eligibility",
    r"Exchange|Endings": "call context, termination",
    r"house_kept|heed|Letter": "housekeeping, consume the exception, queued message",
    r"doubts|carriers?|tunes?|doors?": "warnings, transports, configure, HTTP client",
    r"fronts": "edges",
    r"nobody|somebody|whoever|is no more|by which ways?|tells? of|told of": "a subject: the client, the server, the user",
}
"""What was said before (as whole words), and the field's word for it."""

KEPT_FILES: Final = ("CHANGELOG.md", "tests/test_words.py")

KEPT: Final = (
    r"[\"'`]nobody[\"'`]|privacy-nobody|\bNOBODY\b",  # the value of the privacy setting, on the wire and in the database
    r"(relay_media_)?strays_limited(_total)?",  # a metric
)
"""What stays where it is: contracts keep the words that they were made with."""


def lines() -> list[tuple[str, int, str]]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout.split(
        "\n"
    )
    written = [name for name in listed if name.endswith((".py", ".md", ".js", ".html", ".cfg", ".toml"))]
    return [(name, at, line) for name in written for at, line in enumerate((ROOT / name).read_text().split("\n"), 1)]


def test_words_that_the_field_does_not_use_are_gone() -> None:
    kept = re.compile("|".join(KEPT))
    gone = [(re.compile(rf"(?<![A-Za-z])({old})(?![a-z])", re.IGNORECASE if old[0].islower() else 0), GONE[old]) for old in GONE]
    any_of = re.compile("|".join(GONE).lower())  # in lower case: to ignore it takes six times as long
    wrong = [
        f"{name}:{at}: {found[0]!r}: say {instead}"
        for name, at, line in lines()
        if name not in KEPT_FILES and any_of.search(line.lower())
        for old, instead in gone
        if (found := old.search(kept.sub("", line)))
    ]
    assert not wrong, "\n".join(wrong)
