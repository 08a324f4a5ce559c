"""What a connection is, told by its first bytes."""

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from relay.edge.tcp.demux import NEEDED, Kind, classify, has_whole_head
from relay.edge.tcp.framing import frame

BINDING = bytes(stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST))
ALLOCATE = bytes(stun.Message(message_method=stun.Method.ALLOCATE, message_class=stun.Class.REQUEST))
METHODS = ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT")


@pytest.mark.parametrize("method", METHODS)
def test_a_request_is_told_by_its_first_byte(method: str) -> None:
    request = f"{method} / HTTP/1.1\r\n".encode()
    assert {classify(request[:length]) for length in range(1, len(request) + 1)} == {Kind.HTTP}


def test_an_empty_line_before_a_request_is_forgiven() -> None:
    assert classify(b"\r\nGET / HTTP/1.1\r\n") is Kind.HTTP


def test_tls_is_told_by_two_bytes() -> None:
    hello = bytes.fromhex("16030100c8010000c40303")
    assert classify(hello[:1]) is None
    assert {classify(hello[:length]) for length in range(2, len(hello))} == {Kind.TLS}


def test_a_record_of_no_tls_version_is_garbage() -> None:
    assert classify(b"\x16\x02\x00") is Kind.GARBAGE


@pytest.mark.parametrize(
    ("message", "kind"),
    [(frame(BINDING), Kind.ICE_TCP), (BINDING, Kind.TURN), (ALLOCATE, Kind.TURN)],
    ids=["framed binding", "binding", "allocate"],
)
def test_stun_is_told_by_where_its_cookie_is(message: bytes, kind: Kind) -> None:
    assert {classify(message[:length]) for length in range(NEEDED)} == {None}
    assert {classify(message[:length]) for length in range(NEEDED, len(message) + 1)} == {kind}


@pytest.mark.parametrize("first", [b"\x80", b"\xff", b"a", b" ", b"\x40\x00", b"\x00" * NEEDED, b"0", b"\x08"])
def test_everything_else_is_garbage(first: bytes) -> None:
    assert classify(first) is Kind.GARBAGE


@given(st.binary(min_size=NEEDED, max_size=64))
def test_ten_bytes_decide_every_case(head: bytes) -> None:
    assert classify(head) is not None


@given(st.binary(max_size=64), st.integers(0, 64))
def test_what_was_decided_stays_so_when_more_comes(head: bytes, length: int) -> None:
    early = classify(head[:length])
    assert early is None or early is classify(head)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\n\n", b"GET / HTTP/1.1\r\n\r\nbody"])
def test_a_head_ends_with_an_empty_line(head: bytes) -> None:
    assert has_whole_head(head)


@pytest.mark.parametrize("head", [b"", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r"])
def test_a_head_without_its_end_is_none(head: bytes) -> None:
    assert not has_whole_head(head)
