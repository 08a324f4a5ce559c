"""The transports and producers that a router lists; closing one transport costs no walk over all others."""

from functools import partial

import pytest

from relay.media.api import Codec, Consumer, Encoding, MediaDescription, Producer, RouterKind, TransportReport
from tests.kit.media import AUDIO, VIDEO, RunningEngine, rtp_packet, still_talk
from tests.kit.operations import lines_of
from tests.kit.wait import eventually

PICTURE, SOUND = 0x1234, 0x5678


async def reports(relay: RunningEngine, transport_id: str) -> TransportReport:
    """The next report on a transport."""
    before = len(relay.events)

    def found() -> TransportReport | None:
        new = [one for one in relay.events[before:] if isinstance(one, TransportReport) and one.transport_id == transport_id]
        return new[0] if new else None

    return await eventually(found, "a report")


async def test_a_report_tells_what_arrives_on_a_transport_and_what_leaves_by_it(relay: RunningEngine) -> None:
    first, second = await relay.call()
    first.send_rtp(picture := rtp_packet(1, PICTURE))
    first.send_rtp(sound := rtp_packet(1, SOUND, payload_type=111))
    await second.receives(picture, sound)
    report = await reports(relay, "first")
    audio = Producer("first", "0", "audio", (Encoding(SOUND, "opus"),))
    video = Producer("first", "1", "video", (Encoding(PICTURE, "vp8"),))
    assert report.producers == (audio, video)
    assert {one.ssrc for one in report.report.streams} == {PICTURE, SOUND}, "each has its figures"
    assert not [one for one in report.consumers if one.producer_id.startswith("first")]

    leaving = await reports(relay, "second")
    assert leaving.consumers == (Consumer("second", audio.id, SOUND), Consumer("second", video.id, PICTURE))
    assert [one.encodings for one in leaving.producers] == [(), ()], "announced, and silent so far"


async def test_nothing_leaves_by_a_transport_that_is_not_routed(relay: RunningEngine) -> None:
    first, second = await relay.call()
    first.send_rtp(packet := rtp_packet(1, PICTURE))
    await second.receives(packet)
    await relay.engine.unroute("call", ("first", "second"))
    assert (await reports(relay, "second")).consumers == ()
    await relay.engine.route("call", ("first", "second"))
    assert [one.ssrc for one in (await reports(relay, "second")).consumers] == [PICTURE]


async def test_an_update_of_the_description_changes_the_producers(relay: RunningEngine) -> None:
    first, _ = await relay.call()
    screen = MediaDescription("2", "video", (Codec(100, "av1", 90_000),), ssrcs=(0x777,))
    await relay.engine.update_transport("first", first.parameters, (AUDIO, VIDEO, screen))
    report = await reports(relay, "first")
    assert report.producers[-1] == Producer("first", "2", "video", (Encoding(0x777),))


@pytest.mark.parametrize("transport_ids", [("first",), ("first", "first"), ("first", "second", "third")])
async def test_direct_routing_is_between_two_transports(relay: RunningEngine, transport_ids: tuple[str, ...]) -> None:
    first, second = await relay.call()
    await relay.engine.open_transport("call", "third", RouterKind.DIRECT)
    with pytest.raises(AssertionError, match="between two"):
        await relay.engine.route("call", transport_ids)
    await still_talk(first, second)


async def test_closing_a_transport_or_a_router_costs_as_much_however_many_others_there_are(relay: RunningEngine) -> None:
    engine = relay.engine

    async def close_one(number: int) -> tuple[int, int]:
        for name in ("a", "b"):
            await engine.open_transport(f"router {number}", f"{name}{number}")
        await engine.route(f"router {number}", (f"a{number}", f"b{number}"))
        transport = await lines_of(partial(engine.close_transport, f"a{number}"))
        return transport, await lines_of(partial(engine.close_router, f"router {number}"))

    async def cost(first: int) -> list[int]:
        """The least of three: the engine's timer, or a finalizer of the garbage collector, may run in between."""
        return [min(lines) for lines in zip(*[await close_one(first + more) for more in range(3)], strict=True)]

    alone = await cost(1000)
    for number in range(300):
        await engine.open_transport(f"router {number}", f"c{number}")
    assert await cost(2000) == alone
