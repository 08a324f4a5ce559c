"""The public keys of the issuer of the tokens."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm

from relay.errors import ConfigurationError
from relay.http.access.keys import (
    BELIEVED_FOR,
    MAX_KEYS,
    MAX_SIZE,
    REFRESH_AFTER,
    RETRY_AFTER,
    Keys,
    UnusableKeys,
    fetch_from,
    load_at_start,
    parse_key_set,
    url_fetch,
)
from tests.kit.issuer import ALGORITHMS, Issuer, KeyServer, jwk_of, key_server, key_set, rsa_key
from tests.kit.wait import eventually

OLD, NEW = Issuer("ES256", "old"), Issuer("ES256", "new")


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> AsyncIterator[KeyServer]:
    async with key_server(key_set(OLD)) as running:
        yield running


async def loaded(server: KeyServer, clock: Clock) -> Keys:
    keys = Keys(url_fetch(server.url), clock)
    await keys.load()
    return keys


# -- what is in a set -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_for_one_algorithm(algorithm: str) -> None:
    [key] = parse_key_set(key_set(Issuer(algorithm)))
    assert (key.algorithm_name, key.key_id) == (algorithm, "one")


def unusable() -> dict[str, dict[str, Any]]:
    good = OLD.jwk
    return {
        "a secret": {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "old"},
        "a private key": jwk_of(OLD.key, kid="old"),
        "for encryption": {**good, "use": "enc"},
        "for signing only": {**good, "key_ops": ["sign"]},
        "for no operation": {**good, "key_ops": "verify"},
        "a key whose name is none": {**good, "kid": 7},
        "of no type": {name: value for name, value in good.items() if name != "kty"},
        "of a type that is no text": {**good, "kty": ["EC"]},
        "half a point": {name: value for name, value in good.items() if name != "y"},
        "no point of the curve": {**good, "y": good["x"]},
        "numbers for texts": {**good, "x": 1},
        "a curve of another algorithm": jwk_of(ec.generate_private_key(ec.SECP384R1()).public_key()),
        "another Edwards curve": OKPAlgorithm.to_jwk(ed448.Ed448PrivateKey.generate().public_key(), as_dict=True),
        "an algorithm for secrets": {**Issuer("RS256").jwk, "alg": "HS256"},
        "an algorithm that is none": {**Issuer("RS256").jwk, "alg": "none"},
        "an algorithm that we do not take": {**Issuer("RS256").jwk, "alg": "RS512"},
        "an algorithm that is no text": {**Issuer("RS256").jwk, "alg": {"RS256": 1}},
        "an RSA key that is too short": jwk_of(rsa_key(1024).public_key()),
        "an RSA key that is too long": {"kty": "RSA", "e": "AQAB", "n": "_" * 1400},
    }


@pytest.mark.parametrize("given", unusable().values(), ids=unusable().keys())
def test_a_key_that_is_not_for_tokens_is_left_out(given: dict[str, Any]) -> None:
    [left] = parse_key_set(json.dumps({"keys": [given, NEW.jwk], "more": 1}).encode())
    assert left.key_id == "new"
    with pytest.raises(UnusableKeys, match="no public key"):
        parse_key_set(json.dumps({"keys": [given]}).encode())


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"hello", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1]}', b'{"keys":[]}', b"\xff\xfe"),
        b'{"keys":' + b"[" * 20_000,
        json.dumps({"keys": [OLD.jwk] * (MAX_KEYS + 1)}).encode(),
        key_set(OLD) + b" " * MAX_SIZE,
    ],
)
def test_an_invalid_key_set_is_refused(body: bytes) -> None:
    with pytest.raises(UnusableKeys):
        parse_key_set(body)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda one: st.lists(one, max_size=3))
NAMES = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "k", "d", "alg", "use", "key_ops", "kid", "x5c"])
VALUES = JSON | st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB", "RS256", "ES256", "EdDSA", OLD.jwk["x"]])


@given(st.lists(st.dictionaries(NAMES, VALUES) | JSON, max_size=4))
def test_a_malformed_key_set_is_refused_with_a_reason_or_read(keys: list[Any]) -> None:
    try:
        found = parse_key_set(json.dumps({"keys": keys}).encode())
    except UnusableKeys:
        return
    assert {key.algorithm_name for key in found} <= {*ALGORITHMS}


@given(st.binary(max_size=200))
def test_bytes_that_are_no_key_set_raise_nothing_else_than_its_error(body: bytes) -> None:
    with pytest.raises(UnusableKeys):
        parse_key_set(body)


# -- which key ----------------------------------------------------------------------------------------------------------


async def test_a_key_is_found_by_its_name_and_algorithm(server: KeyServer) -> None:
    server.body = key_set(OLD, NEW, Issuer("RS256", "old"))
    keys = await loaded(server, Clock())
    for algorithm, name in (("ES256", "old"), ("ES256", "new"), ("RS256", "old")):
        key = await keys.find(algorithm, name)
        assert key is not None
        assert (key.algorithm_name, key.key_id) == (algorithm, name)
    assert await keys.find("EdDSA", "old") is None


async def test_without_a_name_the_only_key_of_the_algorithm_is_meant(server: KeyServer) -> None:
    server.body = key_set(OLD, NEW, Issuer("RS256", "old"))
    keys = await loaded(server, Clock())
    assert await keys.find("RS256", None) is not None
    assert await keys.find("ES256", None) is None


async def test_a_key_without_a_name_takes_tokens_with_any(server: KeyServer) -> None:
    server.body = key_set(Issuer("ES256", None))
    keys = await loaded(server, Clock())
    assert await keys.find("ES256", "whatever") is not None


# -- rotation -------------------------------------------------------------------------------------------------------------


async def test_a_new_key_is_fetched_when_a_token_names_it(server: KeyServer) -> None:
    clock = Clock()
    keys = await loaded(server, clock)
    server.body = key_set(OLD, NEW)
    clock.now += RETRY_AFTER
    assert await keys.find("ES256", "new") is not None
    assert await keys.find("ES256", "old") is not None
    assert server.requests == 2


async def test_names_that_do_not_exist_do_not_have_the_set_fetched_again_and_again(server: KeyServer) -> None:
    clock = Clock()
    keys = await loaded(server, clock)
    for number in range(50):
        assert await keys.find("ES256", f"made up {number}") is None
    assert server.requests == 1
    clock.now += RETRY_AFTER
    for number in range(50):
        assert await keys.find("ES256", f"made up {number}") is None
    assert server.requests == 2


async def test_many_who_wait_for_a_new_key_wait_for_one_fetch(server: KeyServer) -> None:
    clock = Clock()
    keys = await loaded(server, clock)
    server.body = key_set(OLD, NEW)
    server.answering.clear()
    clock.now += RETRY_AFTER
    waiting = [asyncio.ensure_future(keys.find("ES256", "new")) for _ in range(20)]
    await eventually(lambda: server.requests == 2, "the fetch")
    waiting[0].cancel()  # a cancelled waiter does not cancel the fetch of the others
    server.answering.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(key is not None and not isinstance(key, BaseException) for key in found[1:])
    assert server.requests == 2


async def test_a_withdrawn_key_goes_with_the_next_set_and_its_tokens_do_not_wait_for_that(server: KeyServer) -> None:
    clock = Clock()
    keys = await loaded(server, clock)
    server.body = key_set(NEW)
    clock.now += REFRESH_AFTER + 1
    server.answering.clear()
    assert await keys.find("ES256", "old") is not None, "while the new set is on its way, the old one is used"
    await eventually(lambda: server.requests == 2, "the fetch")
    server.answering.set()
    await eventually(lambda: keys.fetches["good"] == 2, "the new set")
    assert await keys.find("ES256", "old") is None
    assert await keys.find("ES256", "new") is not None


@pytest.mark.parametrize(
    ("status", "body"), [(500, b""), (404, b"nothing here"), (200, b"<html>"), (200, b'{"keys": []}'), (302, b"")]
)
async def test_while_the_set_cannot_be_had_the_old_keys_are_good(
    server: KeyServer, caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    clock = Clock()
    keys = await loaded(server, clock)
    server.status, server.body = status, body
    server.headers = {"Location": "/elsewhere"} if status == 302 else {}
    clock.now += REFRESH_AFTER + 1
    assert await keys.find("ES256", "old") is not None
    await eventually(lambda: keys.fetches["failed"] == 1, "a fetch that fails")
    assert await keys.find("ES256", "old") is not None
    assert await keys.find("ES256", "new") is None
    assert server.requests == 2, "after a failure too, there is a pause"
    assert "127.0.0.1" not in caplog.text
    clock.now += RETRY_AFTER
    server.status, server.body, server.headers = 200, key_set(NEW), {}
    assert await keys.find("ES256", "new") is not None


async def test_old_keys_are_not_good_for_ever(server: KeyServer) -> None:
    clock = Clock()
    keys = await loaded(server, clock)
    server.status = 500
    clock.now += BELIEVED_FOR + 1
    assert await keys.find("ES256", "old") is None
    server.status = 200
    clock.now += RETRY_AFTER
    assert await keys.find("ES256", "old") is not None


# -- where it comes from ----------------------------------------------------------------------------------------------------


async def test_a_set_without_end_is_not_read_to_its_end(server: KeyServer) -> None:
    server.endless = True
    with pytest.raises(UnusableKeys, match="65536 bytes"):
        await loaded(server, Clock())


async def test_a_server_that_does_not_answer_is_not_waited_for(server: KeyServer) -> None:
    server.answering.clear()
    with pytest.raises(UnusableKeys, match="Timeout"):
        await url_fetch(server.url, patience=0.05)()


async def test_a_small_answer_that_would_unpack_to_a_large_one_is_not_unpacked(server: KeyServer) -> None:
    server.body, server.headers = gzip.compress(b" " * 50_000_000), {"Content-Encoding": "gzip"}
    with pytest.raises(UnusableKeys):
        await loaded(server, Clock())


async def test_a_server_that_is_not_there_is_named_by_no_address() -> None:
    async with key_server() as gone:
        url = gone.url
    with pytest.raises(UnusableKeys) as refused:
        await url_fetch(url)()
    assert "127" not in str(refused.value)


async def test_a_fetch_ends_with_the_server(server: KeyServer) -> None:
    clock = Clock()
    keys = await loaded(server, clock)
    server.answering.clear()
    clock.now += RETRY_AFTER
    waiting = asyncio.ensure_future(keys.find("ES256", "new"))
    await eventually(lambda: server.requests == 2, "the fetch")
    await keys.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_file_is_read_anew(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.json", Clock()
    file.write_bytes(key_set(OLD))
    keys = Keys(fetch_from(str(file)), clock)
    await load_at_start(keys, str(file))
    assert await keys.find("ES256", "old") is not None
    file.write_bytes(key_set(NEW))
    clock.now += RETRY_AFTER
    assert await keys.find("ES256", "new") is not None


@pytest.mark.parametrize("body", [None, b"", b"hello", b" " * (MAX_SIZE + 1)])
async def test_without_its_file_the_server_does_not_start(tmp_path: Path, body: bytes | None) -> None:
    file = tmp_path / "keys.json"
    if body is not None:
        file.write_bytes(body)
    with pytest.raises(ConfigurationError, match=r"^RELAY_JWKS: "):
        await load_at_start(Keys(fetch_from(str(file))), str(file))


async def test_the_relay_starts_without_the_issuers_server_and_tries_again(
    server: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    server.status = 503
    keys = Keys(fetch_from(server.url), clock)
    await load_at_start(keys, server.url)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert await keys.find("ES256", "old") is None
    server.status = 200
    clock.now += RETRY_AFTER
    assert await keys.find("ES256", "old") is not None
