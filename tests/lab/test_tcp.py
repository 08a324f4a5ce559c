"""Video calls from networks that let no UDP through, or only some of the time."""

import pytest

from tests.lab.calls import A_SECOND, LabCall, Record, video_call
from tests.lab.gateways import Access
from tests.lab.pages import BrowserKind
from tests.lab.relay import PORT
from tests.lab.shared import Lab

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CHROMIUM, FIREFOX = BrowserKind.CHROMIUM, BrowserKind.FIREFOX

PAIRS = pytest.mark.parametrize(
    "browsers", [(CHROMIUM, CHROMIUM), (FIREFOX, CHROMIUM)], ids=["Chromium and Chromium", "Firefox and Chromium"]
)

Browsers = tuple[BrowserKind, BrowserKind]

NETWORK_CHANGED = "() => dispatchEvent(new Event('online'))"
"""What a browser tells its page when the device is on another network."""


TCP = {"tcp", "turn-tcp"}
"""Where both get through, Chromium keeps the one that is up first. Both go to port 443 of the server."""


async def see_and_hear_each_other(call: LabCall, record: Record) -> tuple[str, str]:
    """How, when they do."""
    await call.goes_on(2 * A_SECOND)
    await call.record_first_frames(record)
    routes = await call.routes()
    record("routes of the caller and the callee", " and ".join(routes))
    return routes


@PAIRS
async def test_a_client_without_udp_and_one_behind_a_symmetric_nat(lab: Lab, record_property: Record, browsers: Browsers) -> None:
    caller, callee = lab.site(Access.UDP_BLOCKED), lab.site(Access.SYMMETRIC)
    async with video_call(lab, caller, callee, browsers) as call:
        mine, theirs = await see_and_hear_each_other(call, record_property)
        assert mine in TCP
        assert theirs == "udp"


@PAIRS
async def test_two_clients_that_reach_only_port_443(lab: Lab, record_property: Record, browsers: Browsers) -> None:
    caller, callee = lab.site(Access.ONLY_TCP_443), lab.site(Access.ONLY_TCP_443)
    async with video_call(lab, caller, callee, browsers) as call:
        assert set(await see_and_hear_each_other(call, record_property)) <= TCP


async def test_a_client_that_reaches_only_tls_and_one_without_a_firewall(lab: Lab, record_property: Record) -> None:
    caller, callee = lab.site(Access.ONLY_TLS_443), lab.site(Access.OPEN)
    async with video_call(lab, caller, callee, scheme="https", tls_cert=lab.certificate, tls_key=lab.key) as call:
        assert await see_and_hear_each_other(call, record_property) == ("turn-tls", "udp")


async def test_a_call_survives_that_its_connections_are_reset(lab: Lab, record_property: Record) -> None:
    caller, callee = lab.site(Access.ONLY_TCP_443), lab.site(Access.OPEN)
    async with video_call(lab, caller, callee, hung_up_by="caller") as call:
        await call.goes_on(2 * A_SECOND)
        async with call.gaps(record_property):
            assert caller.reset_connections(PORT) > 0
            await call.goes_on(5 * A_SECOND)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("media_tcp", "turn", "route"), [("true", "false", "tcp"), ("false", "true", "turn-tcp")], ids=["TCP", "TURN"]
)
async def test_media_moves_to_udp_when_the_network_begins_to_let_it_through(
    lab: Lab, record_property: Record, media_tcp: str, turn: str, route: str
) -> None:
    caller, callee = lab.site(Access.UDP_BLOCKED), lab.site(Access.OPEN)
    async with video_call(lab, caller, callee, media_tcp=media_tcp, turn=turn) as call:
        await call.goes_on(2 * A_SECOND)
        assert await call.routes() == (route, "udp")
        caller.set_access(Access.SYMMETRIC)
        async with call.gaps(record_property) as gaps:
            await call.caller.run(NETWORK_CHANGED)
            await call.reaches("udp")
            await call.goes_on(2 * A_SECOND)
        assert max(gaps.values()) <= 1.0, "the video goes on meanwhile"


async def test_a_call_goes_on_over_tcp_when_the_network_stops_letting_udp_through(lab: Lab, record_property: Record) -> None:
    caller, callee = lab.site(Access.SYMMETRIC), lab.site(Access.OPEN)
    async with video_call(lab, caller, callee, hung_up_by="caller") as call:
        await call.goes_on(2 * A_SECOND)
        async with call.gaps(record_property):
            caller.set_access(Access.UDP_BLOCKED)
            await call.reaches(*TCP)
            await call.goes_on(2 * A_SECOND)
