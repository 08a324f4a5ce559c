"""The settings of recording."""

import dataclasses
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.recording.limits import VerificationLimits, described, parse_limits
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


def test_limits_of_verification_are_read_at_the_start() -> None:
    settings = Settings.from_environment({"RELAY_DEV": "1", "RELAY_VERIFY_LIMITS": "max-freeze=500ms, --max-loss=1%"})
    limits = parse_limits(settings.verify_limits)
    assert limits == VerificationLimits(max_freeze=0.5, max_loss=1.0)
    assert described(dataclasses.asdict(limits)) == ["max-freeze 500 ms", "max-loss 1.0 %"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max-freeze=500", "expected a number with s or ms"),
        ("max-freeze", "'max-freeze' is no limit, as max-freeze=500ms is one; there are: max-freeze, max-loss"),
        ("longest=1s", "'longest=1s' is no limit"),
        ("max-loss=1% max-loss=2%", "max-loss is given twice"),
        ("min-psnr=30dB", "--min-psnr: needs a reference, which only python -m relay verify is given"),
    ],
)
def test_limits_that_cannot_be_held_are_refused_at_the_start(text: str, reason: str) -> None:
    said = refused(dev=True, verify_limits=text)
    assert said.startswith("RELAY_VERIFY_LIMITS: ")
    assert reason in said


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
