"""What the groups of settings share: how a group is checked, and the types that say how a value is written."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from msgspec import Meta

from relay.errors import ConfigurationError

PREFIX: Final = "RELAY_"

MIN_SECRET_LENGTH: Final = 32
"""Characters. RFC 7518 section 3.2: an HS256 key has at least 256 bits."""

MAX_PORT: Final = 65535

_Group = TypeVar("_Group", bound="Group")

Port = Annotated[int, Meta(ge=0, le=MAX_PORT)]
Quota = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400, extra={"unit": "s"})]
Days = Annotated[int, Meta(ge=0, le=36500, extra={"unit": "d"})]
Secret = Annotated[str, Meta(extra={"secret": True})]
"""A text that no output shows."""


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some settings that belong together. `relay.settings.all.Settings` inherits from all groups, and so has every field.

    A field is one setting: its name in upper case is that of the variable, its type says how the value is written (`spelling`
    reads it), its default stands here and nowhere else, and `_problems` finds what the type cannot say.
    """

    def __post_init__(self) -> None:
        # By the classes themselves and not by `super()`: a group that forgot to call it would turn off the checks of others.
        checks = [vars(kind)["_problems"] for kind in type(self).__mro__ if "_problems" in vars(kind)]
        problems = [problem for check in checks for problem in check(self)]
        if problems:
            raise ConfigurationError("\n".join(problems))

    def only(self, group: type[_Group]) -> _Group:
        """A group that these settings are of, without the others: no part of the relay is given the secrets of another."""
        return group(**{name: getattr(self, name) for name in names_of(group)})

    def _problems(self) -> Iterator[str]:
        """What is wrong with the values of this group, a line each that begins with the name of the variable."""
        yield from ()


@dataclass(frozen=True, kw_only=True)
class Development(Group):
    """For the groups that development mode changes."""

    dev: bool = False
    """Development mode: demo data, log-in without a password, a secret made up at start."""


def parsing_problem(name: str, parse: Callable[[], object]) -> Iterator[str]:
    """What a parser says of the setting `name`, if it raises `ValueError`."""
    try:
        parse()
    except ValueError as error:
        yield f"{variable(name)}: {error}"


def secret_problem(name: str, value: str) -> Iterator[str]:
    """A secret that was given is long enough."""
    if value and len(value) < MIN_SECRET_LENGTH:
        yield f"{variable(name)}: needs at least {MIN_SECRET_LENGTH} characters; try: openssl rand -hex 32"


def names_of(group: type[Group]) -> Iterable[str]:
    """The settings of a group."""
    return [field.name for field in dataclasses.fields(group)]
