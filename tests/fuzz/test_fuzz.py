"""Whatever arrives, every promise holds: the corpus, changes to it, and a million hostile datagrams."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.recording.records import read_blocks
from tests.fuzz import recording_targets, targets
from tests.fuzz.demultiplexer import Demultiplexer, socket_address
from tests.fuzz.make_corpus import CORPUS, DTLS, FOLDER, PWD, RTCP, RTP, STUN, UFRAG
from tests.fuzz.seeds import mutated, seeds, signed
from tests.fuzz.targets import TARGETS
from tests.kit.media import rtcp_compound, rtp_packet

MUTATIONS: Final = (200, pytest.param(5_000, marks=pytest.mark.long))
"""Of each target's corpus. The same ones each time: what looks for new ones is `tests.fuzz.coverage_guided`."""

CASES: Final = [(target, name) for target in TARGETS for name in seeds(target)]


def originals(target: str) -> list[bytes]:
    return list(seeds(target).values())


EVERY_TARGET = pytest.mark.parametrize("target", TARGETS)


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    """That of the demultiplexer's target is closed behind each test, and fresh for the next."""
    yield
    targets.close()


# -- the corpus ---------------------------------------------------------------------------------------------------------


def test_the_corpus_is_what_its_script_makes() -> None:
    committed = {str(file.relative_to(FOLDER)): file.read_bytes() for file in FOLDER.rglob("*.*")}
    made = {f"{target}/{name}.bin": data for target, found in CORPUS.items() for name, data in found.items()}
    assert committed == made, "run python -m tests.fuzz.make_corpus"
    assert set(CORPUS) == set(TARGETS)


@pytest.mark.parametrize(("target", "name"), CASES)
def test_every_file_of_the_corpus_keeps_the_promises(target: str, name: str) -> None:
    TARGETS[target](seeds(target)[name])


@pytest.mark.parametrize("name", seeds("capture"))
def test_the_target_of_captures_has_what_is_read_of_their_files(name: str) -> None:
    data = seeds("capture")[name]
    assert recording_targets.capture_records(data) == list(read_blocks([recording_targets.capture_file_of(data)]))


# -- changes to it ------------------------------------------------------------------------------------------------------


@EVERY_TARGET
@pytest.mark.parametrize("count", MUTATIONS)
def test_mutations_of_the_corpus_keep_the_promises(target: str, count: int) -> None:
    rng, unspoiled, keep = Random(f"{target} 2026"), originals(target), TARGETS[target]
    for number in range(count):
        data = mutated(rng, unspoiled)
        try:
            keep(data)
        except Exception as error:
            error.add_note(f"mutation {number} of {target}: {data.hex()}")
            raise


def edited(original: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Some bytes somewhere replaced by others; of that hypothesis can find the least that fails."""
    changed = bytearray(original)
    for place, count, instead in edits:
        begin = place % (len(changed) + 1)
        changed[begin : begin + count] = instead
    return bytes(changed)


EDITS = st.lists(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 12), st.binary(max_size=12)), max_size=4)


@EVERY_TARGET
def test_edits_of_the_corpus_and_any_bytes_keep_the_promises(target: str) -> None:
    unspoiled = originals(target)

    @settings(max_examples=2 * settings().max_examples)
    @given(st.builds(edited, st.sampled_from(unspoiled), EDITS) | st.binary(max_size=300))
    def keep(data: bytes) -> None:
        TARGETS[target](data)

    with_examples: Callable[[], None] = keep
    for original in unspoiled:
        with_examples = example(original)(with_examples)
    with_examples()


# -- a million ----------------------------------------------------------------------------------------------------------

DATAGRAMS: Final = 1_000_000
CHUNK: Final = 250
"""Datagrams between two packets of the live call, each way."""
POOL: Final = 12_000
"""Different datagrams, in all. Most are changed a little more each time."""

MAX_GROWTH: Final = 30_000
"""Blocks of Python's memory, of some 100 bytes: less than one in thirty datagrams."""

Hostile = tuple[bytes, bytes, bool]
"""Source address, datagram, and whether one more of its bytes may be changed."""


class Flood:
    """Hostile datagrams, sent while a call is live."""

    def __init__(self, demultiplexer: Demultiplexer, rng: Random) -> None:
        self._rng = rng
        self._call = demultiplexer
        first, second, mallory = (
            demultiplexer.addresses[peer] for peer in (demultiplexer.first, demultiplexer.second, demultiplexer.mallory)
        )
        self._known = (first, second, mallory)
        self._replays = self._recorded()
        kinds: list[Callable[[], Hostile]] = [
            self._mutation,
            self._mutation,
            self._noise,
            self._forged_media,
            self._replay,
            self._wrong_password,
            self._handshake,
            self._taken_over,
        ]
        self.pool = [rng.choice(kinds)() for _ in range(POOL)]

    def _recorded(self) -> list[tuple[bytes, bytes]]:
        """Media of the live call that has arrived, and where it came from."""
        call, found = self._call, []
        for number in range(20):
            for sender, ssrc in ((call.first, 0xAAAB), (call.second, 0xBBBC)):
                rtcp = number % 4 == 3
                packet = rtcp_compound(ssrc, packets=number) if rtcp else rtp_packet(number, ssrc, payload=bytes(number * 50))
                found.append((call.addresses[sender], sender.encrypted(packet, rtcp=rtcp)))
        call.feed(found)
        call.drain()
        return found

    def _anywhere(self) -> bytes:
        if self._rng.random() < 0.4:
            return self._rng.choice(self._known)
        return self._elsewhere()

    def _elsewhere(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.3:
            return socket_address((f"2001:db8::{rng.randrange(1 << 16):x}:{rng.randrange(1 << 16):x}", rng.randrange(1, 1 << 16)))
        return socket_address((f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}", rng.randrange(1, 1 << 16)))

    def _mutation(self) -> Hostile:
        originals = self._rng.choice(([*STUN.values()], [*RTP.values()], [*RTCP.values()], [*DTLS.values()]))
        return self._anywhere(), mutated(self._rng, originals)[:2048], True

    def _noise(self) -> Hostile:
        return (
            self._anywhere(),
            self._rng.randbytes(self._rng.choice((0, 1, 8, 11, 12, 13, 20, 60, 200, 1200, 1900, 2048))),
            False,
        )

    def _forged_media(self) -> Hostile:
        """As if it belonged to the call, from the right addresses too."""
        ssrc = self._rng.choice((0xAAAA, 0xBBBB, 0xAAAB, self._rng.getrandbits(32)))
        forged = rtp_packet(self._rng.getrandbits(16), ssrc) if self._rng.random() < 0.7 else rtcp_compound(ssrc)
        return self._anywhere(), forged + self._rng.randbytes(self._rng.choice((0, 16, 20, 1000))), True

    def _replay(self) -> Hostile:
        sender, datagram = self._rng.choice(self._replays)
        return sender if self._rng.random() < 0.7 else self._anywhere(), datagram, False

    def _wrong_password(self) -> Hostile:
        """A check that names a transport of the relay, and guesses its password."""
        peer = self._rng.choice(self._call.peers)
        check = self._rng.choice(list(STUN.values())).replace(UFRAG.encode(), peer.relay.ufrag.encode())
        return (
            self._anywhere(),
            signed(check, self._rng.choice((PWD, "", peer.relay.pwd[:-1]))) or check,
            self._rng.random() < 0.5,
        )

    def _taken_over(self) -> Hostile:
        """An authentic check of Mallory's, from where the live call is or from anywhere."""
        mallory = self._call.mallory.relay
        check = signed(STUN["firefox_check"].replace(UFRAG.encode(), mallory.ufrag.encode()), mallory.pwd)
        assert check is not None
        return self._rng.choice((*self._known, self._elsewhere())), check, False

    def _handshake(self) -> Hostile:
        return self._anywhere(), self._rng.choice(list(DTLS.values())), True

    def wave(self, count: int) -> list[tuple[bytes, bytes]]:
        """The next datagrams."""
        random, pool, size = self._rng.random, self.pool, len(self.pool)
        found = []
        for _ in range(count):
            address, datagram, may_change = pool[int(random() * size)]
            if may_change and datagram:
                position = int(random() * len(datagram))
                datagram = b"%b%c%b" % (datagram[:position], int(random() * 256), datagram[position + 1 :])
            found.append((address, datagram))
        return found


@pytest.mark.long
def test_a_call_talks_through_a_million_hostile_datagrams() -> None:
    with contextlib.closing(Demultiplexer()) as demultiplexer:
        _talks_through_a_million(demultiplexer)


def _talks_through_a_million(demultiplexer: Demultiplexer) -> None:
    flood = Flood(demultiplexer, Random(2026))
    before = demultiplexer.fed
    allocated = 0
    for number in range(DATAGRAMS // CHUNK):
        demultiplexer.still_talk(flood.wave(CHUNK))
        # No second passes in the last tenth of them: on a slow machine so many come within no other.
        if number % 4 == 0 and number < DATAGRAMS // CHUNK * 9 // 10:
            demultiplexer.turn()
        if number % 4 == 0:
            demultiplexer.drain()
        if number % 40 == 0:
            demultiplexer.adds_up()
        if number == DATAGRAMS // CHUNK // 10:
            allocated = sys.getallocatedblocks()
    demultiplexer.drain()
    demultiplexer.adds_up()
    assert demultiplexer.fed - before == DATAGRAMS + 2 * (DATAGRAMS // CHUNK)
    assert sys.getallocatedblocks() - allocated < MAX_GROWTH
    counted = demultiplexer.counted()
    for name in (
        "stun_malformed",
        "stun_unauthentic",
        "stun_unknown_ufrag",
        "stun_ignored",
        "stun_limited",
        "stun_address_taken",
        "stun_checks",
        "srtp_unauthentic",
        "srtp_replayed",
        "unknown_address",
        "unknown_class",
        "rtp_malformed",
        "datagrams_too_long",
        "dtls_received",
    ):
        assert counted[name] > 1000, f"the datagrams were not hostile enough: {name}"
