"""Files of others that the page loads: unchanged, and named by their content."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "web" / "vendor"
FOLDERS = sorted(VENDOR.iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_a_file_of_others_is_what_its_name_and_the_document_beside_it_say(folder: Path) -> None:
    documented = dict(re.findall(r"^\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|$", (folder / "README.md").read_text(), re.MULTILINE))
    files = {file.name for file in folder.iterdir()} - {"README.md", "LICENSE.txt"}
    assert files == set(documented)
    for name, checksum in documented.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
        assert name.split(".")[-2] == checksum[:16], "browsers keep it for ever"
    licence = (folder / "LICENSE.txt").read_text()
    assert "Redistribution and use in source and binary forms" in licence
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in licence


def test_files_of_others_name_no_host() -> None:
    for file in (*VENDOR.rglob("*.wasm"), *VENDOR.rglob("*.tflite"), *VENDOR.rglob("*.js")):
        assert not re.search(rb"https?://[\w.-]+", file.read_bytes()), file.name


def test_every_file_of_others_that_a_module_names_is_there() -> None:
    named = {
        one
        for file in (ROOT / "web" / "app").rglob("*.js")
        for one in re.findall(r'"(?:\.\./)+vendor/([^"]+)"', file.read_text(encoding="utf-8"))
    }
    assert named == {str(file.relative_to(VENDOR)) for file in VENDOR.rglob("*") if re.search(r"\.[0-9a-f]{16}\.\w+$", file.name)}
