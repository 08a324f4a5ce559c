"""Time-limited credentials of the TURN REST convention, and nonces that the server does not store."""

import base64
import hashlib
import hmac

import pytest
from aioice.turn import make_integrity_key
from hypothesis import given
from hypothesis import strategies as st

from relay.turn.credentials import CREDENTIAL_LIFETIME, Holder, Nonces, TurnCredentials, holder_of
from tests.kit.turn import BEGIN

SOURCE = ("198.51.100.7", 50000)


def test_credentials_are_what_coturn_expects_of_the_same_secret() -> None:
    credential = TurnCredentials("secret", 600).issue("student_456", 1_800_000_000.9)
    assert credential.username == "1800000600:student_456"
    digest = hmac.new(b"secret", b"1800000600:student_456", hashlib.sha1).digest()
    assert credential.password == base64.b64encode(digest).decode()
    assert credential.expires == 1_800_000_600


def test_credentials_may_be_for_one_call() -> None:
    credential = TurnCredentials("secret").issue("tutor_1", BEGIN, "c0ffee")
    assert holder_of(credential.username) == Holder("tutor_1", int(BEGIN) + CREDENTIAL_LIFETIME, "c0ffee")


def test_the_key_is_that_of_the_password_and_not_of_the_secret() -> None:
    credentials = TurnCredentials("secret")
    one = credentials.issue("tutor_1", BEGIN)
    assert credentials.key(one.username, "realm") == make_integrity_key(one.username, "realm", one.password)
    assert TurnCredentials("another").key(one.username, "realm") != credentials.key(one.username, "realm")


@pytest.mark.parametrize("profile", ["", "a:b", "x" * 201])
def test_no_credentials_are_issued_that_would_be_read_otherwise(profile: str) -> None:
    with pytest.raises(ValueError, match="user name"):
        TurnCredentials("secret").issue(profile, BEGIN)
    with pytest.raises(ValueError, match="user name"):
        TurnCredentials("secret").issue("tutor_1", BEGIN, profile)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="secret"):
        TurnCredentials("")


@pytest.mark.parametrize(
    "username", ["", "student_1", "x:student_1", "1:", ":student_1", "1:a:", "1:a:b:c", "-1:a", "1_0:a", "١:a", "9" * 13 + ":a"]
)
def test_another_user_name_names_no_profile(username: str) -> None:
    assert holder_of(username) is None


@given(st.text())
def test_any_user_name_is_read_or_refused(username: str) -> None:
    holder = holder_of(username)
    assert holder is None or holder.profile


def test_a_nonce_is_good_for_its_address_until_it_ends() -> None:
    nonces = Nonces(lifetime=60)
    nonce = nonces.issue(SOURCE, BEGIN)
    assert len(nonce) < 128
    assert nonces.is_good(nonce, SOURCE, BEGIN)
    assert nonces.is_good(nonce, SOURCE, BEGIN + 59)
    assert not nonces.is_good(nonce, SOURCE, BEGIN + 60)
    assert not nonces.is_good(nonce, ("198.51.100.7", 50001), BEGIN)
    assert not nonces.is_good(nonce, ("198.51.100.8", 50000), BEGIN)
    assert not Nonces().is_good(nonce, SOURCE, BEGIN)


def test_a_nonce_cannot_be_made_to_live_longer() -> None:
    nonces = Nonces()
    expires, _, signature = nonces.issue(SOURCE, BEGIN).partition(b"-")
    assert not nonces.is_good(b"%x-" % (int(expires, 16) + 1) + signature, SOURCE, BEGIN)


@given(st.binary(max_size=200))
def test_no_other_bytes_are_a_good_nonce(nonce: bytes) -> None:
    assert not Nonces().is_good(nonce, SOURCE, 0)
