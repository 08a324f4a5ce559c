"""Files of others that the page loads: unchanged, and named by their content."""

import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "web" / "vendor"
FOLDERS = sorted(VENDOR.iterdir())
LIBRARIES = {
    b"EigenForTFLite": ("Eigen", "Mozilla Public License Version 2.0"),
    b"XNNPACK": ("XNNPACK", "BSD 3-Clause License"),
    b"cpuinfo": ("cpuinfo", "BSD 2-Clause License"),
    b"FP16": ("FP16", "MIT License"),
    b"RFFT2D": ("OouraFFT", "Takuya OOURA"),
    b"3ruy": ("ruy", "Apache License"),
    b"gemmlowp": ("gemmlowp", "Apache License"),
    b"org_tensorflow": ("TensorFlow Lite", "Apache License"),
    b"org_mediapipe": ("MediaPipe", "Apache License"),
    b"St3__2": ("libc++", "LLVM Exceptions to the Apache 2.0 License"),
}
"""What compiled code has in it, by a name that it bears there: the library, and words of its licence."""


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


def test_the_licence_of_each_library_whose_name_is_in_compiled_code_is_beside_it() -> None:
    [compiled] = VENDOR.rglob("*.wasm")
    licences = (compiled.parent / "LICENSE.txt").read_text()
    code = compiled.read_bytes()
    for name, (library, words) in LIBRARIES.items():
        assert name in code
        assert library in licences
        assert words in licences, library


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
