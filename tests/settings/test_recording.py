"""The settings of recording."""

from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.settings.all import Settings
from relay.settings.recording import RecordingSettings

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def refused(**values: object) -> str:
    with pytest.raises(ConfigurationError) as error:
        RecordingSettings(**values)  # type: ignore[arg-type]
    return str(error.value)


def test_calls_are_not_recorded_unless_the_operator_says_so() -> None:
    settings = RecordingSettings()
    assert (settings.recording_policy, settings.recordings) == ("off", None)


def test_development_mode_records_by_consent_below_the_working_directory() -> None:
    settings = RecordingSettings(dev=True)
    assert (settings.recording_policy, settings.recordings, settings.makes_directory) == ("consent", Path("recordings"), True)


def test_development_mode_may_record_nothing() -> None:
    assert Settings.from_environment({"RELAY_DEV": "1", "RELAY_RECORDING": "off"}).recording_policy == "off"


@pytest.mark.parametrize("policy", ["consent", "always"])
def test_recording_needs_a_directory(policy: str) -> None:
    assert refused(recording=policy) == f"RELAY_RECORDING_DIRECTORY: required, because RELAY_RECORDING is {policy}"
    assert RecordingSettings(recording=policy, recording_directory="/srv/recordings").makes_directory is False  # type: ignore[arg-type]


def test_a_policy_that_does_not_exist_is_answered_by_those_that_do() -> None:
    with pytest.raises(ConfigurationError, match=r"RELAY_RECORDING: .*write off, consent or always"):
        Settings.from_environment({"RELAY_DEV": "1", "RELAY_RECORDING": "maybe"})


@pytest.mark.parametrize("key", ["short", KEY[:-4], f"{KEY},", f"{KEY},short"])
def test_a_key_that_is_not_32_bytes_is_refused(key: str) -> None:
    assert refused(dev=True, recording_key=key).startswith("RELAY_RECORDING_KEY: needs 32 bytes in base64")


def test_several_keys_are_taken_and_none_is_shown() -> None:
    settings = Settings(dev=True, recording_key=f"{KEY},{KEY.rstrip('=')}")
    assert dict(settings.shown())["RELAY_RECORDING_KEY"] == "(set)"


@pytest.mark.parametrize(("text", "mebibytes"), [("512", 512), ("2GiB", 2048), ("1.5 gib", 1536), ("100MiB", 100)])
def test_amounts_of_data_may_have_a_unit(text: str, mebibytes: int) -> None:
    assert Settings.from_environment({"RELAY_DEV": "1", "RELAY_RECORDING_MIN_FREE": text}).recording_min_free == mebibytes


@pytest.mark.parametrize("text", ["much", "1GB", "2h"])
def test_amounts_of_data_in_other_words_are_answered_by_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"RELAY_RECORDING_MIN_FREE: .*write MiB, such as 512 or 2GiB"):
        Settings.from_environment({"RELAY_DEV": "1", "RELAY_RECORDING_MIN_FREE": text})


@pytest.mark.parametrize(("text", "hours"), [("2", 2.0), ("90m", 1.5), ("1d", 24.0)])
def test_the_longest_recording_is_given_in_hours_or_any_unit(text: str, hours: float) -> None:
    assert Settings.from_environment({"RELAY_DEV": "1", "RELAY_RECORDING_MAX_HOURS": text}).recording_max_hours == hours
