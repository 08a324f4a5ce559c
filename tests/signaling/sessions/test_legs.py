"""The relay's ends of a call, on a real media engine."""

from collections.abc import AsyncIterator

import pytest

from relay.media.api import DtlsRole, MediaEvent
from relay.media.engine import LocalEngine
from relay.sdp.parse import parse_sdp
from relay.signaling.presence.devices import Device
from relay.signaling.sessions.legs import Legs, settle_roles
from tests.sdp.descriptions import VOICE_ANSWER, VOICE_OFFER, seen
from tests.signaling.people import TUTOR, FakeConnection

DEVICE = Device(TUTOR, 2, FakeConnection())


def origin(text: str) -> tuple[str, str]:
    """The id and the version of a session."""
    [line] = [line for line in text.splitlines() if line.startswith("o=")]
    _, session, version, *_ = line.split(" ")
    return session, version


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    events: list[MediaEvent] = []
    engine = LocalEngine(events.append, ["127.0.0.1"])
    await engine.start()
    yield engine
    await engine.close()
    counters = await engine.counters()
    assert counters["transports_opened"] == counters["transports_closed"]


async def test_each_leg_has_credentials_of_its_own_and_all_the_same_certificate(engine: LocalEngine) -> None:
    legs = Legs(engine, ())
    one, other = await legs.open("c1"), await legs.open("c1")
    assert one.transport_id != other.transport_id
    assert one.parameters.ufrag != other.parameters.ufrag
    assert one.parameters.pwd != other.parameters.pwd
    assert one.parameters.fingerprints == other.parameters.fingerprints


async def test_an_offer_leaves_the_role_to_the_callee(engine: LocalEngine) -> None:
    legs = Legs(engine, ())
    leg = await legs.open("c1")
    assert "\r\na=setup:actpass\r\n" in legs.offer(parse_sdp(VOICE_OFFER), leg, DEVICE)


@pytest.mark.parametrize("answered", [DtlsRole.ACTIVE, DtlsRole.PASSIVE])
async def test_the_caller_is_told_the_callees_choice_of_a_role(engine: LocalEngine, answered: DtlsRole) -> None:
    """So the two devices have opposite roles, and their data channels different ids (RFC 8832 section 6)."""
    legs = Legs(engine, ())
    caller, callee = await legs.open("c1"), await legs.open("c1")
    settle_roles(caller, callee, answered)
    assert f"\r\na=setup:{answered}\r\n" in legs.answer(parse_sdp(VOICE_ANSWER), caller, DEVICE)
    assert {caller.role, callee.role} == {DtlsRole.ACTIVE, DtlsRole.PASSIVE}


async def test_a_leg_keeps_its_role_whatever_later_answers_say(engine: LocalEngine) -> None:
    legs = Legs(engine, ())
    caller, callee = await legs.open("c1"), await legs.open("c1")
    settle_roles(caller, callee, DtlsRole.PASSIVE)
    for _ in range(2):
        assert "\r\na=setup:passive\r\n" in legs.answer(parse_sdp(VOICE_ANSWER), caller, DEVICE)


async def test_each_description_that_a_device_is_given_has_the_next_version(engine: LocalEngine) -> None:
    """RFC 3264 section 8."""
    legs = Legs(engine, ())
    leg = await legs.open("c1")
    offer, answer = parse_sdp(VOICE_OFFER), parse_sdp(VOICE_ANSWER)
    given = [legs.offer(offer, leg, DEVICE), legs.answer(answer, leg, DEVICE), legs.offer(offer, leg, DEVICE)]
    assert [origin(one) for one in given] == [("1", "1"), ("1", "2"), ("1", "3")]


async def test_an_ice_restart_changes_the_credentials_and_nothing_else(engine: LocalEngine) -> None:
    legs = Legs(engine, ())
    leg = await legs.open("c1")
    before = leg.parameters
    await legs.restart(leg)
    assert leg.parameters.ufrag != before.ufrag
    assert leg.parameters.pwd != before.pwd
    assert leg.parameters.fingerprints == before.fingerprints
    [audio] = seen(legs.offer(parse_sdp(VOICE_OFFER), leg, DEVICE))
    assert (audio.ufrag, audio.pwd) == (leg.parameters.ufrag, leg.parameters.pwd)


async def test_a_description_names_the_operators_addresses_and_the_ports_of_the_engine(engine: LocalEngine) -> None:
    legs = Legs(engine, ("203.0.113.1", "2001:db8::1"))
    leg = await legs.open("c1")
    [port] = {candidate.port for candidate in leg.parameters.candidates}
    [audio] = seen(legs.offer(parse_sdp(VOICE_OFFER), leg, DEVICE))
    assert audio.candidates == (("203.0.113.1", port, "host"), ("2001:db8::1", port, "host"))
    assert (audio.ufrag, audio.pwd) == (leg.parameters.ufrag, leg.parameters.pwd)


async def test_a_leg_is_connected_once(engine: LocalEngine) -> None:
    legs = Legs(engine, ())
    caller, callee = await legs.open("c1"), await legs.open("c1")
    settle_roles(caller, callee, DtlsRole.ACTIVE)
    await legs.route("c1", caller, callee)
    await legs.connect(caller, parse_sdp(VOICE_OFFER))
    assert caller.remote == parse_sdp(VOICE_OFFER).transport
    with pytest.raises(AssertionError, match="connected once"):
        await legs.connect(caller, parse_sdp(VOICE_OFFER))


async def test_a_leg_of_another_call_is_not_routed(engine: LocalEngine) -> None:
    legs = Legs(engine, ())
    caller, stranger = await legs.open("c1"), await legs.open("c2")
    for together in (legs.route, legs.unroute):
        with pytest.raises(AssertionError, match="belong to the router"):
            await together("c1", caller, stranger)


async def test_legs_are_closed_one_by_one_or_all_at_once_and_as_often_as_one_likes(engine: LocalEngine) -> None:
    legs = Legs(engine, ())
    mine = [await legs.open("c1") for _ in range(3)]
    await legs.open("c2")
    await legs.close(mine[0])
    await legs.close(mine[0])
    assert (await engine.counters())["transports_closed"] == 1
    await legs.close_all("c1")
    await legs.close_all("c1")
    assert (await engine.counters())["transports_closed"] == 3
