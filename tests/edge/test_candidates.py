"""How media over TCP looks in a description."""

from relay.media.api import Candidate
from relay.sdp.write import candidate_line
from relay.signaling.addresses import advertised

UDP = (Candidate("192.0.2.10", 40000), Candidate("127.0.0.1", 40000))
TCP = (Candidate("192.0.2.10", 443, "tcp"), Candidate("127.0.0.1", 443, "tcp"))


def priority(line: str) -> int:
    return int(line.split()[3])


def test_a_tcp_candidate_is_a_passive_one() -> None:
    assert candidate_line(TCP[0], 1) == "a=candidate:2 1 tcp 1520434943 192.0.2.10 443 typ host tcptype passive"


def test_every_udp_candidate_comes_before_every_tcp_candidate_and_each_before_the_next() -> None:
    lines = [candidate_line(one, number) for number, one in enumerate(UDP * 8 + TCP * 8)]
    priorities = [priority(line) for line in lines]
    assert priorities == sorted(priorities, reverse=True)
    assert len(set(priorities)) == len(priorities)
    assert len({line.split()[0] for line in lines}) == len(lines), "no two have the same foundation"


def test_the_public_addresses_are_offered_over_both() -> None:
    public = ("203.0.113.1", "198.51.100.1")
    assert advertised(UDP + TCP, public, None) == (
        Candidate("203.0.113.1", 40000),
        Candidate("198.51.100.1", 40000),
        Candidate("203.0.113.1", 443, "tcp"),
        Candidate("198.51.100.1", 443, "tcp"),
    )


def test_a_listener_behind_a_proxy_on_this_machine_is_not_offered_to_the_public() -> None:
    assert advertised(UDP + TCP[1:], ("203.0.113.1",), None) == (Candidate("203.0.113.1", 40000),)
    assert advertised(UDP + TCP[1:], ("127.0.0.1",), None)[-1] == Candidate("127.0.0.1", 443, "tcp")


def test_a_browser_is_told_of_the_address_that_it_reached_over_both() -> None:
    assert advertised(UDP + TCP, (), "192.0.2.10") == (UDP[0], TCP[0])
