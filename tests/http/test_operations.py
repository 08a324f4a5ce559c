"""What operators see."""

import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.cluster.redis.figures import LEVELS as CLUSTER_LEVELS
from relay.cluster.redis.figures import NAMES as CLUSTER_NAMES
from relay.db.figures import LEVELS as DATABASE_LEVELS
from relay.db.outage import NAMES as DATABASE_NAMES
from relay.edge.counters import LEVELS
from relay.edge.counters import NAMES as FRONT_NAMES
from relay.http.connectivity import NAMES as CONNECTIVITY_NAMES
from relay.http.operations import by_route
from relay.http.recordings.downloads import NAMES as DOWNLOAD_NAMES
from relay.media.api import Route
from relay.media.quality.counters import NAMES
from relay.recording.jobs.jobs import LEVELS as RECORDING_LEVELS
from relay.recording.jobs.jobs import NAMES as RECORDING_NAMES
from relay.signaling.calls.faults import NAMES as EXTENSION_NAMES
from relay.signaling.calls.paths import RTT_BOUNDS, RoundTrips
from relay.signaling.log.writebehind import NAMES as WRITE_NAMES
from relay.turn.counters import NAMES as TURN_NAMES
from tests.edge.kit import trusting, write_certificate
from tests.http.conftest import bearer, socket_of
from tests.kit.server import RunningRelay, running_relay
from tests.kit.wait import eventually
from tests.signaling.people import PARENT, STUDENT, TUTOR, invitation


@pytest.mark.changes_nothing
async def test_the_health_check_needs_no_credential(http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_metrics_have_names_and_types_that_prometheus_knows(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        everything = {family.name: family for family in text_string_to_metric_families(await response.text())}
    families = {name: family for name, family in everything.items() if name.startswith("relay_")}
    assert {name for name, family in families.items() if family.type == "gauge"} == {
        "relay_build_info",
        *("relay_calls", "relay_devices", "relay_draining", "relay_legs", "relay_writes_waiting", "relay_recordings"),
        *(f"relay_recording_{name}" for name in RECORDING_LEVELS),
        *(f"relay_front_{name}" for name in LEVELS),
        *(f"relay_database_{name}" for name in DATABASE_LEVELS),
        *("relay_node_info", *(f"relay_cluster_{name}" for name in CLUSTER_LEVELS)),
    }
    assert {name for name, family in families.items() if family.type == "counter"} == {
        *("relay_calls_ended", "relay_messages_refused", "relay_limited", "relay_foreign_origins", "relay_push_messages"),
        *("relay_legs_connected", "relay_recordings_ended", "relay_call_ratings", "relay_call_problems"),
        *(f"relay_recording_{name}" for name in (*RECORDING_NAMES, *DOWNLOAD_NAMES)),
        *(f"relay_media_{name}" for name in NAMES),
        *(f"relay_front_{name}" for name in FRONT_NAMES),
        *(f"relay_turn_{name}" for name in TURN_NAMES),
        *(f"relay_connectivity_{name}" for name in CONNECTIVITY_NAMES),
        *(f"relay_database_{name}" for name in DATABASE_NAMES),
        *(f"relay_writes_{name}" for name in WRITE_NAMES),
        *(f"relay_extension_{name}" for name in EXTENSION_NAMES),
        *(f"relay_cluster_{name}" for name in CLUSTER_NAMES),
    }
    assert {name for name, family in families.items() if family.type == "histogram"} == {
        *("relay_leg_rtt_seconds", "relay_database_statement_seconds"),
    }
    assert all(family.documentation for family in families.values())
    # Those of prometheus_client, by the names that every dashboard has for them.
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds", "python_info"} <= everything.keys()
    [build] = families["relay_build_info"].samples
    assert build.labels["version"] == version("call-relay")
    assert {"python", "aiortc", "aiohttp", "sqlalchemy"} < build.labels.keys()


async def test_metrics_show_the_state_of_the_database(http: aiohttp.ClientSession, relay: RunningRelay) -> None:
    async def unused() -> Mapping[str, float] | None:
        found = await relay.counters()
        return found if not found["relay_database_connections_used"] else None

    before = await eventually(unused, "what the relay asks for at its start is answered")
    assert before["relay_database_up"] == 1
    assert 1 <= before["relay_database_connections_idle"] <= before["relay_database_connections_max"] == 4
    async with http.get("/api/calls", headers=bearer("student_456")) as response:
        assert response.status == 200
    after = await relay.counters()
    assert after["relay_database_statement_seconds_count"] > before["relay_database_statement_seconds_count"]


async def test_metrics_show_when_the_certificate_expires(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "relay", 20)
    async with (
        running_relay(tmp_path, media_host="127.0.0.1", tls_cert=certificate, tls_key=key) as relay,
        aiohttp.ClientSession() as http,
        http.get(f"{relay.url}/metrics", ssl=trusting()) as response,
    ):
        [seconds] = re.findall(r"(?m)^relay_certificate_expiry_seconds (\S+)$", await response.text())
    assert float(seconds) == pytest.approx(20 * 86_400, abs=120)


@pytest.mark.settings(workers=2)
async def test_metrics_show_the_resources_of_each_worker(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as response:
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    for name in ("relay_worker_cpu_seconds", "relay_worker_resident_memory_bytes", "relay_worker_open_fds"):
        assert {sample.labels["worker"] for sample in families[name].samples} == {"0", "1"}
        assert all(sample.value > 0 for sample in families[name].samples)


async def test_metrics_count_calls_devices_and_refusals(relay: RunningRelay, http: aiohttp.ClientSession) -> None:
    async with socket_of(http, "student_456") as student, socket_of(http, "tutor_789") as tutor:
        await student.send_str(invitation(TUTOR))
        assert (await tutor.receive_json(timeout=20))["type"] == "call_invitation"
        await tutor.send_str("hello")
        assert (await tutor.receive_json(timeout=20))["code"] == "malformed"
        counters = await relay.counters()
        assert (counters["relay_calls"], counters["relay_devices"]) == (1, 2)
        assert counters["relay_messages_refused_total"] == 1
        assert counters["relay_media_transports_opened_total"] == 2

    async def quiet() -> bool:
        counters = await relay.counters()
        gone = (counters["relay_calls"], counters["relay_devices"]) == (0, 0)
        return gone and counters["relay_media_transports_closed_total"] == 2

    await eventually(quiet, "calls, devices and transports are gone")


async def test_legs_and_their_round_trips_are_shown_by_route() -> None:
    udp, tls = Route("udp", "ipv6"), Route("turn-tls", "ipv4")
    trips = RoundTrips()
    for rtt in (0.02, 0.02, 0.12, 9.0):
        trips.add(rtt)
    samples = {}
    for family in by_route({udp: 1}, {udp: 3, tls: 2}, {tls: trips}):
        for sample in family.samples:
            labels = sample.labels
            samples[sample.name, labels["route"], labels["family"], labels.get("le", "")] = sample.value
    assert samples["relay_legs", "udp", "ipv6", ""] == 1
    assert samples["relay_legs_connected_total", "udp", "ipv6", ""] == 3
    assert samples["relay_legs_connected_total", "turn-tls", "ipv4", ""] == 2
    buckets = {le: value for (name, _, _, le), value in samples.items() if name == "relay_leg_rtt_seconds_bucket"}
    assert list(buckets) == [*map(str, RTT_BOUNDS), "+Inf"]
    assert list(buckets.values()) == [0, 0, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert samples["relay_leg_rtt_seconds_count", "turn-tls", "ipv4", ""] == 4
    assert samples["relay_leg_rtt_seconds_sum", "turn-tls", "ipv4", ""] == pytest.approx(9.16)


async def test_metrics_name_no_call_profile_or_address(http: aiohttp.ClientSession) -> None:
    async with socket_of(http, "student_456") as student, socket_of(http, "tutor_789") as tutor:
        await student.send_str(invitation(TUTOR))
        call = (await tutor.receive_json(timeout=20))["call_id"]
        await student.send_str('{"type":"student_456"}')
        async with http.get("/metrics") as response:
            text = await response.text()
    for secret in (call, "127.0.0.1", "student_456", "tutor_789", "Maya"):
        assert secret not in text
    assert not re.search(r"\d+\.\d+\.\d+\.\d+|[0-9a-f]{32}", text)
    assert {STUDENT.profile_type, PARENT.profile_type}.isdisjoint(re.findall(r"\w+", text))
