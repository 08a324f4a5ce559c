"""The cores together, on networks that lose, reorder, repeat and delay: sender → relay → receiver, in virtual time.

The relay here is its cores without sockets and keys, put together as `relay.media.routing` does.
"""

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from struct import pack, unpack_from
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.media.net.mmsg import BUFFER_SIZE, ReceiveRing
from relay.media.quality.statistics import LegReport, LegStatistics
from relay.media.repair.history import MAX_AGE, MAX_REPEATS, MIN_AGE, PacketHistory
from relay.rtp import rtcp, rtcp_cuts
from relay.rtp.packet import is_rtcp, peek
from tests.kit.network import SimulatedNetwork
from tests.kit.rtcp import receiver_report

pytestmark = pytest.mark.long

AUDIO, VIDEO = 0xA, 0xB
CLOCK: Final = {AUDIO: 48_000, VIDEO: 90_000}
DURATION: Final = 4.0
"""Seconds of media; the receiver goes on asking for `PATIENCE` more."""
PATIENCE: Final = 3.0
LATENESS: Final = 0.02
"""Seconds, of packets that are overtaken."""
ASKS_EVERY: Final = 0.02
"""Seconds, as libwebrtc does."""
REPORTS_EVERY: Final = 0.25
ASKS_FOR: Final = 400
"""Packets behind the newest: all that the relay may still hold."""
RECEIVER: Final = 1
NTP: Final = 0xE8A1_0000
"""Seconds since 1900 when virtual time begins."""


@dataclass(frozen=True)
class Weather:
    """What every network of a run is like."""

    seed: int
    loss: float = 0.0
    burst: float = 1.0
    reordering: float = 0.0
    duplication: float = 0.0
    delay: float = 0.02
    jitter: float = 0.0

    def network(self, number: int) -> SimulatedNetwork:
        return SimulatedNetwork(
            self.seed * 4 + number,
            loss=self.loss,
            burst=self.burst,
            reordering=self.reordering,
            lateness=LATENESS,
            duplication=self.duplication,
            delay=self.delay,
            jitter=self.jitter,
        )

    @property
    def longest(self) -> float:
        """Seconds that a packet may be on its way."""
        return self.delay + self.jitter + (LATENESS if self.reordering else 0.0)


@dataclass
class Sender:
    """Sends audio, video, reports, and the packets that a NACK requests."""

    network: SimulatedNetwork
    first: int
    sent: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """By SSRC and 16-bit sequence number."""
    number: Counter[int] = field(default_factory=Counter)

    def send(self, ssrc: int, timestamp: int, count: int, now: float) -> None:
        for _ in range(count):
            sequence = (self.first + self.number[ssrc]) & 0xFFFF
            self.number[ssrc] += 1
            packet = pack("!BBHII", 0x80, ssrc, sequence, timestamp & 0xFFFFFFFF, ssrc)
            packet += Random(ssrc << 32 | self.number[ssrc]).randbytes(20 + 90 * (ssrc == VIDEO))
            self.sent[ssrc, sequence] = packet
            self.network.send(packet, now)

    def report(self, now: float) -> None:
        for ssrc in (AUDIO, VIDEO):
            body = pack("!IQIII", ssrc, (NTP << 32) + int(now * 2**32), 0, self.number[ssrc], 0)
            self.network.send(pack("!BBH", 0x80, 200, len(body) // 4) + body, now)

    def asked(self, compound: bytes, now: float) -> None:
        for packet in rtcp.parse(compound):
            if isinstance(packet, rtcp.Nack):
                for sequence in packet.sequences:
                    self.network.send(self.sent[packet.media_ssrc, sequence], now)


class Relay:
    """Sees to what arrives, and notes by other means than the cores what they should know."""

    def __init__(self, to_receiver: SimulatedNetwork, to_sender: SimulatedNetwork) -> None:
        self.to_receiver, self.to_sender = to_receiver, to_sender
        self.from_sender, self.from_receiver = LegStatistics(0.0), LegStatistics(0.0)
        self.history = PacketHistory()
        self.ring = ReceiveRing(4096)
        self.arrived: Counter[int] = Counter()
        """Packets of each stream, copies included."""
        self.stored: dict[tuple[int, int], float] = {}
        self.answers: Counter[tuple[int, int]] = Counter()
        """How often a packet was sent again since it was stored."""
        self.asked: Counter[int] = Counter()
        self.given_up: set[tuple[int, int]] = set()
        """What it has had, but left for the sender to send again."""

    def media(self, packet: bytes, now: float) -> None:
        _, _, sequence, timestamp, ssrc = peek(packet)
        streams = self.from_sender.streams
        stream = streams.get(ssrc) or self.from_sender.open_stream(ssrc, CLOCK[ssrc], sequence, timestamp, now)
        stream.received(sequence, timestamp, len(packet), now)
        start = self.ring.next_serial % self.ring.capacity * BUFFER_SIZE
        self.ring.bytes[start : start + len(packet)] = packet
        sent = self.history.streams.get(ssrc) or self.history.open_stream(ssrc, self.ring)
        sent.store(sequence, self.ring.next_serial, len(packet), now)
        self.ring.next_serial += 1
        self.arrived[ssrc] += 1
        self.stored[ssrc, sequence] = now
        self.answers[ssrc, sequence] = 0
        self.to_receiver.send(packet, now)

    def sender_says(self, compound: bytes, now: float) -> None:
        packets = rtcp.parse(compound)
        self.from_sender.from_peer(packets, now)
        self.from_receiver.for_peer(packets, now)
        self.to_receiver.send(compound, now)

    def receiver_says(self, compound: bytes, now: float) -> None:
        packets = rtcp.parse(compound)
        self.from_receiver.from_peer(packets, now)
        self.from_sender.for_peer(packets, now)
        answered: dict[int, set[int]] = {}
        for packet in packets:
            if isinstance(packet, rtcp.Nack):
                answered.setdefault(packet.media_ssrc, set()).update(self._answer(packet, now))
        left = rtcp_cuts.without_nacks(compound, answered)
        if left is not None:
            assert len(left) <= len(compound)
            self.to_sender.send(left, now)

    def _answer(self, nack: rtcp.Nack, now: float) -> frozenset[int]:
        ssrc = nack.media_ssrc
        self.asked[ssrc] += len(nack.sequences)
        answer = self.history.answer(ssrc, nack.sequences, now, self.from_receiver.rtt)
        for again in answer.packets:
            self.answers[ssrc, peek(again)[2]] += 1
            self.to_receiver.send(again, now)
        for sequence in nack.sequences:
            age = now - self.stored.get((ssrc, sequence), float("-inf"))
            repeats = self.answers[ssrc, sequence]
            assert repeats <= MAX_REPEATS
            if age < MIN_AGE and repeats < MAX_REPEATS:
                assert sequence in answer.answered, "it is held, and young enough"
            if age > MAX_AGE:
                assert sequence not in answer.answered, "it is too old"
        self.given_up |= {(ssrc, one) for one in nack.sequences if one not in answer.answered} & self.stored.keys()
        return answer.answered


class Receiver:
    """Takes what arrives, asks for what is missing, and reports as RFC 3550 has it."""

    def __init__(self, network: SimulatedNetwork) -> None:
        self.network = network
        self.packets: dict[tuple[int, int], bytes] = {}
        """By SSRC and 16-bit sequence number."""
        self.at: dict[tuple[int, int], float] = {}
        """When each arrived first."""
        self.newest: dict[int, Newest] = {}
        self.first: dict[int, int] = {}
        self.count: Counter[int] = Counter()
        self._heard: dict[int, tuple[int, float]] = {}

    def media(self, packet: bytes, now: float) -> None:
        sequence, ssrc = peek(packet)[2], peek(packet)[4]
        assert self.packets.setdefault((ssrc, sequence), packet) == packet
        self.at.setdefault((ssrc, sequence), now)
        self.newest.setdefault(ssrc, Newest(sequence)).unwrap(sequence)
        self.first.setdefault(ssrc, self.newest[ssrc].highest)
        self.count[ssrc] += 1

    def sender_says(self, compound: bytes, now: float) -> None:
        ssrc, middle = unpack_from("!IxxI", compound, 4)
        self._heard[ssrc] = middle, now

    def missing(self, ssrc: int) -> list[int]:
        highest = self.newest[ssrc].highest
        return [
            number & 0xFFFF
            for number in range(max(self.first[ssrc], highest - ASKS_FOR), highest)
            if (ssrc, number & 0xFFFF) not in self.packets
        ]

    def ask(self, now: float) -> None:
        for ssrc in self.newest:
            if missing := self.missing(ssrc):
                self.network.send(rtcp.nack(RECEIVER, ssrc, missing), now)

    def report(self, now: float) -> None:
        blocks = []
        for ssrc, newest in self.newest.items():
            middle, since = self._heard.get(ssrc, (0, now))
            lost = newest.highest - self.first[ssrc] + 1 - self.count[ssrc]
            blocks.append(rtcp.ReportBlock(ssrc, 0, lost, newest.highest, 0, middle, round((now - since) * 65536)))
        self.network.send(receiver_report(RECEIVER, blocks), now)


class Newest:
    """The newest sequence number of a stream, unwrapped.

    Counts from the cycle after the first, so that what was sent before the first packet that arrived is not negative.
    """

    __slots__ = ("highest",)

    highest: int
    """The newest sequence number so far, unwrapped. Before the first packet: the one before it."""

    def __init__(self, first: int) -> None:
        """`first`: the first sequence number to be unwrapped, 16 bits."""
        self.highest = 0xFFFF + first

    def unwrap(self, sequence: int) -> int:
        """The unwrapped number nearest to the newest: up to 32,767 ahead of it, up to 32,768 behind."""
        ahead = (sequence - self.highest) & 0xFFFF
        if ahead < 0x8000:
            self.highest += ahead
            return self.highest
        return self.highest + ahead - 0x10000


@dataclass(frozen=True)
class Run:
    """What has become of a run."""

    sender: Sender
    relay: Relay
    receiver: Receiver
    blocks: dict[int, list[tuple[int, int]]]
    """Highest sequence number and loss, by SSRC, in each report of the receiver that came through."""
    sent_from: LegReport
    received_by: LegReport

    @property
    def unmended(self) -> int:
        """Packets that the relay had, and the receiver never got, though it knew that they were missing."""
        receiver = self.receiver
        known = {
            (ssrc, number & 0xFFFF)
            for ssrc, newest in receiver.newest.items()
            for number in range(receiver.first[ssrc], newest.highest)
        }
        return len((known & self.relay.stored.keys()) - receiver.packets.keys())


def run(weather: Weather, first: int = 0) -> Run:
    """Audio of 50 packets a second, and video of 30 frames a second, of 8 packets each."""
    up, down, back, up_again = (weather.network(number) for number in range(4))
    sender, relay, receiver = Sender(up, first), Relay(down, up_again), Receiver(back)
    blocks: dict[int, list[tuple[int, int]]] = {AUDIO: [], VIDEO: []}
    # What happens by the clock: when, and the rest at the same time in this order.
    due: list[tuple[float, int, int]] = []
    due += [(number / 50, 0, number) for number in range(int(DURATION * 50))]
    due += [(number / 30, 1, number) for number in range(int(DURATION * 30))]
    due += [(number * REPORTS_EVERY, 2, number) for number in range(int(DURATION / REPORTS_EVERY))]
    due += [(number * REPORTS_EVERY + 0.1, 3, number) for number in range(int(DURATION / REPORTS_EVERY))]
    due += [(number * ASKS_EVERY + 0.001, 4, number) for number in range(int((DURATION + PATIENCE) / ASKS_EVERY))]

    def arrive(now: float) -> None:
        """Everything that arrives by then, in the order of time across all networks."""
        while True:
            coming = [one.next_arrival for one in (up, down, back, up_again)]
            time = min((one for one in coming if one is not None), default=None)
            if time is None or time > now:
                return
            for at, data in up.deliver(time):
                (relay.sender_says if is_rtcp(data[1]) else relay.media)(data, at)
            for at, data in down.deliver(time):
                (receiver.sender_says if is_rtcp(data[1]) else receiver.media)(data, at)
            for at, data in back.deliver(time):
                if data[1] == 201:
                    for offset in range(8, len(data), 24):
                        ssrc, loss, highest = unpack_from("!III", data, offset)
                        blocks[ssrc].append((highest, (loss & 0xFFFFFF) - ((loss & 0x800000) << 1)))
                relay.receiver_says(data, at)
            for at, data in up_again.deliver(time):
                sender.asked(data, at)

    for now, what, number in sorted(due):
        arrive(now)
        match what:
            case 0:
                sender.send(AUDIO, number * 960, 1, now)
            case 1:
                sender.send(VIDEO, number * 3000, 8, now)
            case 2:
                sender.report(now)
            case 3:
                receiver.report(now)
            case _:
                receiver.ask(now)
    arrive(float("inf"))
    end = DURATION + PATIENCE
    return Run(sender, relay, receiver, blocks, relay.from_sender.snapshot(end), relay.from_receiver.snapshot(end))


WEATHER = st.builds(
    Weather,
    seed=st.integers(0, 2**32),
    loss=st.floats(0, 0.2),
    burst=st.floats(1, 4),
    reordering=st.sampled_from([0.0, 0.0, 0.02, 0.1]),
    duplication=st.sampled_from([0.0, 0.0, 0.02, 0.1]),
    delay=st.floats(0, 0.15),
    jitter=st.sampled_from([0.0, 0.005, 0.03]),
)
WORST = Weather(1, loss=0.2, burst=4, reordering=0.1, duplication=0.1, delay=0.15, jitter=0.03)


@settings(max_examples=40)
@given(WEATHER, st.sampled_from([0, 65_400]))
@example(WORST, 65_400)
@example(Weather(2), 0)
def test_in_any_weather_packets_arrive_as_they_were_sent_and_figures_are_true(weather: Weather, first: int) -> None:
    done = run(weather, first)
    assert done.receiver.packets.items() <= done.sender.sent.items(), "byte for byte"
    bad_luck = 3 + 0.01 * len(done.sender.sent)
    assert done.unmended <= (bad_luck if weather.loss else 0)
    assert len(done.relay.given_up) <= (3 + 0.05 * len(done.sender.sent) if weather.loss else 0)
    figures_are_true(done, weather)


def figures_are_true(done: Run, weather: Weather) -> None:
    for stream in done.sent_from.streams:
        assert stream.packets == done.relay.arrived[stream.ssrc]
        assert stream.lost == max(0, stream.expected - stream.packets)
        assert stream.nacks == done.relay.asked[stream.ssrc]
        different = sum(ssrc == stream.ssrc for ssrc, _ in done.relay.stored)
        assert stream.highest_sequence & 0xFFFF in {sequence for ssrc, sequence in done.relay.stored if ssrc == stream.ssrc}
        # Copies of what has arrived hide as much loss.
        assert stream.expected - different == pytest.approx(stream.lost, abs=stream.packets - different + 3)
        assert 0 <= stream.jitter <= weather.jitter + (LATENESS if weather.reordering else 0) + 1e-6
        if weather.jitter and not weather.reordering:
            assert stream.jitter > weather.jitter / 20
    assert done.sent_from.rtt is None, "the sender reports on nothing"
    if done.received_by.rtt is not None:
        assert 2 * weather.delay - 1e-4 <= done.received_by.rtt <= 2 * weather.longest + 1e-4
    elif weather.loss < 0.1:
        raise AssertionError("nothing was measured")
    lost = expected = 0
    for reported in filter(None, done.blocks.values()):
        (highest_before, lost_before), (highest, lost_now) = reported[0], reported[-1]
        expected += max(0, highest - highest_before)
        lost += lost_now - lost_before
    assert done.received_by.loss_to_peer == pytest.approx(min(max(lost / expected, 0), 1) if expected else 0)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.1, 0.2])
def test_losses_are_seen_at_their_true_rate_and_mended_in_time(loss: float, seed: int) -> None:
    weather = Weather(seed, loss=loss, delay=0.03, jitter=0.005)
    done = run(weather)
    fast = [at - done.relay.stored[key] for key, at in done.receiver.at.items()]
    assert max(fast) <= MAX_AGE + weather.longest
    assert done.unmended == 0
    assert len(done.relay.given_up) <= 0.01 * len(done.sender.sent), "the relay did it by itself"
    assert done.received_by.rtt == pytest.approx(2 * weather.delay + weather.jitter, abs=weather.jitter)
    report = done.received_by
    assert report.loss_to_peer <= loss / 2, "most of it was mended"


def test_a_perfect_network_has_nothing_to_mend() -> None:
    done = run(Weather(1, delay=0.05))
    assert done.receiver.packets == done.sender.sent
    assert not done.relay.asked
    assert done.sent_from.loss_from_peer == done.received_by.loss_to_peer == 0
    assert done.sent_from.jitter == pytest.approx(0, abs=1e-6)
    assert done.received_by.rtt == pytest.approx(0.1, abs=1e-4)


def test_the_same_weather_gives_the_same_run() -> None:
    one, other = run(WORST), run(WORST)
    assert one.receiver.at == other.receiver.at
    assert one.sent_from == other.sent_from
