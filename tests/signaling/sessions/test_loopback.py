"""A client that calls itself, on a real media engine."""

from collections.abc import AsyncIterator

import pytest

from relay.errors import SignalingError
from relay.media.engine import LocalEngine
from relay.sdp.parse import parse_sdp
from relay.signaling.sessions.addresses import Addresses
from relay.signaling.sessions.loopback import Loopback
from relay.signaling.sessions.session import SessionManager
from tests.sdp.descriptions import VIDEO_ANSWER, VOICE_ANSWER, VOICE_OFFER, seen

OFFER, ANSWER = parse_sdp(VOICE_OFFER), parse_sdp(VOICE_ANSWER)


@pytest.fixture
async def engine() -> AsyncIterator[LocalEngine]:
    engine = LocalEngine(lambda event: None, ["127.0.0.1"])
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture
def loopback(engine: LocalEngine) -> Loopback:
    return Loopback(SessionManager(engine, ()), Addresses("127.0.0.1", "127.0.0.1"))


async def test_the_two_peers_of_a_loopback_call_have_sessions_of_their_own(engine: LocalEngine, loopback: Loopback) -> None:
    [offered] = seen(await loopback.offer(OFFER))
    [answered] = seen(await loopback.answer(ANSWER))
    assert answered.ufrag != offered.ufrag
    assert await open_transports(engine) == 2
    await loopback.close()
    assert await open_transports(engine) == 0


async def test_the_next_loopback_call_ends_the_one_before(engine: LocalEngine, loopback: Loopback) -> None:
    for _ in range(3):
        await loopback.offer(OFFER)
        assert await open_transports(engine) == 2
    await loopback.close()


async def test_an_answer_that_does_not_fit_is_refused_and_another_may_follow(loopback: Loopback) -> None:
    await loopback.offer(OFFER)
    with pytest.raises(SignalingError, match="media sections"):
        await loopback.answer(parse_sdp(VIDEO_ANSWER))
    await loopback.answer(ANSWER)
    await loopback.close()


async def test_an_answer_without_an_offer_is_refused(loopback: Loopback) -> None:
    with pytest.raises(SignalingError, match="no offer"):
        await loopback.answer(ANSWER)


async def open_transports(engine: LocalEngine) -> int:
    counters = await engine.counters()
    return counters["transports_opened"] - counters["transports_closed"]
