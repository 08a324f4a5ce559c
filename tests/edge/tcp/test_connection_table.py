"""The table against a model: each new connection gets a place, and the right one is evicted."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from relay.edge.tcp.connection_table import ConnectionTable

PROXY = None
NETWORKS: tuple[bytes | None, ...] = (b"a", b"b", b"c", b"d", PROXY)

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "active", "busy", "free", "move"]), st.integers(0, 40), st.sampled_from(NETWORKS)
    ),
    max_size=200,
)


def test_the_network_with_most_idle_members_loses_its_oldest() -> None:
    table = ConnectionTable[str](5, 4)
    for member in ("a1", "b1", "b2", "b3", "c1"):
        assert table.add(member, member[:1].encode(), 0.0) is None
    table.active("b1", 1.0)
    assert table.add("d1", b"d", 2.0) == "b2"
    assert table.add("e1", b"e", 2.0) == "b3"


def test_a_busy_member_goes_only_where_no_one_is_idle() -> None:
    table = ConnectionTable[str](3, 3)
    for member in ("a1", "a2", "b1"):
        table.add(member, member[:1].encode(), 0.0)
        table.set_busy(member, busy=member != "b1", now=0.0)
    assert table.add("c1", b"c", 1.0) == "b1"
    table.set_busy("c1", busy=True, now=1.0)
    assert table.add("d1", b"d", 2.0) == "a1"


def test_members_of_proxies_go_last_and_have_no_bound_of_their_own() -> None:
    table = ConnectionTable[str](4, 1)
    for member in ("p1", "p2", "p3"):
        assert table.add(member, PROXY, 0.0) is None
    table.add("a1", b"a", 0.0)
    assert table.add("b1", b"b", 0.0) == "a1"
    table.remove("b1")
    table.add("p4", PROXY, 0.0)
    assert table.add("c1", b"c", 0.0) == "p1"


def test_those_that_have_been_idle_for_long_are_found_but_for_those_of_proxies() -> None:
    table = ConnectionTable[str](9, 9)
    for now, member in enumerate(("a1", "p1", "a2", "a3")):
        table.add(member, PROXY if member == "p1" else b"a", float(now))
    table.active("a1", 9.0)
    assert table.idle_since(2.0) == ["a2"]


@given(steps)
def test_the_table_keeps_its_bounds_in_any_sequence(done: list[tuple[str, int, bytes | None]]) -> None:
    capacity, per_network = 8, 3
    table = ConnectionTable[int](capacity, per_network)
    present: dict[int, bytes | None] = {}
    busy: set[int] = set()
    for now, (what, member, network) in enumerate(done):
        if what == "add" and member not in present:
            before = dict(present)
            idle: Counter[bytes | None] = Counter(one for key, one in before.items() if key not in busy and one is not PROXY)
            victim = table.add(member, network, float(now))
            present[member] = network
            if victim is not None:
                assert victim != member
                full = network is not PROXY and list(before.values()).count(network) == per_network
                assert full or len(before) == capacity
                if full:
                    assert before[victim] == network
                elif idle:
                    assert victim not in busy
                    assert idle[before[victim]] == max(idle.values())
                del present[victim]
                busy.discard(victim)
        elif what == "move" and member in present:
            busy.discard(member)
            victim = table.move(member, network, float(now))
            present[member] = network
            if victim is not None:
                del present[victim]
                busy.discard(victim)
        elif what == "remove":
            table.remove(member)
            present.pop(member, None)
            busy.discard(member)
        elif what == "active" and member in present:
            table.active(member, float(now))
        elif what in ("busy", "free"):
            table.set_busy(member, busy=what == "busy", now=float(now))
            if member in present:
                (busy.add if what == "busy" else busy.discard)(member)
        assert set(table) == set(present)
        assert len(table) <= capacity
        for one in NETWORKS:
            assert table.count(one) == list(present.values()).count(one)
        assert set(table.idle_since(1e9)) == {one for one in present if one not in busy and present[one] is not PROXY}
