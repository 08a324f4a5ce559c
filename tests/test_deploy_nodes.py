"""The examples for several nodes in `deploy/`: what reads them accepts them, and they agree with each other and the relay."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from deploy.cluster.programs import find
from relay.cluster.redis.figures import LEVELS, ClusterFigures
from relay.settings.all import Settings
from tests.kit import metrics_document

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"

GRACE = 45
"""Seconds that a node may take to end behind RELAY_DRAIN_SECONDS."""

PATIENCE = 5
"""Seconds for /healthz: on a machine that is busy for a moment, an answer takes more than two, and the calls go on."""

MADE_UP = {
    "NAME": "calls.example.org",
    "ADDRESS": "198.51.100.10",
    "TLS": "/etc/call-relay/tls",
    **{
        name: name.lower()[0] * 64
        for name in ("JWT_SECRET", "TURN_SECRET", "SERVICE_TOKEN", "POSTGRES_PASSWORD", "REDIS_PASSWORD")
    },
}
"""What the head of compose.yaml has the operator write into a file."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}


def filled_in(value: object) -> str:
    """As compose does it: `${NAME:?}` becomes the value of the environment."""
    return re.sub(r"\$\{(\w+):\?\}", lambda found: MADE_UP[found[1]], str(value))


def nodes_of(compose: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if name.startswith("relay-")}


def settings_of(service: Mapping[str, Any]) -> Settings:
    return Settings.from_environment({name: filled_in(value) for name, value in service["environment"].items()})


def expressions() -> Iterator[str]:
    """Every PromQL expression of the dashboard and of the alerts."""
    for panel in json.loads((DEPLOY / "grafana.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "1m").replace("$job", "call-relay")
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def seconds(time: str) -> int:
    return int(time.removesuffix("s"))


def test_the_compose_file_fits_the_specification_of_compose() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout


def test_the_nodes_of_compose_have_settings_that_the_relay_takes_and_share_no_port(compose: dict[str, Any]) -> None:
    nodes = nodes_of(compose)
    assert len(nodes) == 3
    used: list[str] = []
    for name, service in nodes.items():
        settings = settings_of(service)
        assert (settings.node, settings.node_url) == (name, f"https://calls.example.org:{settings.port}")
        udp = {settings.turn_port, *range(settings.media_port, settings.last_media_port + 1)}
        wanted = {f"{settings.port}:{settings.port}"} | {
            f"{settings.turn_port}:{settings.turn_port}/udp",
            f"{settings.media_port}-{settings.last_media_port}:{settings.media_port}-{settings.last_media_port}/udp",
        }
        assert set(service["ports"]) == wanted, "the same inside and outside"
        used += [f"tcp {settings.port}", *(f"udp {port}" for port in udp)]
    assert len(used) == len(set(used))


def test_every_variable_of_compose_is_named_at_its_head() -> None:
    text = COMPOSE.read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == MADE_UP.keys()
    head = text.partition("\nname:")[0]
    assert all(re.search(rf"\b{name}=", head) for name in MADE_UP)


def test_no_container_of_compose_is_given_the_address_that_haproxy_has(compose: dict[str, Any]) -> None:
    """The first container to start would have it otherwise, and haproxy would not start at all."""
    [pool] = compose["networks"]["default"]["ipam"]["config"]
    address = IPv4Address(compose["services"]["haproxy"]["networks"]["default"]["ipv4_address"])
    assert address in IPv4Network(pool["subnet"])
    given = IPv4Network(pool["ip_range"])
    assert given.subnet_of(IPv4Network(pool["subnet"]))
    assert address not in given


def test_haproxy_of_compose_is_stopped_at_once_and_not_when_its_last_client_goes(compose: dict[str, Any]) -> None:
    """By the signal of its image it takes no new connections until the WebSockets that it has end, or it is killed."""
    assert compose["services"]["haproxy"]["stop_signal"] == "SIGTERM"


def test_nodes_of_compose_do_not_start_before_postgresql_takes_connections_of_other_containers(compose: dict[str, Any]) -> None:
    """The server that makes the first database listens on its socket only, and ends again."""
    assert "--host 127.0.0.1" in compose["services"]["postgres"]["healthcheck"]["test"][1]
    for service in nodes_of(compose).values():
        assert service["depends_on"]["postgres"] == {"condition": "service_healthy"}


def test_a_platform_can_tell_the_nodes_of_compose_which_profiles_there_are(compose: dict[str, Any]) -> None:
    """Without the token there is no /api/admin, so no profile exists."""
    assert {settings_of(service).service_token for service in nodes_of(compose).values()} == {MADE_UP["SERVICE_TOKEN"]}


def test_what_stops_a_node_waits_longer_than_its_calls_may_go_on(
    compose: dict[str, Any], kubernetes: dict[str, dict[str, Any]]
) -> None:
    for service in nodes_of(compose).values():
        assert seconds(service["stop_grace_period"]) >= settings_of(service).drain_seconds + GRACE
    pod = kubernetes["StatefulSet"]["spec"]["template"]["spec"]
    drain = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}["RELAY_DRAIN_SECONDS"]
    assert pod["terminationGracePeriodSeconds"] >= int(drain) + GRACE
    drain = dict(re.findall(r"(?m)^(\w+)=(.*)$", (DEPLOY / "cluster.env").read_text()))["RELAY_DRAIN_SECONDS"]
    stop = dict(re.findall(r"(?m)^(\w+)=(.*)$", (DEPLOY / "call-relay-cluster.conf").read_text()))["TimeoutStopSec"]
    assert int(stop) >= int(drain) + GRACE


def test_the_settings_of_a_node_beside_systemd_are_taken() -> None:
    texts = [(DEPLOY / name).read_text() for name in ("relay.env", "cluster.env")]
    settings = Settings.from_environment(dict(re.findall(r"(?m)^(RELAY_\w+)=(.*)$", "\n".join(texts))))
    assert settings.node_url == f"https://{settings.turn_host}"


def test_the_pods_of_kubernetes_have_settings_that_the_relay_takes(kubernetes: dict[str, dict[str, Any]]) -> None:
    pod = kubernetes["StatefulSet"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    fields = {"metadata.name": "call-relay-0", "status.hostIP": "198.51.100.10"}
    given = {one["name"]: one.get("value") or fields[one["valueFrom"]["fieldRef"]["fieldPath"]] for one in container["env"]}
    secrets = {
        "RELAY_DATABASE_URL": "postgresql+asyncpg://relay:password@db.example.org/relay",
        "RELAY_REDIS_URL": "rediss://relay:password@redis.example.org",
        **{name: name[-8:] * 8 for name in ("RELAY_JWT_SECRET", "RELAY_TURN_SECRET")},
    }
    head = (DEPLOY / "kubernetes.yaml").read_text().partition("\napiVersion")[0]
    assert all(name in head for name in secrets)
    replaced = {name: value.replace("$(RELAY_NODE)", given["RELAY_NODE"]) for name, value in given.items()}
    settings = Settings.from_environment({**secrets, **replaced})
    assert settings.node_url == f"https://call-relay-0.calls.example.org:{settings.port}"
    ports = {one["name"]: (one["containerPort"], one["hostPort"]) for one in container["ports"]}
    wanted = {"https": settings.port, "turn": settings.turn_port, "media": settings.media_port}
    assert ports == {name: (port, port) for name, port in wanted.items()}
    assert f"UDP\n# {settings.media_port}-{settings.last_media_port} and {settings.turn_port} and TCP {settings.port} of" in head
    assert pod["hostNetwork"]
    assert kubernetes["Service"]["spec"]["selector"] == kubernetes["StatefulSet"]["spec"]["template"]["metadata"]["labels"]


def test_a_dead_process_is_started_again_and_one_that_is_not_ready_gets_no_clients(
    compose: dict[str, Any], kubernetes: dict[str, dict[str, Any]]
) -> None:
    """A node that drains, or whose Redis is away, must not be killed: its calls go on."""
    container = kubernetes["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["livenessProbe"]["timeoutSeconds"] >= PATIENCE, "a second is the default"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert "option httpchk GET /readyz" in (DEPLOY / "haproxy.cfg").read_text()
    for service in nodes_of(compose).values():
        assert "/healthz" in service["healthcheck"]["test"][1]
        assert seconds(service["healthcheck"]["timeout"]) >= PATIENCE


def test_haproxy_knows_the_nodes_of_compose_by_their_ports(compose: dict[str, Any]) -> None:
    servers = re.findall(r"(?m)^ *server (\S+) (\S+):(\d+)", (DEPLOY / "haproxy.cfg").read_text())
    nodes = [(name, name, str(service["environment"]["RELAY_PORT"])) for name, service in nodes_of(compose).items()]
    assert servers == [*nodes, *nodes], "those that are ready, and those that live"
    address = compose["services"]["haproxy"]["networks"]["default"]["ipv4_address"]
    assert all(settings_of(service).trusted_proxies == (address,) for service in nodes_of(compose).values())


@pytest.mark.servers
def test_haproxy_takes_its_file() -> None:
    haproxy = find("haproxy")
    assert haproxy, "tests/install-peers installs it"
    command = [haproxy, "-c", "-f", str(DEPLOY / "haproxy.cfg")]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    problems = [line for line in checked.stderr.splitlines() if re.match(r"\[(WARNING|ALERT)\]", line)]
    # The nodes have no such names here; haproxy starts all the same, and looks for them again.
    assert [line for line in problems if "could not resolve address" not in line] == []
    assert checked.returncode == 0


@pytest.mark.servers
def test_systemd_takes_the_unit_with_its_addition(tmp_path: Path) -> None:
    here = shutil.which("true")
    assert here
    addition = tmp_path / "call-relay.service.d" / "cluster.conf"
    addition.parent.mkdir()
    shutil.copy(DEPLOY / "call-relay-cluster.conf", addition)
    unit = tmp_path / "call-relay.service"
    unit.write_text((DEPLOY / "call-relay.service").read_text().replace("/opt/call-relay/bin/call-relay", here))
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (verified.returncode, verified.stderr.strip()) == (0, "")


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml", "cluster.env", "haproxy.cfg"])
def test_no_secret_is_written_into_a_file(name: str) -> None:
    """A secret is a variable, or says that it is to be replaced."""
    given = re.findall(r"(?m)^[^#\n]*?(?<![\w{])(\w*(?:SECRET|PASSWORD|TOKEN)\w*)\"?[:=] *\"?(\S+)", (DEPLOY / name).read_text())
    assert [one for one in given if not one[1].startswith(("$", "replace-this", "/"))] == []


def test_every_expression_of_the_dashboard_and_of_the_alerts_can_be_read_by_prometheus() -> None:
    for one in expressions():
        promql_parser.parse(one)


def test_every_metric_of_the_dashboard_and_of_the_alerts_exists() -> None:
    known = {*metrics_document.documented()}  # another test holds these to /metrics
    # What a relay alone does not show.
    known |= {f"relay_cluster_{name}" for name in LEVELS} | {metric.name for metric in ClusterFigures().collect()}
    named = {name for one in expressions() for name in re.findall(r"\brelay_\w+", one)}
    assert len(named) > 20
    assert {re.sub(r"_bucket$", "", name) for name in named} <= known


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads((DEPLOY / "grafana.json").read_text())["panels"]]
    cells = [(x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
