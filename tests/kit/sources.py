"""The project's own source, for tests of how it is written."""

import ast
import functools
import gc
from pathlib import Path


@functools.cache
def text_of(file: Path) -> str:
    return file.read_text()


@functools.cache
def parsed(file: Path) -> ast.Module:
    """Without the cyclic garbage collector: it goes through all trees again and again, for most of the time that this takes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text_of(file))
    finally:
        if enabled:
            gc.enable()
