"""The directory of recordings is examined before a call is recorded."""

import logging
import subprocess
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.media.capture.directory import examine_directory, warn_of_others
from tests.media.capture.disks import mounted


def refused(directory: Path) -> str:
    with pytest.raises(ConfigurationError) as error:
        examine_directory(directory)
    return str(error.value)


def test_a_directory_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    examine_directory(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_missing_is_named_with_what_makes_it(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert refused(missing) == f"RELAY_RECORDING_DIRECTORY: {missing} does not exist; as the relay's user: mkdir -m 700 {missing}"


def test_one_that_may_be_missing_is_not_made_before_it_is_needed(tmp_path: Path) -> None:
    examine_directory(tmp_path / "missing", may_be_missing=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigurationError, match=f"no file can be made in {tmp_path}/missing"):
        examine_directory(tmp_path / "missing" / "missing", may_be_missing=True)


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(tmp_path / "file") == f"RELAY_RECORDING_DIRECTORY: {tmp_path}/file is no directory"


def test_one_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    with mounted(tmp_path, "64k") as disk:
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert refused(disk) == f"RELAY_RECORDING_DIRECTORY: no file can be made in {disk}: Read-only file system"


def test_the_log_says_when_other_users_can_look_into_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tmp_path.chmod(0o700)
    with caplog.at_level(logging.WARNING):
        warn_of_others(tmp_path)
        warn_of_others(tmp_path / "missing")
        assert not caplog.records
        tmp_path.chmod(0o755)
        warn_of_others(tmp_path)
    [record] = caplog.records
    assert f"chmod 700 {tmp_path}" in record.getMessage()
