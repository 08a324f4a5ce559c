"""What operators see."""

import re

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from db.outage import NAMES as DATABASE_NAMES
from relay.front.counters import LEVELS
from relay.front.counters import NAMES as FRONT_NAMES
from relay.http.connectivity import NAMES as CONNECTIVITY_NAMES
from relay.http.operations import by_route
from relay.media.api import Route
from relay.media.counters import NAMES
from relay.signaling.paths import RTT_BOUNDS, RoundTrips
from relay.turn.counters import NAMES as TURN_NAMES
from tests.http.conftest import socket_of
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually
from tests.signaling.people import PARENT, STUDENT, TUTOR, invitation


async def test_a_healthy_relay_says_so_to_anybody(http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_metrics_have_names_and_types_that_prometheus_knows(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    assert {name for name, family in families.items() if family.type == "gauge"} == {
        *("relay_calls", "relay_devices", "relay_legs"),
        *(f"relay_front_{name}" for name in LEVELS),
    }
    assert {name for name, family in families.items() if family.type == "counter"} == {
        *("relay_calls_ended", "relay_messages_refused", "relay_limited", "relay_foreign_origins", "relay_push_messages"),
        "relay_legs_connected",
        *(f"relay_media_{name}" for name in NAMES),
        *(f"relay_front_{name}" for name in FRONT_NAMES),
        *(f"relay_turn_{name}" for name in TURN_NAMES),
        *(f"relay_connectivity_{name}" for name in CONNECTIVITY_NAMES),
        *(f"relay_database_{name}" for name in DATABASE_NAMES),
    }
    assert {name for name, family in families.items() if family.type == "histogram"} == {"relay_leg_rtt_seconds"}
    assert all(family.documentation for family in families.values())


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


async def test_metrics_tell_nothing_of_anybody(http: aiohttp.ClientSession) -> None:
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
