"""The relay's candidates, as a description has them."""

from relay.media.api import Candidate
from relay.sdp.write import candidate_line

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
