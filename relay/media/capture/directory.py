"""The directory of recordings, examined before the first one is made."""

import logging
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

from relay.errors import ConfigurationError

logger = logging.getLogger(__name__)

VARIABLE: Final = "RELAY_RECORDING_DIRECTORY"

MODE: Final = 0o700


def examine_directory(directory: Path, *, may_be_missing: bool = False) -> None:
    """Check that files can be made in it; makes nothing that stays.

    Args:
        may_be_missing: it is made with the first recording.

    Raises:
        ConfigurationError: they cannot.
    """
    if may_be_missing and not directory.exists():
        directory = directory.absolute().parent
    elif not directory.exists():
        raise ConfigurationError(f"{VARIABLE}: {directory} does not exist; as the relay's user: mkdir -m 700 {directory}")
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except NotADirectoryError:
        raise ConfigurationError(f"{VARIABLE}: {directory} is no directory") from None
    except OSError as error:
        raise ConfigurationError(f"{VARIABLE}: no file can be made in {directory}: {error.strerror}") from None


def warn_of_others(directory: Path) -> None:
    """Say in the log if other users can look into the directory. Its files are the relay's user's alone."""
    try:
        mode = stat.S_IMODE(directory.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        logger.warning("other users can look into %s (permissions %o): chmod 700 %s", directory, mode, directory)


def make_directory(directory: str) -> None:
    """Make it, for its user alone, where it is missing."""
    if not Path(directory).is_dir():
        os.mkdir(directory, MODE)  # noqa: PTH102 - FileExistsError says that a file is in its way
