"""Whom a connectivity check is for."""

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from relay.edge.tcp.checks import ufrag_of


def check(username: str | None = "ours:theirs", kind: stun.Class = stun.Class.REQUEST) -> bytes:
    message = stun.Message(message_method=stun.Method.BINDING, message_class=kind)
    if username is not None:
        message.attributes["USERNAME"] = username
    return bytes(message)


def test_it_names_the_relays_end_first() -> None:
    assert ufrag_of(check()) == "ours"


@pytest.mark.parametrize(
    "datagram",
    [check(None), check(kind=stun.Class.INDICATION), check()[:-4], b"", b"\x17\xfe\xfd" + bytes(40)],
    ids=["no username", "indication", "cut short", "nothing", "DTLS"],
)
def test_a_datagram_that_is_no_check_has_no_ufrag(datagram: bytes) -> None:
    assert ufrag_of(datagram) is None


@given(st.binary(max_size=100))
def test_any_bytes_are_read_without_an_error(rest: bytes) -> None:
    ufrag_of(rest)
    ufrag_of(check()[:20] + rest)
