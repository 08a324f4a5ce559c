"""The simulated network does what it is told to, the same every time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.network import SimulatedNetwork

PACKETS = 20_000
INTERVAL = 0.001


def pass_through(network: SimulatedNetwork, packets: int = PACKETS) -> list[tuple[float, int]]:
    """Send numbered packets, one every millisecond: when which number arrived."""
    for number in range(packets):
        network.send(number.to_bytes(4), number * INTERVAL)
    return [(time, int.from_bytes(data)) for time, data in network.deliver(float("inf"))]


def runs_of_loss(arrived: set[int]) -> list[int]:
    runs, run = [], 0
    for number in range(PACKETS):
        if number not in arrived:
            run += 1
        elif run:
            runs.append(run)
            run = 0
    return runs


def test_without_impairment_everything_arrives_at_once_and_in_order() -> None:
    assert pass_through(SimulatedNetwork(1), 100) == [(number * INTERVAL, number) for number in range(100)]


def test_the_same_seed_gives_the_same_network() -> None:
    def run(seed: int) -> list[tuple[float, int]]:
        return pass_through(SimulatedNetwork(seed, loss=0.1, jitter=0.01, reordering=0.1, duplication=0.1), 500)

    assert run(7) == run(7)
    assert run(7) != run(8)


@pytest.mark.parametrize("burst", [1.0, 5.0])
def test_the_loss_rate_does_not_depend_on_the_length_of_bursts(burst: float) -> None:
    arrived = pass_through(SimulatedNetwork(3, loss=0.1, burst=burst))
    assert len(arrived) == pytest.approx(PACKETS * 0.9, rel=0.03)


def test_losses_come_in_bursts_of_the_length_told() -> None:
    alone = runs_of_loss({number for _, number in pass_through(SimulatedNetwork(4, loss=0.1))})
    together = runs_of_loss({number for _, number in pass_through(SimulatedNetwork(4, loss=0.1, burst=6))})
    assert sum(alone) / len(alone) == pytest.approx(1 / 0.9, rel=0.05)
    assert sum(together) / len(together) == pytest.approx(6, rel=0.15)


@given(st.integers(), st.floats(0, 0.5), st.floats(0, 0.1))
def test_a_varying_delay_keeps_its_bounds_and_the_order(seed: int, delay: float, jitter: float) -> None:
    arrived = pass_through(SimulatedNetwork(seed, delay=delay, jitter=jitter), 50)
    assert [number for _, number in arrived] == list(range(50))
    for time, number in arrived:
        assert number * INTERVAL + delay <= time <= number * INTERVAL + delay + jitter


def test_some_packets_are_overtaken_when_told_so() -> None:
    arrived = pass_through(SimulatedNetwork(5, delay=0.05, reordering=0.1, lateness=0.01))
    late = [number for time, number in arrived if time > number * INTERVAL + 0.055]
    assert len(late) == pytest.approx(PACKETS * 0.1, rel=0.1)
    assert sorted(number for _, number in arrived) == list(range(PACKETS))
    assert [number for _, number in arrived] != list(range(PACKETS))


def test_some_packets_arrive_twice_when_told_so() -> None:
    arrived = pass_through(SimulatedNetwork(6, duplication=0.1))
    assert len(arrived) == pytest.approx(PACKETS * 1.1, rel=0.02)
    assert {number for _, number in arrived} == set(range(PACKETS))


def test_packets_are_delivered_once_and_not_before_their_time() -> None:
    network = SimulatedNetwork(1, delay=0.5)
    network.send(b"first", 1.0)
    network.send(b"second", 1.25)
    assert network.deliver(1.49) == []
    assert network.deliver(1.5) == [(1.5, b"first")]
    assert network.deliver(2.0) == [(1.75, b"second")]
    assert network.deliver(3.0) == []


def test_the_next_arrival_is_known_while_something_is_on_its_way() -> None:
    network = SimulatedNetwork(1, delay=0.5)
    arrivals = [network.next_arrival]
    network.send(b"first", 1.0)
    network.send(b"second", 1.25)
    arrivals.append(network.next_arrival)
    network.deliver(2.0)
    arrivals.append(network.next_arrival)
    assert arrivals == [None, 1.5, None]
