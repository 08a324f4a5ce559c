"""The example files of `deploy/` are what docs/install.md says, and what the programs that read them accept."""

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from relay.settings.all import Settings

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
INSTALL = ROOT / "docs" / "install.md"
SCALING = ROOT / "docs" / "scaling.md"
UNIT = DEPLOY / "call-relay.service"

FILES = sorted(file for file in DEPLOY.iterdir() if file.is_file() and file.suffix != ".py")

PROGRAM = "/opt/call-relay/bin/call-relay"
"""Where docs/install.md installs it."""


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PATH": path, **environment}, check=False, timeout=60
    )


def settings_of(text: str) -> dict[str, str]:
    """As systemd, podman and docker read a file of settings: no quotes, comments on lines of their own."""
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z]\w*=", line))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_example_is_explained_and_names_only_settings_that_exist(file: Path) -> None:
    assert f"deploy/{file.name}" in INSTALL.read_text() + SCALING.read_text()
    known = {f"RELAY_{name.upper()}" for name in Settings.kinds()}
    assert set(re.findall(r"\bRELAY_[A-Z_]*[A-Z]\b", file.read_text())) <= known


def test_the_example_settings_are_accepted_as_they_are_and_in_each_of_their_variants(tmp_path: Path) -> None:
    text = (DEPLOY / "relay.env").read_text()
    plain = settings_of(text)
    for line in re.findall(r"(?m)^# (RELAY_\w+=\S+)$", text):
        given = {name.removeprefix("RELAY_").lower(): value for name, value in {**plain, **settings_of(line)}.items()}
        Settings.from_environment({f"RELAY_{name.upper()}": value for name, value in given.items()})
    behind_a_proxy = {**plain, **settings_of(text.partition("The settings behind")[2].replace("# RELAY", "RELAY"))}
    del behind_a_proxy["RELAY_TLS_CERT"], behind_a_proxy["RELAY_TLS_KEY"]
    settings = Settings.from_environment(behind_a_proxy)
    assert (settings.port, settings.media_tcp_port, settings.trusted_proxies) == (8000, 8443, ("127.0.0.1", "::1"))


@pytest.mark.parametrize("example", ["nginx.conf", "nginx-stream.conf", "Caddyfile"])
def test_the_settings_that_a_proxys_example_names_are_accepted(example: str) -> None:
    named = settings_of(re.sub(r"(?m)^#\s*", "", (DEPLOY / example).read_text()))
    assert named.keys() >= {"RELAY_PORT", "RELAY_TRUSTED_PROXIES"}
    Settings.from_environment({"RELAY_JWT_SECRET": "s" * 32, **named})


def test_systemd_verifies_the_unit_without_warnings(tmp_path: Path) -> None:
    """Its program is the one that the guide installs; in the test, the one that is there."""
    here = Path(run("sh", "-c", "command -v true").stdout.strip())
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(PROGRAM, str(here)))
    verified = run("systemd-analyze", "verify", "--man=no", str(copy))
    assert (verified.returncode, verified.stderr.strip()) == (0, "")


def test_the_units_commands_are_the_relays() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[method-assign,assignment]  # names keep their capitals
    unit.read(UNIT)
    service = unit["Service"]
    commands = [shlex.split(service[name]) for name in ("ExecStartPre", "ExecStart")]
    assert commands == [[PROGRAM, "migrate"], [PROGRAM, "serve"]]
    assert PROGRAM.rpartition("/bin/")[0] in INSTALL.read_text()
    for command in commands:
        assert run(sys.executable, "-m", "relay", *command[1:], "--help").returncode == 0


def test_the_firewall_is_accepted_by_nftables_and_lets_in_what_the_relay_listens_on() -> None:
    file = DEPLOY / "nftables.conf"
    # In a network namespace of its own: a check needs the rights of an administrator, and changes nothing.
    checked = run("unshare", "--net", "--map-root-user", "nft", "--check", "--file", str(file))
    assert (checked.returncode, checked.stderr) == (0, "")
    settings = Settings(jwt_secret="s" * 32)
    assert f"define media = {settings.media_port}-" in file.read_text()
    assert f"define turn = {settings.turn_port}\n" in file.read_text()


def test_the_certbot_hook_puts_the_renewed_certificate_where_the_relay_reads_it(tmp_path: Path) -> None:
    lineage, target = tmp_path / "live" / "calls.example.org", tmp_path / "tls"
    lineage.mkdir(parents=True)
    target.mkdir()
    for name in ("fullchain.pem", "privkey.pem"):
        (lineage / name).write_text(f"the new {name}")
        (target / name).write_text("old")
    hook = str(DEPLOY / "certbot-hook.sh")
    other = run(hook, CALL_RELAY_TLS=str(target), RENEWED_LINEAGE=str(tmp_path / "live" / "www.example.org"))
    assert (other.returncode, (target / "privkey.pem").read_text()) == (0, "old"), "another name's certificate is not copied"
    assert run(hook, CALL_RELAY_TLS=str(target), RENEWED_LINEAGE=str(lineage)).returncode == 0
    assert sorted(file.name for file in target.iterdir()) == ["fullchain.pem", "privkey.pem"]
    assert (target / "privkey.pem").read_text() == "the new privkey.pem"
    assert (target / "privkey.pem").stat().st_mode & 0o777 == 0o640
