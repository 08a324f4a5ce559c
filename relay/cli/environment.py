"""Settings of the environment, for the commands that run a part of the server."""

import logging
import os

from relay import logs
from relay.settings.all import Settings


def settings_of_environment() -> Settings:
    """Read the settings, configure the log by them, and warn of variables that name no setting.

    Raises:
        ConfigurationError: one line per problem, each naming its variable.
    """
    settings = Settings.from_environment(os.environ)
    logs.configure(settings.log_level, settings.log_format)
    logging.getLogger("alembic").setLevel(max(logging.WARNING, logging.root.level))
    for name in Settings.unknown(os.environ):
        meant = Settings.meant_by(name)
        text = f"; {meant} is one" if meant else ""
        logging.getLogger(__name__).warning("%s is no setting of the relay; it is ignored%s", name, text)
    return settings
