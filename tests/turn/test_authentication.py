"""The long-term credential mechanism: requests that the server accepts, and its answers to the others."""

from typing import Any

import pytest
from aioice.stun import Class, Method

from relay.turn.authentication import Authenticator
from relay.turn.credentials import NONCE_LIFETIME, Nonces, TurnCredential, TurnCredentials
from relay.turn.messages import StunMessage, build, parse
from relay.turn.refusal import Refusal
from tests.kit.turn import BEGIN, REALM, SECRET

SOURCE = ("198.51.100.7", 50000)
CREDENTIALS = TurnCredentials(SECRET)
NONCES = Nonces()
AUTHENTICATOR = Authenticator(CREDENTIALS, REALM, NONCES)
GOOD = CREDENTIALS.issue("student_1", BEGIN)


def request(credential: TurnCredential = GOOD, *, leave_out: str = "", key: bytes | None = None, **changed: Any) -> StunMessage:
    attributes: dict[str, Any] = {"USERNAME": credential.username, "REALM": REALM, "NONCE": NONCES.issue(SOURCE, BEGIN)}
    attributes |= changed
    attributes.pop(leave_out, None)
    key = key or CREDENTIALS.key(credential.username, REALM)
    message = parse(build(Method.ALLOCATE, Class.REQUEST, bytes(12), attributes, key=key))
    assert message is not None
    return message


def refusal_of(message: StunMessage, now: float = BEGIN) -> Refusal:
    with pytest.raises(Refusal) as refused:
        AUTHENTICATOR.identify(message, SOURCE, now)
    return refused.value


def test_valid_credentials_identify_the_client() -> None:
    identity = AUTHENTICATOR.identify(request(), SOURCE, BEGIN)
    assert (identity.username, identity.profile, identity.expires) == (GOOD.username, "student_1", GOOD.expires)
    assert request().is_signed_with(identity.key)


def test_a_request_without_credentials_gets_the_realm_and_a_valid_nonce() -> None:
    message = parse(build(Method.ALLOCATE, Class.REQUEST, bytes(12), {}))
    assert message is not None
    refusal = refusal_of(message)
    assert (refusal.code, refusal.counter) == (401, "challenges")
    assert refusal.attributes["REALM"] == REALM
    assert NONCES.is_good(refusal.attributes["NONCE"], SOURCE, BEGIN)


@pytest.mark.parametrize("attribute", ["USERNAME", "REALM", "NONCE"])
def test_a_signature_without_what_it_needs_is_a_bad_request(attribute: str) -> None:
    assert refusal_of(request(leave_out=attribute)).code == 400


@pytest.mark.parametrize(
    "message",
    [
        request(key=b"wrong key"),
        request(TurnCredential("1:student_1", "", 1), key=CREDENTIALS.key(GOOD.username, REALM)),
        request(USERNAME="student_1"),
        request(REALM="another.test"),
    ],
    ids=["password", "another user's password", "user name", "realm"],
)
def test_the_answer_does_not_reveal_which_credential_is_wrong(message: StunMessage) -> None:
    refusal = refusal_of(message)
    assert (refusal.code, refusal.counter) == (401, "unauthentic")
    assert set(refusal.attributes) == {"REALM", "NONCE"}


def test_an_old_or_foreign_nonce_is_stale_and_a_new_one_comes_with_the_answer() -> None:
    for message, now in (
        (request(), BEGIN + NONCE_LIFETIME),
        (request(NONCE=b"made up"), BEGIN),
        (request(NONCE=NONCES.issue(("198.51.100.8", 1), BEGIN)), BEGIN),
    ):
        refusal = refusal_of(message, now)
        assert (refusal.code, refusal.counter) == (438, "nonces_stale")
        assert NONCES.is_good(refusal.attributes["NONCE"], SOURCE, now)
        assert refusal.attributes["REALM"] == REALM
