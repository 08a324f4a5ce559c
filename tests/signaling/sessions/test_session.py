"""Sessions on a real media engine: how they are opened, described, connected, updated and closed."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from relay.errors import SignalingError
from relay.media.api import DtlsRole, Fingerprint, MediaEvent
from relay.media.engine import LocalEngine
from relay.sdp.parse import parse_sdp
from relay.signaling.sessions.addresses import Addresses
from relay.signaling.sessions.session import Session, SessionManager
from tests.sdp.descriptions import VOICE_ANSWER, VOICE_OFFER, seen

OFFER, ANSWER = parse_sdp(VOICE_OFFER), parse_sdp(VOICE_ANSWER)


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


@pytest.fixture
def sessions(engine: LocalEngine) -> SessionManager:
    return SessionManager(engine, ())


async def opened(sessions: SessionManager, router_id: str = "c1") -> Session:
    return await sessions.open(router_id, Addresses())


async def pair_of(sessions: SessionManager) -> tuple[Session, Session]:
    return await opened(sessions), await opened(sessions)


async def test_each_session_has_credentials_of_its_own_and_all_the_same_certificate(sessions: SessionManager) -> None:
    one, other = await pair_of(sessions)
    assert one.transport_id != other.transport_id
    assert one.local.ufrag != other.local.ufrag
    assert one.local.pwd != other.local.pwd
    assert one.local.fingerprints == other.local.fingerprints


async def test_an_offer_leaves_the_role_to_the_answerer(sessions: SessionManager) -> None:
    session = await opened(sessions)
    assert "\r\na=setup:actpass\r\n" in sessions.offer(session, OFFER)


@pytest.mark.parametrize("answered", [DtlsRole.ACTIVE, DtlsRole.PASSIVE])
async def test_the_offerer_is_given_the_role_that_the_answerer_chose(sessions: SessionManager, answered: DtlsRole) -> None:
    """So the two peers have opposite roles, and their data channels different ids (RFC 8832 section 6)."""
    offerer, answerer = await pair_of(sessions)
    answer = parse_sdp(VOICE_ANSWER.replace("a=setup:active", f"a=setup:{answered}"))
    text = await sessions.connect_pair("c1", offerer, answerer, OFFER, answer)
    assert f"\r\na=setup:{answered}\r\n" in text
    assert {offerer.role, answerer.role} == {DtlsRole.ACTIVE, DtlsRole.PASSIVE}
    assert (offerer.remote, answerer.remote) == (OFFER, answer)


async def test_a_session_keeps_its_role_whatever_later_answers_say(sessions: SessionManager) -> None:
    offerer, answerer = await pair_of(sessions)
    await sessions.connect_pair("c1", offerer, answerer, OFFER, ANSWER)
    other = parse_sdp(VOICE_ANSWER.replace("a=setup:active", "a=setup:passive"))
    for _ in range(2):
        assert "\r\na=setup:active\r\n" in sessions.answer(offerer, other)


async def test_each_description_that_a_peer_is_given_has_the_next_version(sessions: SessionManager) -> None:
    """RFC 3264 section 8."""
    session = await opened(sessions)
    given = [sessions.offer(session, OFFER), sessions.answer(session, ANSWER), sessions.offer(session, OFFER)]
    assert [origin(one) for one in given] == [("1", "1"), ("1", "2"), ("1", "3")]


async def test_an_ice_restart_changes_the_credentials_and_nothing_else(sessions: SessionManager) -> None:
    session = await opened(sessions)
    before = session.local
    await sessions.restart(session)
    assert session.local.ufrag != before.ufrag
    assert session.local.pwd != before.pwd
    assert session.local.fingerprints == before.fingerprints
    [audio] = seen(sessions.offer(session, OFFER))
    assert (audio.ufrag, audio.pwd) == (session.local.ufrag, session.local.pwd)


@pytest.mark.parametrize("restarts", [True, False])
async def test_an_offer_with_new_credentials_and_no_other_restarts_ice_at_its_sender_alone(
    sessions: SessionManager, restarts: bool
) -> None:
    """RFC 8839 section 4.4.1.1.1."""
    offerer, answerer = await pair_of(sessions)
    await sessions.connect_pair("c1", offerer, answerer, OFFER, ANSWER)
    before = offerer.local.ufrag, answerer.local.ufrag
    offer = parse_sdp(VOICE_OFFER.replace(OFFER.transport.ufrag, "another1")) if restarts else OFFER
    [audio] = seen(await sessions.update_pair(offerer, answerer, offer, ANSWER))
    assert audio.ufrag == offerer.local.ufrag
    assert (offerer.local.ufrag != before[0], answerer.local.ufrag != before[1]) == (restarts, False)
    assert offerer.remote == offer


async def test_a_description_names_the_operators_addresses_and_the_ports_of_the_engine(engine: LocalEngine) -> None:
    sessions = SessionManager(engine, ("203.0.113.1", "2001:db8::1"))
    session = await opened(sessions)
    [port] = {candidate.port for candidate in session.local.candidates}
    [audio] = seen(sessions.offer(session, OFFER))
    assert audio.candidates == (("203.0.113.1", port, "host"), ("2001:db8::1", port, "host"))
    assert (audio.ufrag, audio.pwd) == (session.local.ufrag, session.local.pwd)


async def test_a_session_is_connected_once(sessions: SessionManager) -> None:
    offerer, answerer = await pair_of(sessions)
    await sessions.connect_pair("c1", offerer, answerer, OFFER, ANSWER)
    with pytest.raises(AssertionError, match="connected once"):
        await sessions.connect(offerer, OFFER)


async def test_an_answer_of_another_peer_connection_is_refused(sessions: SessionManager) -> None:
    offerer, answerer = await pair_of(sessions)
    certificate = Fingerprint("sha-256", "AB:CD")
    other = replace(ANSWER, transport=replace(ANSWER.transport, fingerprints=(certificate,)))
    answerer.check_answer(other, OFFER, DtlsRole.ACTPASS)
    await sessions.connect_pair("c1", offerer, answerer, OFFER, ANSWER)
    answerer.check_answer(ANSWER, OFFER, DtlsRole.ACTPASS)
    with pytest.raises(SignalingError, match="another certificate"):
        answerer.check_answer(other, OFFER, DtlsRole.ACTPASS)


async def test_a_session_of_another_call_is_not_routed(sessions: SessionManager) -> None:
    caller, stranger = await opened(sessions, "c1"), await opened(sessions, "c2")
    for together in (sessions.route, sessions.unroute):
        with pytest.raises(AssertionError, match="belong to the router"):
            await together("c1", caller, stranger)


async def test_sessions_are_closed_one_by_one_or_all_at_once_and_as_often_as_one_likes(
    engine: LocalEngine, sessions: SessionManager
) -> None:
    mine = [await opened(sessions) for _ in range(3)]
    await opened(sessions, "c2")
    await sessions.close(mine[0])
    await sessions.close(mine[0])
    assert (await engine.counters())["transports_closed"] == 1
    await sessions.close_all("c1")
    await sessions.close_all("c1")
    assert (await engine.counters())["transports_closed"] == 3
