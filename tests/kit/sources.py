"""The project's own source, for tests of how it is written."""

import ast
import gc
from pathlib import Path


def parsed(file: Path) -> ast.Module:
    """Without the cyclic garbage collector: it goes through all trees again and again, for most of the time that this takes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(file.read_text())
    finally:
        if enabled:
            gc.enable()
