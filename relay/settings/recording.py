"""Recording: who may be recorded, where the files go, how long they are kept."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from relay.recording.limits import parse_limits
from relay.settings.base import PREFIX, Development, Secret, parsing_problem

RecordingPolicy = Literal["off", "consent", "always"]
Mebibytes = Annotated[int, Meta(ge=1, le=1024 * 1024, extra={"unit": "MiB"})]

DEVELOPMENT_DIRECTORY: Final = "./recordings"

MEBIBYTE: Final = 1024 * 1024
"""Bytes."""

_KEY: Final = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
"""32 bytes in base64, or base64url."""


@dataclass(frozen=True, kw_only=True)
class RecordingSettings(Development):
    recording: Literal["", "off", "consent", "always"] = ""
    """Which calls may be recorded: `off`: none; `consent`: those whose parties both agree; `always`: each one. Empty: `off`, or
    `consent` in development mode."""
    recording_directory: str = ""
    """Directory that recordings are written to. Required unless recording is off; in development mode, empty: `./recordings`."""
    recording_key: Secret = ""
    """Keys that seal the files, 32 bytes of base64 each, comma-separated: the first seals, all open. Empty: not sealed."""
    recording_buffer: Mebibytes = 128
    """MiB that may wait to be written, per process; beyond that, packets are left out of the recordings."""
    recording_min_free: Mebibytes = 1024
    """MiB of free disk space below which no recording starts, and running ones end."""
    recording_max_hours: Annotated[float, Meta(ge=0, le=168, extra={"unit": "h"})] = 4.0
    """Hours after which a recording ends; 0: it ends with its call."""
    recording_keyframe_interval: Annotated[float, Meta(ge=0, le=3600, extra={"unit": "s"})] = 20.0
    """Seconds between key frames that the relay requests of recorded video; 0: it requests only the first one."""
    recording_consent_timeout: Annotated[float, Meta(ge=1, le=300, extra={"unit": "s"})] = 30.0
    """Seconds that a party has to answer whether the call may be recorded; without an answer, it is not."""
    recording_on_withdrawal: Literal["keep", "delete"] = "keep"
    """What happens to a recording when a party withdraws its consent."""
    recording_policy_version: Annotated[str, Meta(max_length=64)] = ""
    """Version of the operator's policy on recording, which each consent is kept with."""
    recording_policy_text: str = ""
    """What users are to read before they consent; clients show it beside their own words."""
    recording_legacy_clients: bool = False
    """Whether calls of clients that cannot show that they are recorded are recorded all the same, with `always`."""
    assemblers: Annotated[int, Meta(ge=0, le=64)] = 1
    """Processes at a time that make playable files of recordings; 0: only `python -m relay assemble` does."""

    verify_limits: str = ""
    """What recordings are held to when the server verifies them: `max-freeze=500ms max-loss=1%`. Empty: they have to be readable
    and whole."""

    def _problems(self) -> Iterator[str]:
        yield from parsing_problem("verify_limits", self._check_limits)
        if self.recording_policy != "off" and self.recordings is None:
            yield f"{PREFIX}RECORDING_DIRECTORY: required, because {PREFIX}RECORDING is {self.recording_policy}"
        if any(not _KEY.fullmatch(one) for one in self.recording_key.split(",") if self.recording_key):
            yield f"{PREFIX}RECORDING_KEY: needs 32 bytes in base64, or several with commas; try: openssl rand -base64 32"

    def _check_limits(self) -> None:
        needless = parse_limits(self.verify_limits).need_reference
        if needless:
            raise ValueError(f"{', '.join(needless)}: needs a reference, which only python -m relay verify is given")

    @property
    def recording_policy(self) -> RecordingPolicy:
        """Which calls may be recorded."""
        return self.recording or ("consent" if self.dev else "off")

    @property
    def recordings(self) -> Path | None:
        """The directory of recordings; None if there is none. `relay.media.capture.directory` examines it."""
        directory = self.recording_directory or (DEVELOPMENT_DIRECTORY if self.dev else "")
        return Path(directory) if directory else None

    @property
    def makes_directory(self) -> bool:
        """Whether the directory is made by the relay, with the first recording, where there is none."""
        return self.dev and not self.recording_directory
