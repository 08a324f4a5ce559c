"""Where the commands find recordings, and what opens them."""

import os
import re
from pathlib import Path
from typing import Any, Final

from relay.errors import ConfigurationError
from relay.settings.all import Settings
from relay.settings.base import variable
from relay.settings.recording import DEVELOPMENT_DIRECTORY, RecordingSettings
from relay.settings.spelling import read

RECORDING_ID: Final = re.compile(r"[0-9a-f]{32}")


def recording_settings() -> RecordingSettings:
    """Of the environment. The other settings may be missing: recordings are assembled on other machines too.

    Where no directory is named, it is that of a relay in development mode, if there is one here.

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
    if "recording_directory" not in values and Path(DEVELOPMENT_DIRECTORY).is_dir():
        values["recording_directory"] = DEVELOPMENT_DIRECTORY
    return RecordingSettings(**values)


def directory_of(settings: RecordingSettings, text: str) -> Path:
    """Where the recording with that id is.

    Raises:
        ConfigurationError: no directory is named.
    """
    if settings.recordings is None:
        raise ConfigurationError(f"{text} looks like the id of a recording, and RELAY_RECORDING_DIRECTORY is not set")
    return settings.recordings


def newest_recording(settings: RecordingSettings) -> str:
    """The id of the recording that began last.

    Raises:
        ConfigurationError: there is none.
    """
    directory = settings.recordings
    there = [*directory.iterdir()] if directory is not None and directory.is_dir() else []
    found = [one for one in there if RECORDING_ID.fullmatch(one.stem)]
    if not found:
        where = f"in {directory}" if directory is not None else "known, as RELAY_RECORDING_DIRECTORY is not set"
        raise ConfigurationError(f"there is no recording {where}: name one")
    return max(found, key=lambda one: one.stat().st_ctime).stem
