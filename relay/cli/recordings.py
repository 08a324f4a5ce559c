"""Where the commands find recordings, and what opens them."""

import os
from typing import Any

from relay.errors import ConfigurationError
from relay.settings.all import Settings
from relay.settings.base import variable
from relay.settings.recording import RecordingSettings
from relay.settings.spelling import read


def recording_settings() -> RecordingSettings:
    """Of the environment. The other settings may be missing: recordings are assembled on other machines too.

    Raises:
        ConfigurationError: one of them is wrong.
    """
    kinds = Settings.kinds()
    given = {name: os.environ.get(variable(name), "").strip() for name in ("dev", "recording_directory", "recording_key")}
    values: dict[str, Any] = {}
    for name, text in given.items():
        try:
            values |= {name: read(kinds[name], text)} if text else {}
        except ValueError as error:
            raise ConfigurationError(f"{variable(name)}: {error}") from None
    return RecordingSettings(**values)
