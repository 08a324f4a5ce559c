"""What handlers need, beside the request: each says it in its signature, and has it from when it is registered.

`async def read(request: web.Request, *, who: HttpAuthenticator, settings: ProfileSettings)` gets both by their types.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar, get_type_hints
from weakref import WeakKeyDictionary

Provided = Mapping[object, object]
"""Type, as annotations name it → the value for parameters of that type."""

_Answer = TypeVar("_Answer")


_KINDS: Final[WeakKeyDictionary[Callable[..., object], Mapping[str, object]]] = WeakKeyDictionary()
"""What `_kinds_of` has found. Each application of a process has the same hundred handlers, and each is looked at twice."""


def by_type(needs: object) -> Provided:
    """The values of a dataclass's fields, by the types of the fields.

    Raises:
        ValueError: two fields are of the same type.
    """
    found: dict[object, object] = {}
    for name, kind in get_type_hints(type(needs)).items():
        if kind in found:
            raise ValueError(f"{name} is of the same type as another field: {_named(kind)}")
        found[kind] = getattr(needs, name)
    return found


def bound(function: Callable[..., _Answer], provided: Provided) -> Callable[..., _Answer]:
    """A function with its keyword-only parameters filled in. Those with a default, or a value from `partial`, stay as they are.

    Raises:
        LookupError: nothing of a parameter's type is provided.
    """
    inner, given = (function.func, function.keywords) if isinstance(function, partial) else (function, {})
    kinds = _kinds_of(inner)
    wanted = [name for name in kinds if name not in given]
    missing = [f"{name}: {_named(kinds[name])}" for name in wanted if kinds[name] not in provided]
    if missing:
        raise LookupError(f"{inner.__module__}.{inner.__qualname__} needs what is not provided: {', '.join(missing)}")
    return partial(function, **{name: provided[kinds[name]] for name in wanted}) if wanted else function


def _kinds_of(function: Callable[..., object]) -> Mapping[str, object]:
    """Keyword-only parameter without a default → its type, None if it has none."""
    kinds = _KINDS.get(function)
    if kinds is None:
        hints, parameters = get_type_hints(function), inspect.signature(function).parameters.values()
        required = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY and one.default is one.empty]
        kinds = _KINDS[function] = {name: hints.get(name) for name in required}
    return kinds


def _named(kind: object) -> str:
    return kind.__qualname__ if isinstance(kind, type) else str(kind)
