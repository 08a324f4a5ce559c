"""The whole test, of the real relay."""

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from relay.check.check import check
from relay.check.report import PATHS, Hop, ProbeState, Report, Result, Target
from relay.check.verdicts import NO_MEDIA, NOT_TESTED, WORKS, verdict
from relay.client.signin import ClientLogin
from tests.kit.peer import BLUE, RED, Peer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

TURN = (Hop.TURN_UDP, Hop.TURN_TCP, Hop.TURN_TLS)


async def report_of(relay: RunningRelay, verify: bool = False) -> tuple[Report, list[Hop]]:
    """Of a test of the relay; and the hops in the order in which they were told."""
    told: list[Hop] = []

    def tell(hop: Hop, result: Result) -> None:
        told.append(hop)

    return await check(URL(relay.url), ClientLogin(), tell, verify=verify), told


def states(report: Report) -> dict[Hop, ProbeState]:
    return {hop: report.result(hop).state for hop in Hop}


async def test_everything_that_is_turned_on_works_and_the_call_has_figures(relay: RunningRelay) -> None:
    plain = RunningRelay(relay.url.replace("https", "http"), relay.database_url)  # the same port takes both
    report, told = await report_of(relay)
    assert states(report) == dict.fromkeys(Hop, ProbeState.OK)
    assert told == list(Hop)
    figures = report.figures
    assert figures is not None
    assert (figures.way, figures.port) == (Hop.UDP, relay.media_ports[0])
    assert figures.frames_per_second > 1
    assert figures.kbps > 10
    assert 0 <= figures.loss_percent < 50
    meaning = verdict(report)
    assert meaning.status == WORKS
    assert meaning.sentences[0] == f"Everything works: media will use UDP {relay.media_ports[0]} to {figures.host}."
    await plain.nothing_is_left_of_a_connection_test()


@pytest.mark.settings(media_tcp=False, turn=False, tls_cert="", tls_key="", media_host="127.0.0.1")
async def test_a_transport_that_is_turned_off_is_not_reported_as_a_failure(relay: RunningRelay) -> None:
    report, _ = await report_of(relay)
    assert states(report) == {**dict.fromkeys(Hop, ProbeState.OK), **dict.fromkeys((Hop.TCP, *TURN), ProbeState.OFF)}
    assert verdict(report).status == WORKS
    assert "Turned off at the relay: media over TCP (RELAY_MEDIA_TCP) and TURN (RELAY_TURN)." in verdict(report).sentences
    await relay.nothing_is_left_of_a_connection_test()


@pytest.mark.settings(tls_cert="", tls_key="", turn=False, media_host="127.0.0.1", public_address=("127.0.0.9",))
async def test_an_unreachable_transport_is_named_with_its_address_and_port(relay: RunningRelay) -> None:
    """The relay advertises an address at which it does not listen."""
    report, _ = await report_of(relay)
    [port] = relay.media_ports
    assert report.result(Hop.UDP) == Result(ProbeState.FAILED, (Target("127.0.0.9", port),))
    assert report.result(Hop.CALL).state is ProbeState.SKIPPED
    meaning = verdict(report)
    assert meaning.status == NO_MEDIA
    assert f"UDP {port} to 127.0.0.9" in meaning.sentences[0]
    await relay.nothing_is_left_of_a_connection_test()


@pytest.mark.settings(tls_cert="", tls_key="", turn=False, media_host="127.0.0.1")
async def test_a_call_of_the_same_profile_goes_on_meanwhile(relay: RunningRelay) -> None:
    async with (
        Peer.connected(relay.url, "student_456", colour=RED) as caller,
        Peer.connected(relay.url, "tutor_789", colour=BLUE) as callee,
    ):
        await caller.call("tutor_789", 123)
        await callee.answer(await callee.ring())
        await caller.accept_answer()
        await eventually(lambda: caller.frames and callee.frames, "each sees the other")
        said = len(caller.received), len(callee.received)
        report, _ = await report_of(relay)
        assert report.result(Hop.CALL).state is ProbeState.OK
        seen = caller.frames, callee.frames
        await eventually(lambda: caller.frames > seen[0] + 10 and callee.frames > seen[1] + 10, "they still see each other")
        kinds = {message["type"] for message in (*caller.received[said[0] :], *callee.received[said[1] :])}
        assert kinds <= {"call_state", "call_quality"}, "the parties get no message about the test"
        await caller.hang_up()
        row = await relay.finished_call()
    assert (row["status"], row["end_reason"]) == ("ended", "hangup")


async def what_comes_of(*said: str) -> Report:
    """The report on a server that lets everybody in, and on the WebSocket says one text after the other and then nothing more."""

    async def servers(request: web.Request) -> web.Response:
        return web.json_response({"ice_servers": []})

    async def ready(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.send_json({"type": "ready", "address": None})
        for text in said:
            await response.receive()
            await response.send_str(text)
        await response.receive()
        await response.close()
        return response

    app = web.Application()
    app.add_routes([web.get("/api/ice-servers", servers), web.get("/ws/connectivity", ready)])
    async with TestServer(app) as server:
        return await check(server.make_url("/"), ClientLogin("a token"), lambda hop, result: None)


async def test_a_websocket_that_breaks_in_the_middle_is_reported_as_failed() -> None:
    report = await what_comes_of()
    assert states(report) == {**dict.fromkeys(Hop, ProbeState.SKIPPED), Hop.PAGE: ProbeState.OK, Hop.WEBSOCKET: ProbeState.FAILED}
    assert verdict(report).status == NOT_TESTED
    assert "broke in the middle" in verdict(report).sentences[0]


@pytest.mark.parametrize("sdp", ["v=0", "\0", "m=", "a=candidate:1 1 udp 1 127.0.0.1 9 typ host", "x" * 60_000])
async def test_malformed_descriptions_are_handled(sdp: str) -> None:
    candidate = "\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
    report = await what_comes_of(json.dumps({"type": "offer", "sdp": sdp + candidate}))
    assert ProbeState.OK not in [report.result(hop).state for hop in (*PATHS, Hop.CALL)]
    assert verdict(report).status == NOT_TESTED


async def test_a_relay_without_candidates_lets_no_media_through() -> None:
    nothing = json.dumps({"type": "offer", "sdp": "v=0"})
    report = await what_comes_of(*[nothing] * len(PATHS))
    assert {report.result(way).state for way in PATHS} == {ProbeState.OFF}
    assert verdict(report).status == NO_MEDIA


async def test_a_certificate_that_is_not_good_ends_it_at_the_page(relay: RunningRelay) -> None:
    report, told = await report_of(relay, verify=True)
    assert states(report) == {**dict.fromkeys(Hop, ProbeState.SKIPPED), Hop.PAGE: ProbeState.FAILED}
    assert told == list(Hop)
    assert verdict(report).status == NOT_TESTED
    assert "certificate of 127.0.0.1 is not valid" in verdict(report).sentences[0]
