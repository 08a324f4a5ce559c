"""Which package imports which, by the source: `app → {http, edge, db} → signaling, workers, media, turn → rtp, ids, errors`."""

import ast
import functools
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("sources")  # read and parsed once

ROOT = Path(__file__).parents[1]

SANS_IO = (
    "relay/signaling/sessions/addresses.py",
    *(
        f"relay/signaling/calls/{name}.py"
        for name in ("call", "notices", "policy", "paths", "diagram", "measured", "quality", "summary")
    ),
    "relay/signaling/log/entries.py",
    "relay/signaling/recording.py",
    *(f"relay/signaling/presence/{name}.py" for name in ("outbox", "message_limit")),
    *(f"relay/signaling/messages/{name}.py" for name in ("common", "incoming", "outgoing")),
    *(f"relay/sdp/{name}.py" for name in ("model", "media", "parse", "attributes", "negotiate", "write", "rewrite")),
    *(f"relay/edge/{name}.py" for name in ("public", "ice_servers", "routes")),
    *(f"relay/edge/tcp/{name}.py" for name in ("framing", "demux", "sendqueue", "checks", "pace", "bounds", "connection_table")),
    *(f"relay/edge/tcp/{name}.py" for name in ("handshakes", "peers", "proxy_protocol")),
    "relay/cluster/api.py",
    "relay/counting.py",
    "relay/mos.py",
    *(f"relay/client/{name}.py" for name in ("av_offset", "events", "figures", "resumption")),
    "relay/stun.py",
    *(f"relay/turn/{name}.py" for name in ("allocate", "allocations", "authentication", "credentials", "limits", "messages")),
    *(f"relay/turn/{name}.py" for name in ("outputs", "refusal", "server", "stream")),
    *(f"relay/check/{name}.py" for name in ("report", "verdicts", "descriptions")),
    *(f"relay/rtp/{name}.py" for name in ("packet", "rtcp", "rtcp_cuts", "rollover", "keyframes")),
    *(
        f"relay/media/transport/{name}.py"
        for name in ("ice", "peer_reflexive", "payloads", "consent", "liveness", "path", "ssrcs")
    ),
    *(
        f"relay/media/transport/{name}.py"
        for name in ("forwarding", "received", "buffers", "keyframe_requests", "events", "timing")
    ),
    "relay/media/quality/statistics.py",
    "relay/recording/limits.py",
    "relay/recording/assembly/budget.py",
    "relay/recording/records.py",
    *(f"relay/recording/verify/{name}.py" for name in ("facts", "figures", "intervals", "measures", "pace", "verdict")),
    *(
        f"relay/recording/assembly/{name}.py"
        for name in (
            "streams",
            "ulpfec",
            "sources",
            "clock",
            "survey",
            "frames",
            "selection",
            "audio_track",
            "video_track",
            "tracks",
            "sidecar",
        )
    ),
    *(f"relay/recording/payloads/{name}.py" for name in ("frame", "formats", "vp8", "vp9", "h264", "av1", "audio")),
    "relay/media/repair/history.py",
    *(f"relay/media/capture/{name}.py" for name in ("block", "keyframes")),
    "relay/media/net/exclusion.py",
)
"""The parts that think: bytes and times go in, values come out."""

WORLD = {"asyncio", "socket", "time", "aiohttp", "threading", "selectors", "sqlalchemy", "random"}

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "relay.ids": (),
    "relay.records": ("relay.records", "relay.ids"),
    "relay.errors": (),
    "relay.logs": (),
    "relay.counting": (),
    "relay.ip": (),
    "relay.ice_servers": (),
    "relay.clock": (),
    "relay.locked_file": (),
    "relay.cluster.api": (),
    "relay.cluster": ("relay.cluster", "relay.locked_file"),
    "relay.interpreter": (),
    "relay.rtp": ("relay.rtp", "relay.errors"),
    "relay.settings": ("relay.settings", "relay.errors", "relay.recording.limits"),
    "relay.cli": ("relay",),
    "relay.sealed": ("relay.errors",),
    "relay.stun": (),
    "relay.mos": (),
    # Not one plane of the server: a program that calls runs beside it, or far away.
    "relay.client.media_file": ("relay.client.tracks", "relay.client.errors"),
    "relay.client.recorder": ("relay.client.errors",),
    "relay.client.websocket": ("relay.client.errors",),
    "relay.client.peer": ("relay.client.errors", "relay.ice_servers"),
    "relay.client.connection": (
        *("relay.client.resumption", "relay.client.signin", "relay.client.websocket", "relay.client.errors"),
        "relay.ids",
    ),
    "relay.client": ("relay.client", "relay.mos", "relay.ice_servers", "relay.ids", "relay.errors"),
    "relay.media.quality": ("relay.media.quality", "relay.rtp", "relay.counting", "relay.mos"),
    "relay.media.api": ("relay.media.quality.statistics", "relay.errors"),
    "relay.media.net": ("relay.media.net", "relay.media.api"),
    "relay.media.repair": ("relay.media.repair", "relay.media.quality", "relay.rtp"),
    "relay.media.transport": (
        *("relay.media.transport", "relay.media.repair.history", "relay.media.net", "relay.media.quality", "relay.media.api"),
        *("relay.rtp", "relay.settings.media"),
    ),
    "relay.media.routing": (
        *("relay.media.routing", "relay.media.transport", "relay.media.repair.history", "relay.media.net", "relay.media.quality"),
        *("relay.media.api", "relay.rtp"),
    ),
    "relay.media.capture": (
        "relay.media.capture",
        "relay.media.transport",
        "relay.media.quality",
        "relay.media.api",
        "relay.sealed",
        "relay.errors",
    ),
    "relay.media": ("relay.media", "relay.rtp", "relay.stun", "relay.settings.media", "relay.counting", "relay.errors"),
    "relay.workers": ("relay.workers", "relay.media", "relay.settings.media", "relay.interpreter", "relay.errors", "relay.logs"),
    "relay.sdp": ("relay.sdp", "relay.media.api", "relay.errors"),
    "relay.signaling.messages": ("relay.signaling.messages", "relay.errors", "relay.ids"),
    "relay.signaling.ports": ("relay.media.api", "relay.records", "relay.ids"),
    "relay.signaling.recording": ("relay.records", "relay.errors", "relay.ids"),
    "relay.signaling.log": (
        *("relay.signaling.log", "relay.signaling.ports", "relay.records", "relay.locked_file", "relay.errors", "relay.ids"),
    ),
    "relay.signaling.sessions": ("relay.signaling.sessions", "relay.sdp", "relay.media.api", "relay.errors", "relay.ids"),
    "relay.signaling.presence": (
        *("relay.signaling.presence", "relay.signaling.messages", "relay.signaling.ports", "relay.signaling.sessions"),
        "relay.ids",
    ),
    "relay.signaling": (
        *("relay.signaling", "relay.sdp", "relay.media.api", "relay.settings.calls", "relay.settings.recording"),
        *("relay.records", "relay.clock", "relay.errors", "relay.ids"),
    ),
    "relay.check": ("relay.check", "relay.client", "relay.edge.tcp.framing", "relay.ice_servers", "relay.ids"),
    "relay.turn": ("relay.turn", "relay.settings.turn", "relay.counting", "relay.ip", "relay.errors"),
    "relay.edge": (
        *("relay.edge", "relay.turn", "relay.media.api", "relay.rtp.packet", "relay.stun", "relay.counting", "relay.ip"),
        *(
            "relay.ice_servers",
            "relay.settings.edge",
            "relay.settings.turn",
            "relay.settings.notation",
            "relay.errors",
            "relay.ids",
        ),
    ),
    "relay.http.access": (
        *("relay.http.access", "relay.http.api", "relay.http.limits", "relay.http.proxies", "relay.http.responses"),
        *("relay.http.ports", "relay.signaling.calls.faults", "relay.settings.auth", "relay.settings.notation"),
        *("relay.records", "relay.errors", "relay.ids"),
    ),
    "relay.http": (
        *("relay.http", "relay.signaling", "relay.sdp", "relay.media.api", "relay.media.quality.counters"),
        *("relay.check.report", "relay.check.verdicts", "relay.sealed"),
        *("relay.records", "relay.errors", "relay.ids", "relay.ip", "relay.ice_servers", "relay.settings.notation"),
        *("relay.settings.auth", "relay.settings.http", "relay.settings.limits"),
    ),
    "relay.push": (
        *("relay.push", "relay.signaling.ports", "relay.records", "relay.clock"),
        *("relay.errors", "relay.ids"),
    ),
    "relay.extensions": (
        *("relay.http.access.identity", "relay.signaling.ports", "relay.records.profiles", "relay.ids"),
        *(f"relay.signaling.calls.{name}" for name in ("extensions", "hooks", "judge")),
    ),
    "relay.recording.payloads": ("relay.recording.payloads",),
    "relay.recording.limits": ("relay.errors",),
    "relay.recording.records": ("relay.sealed", "relay.errors"),
    "relay.recording.assembly": (
        *("relay.recording.assembly", "relay.recording.payloads", "relay.recording.records", "relay.rtp"),
        "relay.errors",
    ),
    "relay.recording.assemble": ("relay.recording.assembly", "relay.recording.records", "relay.errors"),
    # Of what makes the files it knows `assemble` only, for a capture that has none yet.
    "relay.recording.verify": (
        *("relay.recording.verify", "relay.recording.assemble", "relay.recording.limits", "relay.recording.records"),
        *("relay.rtp", "relay.sealed", "relay.errors"),
    ),
    "relay.recording": ("relay.recording", "relay.rtp", "relay.sealed", "relay.errors", "relay.ids"),
    "relay.housekeeping": ("relay.settings.retention", "relay.records.calls", "relay.clock", "relay.errors"),
    "relay.composition": ("relay",),
    "relay.serving": ("relay",),
    "relay.app": ("relay",),
    "relay.__main__": ("relay",),
    "relay.db": (
        *(
            "relay.db",
            "relay.settings.database",
            "relay.settings.database_url",
            "relay.settings.retention",
            "relay.ids",
            "relay.errors",
        ),
        *("relay.signaling.ports", "relay.cluster.api", "relay.records"),
    ),
}
"""Package or module → what it may import of our own. The longest name that fits counts."""


@functools.cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def imports_of(file: Path) -> frozenset[str]:
    return frozenset(_imports_of(file))


def _imports_of(file: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions; `from a import b` as `a.b` where that is a module of ours."""
    for node in ast.walk(parsed(file)):
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
        module_of(file) for file in FILES if "relay.sdp.rewrite" in imports_of(file) or "connect_transport(" in file.read_text()
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


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Statements only are searched: expressions are most of a tree, and have no functions."""
    search: list[ast.AST] = [tree]
    while search:
        node = search.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        for inner in ("body", "orelse", "finalbody", "handlers", "cases"):
            search += getattr(node, inner, ())


def test_no_file_is_over_420_lines_and_no_function_over_90() -> None:
    """What is longer holds more than one idea: split it by them."""
    too_long = []
    for file in (one for folder in ("relay", "tests", "bench") for one in sorted(ROOT.glob(f"{folder}/**/*.py"))):
        text = file.read_text()
        found = {"the file": len(text.splitlines())} if len(text.splitlines()) > 420 else {}
        for node in functions_of(parsed(file)):
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
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module and within(node.module, "relay")
            for alias in node.names
            if ROOT.joinpath(*node.module.split("."), f"{alias.name}.py").is_file()
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("setattr", "setitem"):
                what = node.args[0]
                named = isinstance(what, ast.Name) and what.id in modules
                spelled = isinstance(what, ast.Constant) and str(what.value).startswith("relay.")
                wrong += [f"{file.relative_to(ROOT)}:{node.lineno}"] if named or spelled else []
            elif isinstance(node, ast.Assign):
                owners = [one.value for one in node.targets if isinstance(one, ast.Attribute)]
                wrong += [
                    f"{file.relative_to(ROOT)}:{node.lineno}" for one in owners if isinstance(one, ast.Name) and one.id in modules
                ]
    assert not wrong
