"""Which node takes a call."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from relay.cluster.api import NodeCard
from relay.cluster.choose import FULL, RAMP_SECONDS, TIE, TOLD, Begun, choose, reachable, told
from relay.cluster.values import NodeRef

HOME = NodeRef("home", 1)


def card(
    name: str,
    load: float = 0.1,
    region: str = "west",
    state: Literal["serving", "draining"] = "serving",
    version: str = "1",
    turn: bool = False,
) -> NodeCard:
    return NodeCard(NodeRef(name, 1), region, "", version, state, load, 0, 0, (f"turn:{name}.example",) if turn else ())


def taken(nodes: Sequence[NodeCard], *callees: str, home: NodeRef = HOME, seed: int = 0) -> str | None:
    chosen = choose(nodes, home, [NodeRef(one, 1) for one in callees], lambda one: one.load, random.Random(seed).sample)
    return None if chosen is None else chosen.name


def test_a_node_alone_takes_its_calls() -> None:
    assert taken([card("home")]) == "home"


def test_no_node_no_choice() -> None:
    assert taken([]) is None


def test_a_node_that_drains_takes_none() -> None:
    assert taken([card("home", state="draining"), card("other")]) == "other"
    assert taken([card("home", state="draining")]) is None


def test_a_node_of_another_version_takes_none() -> None:
    assert taken([card("home", 0.5), card("other", version="2")]) == "home"
    assert taken([card("home", state="draining"), card("other", version="2")]) is None


def test_a_full_node_takes_none_while_another_one_has_room() -> None:
    assert taken([card("home", FULL), card("other", FULL - 0.01)]) == "other"
    assert taken([card("home", 1.0), card("other", 1.0)]) == "home"


def test_the_caller_is_at_home_where_loads_are_the_same() -> None:
    assert taken([card("home", 0.1 + TIE), card("other", 0.1)]) == "home"
    assert taken([card("home", 0.2), card("other", 0.1)]) == "other"


def test_the_caller_is_at_home_where_loads_differ_by_a_tenth() -> None:
    assert taken([card("home", 0.55), card("other", 0.5)]) == "home"
    assert taken([card("home", 0.6), card("other", 0.5)]) == "other"


def test_a_call_stays_in_the_region_of_its_parties() -> None:
    nodes = [card("home", 0.8), card("near", 0.5), card("far", 0.0, "east")]
    assert taken(nodes) == "near"
    assert taken(nodes, "near") == "near"


def test_a_region_of_either_party_is_nearer_than_a_third_one() -> None:
    nodes = [card("home", 0.5), card("theirs", 0.2, "east"), card("third", 0.0, "south")]
    assert {taken(nodes, "theirs", seed=seed) for seed in range(20)} == {"theirs"}


def test_a_caller_whose_home_is_unknown_gets_a_node_all_the_same() -> None:
    assert taken([card("other")], home=NodeRef("away", 9)) == "other"


def test_calls_begin_at_more_than_the_least_loaded_node() -> None:
    nodes = [card("home", 0.8), *(card(f"n{number}", number / 20) for number in range(5))]
    chosen = Counter(taken(nodes, seed=seed) for seed in range(500))
    assert len(chosen) >= 4
    assert "home" not in chosen or chosen["home"] < 50


def test_calls_that_a_nodes_own_figure_does_not_show_yet_count_for_20_seconds() -> None:
    begun, node = Begun(), card("home", 0.1)
    for _ in range(30):
        begun.add(HOME, 100)
    begun.add(HOME, 110)
    assert round(begun.load(node, 110), 6) == 0.41
    assert round(begun.load(node, 100 + RAMP_SECONDS), 6) == 0.11
    assert begun.load(node, 110 + RAMP_SECONDS) == 0.1


def named(nodes: Sequence[NodeCard]) -> list[str]:
    return [one.ref.name for one in nodes]


def test_clients_are_told_the_turn_servers_of_three_other_nodes_those_of_their_region_first() -> None:
    others = [card("d", region="east", turn=True), card("c", turn=True), card("b"), card("a", region="east", turn=True)]
    assert named(told([card("home", turn=True), *others, card("e", turn=True)])) == ["c", "e", "a"]
    assert named(told([])) == []


def test_calls_are_at_nodes_whose_turn_servers_the_clients_of_the_callers_node_are_told() -> None:
    others = [card(name, turn=True) for name in "abcde"]
    assert named(reachable([card("home", turn=True), *others])) == ["home", "a", "b", "c"]
    assert named(reachable([card("home", turn=True), card("a"), card("b")])) == ["home"]


def test_where_a_node_has_no_turn_server_of_its_own_calls_are_at_any_node() -> None:
    """There is one for all nodes, or none."""
    nodes = [card("home"), *(card(name) for name in "abcde")]
    assert reachable(nodes) == nodes


NODES = st.lists(
    st.builds(
        card,
        st.sampled_from(["home", "a", "b", "c", "d"]),
        st.floats(0, 1.2),
        st.sampled_from(["west", "east"]),
        st.sampled_from(["serving", "draining"]),
        st.sampled_from(["1", "2"]),
    ),
    unique_by=lambda one: one.ref.name,
)


@given(NODES, st.lists(st.sampled_from(["a", "b", "c", "gone"]), unique=True), st.integers(0, 99))
def test_the_chosen_node_serves_in_the_callers_version_and_is_not_full_unless_all_are(
    nodes: list[NodeCard], callees: list[str], seed: int
) -> None:
    chosen = taken(nodes, *callees, seed=seed)
    versions = {one.version for one in nodes if one.ref == HOME} or {"1", "2"}
    able = [one for one in nodes if one.state == "serving" and one.version in versions]
    assert (chosen is None) == (not able)
    if chosen is not None:
        [node] = [one for one in able if one.ref.name == chosen]
        assert node.load < FULL or all(one.load >= FULL for one in able)


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.booleans())
def test_a_call_is_never_at_a_node_whose_turn_server_its_caller_does_not_know(names: list[str], turn: bool) -> None:
    nodes = [card("home", turn=turn), *(card(name, turn=name != "a") for name in names)]
    known = {"home", *named(told(nodes))}
    assert len(known) <= TOLD + 1
    assert not turn or {*named(reachable(nodes))} <= known


@given(st.lists(st.floats(0, 60), max_size=60))
def test_what_is_kept_of_calls_that_have_begun_is_those_of_20_seconds(pauses: list[float]) -> None:
    begun, now, times = Begun(), 0.0, []
    for pause in pauses:
        now += pause
        begun.add(HOME, now)
        times.append(now)
        assert begun.count(HOME, now) == sum(one > now - RAMP_SECONDS for one in times)
