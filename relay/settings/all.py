"""All settings, in one frozen object, read from the environment once.

Every setting `name` is the environment variable `RELAY_NAME`; docs/configuration.md lists them all.
"""

import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from relay.errors import ConfigurationError
from relay.settings import spelling
from relay.settings.auth import AuthSettings
from relay.settings.base import PREFIX, variable
from relay.settings.calls import CallSettings
from relay.settings.cluster import ClusterSettings
from relay.settings.database import DatabaseSettings
from relay.settings.edge import EdgeSettings
from relay.settings.http import HttpSettings
from relay.settings.limits import LimitSettings
from relay.settings.logs import LogSettings
from relay.settings.media import MediaSettings
from relay.settings.push import PushSettings
from relay.settings.recording import RecordingSettings
from relay.settings.retention import RecordingRetentionSettings, RetentionSettings
from relay.settings.turn import TurnSettings


@dataclass(frozen=True, kw_only=True)
class Settings(
    EdgeSettings,
    MediaSettings,
    TurnSettings,
    DatabaseSettings,
    ClusterSettings,
    AuthSettings,
    CallSettings,
    HttpSettings,
    LimitSettings,
    PushSettings,
    RecordingSettings,
    RetentionSettings,
    RecordingRetentionSettings,
    LogSettings,
):
    """How this relay runs. Build it with `from_environment`, or directly in tests and when embedding.

    Raises:
        ConfigurationError: one line per problem, each naming its variable.
    """

    def _problems(self) -> Iterator[str]:
        first, last = self.media_port, self.last_media_port
        if first and self.has_built_in and first <= self.turn_port <= last:
            yield f"{PREFIX}TURN_PORT: media takes the UDP ports from {first} to {last}"
        if self.redis_url:
            yield from self._not_shared()

    def _not_shared(self) -> Iterator[str]:
        """What the nodes of a cluster must have in common, and would each have for itself."""
        if self.database_url.startswith("sqlite"):
            yield f"{PREFIX}DATABASE_URL: the nodes of a cluster share a PostgreSQL database; SQLite is for one server"
        secrets = [
            ("jwt_secret", not (self.jwt_secret or self.jwks)),
            ("turn_secret", self.has_built_in and not self.turn_secret),
        ]
        for name, missing in secrets:
            if missing:
                # The one that is made up at start is of this node: the others would refuse what it has signed.
                yield f"{variable(name)}: required with {PREFIX}REDIS_URL, the same at every node; try: openssl rand -hex 32"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings.

        Raises:
            ConfigurationError: one line per problem, each naming its variable.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, kind in cls.kinds().items():
            text = environment.get(variable(name), "").strip()
            if not text:
                continue
            try:
                values[name] = spelling.read(kind, text)
            except ValueError as error:
                problems.append(f"{variable(name)}: {error}")
                if name == "dev":
                    values["dev"] = True  # whether a secret is needed cannot be told, so it is not asked for
        try:
            settings = cls(**values)
        except ConfigurationError as error:
            raise ConfigurationError("\n".join([*problems, str(error)])) from None
        if problems:
            raise ConfigurationError("\n".join(problems))
        return settings

    @classmethod
    def kinds(cls) -> Mapping[str, Any]:
        """Every setting with its type, in the order of the groups."""
        kinds = get_type_hints(cls, include_extras=True)
        return {name: kinds[name] for group in cls.__mro__ for name in inspect.get_annotations(group)}

    def shown(self) -> Iterator[tuple[str, str]]:
        """Every variable with its value as the environment would have it, without secrets."""
        for name, kind in self.kinds().items():
            yield variable(name), spelling.shown(kind, getattr(self, name))

    @classmethod
    def unknown(cls, environment: Mapping[str, str]) -> list[str]:
        """Variables that look like settings and are none: likely a spelling mistake, but others may share the prefix."""
        known = cls._variables()
        return sorted(key for key in environment if key.upper().startswith(PREFIX) and key not in known)

    @classmethod
    def meant_by(cls, name: str) -> str | None:
        """The variable that was likely meant by one that is no setting."""
        return spelling.resembling(name, cls._variables())

    @classmethod
    def _variables(cls) -> Iterable[str]:
        return [variable(field.name) for field in dataclasses.fields(cls)]
