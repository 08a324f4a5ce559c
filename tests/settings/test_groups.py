"""Settings in groups: each plane takes its own, as it is."""

import ast
from pathlib import Path

import msgspec
import pytest

from relay.errors import ConfigurationError
from relay.settings.all import Settings
from relay.settings.base import Development, names_of
from relay.settings.media import MediaLimits
from relay.settings.turn import TurnSettings
from tests.kit.sources import parsed

ROOT = Path(__file__).parents[2]
SECRET = "0123456789abcdef0123456789abcdef"


def test_a_setting_is_in_one_group_only() -> None:
    development = set(names_of(Development))
    names = [name for group in Settings.__bases__ for name in set(names_of(group)) - development]
    assert sorted([*names, *development]) == sorted(Settings.kinds())


def test_a_worker_process_is_told_of_no_secret() -> None:
    settings = Settings(jwt_secret=SECRET, turn_secret=SECRET, media_max_mbit=8.0)
    told = msgspec.json.decode(msgspec.json.encode(settings.only(MediaLimits)))
    assert told == {"media_max_mbit": 8.0, "media_max_packets": 6000.0}


def test_a_group_by_itself_is_checked_as_all_settings_are() -> None:
    for made in (TurnSettings, lambda **values: Settings(dev=True, **values)):
        with pytest.raises(ConfigurationError) as refused:
            made(turn_host="a?b", turn_urls=("http://a.example",))
        names = [line.partition(":")[0] for line in str(refused.value).splitlines()]
        assert names == ["RELAY_TURN_HOST", "RELAY_TURN_SECRET", "RELAY_TURN_URLS"]


def test_the_printed_settings_have_no_secret() -> None:
    address = "postgresql+asyncpg://relay:hunter2@db/relay"
    shown = dict(
        Settings(jwt_secret=SECRET, service_token=SECRET, turn_secret="hunter2", database_url=address, workers=3).shown()
    )
    assert not [value for value in shown.values() if SECRET in value or "hunter2" in value]
    assert (shown["RELAY_JWT_SECRET"], shown["RELAY_VAPID_PRIVATE_KEY"], shown["RELAY_WORKERS"]) == ("(set)", "", "3")


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("RELAY_MEDIA_MAX_MBIT", "45s", "write a number"),
        ("RELAY_MEDIA_MAX_PACKETS", "many", "write a number"),
        ("RELAY_LOG_FORMAT", "xml", "write text or json"),
        ("RELAY_JWT_LEEWAY", "some", "write seconds, such as 45 or 45s"),
        ("RELAY_MAX_CALL_MINUTES", "long", "write minutes, such as 90"),
    ],
)
def test_the_error_names_the_type_of_the_setting(variable: str, value: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment({"RELAY_DEV": "true", variable: value})
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"{variable}: ")
    assert line.endswith(told)


def test_no_other_class_repeats_settings() -> None:
    """A mirror has the names of a group, with or without the word that they all begin with."""
    names = set(Settings.kinds())
    names |= {name.partition("_")[2] for name in names} - {"limits"}  # of which there are many others
    mirrors = {}
    # One recording's, to a worker, which is given no settings, in bytes; what a node tells others of itself.
    orders = {"CaptureOrder", "NodeCard", "NodeView"}
    for file in ROOT.glob("relay/**/*.py"):
        if file.parent == ROOT / "relay" / "settings":
            continue
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ClassDef) and node.name not in orders:
                fields = {
                    one.target.id for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
                }
                if len(fields & names) > 2:
                    mirrors[node.name] = fields & names
    assert not mirrors
