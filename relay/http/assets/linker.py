"""Links ES modules into bundles: one for what a page starts with, and one for each part that it loads on demand.

Each module becomes the value of a function that is called once, in the order in which a browser would run them (ECMA-262 section
16.2.1.5.3): `const _3 = (() => { const { keyOf } = _1; …; return { Api }; })();`. A dynamic import loads its bundle and takes the
module from it. A bundle imports from others what they have already, so no module runs twice. A worker has bundles of its own,
since it shares nothing: `new URL("./drawing.worker.js", import.meta.url)` names its script, or with another extension a file.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from relay.http.assets.scripts import Import, Script, ScriptError, read_script


class LinkError(Exception):
    """The modules cannot be linked; the message says which one and why."""


@dataclass(slots=True)
class _Bundle:
    name: str
    modules: list[str] = field(default_factory=list)
    """Paths, in the order in which they run."""


def link(entry: str, read: Callable[[str], str]) -> Mapping[str, str]:
    """The bundles of a page, and of its workers: file name → program. The first one is the entry's.

    Args:
        entry: path of the module that the page loads: `app/main.js`.
        read: the source at a path; raises `OSError` if there is none.

    Raises:
        LinkError: a module is missing, imports itself by way of others, or has syntax that is not known here.
    """
    linker = _Linker(read)
    bundles = dict(linker.bundles(entry))
    for worker in linker.workers:
        bundles |= link(worker, read)
    return bundles


class _Linker:
    def __init__(self, read: Callable[[str], str]) -> None:
        self._read = read
        self._scripts: dict[str, Script] = {}
        self._owner: dict[str, _Bundle] = {}
        self._numbers: dict[str, str] = {}

    def bundles(self, entry: str) -> Mapping[str, str]:
        waiting, found = [entry], list[_Bundle]()
        while waiting:
            root = waiting.pop(0)
            if root in self._owner:
                continue
            # Those of other pages have the same modules, and other contents.
            bundle = _Bundle(_name(entry if root == entry else f"{entry.removesuffix('.js')}+{root}"))
            self._claim(root, bundle, ())
            found.append(bundle)
            waiting += [_resolved(one, path) for one in bundle.modules for path in self._scripts[one].dynamic]
        wanted = self._wanted_elsewhere(found, entry)
        return {bundle.name: self._written(bundle, wanted) for bundle in found}

    @property
    def workers(self) -> list[str]:
        """The scripts of the workers that the modules start."""
        found = (_resolved(path, one) for path in self._owner for one in self._scripts[path].addresses)
        return [one for one in dict.fromkeys(found) if one.endswith(".js")]

    def _claim(self, path: str, bundle: _Bundle, above: tuple[str, ...]) -> None:
        """Put a module behind those that it imports."""
        if path in above:
            raise LinkError(f"{path} imports itself: {' → '.join((*above, path))}")
        if path in self._owner:
            return
        self._script(path)
        for one in self._needed(path):
            self._claim(one, bundle, (*above, path))
        self._owner[path] = bundle
        self._numbers[path] = f"_{len(self._numbers)}"
        bundle.modules.append(path)

    def _script(self, path: str) -> Script:
        if path not in self._scripts:
            try:
                self._scripts[path] = read_script(self._read(path))
            except (ScriptError, OSError) as error:
                raise LinkError(f"{path}: {error}") from None
        return self._scripts[path]

    def _needed(self, path: str) -> list[str]:
        """The modules that a module imports, in their order; not those that it loads on demand."""
        script = self._scripts[path]
        return [_resolved(path, one.path) for one in (*script.imports, *script.reexports)]

    def _wanted_elsewhere(self, bundles: list[_Bundle], entry: str) -> set[str]:
        """The modules that another bundle than their own takes."""
        wanted = set[str]()
        for bundle in bundles:
            for path in bundle.modules:
                wanted |= {one for one in self._needed(path) if self._owner[one] is not bundle}
                wanted |= {_resolved(path, one) for one in self._scripts[path].dynamic}
        return wanted - {entry}

    def _written(self, bundle: _Bundle, wanted: set[str]) -> str:
        needed: dict[str, list[str]] = {}
        for path in bundle.modules:
            for target in self._needed(path):
                if self._owner[target] is not bundle:
                    names = needed.setdefault(self._owner[target].name, [])
                    if self._numbers[target] not in names:
                        names.append(self._numbers[target])
        lines = [f'import {{ {", ".join(names)} }} from "./{name}";' for name, names in needed.items()]
        lines += [self._module(path) for path in bundle.modules]
        if exported := [self._numbers[path] for path in bundle.modules if path in wanted]:
            lines.append(f"export {{ {', '.join(exported)} }};")
        return "\n".join(lines) + "\n"

    def _module(self, path: str) -> str:
        script = self._scripts[path]
        taken = [self._taken(path, one) for one in script.imports]
        calls = {one: self._loading(_resolved(path, one)) for one in script.dynamic}
        addresses = {one: _address(_resolved(path, one)) for one in script.addresses}
        exported = [outer if outer == local else f"{outer}: {local}" for outer, local in script.exports.items()]
        for one in script.reexports:
            number = self._number(path, one)
            exported += [f"{outer}: {number}.{name}" for outer, name in one.names.items()]
        head = f"const {self._numbers[path]} = (() => {{"
        return "\n".join(
            [head, *filter(None, taken), script.with_dynamic(calls, addresses), f"return {{ {', '.join(exported)} }};", "})();"]
        )

    def _taken(self, path: str, one: Import) -> str:
        number = self._number(path, one)
        self._check(path, one)
        if one.namespace:
            return f"const {one.namespace} = {number};"
        names = [name if name == local else f"{name}: {local}" for local, name in one.names.items()]
        return f"const {{ {', '.join(names)} }} = {number};" if names else ""

    def _check(self, path: str, one: Import) -> None:
        """A browser refuses a module that imports what the other does not export; a destructuring would only be undefined."""
        script = self._scripts[_resolved(path, one.path)]
        known = {*script.exports, *(name for more in script.reexports for name in more.names)}
        if missing := set(one.names.values()) - known:
            raise LinkError(f"{path}: {one.path} exports no {', '.join(sorted(missing))}")

    def _number(self, path: str, one: Import) -> str:
        return self._numbers[_resolved(path, one.path)]

    def _loading(self, target: str) -> str:
        return f'import("./{self._owner[target].name}").then((bundle) => bundle.{self._numbers[target]})'


def _name(path: str) -> str:
    return path.replace("/", "-")


def _address(target: str) -> str:
    """Of a worker's bundle, or of a file, as seen from the bundles: they are two folders below the files."""
    return f"./{_name(target)}" if target.endswith(".js") else f"../../{target}"


def _resolved(path: str, relative: str) -> str:
    """The path of what a module imports.

    Raises:
        LinkError: it is not relative.
    """
    if not relative.startswith("."):
        raise LinkError(f"{path}: {relative} is not a relative path")
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), relative))
