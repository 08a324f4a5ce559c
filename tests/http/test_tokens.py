"""Whom a token names, and which tokens are good."""

import asyncio
import base64
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Unauthorized
from relay.http.access.auth import Credential, Expired, Tokens
from relay.http.access.keys import Keys, fetch_from
from tests.http.conftest import SECRET, STUDENT, TOKENS, TUTOR, tokens
from tests.kit.issuer import ALGORITHMS, Issuer, key_server, key_set


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    return jwt.encode({"sub": "student_456", "exp": time.time() + 3600, **claims}, secret, algorithm=algorithm)


def raw(claims: bytes, header: bytes = b'{"alg":"HS256","typ":"JWT"}', secret: bytes = SECRET.encode()) -> str:
    """A token that is well signed, whatever is in it."""
    first, second = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, claims))
    signature = jwt.get_algorithm_by_name("HS256").sign(f"{first}.{second}".encode(), secret)
    return f"{first}.{second}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def plain(header: dict[str, str], claims: dict[str, Any]) -> str:
    """An unsigned token."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


FAR = 4_000_000_000
GOOD = b'{"sub":"student_456","exp":4000000000}'
FAR_FUTURE = signed(exp=FAR)
"""Always the same, for Hypothesis."""


# -- tokens -----------------------------------------------------------------------------------------------------------


def verified(token: str, tokens: Tokens = TOKENS) -> Credential:
    return asyncio.run(tokens.verify(token))


def test_a_token_names_its_profile_and_its_end() -> None:
    assert verified(TOKENS.issue(STUDENT)).profile == STUDENT
    assert verified(signed(exp=FAR)) == Credential(STUDENT, float(FAR))
    assert verified(signed(exp=FAR + 0.5)) == Credential(STUDENT, float(FAR))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["HS256", "none", "student_456", FAR]),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=5), one, max_size=3),
)


@pytest.mark.parametrize("end", [2**62, 10**30, 10**400, 1e308])
def test_an_expiry_beyond_any_clock_is_accepted(end: float) -> None:
    assert time.time() < verified(signed(exp=end)).expires_at < 1e12


def test_a_token_says_when_it_ends() -> None:
    claims = jwt.decode(TOKENS.issue(STUDENT), SECRET, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == TOKENS.lifetime == 3600
    assert claims["sub"] == "student_456"


BAD = {
    "expired": signed(exp=time.time() - 1),
    "not good yet": signed(nbf=time.time() + 7200, exp=time.time() + 9999),
    "without an end": jwt.encode({"sub": "student_456"}, SECRET, algorithm="HS256"),
    "without a subject": jwt.encode({"exp": time.time() + 3600}, SECRET, algorithm="HS256"),
    "signed with another secret": signed("another secret of at least 32 characters"),
    "signed in another way": signed(SECRET * 2, algorithm="HS512"),
    "unsigned": plain({"alg": "none", "typ": "JWT"}, {"sub": "student_456", "exp": time.time() + 3600}),
    "unsigned, capitalized": plain({"alg": "None", "typ": "JWT"}, {"sub": "student_456", "exp": time.time() + 3600}),
    "of an empty subject": signed(sub=""),
    "of a teacher": signed(sub="teacher_1"),
    "of two profiles": signed(sub="student_456 tutor_789"),
    "of a number": signed(sub="student_0456"),
    "of a profile beyond the column": signed(sub="student_2147483648"),
    "for another service": signed(aud="elsewhere"),
    "no token": "hello",
    "half a token": signed().rpartition(".")[0],
    "nothing": "",
    "dots": "..",
    "not ASCII": "é.é.é",
    "half a surrogate pair": "\udcff.a.b",
    "longer than any header": signed(more="x" * 8000),
    "a header of arrays in arrays": base64.urlsafe_b64encode(b"[" * 5000).decode() + ".e30.e30",
    "claims of arrays in arrays": raw(b"[" * 5000),
    "an end that is no number": raw(b'{"sub":"student_456","exp":"soon"}'),
    "an end beyond all numbers": raw(b'{"sub":"student_456","exp":Infinity}'),
    "an end that is a list": raw(b'{"sub":"student_456","exp":[4000000000]}'),
    "claims that are a list": raw(b'["sub","exp"]'),
    "critical of something": raw(GOOD, b'{"alg":"HS256","crit":["b64"],"b64":false}'),
    "a key's name that is none": raw(GOOD, b'{"alg":"HS256","kid":7}'),
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_a_token_that_is_not_good_is_refused(token: str) -> None:
    with pytest.raises(Unauthorized) as refused:
        verified(token)
    assert SECRET not in str(refused.value)


def test_a_subject_that_is_no_text_is_refused() -> None:
    assert verified(raw(GOOD)).profile == STUDENT
    for subject in (456, None, ["student_456"], {"student": 456}):
        with pytest.raises(Unauthorized):
            verified(raw(json.dumps({"sub": subject, "exp": FAR}).encode()))


@given(st.dictionaries(st.sampled_from(["sub", "exp", "iat", "nbf", "aud", "iss", "jti"]), ANYTHING))
def test_no_claims_are_too_strange(claims: dict[str, Any]) -> None:
    """Also not well signed ones: another program of the platform may have the secret."""
    try:
        credential = verified(raw(json.dumps(claims).encode()))
    except Unauthorized:
        return
    assert credential.profile.key == claims["sub"]
    assert time.time() < credential.expires_at < 1e12


@given(st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jku", "jwk", "x5u"]), ANYTHING))
def test_no_header_is_too_strange(header: dict[str, Any]) -> None:
    try:
        credential = verified(raw(GOOD, json.dumps(header).encode()))
    except Unauthorized:
        return
    assert credential.profile == STUDENT
    assert header["alg"] == "HS256"


@given(st.text() | st.lists(st.text(alphabet="abcAB09-_="), min_size=3, max_size=3).map(".".join))
def test_no_text_is_too_strange_for_a_token(text: str) -> None:
    with pytest.raises(Unauthorized):
        verified(text)


def with_another_character(data: st.DataObject, token: str) -> str:
    """The token with one character of its header or claims replaced."""
    at = data.draw(st.integers(0, token.rindex(".") - 1))
    other = data.draw(st.sampled_from("ABab09-_.").filter(lambda one: one != token[at]))
    return token[:at] + other + token[at + 1 :]


@given(st.data())
def test_a_token_with_one_other_character_is_another_token(data: st.DataObject) -> None:
    with pytest.raises(Unauthorized):
        verified(with_another_character(data, FAR_FUTURE))


def test_an_expired_token_is_not_a_failed_login() -> None:
    with pytest.raises(Expired):
        verified(signed(exp=time.time() - 1))
    for token in (signed(SECRET[::-1], exp=time.time() - 1), signed(nbf=time.time() + 99)):
        with pytest.raises(Unauthorized) as refused:
            verified(token)
        assert not isinstance(refused.value, Expired)


def test_clocks_may_differ_by_the_leeway() -> None:
    lenient = tokens(jwt_leeway=30.0)
    now = time.time()
    assert verified(signed(exp=now - 10), lenient).expires_at == pytest.approx(now + 20, abs=1)
    assert verified(signed(nbf=now + 10, iat=now + 10), lenient).profile == STUDENT
    for token in (signed(exp=now - 40), signed(nbf=now + 40)):
        with pytest.raises(Unauthorized):
            verified(token, lenient)


def test_the_issuer_and_the_audience_of_a_token_are_checked() -> None:
    ours = tokens(jwt_issuer="https://platform.example", jwt_audience="calls")
    good: dict[str, Any] = {"iss": "https://platform.example", "aud": "calls"}
    assert verified(signed(**good), ours).profile == STUDENT
    assert verified(signed(**{**good, "aud": ["mail", "calls"]}), ours).profile == STUDENT
    assert verified(ours.issue(STUDENT), ours).profile == STUDENT
    wrong: list[dict[str, Any]] = [
        {},
        {"iss": good["iss"]},
        {"aud": "calls"},
        {**good, "iss": "https://else.example"},
        {**good, "aud": "mail"},
        {**good, "aud": 7},
        {**good, "iss": ["https://platform.example"]},
    ]
    for claims in wrong:
        with pytest.raises(Unauthorized):
            verified(raw(json.dumps({"sub": "student_456", "exp": FAR, **claims}).encode()), ours)


def test_another_claim_may_name_the_profile() -> None:
    claim = "https://platform.example/profile"
    ours = tokens(jwt_profile_claim=claim)
    assert verified(signed(sub="account 17", **{claim: "tutor_789"}), ours).profile == TUTOR
    assert verified(ours.issue(TUTOR), ours).profile == TUTOR
    wrong: list[dict[str, Any]] = [{claim: value} for value in (None, 789, {"tutor": 789}, ["tutor_789"], "tutor")]
    for claims in wrong:
        with pytest.raises(Unauthorized):
            verified(signed(**claims), ours)
    with pytest.raises(Unauthorized):
        verified(signed(), ours)


# -- tokens of another issuer --------------------------------------------------------------------------------------------


def believing(*issuers: Issuer, secret: str = SECRET) -> Tokens:
    async def fetch() -> bytes:
        return key_set(*issuers)

    keys = Keys(fetch)
    asyncio.run(keys.load())
    return tokens(keys, jwt_secret=secret)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_may_be_signed_by_a_private_key(algorithm: str) -> None:
    issuer, stranger = Issuer(algorithm), Issuer(algorithm, "two")
    tokens = believing(issuer)
    assert verified(issuer.token(exp=FAR), tokens) == Credential(STUDENT, float(FAR))
    assert verified(TOKENS.issue(TUTOR), tokens).profile == TUTOR
    stranger.key_id = issuer.key_id
    with pytest.raises(Unauthorized):
        verified(stranger.token(), tokens)
    with pytest.raises(Expired):
        verified(issuer.token(exp=time.time() - 1), tokens)
    with pytest.raises(Unauthorized):
        verified(issuer.token(), TOKENS)  # it knows no keys


def public_forms(issuer: Issuer) -> list[bytes]:
    """All that an attacker could take for a shared secret."""
    public = issuer.key.public_key()
    forms = [public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo) for encoding in (Encoding.PEM, Encoding.DER)]
    return [*forms, forms[0].strip(), json.dumps(issuer.jwk).encode(), key_set(issuer), b""]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("secret", [SECRET, ""])
def test_a_public_key_is_never_taken_for_a_secret(algorithm: str, secret: str) -> None:
    issuer = Issuer(algorithm)
    tokens = believing(issuer, secret=secret)
    for form in public_forms(issuer):
        for header in (b'{"alg":"HS256"}', b'{"alg":"HS256","kid":"one"}'):
            with pytest.raises(Unauthorized):
                verified(raw(GOOD, header, form), tokens)


def test_a_token_has_no_choice_of_the_algorithm() -> None:
    issuers = [Issuer(algorithm) for algorithm in ALGORITHMS]
    tokens = believing(*issuers)
    for issuer in issuers:
        head, body, signature = issuer.token().split(".")
        for algorithm in ("HS256", "HS384", "none", "None", "", "RS256", "RS384", "PS256", "ES256", "ES256K", "ES384", "EdDSA"):
            if algorithm != issuer.algorithm:
                other = base64.urlsafe_b64encode(json.dumps({"alg": algorithm, "kid": "one"}).encode()).rstrip(b"=").decode()
                with pytest.raises(Unauthorized):
                    verified(f"{other}.{body}.{signature}", tokens)
        with pytest.raises(Unauthorized):
            verified(f"{head}.{body}.", tokens)


async def test_a_token_has_no_choice_of_the_key() -> None:
    """RFC 7515 sections 4.1.2 to 4.1.5: a header can bring a key, or say where one is."""
    attacker = Issuer("ES256", "one")
    believer = tokens()
    async with key_server(key_set(attacker)) as theirs, key_server(key_set(Issuer("ES256", "one"))) as ours:
        believer.keys = Keys(fetch_from(ours.url))
        await believer.keys.load()
        for headers in ({"jwk": attacker.jwk}, {"jku": theirs.url}, {"x5u": theirs.url}, {"jku": theirs.url, "kid": "unknown"}):
            with pytest.raises(Unauthorized):
                await believer.verify(attacker.token(headers))
        assert theirs.requests == 0


@given(st.data())
def test_an_issuers_token_with_one_changed_character_is_refused(data: st.DataObject) -> None:
    with pytest.raises(Unauthorized):
        verified(with_another_character(data, ISSUED), BELIEVER)


ISSUER = Issuer("EdDSA")
BELIEVER = believing(ISSUER)
ISSUED = ISSUER.token(exp=FAR)
