"""Which package imports which, by the source: `app → {http, edge, db} → signaling, workers, media, turn → rtp, ids, errors`."""

import ast
import functools
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.kit import sources
from tests.kit.layers import MAY_IMPORT, SANS_IO, WORLD

pytestmark = pytest.mark.xdist_group("sources")  # read and parsed once

ROOT = Path(__file__).parents[1]


text_of = functools.cache(Path.read_text)
parsed = functools.cache(sources.parsed)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """The trees, when no test needs them any more: the garbage collector would go through them for the rest of the run."""
    yield
    text_of.cache_clear()
    parsed.cache_clear()
    imports_of.cache_clear()


def statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Also those inside functions. Expressions are most of a tree, and have none."""
    search: list[ast.AST] = [tree]
    while search:
        node = search.pop()
        yield node
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            found = getattr(node, inner, ())
            search += found if isinstance(found, list) else ()


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def imports_of(file: Path) -> frozenset[str]:
    return frozenset(_imports_of(file))


def _imports_of(file: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions; `from a import b` as `a.b` where that is a module of ours."""
    for node in statements(parsed(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute here"
            assert node.module is not None
            for alias in node.names:
                inner = ROOT.joinpath(*node.module.split("."), alias.name)
                yield f"{node.module}.{alias.name}" if inner.is_dir() or inner.with_suffix(".py").is_file() else node.module


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def ours(module: str) -> bool:
    return within(module, "relay")


FILES = sorted(ROOT.glob("relay/**/*.py"))


def test_every_module_has_a_rule_for_its_imports() -> None:
    without = {module for module in map(module_of, FILES) if not any(within(module, package) for package in MAY_IMPORT)}
    assert without == {"relay"}


def test_imports_point_one_way() -> None:
    wrong = []
    for file in FILES:
        module = module_of(file)
        rule = max((package for package in MAY_IMPORT if within(module, package)), key=len, default=None)
        allowed = MAY_IMPORT[rule] if rule else ()
        found = {name for name in imports_of(file) if ours(name) and not any(within(name, one) for one in allowed)}
        wrong += [f"{module} may not import {name}" for name in sorted(found)]
    assert not wrong


def rooms_that_import(package: str) -> dict[str, set[str]]:
    """The modules and folders right inside a package → those beside them that they import."""
    depth = package.count(".") + 2
    found: dict[str, set[str]] = {}
    for file in FILES:
        own = ".".join(module_of(file).split(".")[:depth])
        if own.startswith(f"{package}."):
            others = {".".join(name.split(".")[:depth]) for name in imports_of(file) if name.startswith(f"{package}.")}
            found.setdefault(own, set()).update(others - {own})
    return found


def test_nothing_in_a_folder_imports_something_beside_it_that_imports_it() -> None:
    """Inside each package, too: the modules and folders of each have an order in which they can be read."""
    circles: dict[str, list[str]] = {}
    for package in sorted({module_of(file) for file in FILES if file.name == "__init__.py"}):
        imports = rooms_that_import(package)
        while free := {room for room, others in imports.items() if not others & imports.keys()}:
            imports = {room: others for room, others in imports.items() if room not in free}
        circles |= {package: sorted(imports)} if imports else {}
    assert not circles, "these import each other, or one that does"


def test_no_room_imports_another_one_that_imports_it() -> None:
    """A room is a folder; a file beside folders is a room of its own."""
    imported: dict[str, set[str]] = {}
    for file in FILES:
        room = room_of(module_of(file))
        imported.setdefault(room, set()).update({room_of(name) for name in imports_of(file) if ours(name)} - {room})
    TopologicalSorter(imported).prepare()  # raises CycleError, which names the rooms


@functools.cache
def room_of(module: str) -> str:
    path = ROOT.joinpath(*module.split("."))
    folder = path if path.is_dir() else path.parent
    has_rooms = any(one.is_file() for one in folder.glob("*/*.py"))
    return module if has_rooms else ".".join(folder.relative_to(ROOT).parts)


def test_sessions_know_no_device_and_no_call() -> None:
    known = {name for file in FILES if within(module_of(file), "relay.signaling.sessions") for name in imports_of(file)}
    inside = {name for name in known if within(name, "relay.signaling")}
    assert {name for name in inside if not within(name, "relay.signaling.sessions")} == set()


def test_a_transport_is_negotiated_in_one_place() -> None:
    """Whatever else rewrites descriptions, or opens and connects transports, has a second copy of the negotiation."""
    negotiating = {
        module_of(file) for file in FILES if "relay.sdp.rewrite" in imports_of(file) or "connect_transport(" in text_of(file)
    }
    engines = ("relay.media", "relay.workers", "relay.edge.reach")
    assert {name for name in negotiating if not any(within(name, engine) for engine in engines)} == {
        "relay.signaling.sessions.session"
    }


def test_only_the_composition_root_and_the_command_line_know_the_database() -> None:
    knowing = {module_of(file) for file in FILES if any(within(name, "relay.db") for name in imports_of(file))}
    composition = {"relay.app", *(f"relay.composition.{name}" for name in ("database", "http", "recordings", "signaling"))}
    assert {module for module in knowing if not within(module, "relay.db")} == {*composition, "relay.cli.migration"}


def test_sans_io_modules_import_no_io() -> None:
    touched = {path: {name.partition(".")[0] for name in imports_of(ROOT / path)} & WORLD for path in SANS_IO}
    assert not {path: found for path, found in touched.items() if found}


def test_sans_io_modules_await_nothing() -> None:
    trees = {path: ast.walk(parsed(ROOT / path)) for path in SANS_IO}
    waiting = {path for path, nodes in trees.items() if any(isinstance(one, ast.AsyncFunctionDef | ast.Await) for one in nodes)}
    assert not waiting


def test_no_module_of_the_product_imports_a_test() -> None:
    wrong = {
        module_of(file): name for file in FILES for name in imports_of(file) if within(name, "tests") or within(name, "bench")
    }
    assert not wrong


def test_only_the_command_line_prints() -> None:
    printing = {
        module_of(file)
        for file in FILES
        if "print" in text_of(file)
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert not {module for module in printing if not within(module, "relay.cli")} - {"relay.__main__"}


def test_each_name_of_a_public_class_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for file in FILES:
        for node in parsed(file).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module_of(file))
    assert not {name: modules for name, modules in places.items() if len(modules) > 1}


def test_no_file_is_over_420_lines_and_no_function_over_90() -> None:
    """What is longer holds more than one idea: split it by them."""
    too_long = []
    for file in (one for folder in ("relay", "tests", "bench") for one in sorted(ROOT.glob(f"{folder}/**/*.py"))):
        length = len(text_of(file).splitlines())
        found = {"the file": length} if length > 420 else {}
        for node in statements(parsed(file)) if length > 90 else ():
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            found |= {node.name: lines} if lines > 90 else {}
        too_long += [f"{file.relative_to(ROOT)}: {name} has {lines} lines" for name, lines in found.items()]
    assert not too_long


def test_handlers_take_what_they_need_as_parameters_and_look_nothing_up_in_the_application() -> None:
    looking = {
        f"{module_of(file)}:{node.lineno}"
        for file in ROOT.glob("relay/http/**/*.py")
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Attribute) and node.attr in {"app", "config_dict"}
    }
    assert looking == set()


def test_no_test_changes_what_a_module_of_ours_was_written_with() -> None:
    """What a test needs otherwise is an argument: a constant that is replaced is one that nothing else can set."""
    wrong = []
    for file in sorted(ROOT.glob("tests/**/*.py")):
        tree = parsed(file)
        modules = {
            alias.asname or alias.name
            for node in statements(tree)
            if isinstance(node, ast.ImportFrom) and node.module and within(node.module, "relay")
            for alias in node.names
            if ROOT.joinpath(*node.module.split("."), f"{alias.name}.py").is_file()
        }
        for node in ast.walk(tree) if "setattr" in text_of(file) or "setitem" in text_of(file) else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("setattr", "setitem"):
                what = node.args[0]
                named = isinstance(what, ast.Name) and what.id in modules
                spelled = isinstance(what, ast.Constant) and str(what.value).startswith("relay.")
                wrong += [f"{file.relative_to(ROOT)}:{node.lineno}"] if named or spelled else []
        for node in statements(tree) if modules else ():
            if isinstance(node, ast.Assign):
                owners = [one.value for one in node.targets if isinstance(one, ast.Attribute)]
                wrong += [
                    f"{file.relative_to(ROOT)}:{node.lineno}" for one in owners if isinstance(one, ast.Name) and one.id in modules
                ]
    assert not wrong
