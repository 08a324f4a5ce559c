"""The log on standard error."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from relay.settings.base import Group


@dataclass(frozen=True, kw_only=True)
class LogSettings(Group):
    log_format: Literal["text", "json"] = "text"
    """Format of the log: `text`, or `json`, an object per line."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(extra={"synonyms": {"WARN": "WARNING"}})] = "INFO"
    """Level of the log on standard error: DEBUG, INFO, WARNING or ERROR."""
