"""How much a client may ask of the TURN server, without a network."""

from aioice.stun import Method

from relay.turn.allocations import DEFAULT_LIFETIME
from relay.turn.outputs import SendToClient
from tests.kit.turn import (
    ALLOCATION,
    MEDIA,
    Desk,
    code_of,
    ready,
)


def test_quotas_are_per_profile_per_address_and_in_all() -> None:
    desk = Desk(turn_allocations=5, turn_allocations_per_profile=2, turn_allocations_per_address=3)

    def attempt(profile: str, host: str) -> int | None:
        return code_of(desk.client(profile, host).ask(Method.ALLOCATE, ALLOCATION))

    first = desk.client("student_1", "198.51.100.1")
    first.allocate()
    assert attempt("student_1", "198.51.100.2") is None
    assert attempt("student_1", "198.51.100.3") == 486
    assert attempt("student_2", "198.51.100.1") is None
    assert attempt("student_3", "198.51.100.1") is None
    assert attempt("student_4", "198.51.100.1") == 486
    assert attempt("student_4", "198.51.100.4") is None
    assert attempt("student_5", "198.51.100.5") == 508
    assert (desk.counters["refused_quota"], desk.counters["refused_capacity"]) == (2, 1)
    first.ask(Method.REFRESH, {"LIFETIME": 0})
    assert attempt("student_5", "198.51.100.5") is None
    desk.now += DEFAULT_LIFETIME
    assert len(desk.server.expire(desk.now)) == 5
    assert attempt("student_1", "198.51.100.3") is None


def test_unauthenticated_requests_above_the_limit_are_not_answered_and_others_are() -> None:
    desk = Desk(unauthenticated_per_second=10)
    present, _ = ready(desk, host="198.51.100.9")
    desk.now += 1
    flood = desk.client(host="198.51.100.9")
    answered = [flood.send(flood.request(Method.ALLOCATE, ALLOCATION, signed=False)) for _ in range(15)]
    assert [len(outputs) for outputs in answered] == [1] * 10 + [0] * 5
    assert flood.send(flood.request(Method.BINDING)) == []
    assert desk.counters["limited"] == 6
    assert code_of(present.ask(Method.REFRESH)) is None, "a client with an allocation is answered, from the same address too"
    assert code_of(desk.client(host="198.51.100.10").ask(Method.ALLOCATE, ALLOCATION)) is None
    desk.now += 1
    assert code_of(flood.ask(Method.ALLOCATE, ALLOCATION)) is None


def test_an_answer_to_an_unauthenticated_request_is_hardly_longer_than_it() -> None:
    desk = Desk()
    client = desk.client()
    [answer] = client.send(client.request(Method.ALLOCATE, ALLOCATION, signed=False))
    assert isinstance(answer, SendToClient)
    assert len(answer.data) <= 160, "a forged source must not make the relay an amplifier"


def test_requests_beyond_the_quota_are_rate_limited_and_clients_with_an_allocation_are_answered() -> None:
    desk = Desk(turn_allocations_per_profile=1, unauthenticated_per_second=10)
    present, greedy = desk.client("student_1"), desk.client("student_1")
    present.allocate()
    assert code_of(greedy.ask(Method.ALLOCATE, ALLOCATION)) == 486
    desk.now += 1
    answered = [greedy.send(greedy.request(Method.ALLOCATE, ALLOCATION)) for _ in range(15)]
    assert [len(outputs) for outputs in answered] == [1] * 10 + [0] * 5
    assert desk.counters["limited"] == 5
    assert code_of(present.permit(MEDIA)) is None
