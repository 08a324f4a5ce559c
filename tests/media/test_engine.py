"""The engine: what opens, what closes, and what is left afterwards."""

import asyncio
import gc
import socket
from itertools import count
from pathlib import Path

import pytest

from relay.errors import ConfigurationError
from relay.media.api import Codec, DtlsRole, MediaDescription, TransportClosed, TransportReport
from relay.media.engine import LocalEngine
from relay.media.net.addresses import local_addresses
from relay.media.transport.transport import Transport
from relay.rtp import rtcp
from tests.kit.garbage import garbage_of
from tests.kit.media import IPV4, IPV6, RunningEngine, rtp_packet, still_talk
from tests.kit.wait import eventually


def bound(host: str, port: int) -> socket.socket:
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind((host, port))
    return taken


# -- sockets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [IPV4, IPV6])
async def test_a_port_that_is_taken_is_a_configuration_error_that_names_it(host: str) -> None:
    with bound(host, 0) as taken:
        port = taken.getsockname()[1]
        engine = LocalEngine(lambda _: None, hosts=[host], port=port)
        with pytest.raises(ConfigurationError, match=rf"{host} port {port}: Address already in use"):
            await engine.start()
        await engine.close()


async def test_an_address_of_another_machine_is_a_configuration_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
        await LocalEngine(lambda _: None, hosts=["192.0.2.1"]).start()


async def test_when_one_address_cannot_be_opened_the_others_are_closed_again() -> None:
    with bound(IPV4, 0) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConfigurationError):
        await LocalEngine(lambda _: None, hosts=[IPV4, "192.0.2.1"], port=port).start()
    bound(IPV4, port).close()


async def test_closing_frees_the_port() -> None:
    async with RunningEngine.started(IPV4, IPV6) as relay:
        candidates = (await relay.engine.open_transport("call", "one")).candidates
    assert {one.address for one in candidates} == {IPV4, IPV6}
    assert len({one.port for one in candidates}) == 1, "the same port on each address"
    for one in candidates:
        bound(one.address, one.port).close()


async def test_without_addresses_named_the_engine_listens_on_all_of_this_machine() -> None:
    engine = LocalEngine(lambda _: None)
    await engine.start()
    candidates = (await engine.open_transport("call", "one")).candidates
    await engine.close()
    assert IPV4 in {one.address for one in candidates} <= set(local_addresses())


def test_addresses_are_literals_without_link_local_ones_and_loopback_comes_last() -> None:
    found = local_addresses()
    assert len(found) == len(set(found))
    assert not [one for one in found if one.startswith(("fe80:", "169.254."))]
    loopback = [one.startswith("127.") or one == "::1" for one in found]
    assert loopback == sorted(loopback)


async def test_a_call_goes_on_while_addresses_come_and_go() -> None:
    """All of 127.0.0.0/8 can be listened on, so they stand for the addresses of a machine."""
    present = ["127.0.0.2", IPV4]
    async with RunningEngine.started("0.0.0.0", find_addresses=lambda: list(present)) as relay:
        engine = relay.engine

        def change(*hosts: str) -> set[str]:
            present[:] = hosts
            engine._addresses._look()
            return {one.host for one in engine._listening.sockets}

        first, second = await relay.call("127.0.0.2", "127.0.0.2")
        assert change("127.0.0.3", IPV4) == {IPV4, "127.0.0.2", "127.0.0.3"}, "a call still uses the old one"
        await still_talk(first, second)
        third = await engine.open_transport("later", "three")
        assert [one.address for one in third.candidates] == ["127.0.0.3", IPV4]
        assert len({one.port for one in third.candidates}) == 1
        change("127.0.0.2", IPV4)
        await still_talk(first, second)
        restarted = await engine.restart_transport("three")
        assert [one.address for one in restarted.candidates] == ["127.0.0.2", IPV4]
        change("127.0.0.3", IPV4)
        await still_talk(first, second)
        for router_id in list(engine._routers):
            await engine.close_router(router_id)
        await eventually(
            lambda: {one.host for one in engine._listening.sockets} == {IPV4, "127.0.0.3"},
            "the socket that is of no use is closed",
        )


async def test_an_address_that_cannot_be_had_at_once_is_tried_again() -> None:
    present = [IPV4]
    async with RunningEngine.started("0.0.0.0", find_addresses=lambda: list(present)) as relay:
        port = relay.engine.ports[0]
        with bound("127.0.0.2", port):
            present.insert(0, "127.0.0.2")
            relay.engine._addresses._look()
            told = (await relay.engine.open_transport("call", "one")).candidates
            assert [one.address for one in told] == [IPV4]
        await eventually(lambda: len(relay.engine._listening.candidates) == 2, "the address is used when it can be")


# -- transports and routers -------------------------------------------------------------------------------------------


async def test_the_relay_offers_to_take_either_role_and_hides_nothing_of_what_a_peer_must_know(relay: RunningEngine) -> None:
    one, other = [await relay.engine.open_transport("call", name) for name in ("one", "other")]
    assert one.role is DtlsRole.ACTPASS
    assert [fingerprint.algorithm for fingerprint in one.fingerprints] == ["sha-256"]
    assert one.fingerprints == other.fingerprints
    assert one.candidates == other.candidates
    assert not {one.ufrag, one.pwd} & {other.ufrag, other.pwd}


async def test_closing_what_is_unknown_or_already_gone_is_no_error(relay: RunningEngine) -> None:
    await relay.engine.open_transport("call", "one")
    for _ in range(2):
        await relay.engine.close_transport("one")
        await relay.engine.close_router("call")
    await relay.engine.close_transport("never")
    await relay.engine.close_router("never")
    counted = await relay.counted()
    assert counted["transports_opened"] == counted["transports_closed"] == 1


async def test_naming_a_transport_that_is_gone_is_a_key_error_everywhere_else(relay: RunningEngine) -> None:
    peer, _ = await relay.peer("one"), await relay.peer("two")
    await relay.engine.close_transport("one")
    with pytest.raises(KeyError):
        await relay.introduce(peer)
    with pytest.raises(KeyError):
        await relay.engine.restart_transport("one")
    with pytest.raises(KeyError):
        await relay.engine.route("call", ("two", "one"))
    with pytest.raises(KeyError):
        await relay.engine.route("never", ("two", "one"))


async def test_transports_of_different_routers_are_never_routed(relay: RunningEngine) -> None:
    await relay.peer("one", router="call")
    await relay.peer("two", router="other")
    with pytest.raises(AssertionError):
        await relay.engine.route("call", ("one", "two"))


async def test_when_one_party_leaves_the_packets_of_the_other_are_dropped_and_counted(relay: RunningEngine) -> None:
    first, second = await relay.call()
    await relay.engine.close_transport("second")
    first.send_rtp(rtp_packet(1))
    await relay.counts("dropped_unjoined")
    second.send_rtp(rtp_packet(1, 0xBBBB))
    await relay.counts("unknown_address")


async def test_closing_a_router_closes_its_transports_and_no_others(relay: RunningEngine) -> None:
    await relay.call()
    third, fourth = await relay.peer("third", router="other"), await relay.peer("fourth", router="other")
    await relay.engine.route("other", ("third", "fourth"))
    await relay.connect(third, fourth)
    await relay.engine.close_router("call")
    assert set(relay.engine._transports) == {"third", "fourth"}
    await still_talk(third, fourth)
    assert not [event for event in relay.events if isinstance(event, TransportClosed)], "the caller that closes gets no event"


async def test_a_party_can_be_routed_to_another_one_instead(relay: RunningEngine) -> None:
    first, second = await relay.call()
    third = await relay.peer("third")
    await relay.connect(third)
    await relay.engine.route("call", ("first", "third"))
    await still_talk(first, third)
    second.send_rtp(rtp_packet(1))
    await relay.counts("dropped_unjoined")
    await relay.engine.close_transport("second")
    await still_talk(first, third)


async def test_unrouted_transports_forward_nothing_until_they_are_routed_again(relay: RunningEngine) -> None:
    first, second = await relay.call()
    await relay.engine.unroute("call", ("first", "second"))
    for sender in (first, second):
        sender.send_rtp(rtp_packet(1))
    await relay.counts("dropped_unjoined", 2)
    assert not first.packets and not second.packets
    await relay.engine.route("call", ("first", "second"))
    for sender in (first, second):
        await sender.receives(rtcp.pli(1, 0x1234))  # what was seen last is out of date
    await still_talk(first, second)


async def test_a_connected_transport_learns_what_its_peer_sends_from_now_on(relay: RunningEngine) -> None:
    first, second = await relay.call()
    vp8 = MediaDescription("0", "video", (Codec(96, "vp8", 90_000),))
    await relay.engine.update_transport("first", first.parameters, (vp8,))
    first.send_rtp(packet := rtp_packet(1))
    await second.receives(packet)
    assert [one.is_video for one in relay.engine._transports["first"].streams.values()] == [True]


async def test_a_party_that_comes_up_after_it_was_replaced_does_not_disturb_the_call(relay: RunningEngine) -> None:
    first, second, third = [await relay.peer(name) for name in ("first", "second", "third")]
    await relay.engine.route("call", ("first", "second"))
    await relay.connect(first)
    await relay.engine.route("call", ("first", "third"))
    first.send_rtp(early := rtp_packet(1))
    await relay.counts("packets_received")
    await relay.connect(second)
    await relay.connect(third)
    await third.receives(early)
    assert not second.packets


async def test_the_quality_of_a_path_is_reported_while_it_is_up(relay: RunningEngine) -> None:
    first, second = await relay.call()
    for n in range(10):
        first.send_rtp(packet := rtp_packet(n))
        await second.receives(packet)
    report = await relay.says("TransportReport", first)
    assert isinstance(report, TransportReport)
    assert [(stream.ssrc, stream.packets, stream.lost) for stream in report.report.streams] == [(0x1234, 10, 0)]


# -- what is left -----------------------------------------------------------------------------------------------------


def descriptors_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def alive(kind: type) -> int:
    gc.collect()
    return sum(1 for one in gc.get_objects() if isinstance(one, kind))


async def test_the_garbage_collector_need_not_look_for_transports_that_were_closed(relay: RunningEngine) -> None:
    numbers = count()

    async def unanswered() -> None:
        router = f"router{next(numbers)}"
        for name in ("a", "b"):
            await relay.engine.open_transport(router, router + name)
        await relay.engine.route(router, (f"{router}a", f"{router}b"))
        await relay.engine.close_router(router)

    async def connected() -> None:
        router = f"call{next(numbers)}"
        ends = (("c", DtlsRole.ACTIVE), ("d", DtlsRole.PASSIVE))
        peers = [await relay.peer(router + name, router=router, role=role) for name, role in ends]
        await relay.engine.route(router, tuple(peer.transport_id for peer in peers))
        await relay.connect(*peers)
        await still_talk(*peers)
        for peer in peers:
            await peer.vanish()
        await relay.engine.close_router(router)
        relay._peers.clear()
        relay.events.clear()

    assert not await garbage_of(unanswered, 20)
    left = await garbage_of(connected, 5)
    # The peers are in this process too, and are not looked at.
    assert not [kind for kind in left if kind.startswith(("relay.media.transport", "relay.media.net"))], left


@pytest.mark.long
async def test_thousands_of_transports_leave_nothing_behind(relay: RunningEngine) -> None:
    engine = relay.engine

    async def open_and_close(number: int) -> None:
        router = f"router{number}"
        for name in ("a", "b"):
            await engine.open_transport(router, f"{name}{number}")
        await engine.route(router, (f"a{number}", f"b{number}"))
        if number % 2:
            await engine.close_transport(f"b{number}")
        await engine.close_router(router)

    async def connect_and_close(number: int) -> None:
        peers = [await relay.peer(f"{name}{number}", router=f"call{number}", role=role) for name, role in ends]
        await engine.route(f"call{number}", tuple(peer.transport_id for peer in peers))
        await relay.connect(*peers)
        await still_talk(*peers)
        for peer in peers:
            await peer.vanish()
        await engine.close_router(f"call{number}")

    async def let_go_in_the_middle(number: int) -> None:
        peer = await relay.peer(f"half{number}", router=f"half{number}")
        await peer.check()
        await relay.introduce(peer)
        peer.shake_hands()
        for _ in range(number % 8):
            await asyncio.sleep(0)
        await peer.vanish()
        await asyncio.wait_for(engine.close_router(f"half{number}"), 5)

    ends = (("c", DtlsRole.ACTIVE), ("d", DtlsRole.PASSIVE))
    await connect_and_close(-1)
    relay._peers.clear()
    relay.events.clear()
    await asyncio.sleep(0)
    tasks, transports, descriptors = len(asyncio.all_tasks()), alive(Transport), descriptors_open()
    for number in range(950):
        await open_and_close(number)
    for begin in range(0, 50, 10):
        await asyncio.gather(*map(connect_and_close, range(begin, begin + 10)))
        await asyncio.gather(*map(let_go_in_the_middle, range(begin, begin + 10)))
    relay._peers.clear()
    relay.events.clear()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == tasks
    assert descriptors_open() == descriptors
    assert not engine._transports
    assert not engine._by_ufrag
    assert not engine._routers
    assert not [key for one in engine._listening.sockets for key in one.routes]
    assert alive(Transport) == transports
    counted = await relay.counted()
    assert counted["transports_opened"] == counted["transports_closed"] > 2000


async def test_a_transport_can_be_let_go_at_any_moment_of_the_handshake(relay: RunningEngine) -> None:
    """A browser goes away while its last flight is being read: `close` must neither hang nor leave a task behind."""
    before = len(asyncio.all_tasks())
    for steps in range(40):
        peer = await relay.peer(f"peer{steps}")
        await peer.check()
        await relay.introduce(peer)
        peer.shake_hands()
        for _ in range(steps):
            await asyncio.sleep(0)
        await asyncio.wait_for(relay.engine.close_transport(peer.transport_id), 2)
        await peer.vanish()
        assert len(asyncio.all_tasks()) == before, f"after {steps} steps"
