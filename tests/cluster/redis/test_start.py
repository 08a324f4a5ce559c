"""The start of a node: what it says of a Redis that it cannot use."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from redis.asyncio import Redis

from relay.cluster.redis.keys import RedisKeys
from relay.cluster.redis.link import OLDEST, examine
from relay.errors import ConfigurationError, Unavailable
from relay.ids import Profile, new_id
from relay.settings.redis_url import parse
from tests.edge.kit import write_certificate
from tests.kit.nodes import SHORT, Counted, given, node_on, nodes_on
from tests.kit.redis_server import RedisServer, redis_server
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers

ADA, BEN = Profile("student", 1), Profile("tutor", 2)


async def test_a_password_is_shown_and_a_wrong_one_is_said_to_be_wrong() -> None:
    with redis_server(password="right") as server:
        assert tuple(map(int, (await examine(parse(server.url), 1.0)).split(".")[:2])) >= OLDEST
        for secret in (":wrong@", ""):
            url = f"redis://{secret}127.0.0.1:{server.port}"
            with pytest.raises(ConfigurationError, match="does not accept the user's name and the password") as refused:
                await examine(parse(url), 1.0)
            assert "wrong@" not in str(refused.value)
            with pytest.raises(ConfigurationError):
                await node_on(url, "n", "a", Counted()).cluster.start()


async def test_a_node_that_starts_before_redis_begins_as_soon_as_that_is_there(own_redis: RedisServer) -> None:
    own_redis.kill()
    with pytest.raises(Unavailable):
        await examine(parse(own_redis.url), 1.0)
    async with nodes_on(own_redis.url, "a", timing=SHORT) as (a,):
        assert not a.cluster.may_act()
        assert a.cluster.levels()["lease_held"] == 0
        with pytest.raises(Unavailable, match="does not hold its lease"):
            await a.cluster.claim(new_id(), (ADA, BEN))
        device = a.device(ADA, "one")
        with pytest.raises(Unavailable):
            await a.cluster.enlist(device, b"t" * 32)
        own_redis.start()
        await eventually(a.cluster.may_act, "it has its lease")
        assert await a.cluster.whose(b"t" * 32) == device
        assert a.heard.leases == []


async def test_a_certificate_is_verified(tmp_path: Path) -> None:
    certificate, key = (Path(one) for one in write_certificate(tmp_path, "localhost"))
    with redis_server(tls=(certificate, key)) as server:
        url = f"rediss://localhost:{server.port}"
        assert await examine(parse(f"{url}?ssl_ca_certs={certificate}"), 5.0)
        async with nodes_on(f"{url}?ssl_ca_certs={certificate}", "a", "b") as (a, b):
            claim = await given(a, ADA, BEN)
            assert await b.cluster.call_of(BEN) == claim
        with pytest.raises(ConfigurationError, match=r"TLS fails: .*certificate verify failed"):
            await examine(parse(url), 5.0)
        with pytest.raises((ConfigurationError, Unavailable)):
            await examine(parse(f"redis://localhost:{server.port}"), 5.0)


def certificate_in(folder: Path) -> tuple[Path, Path]:
    """Of a name, with its key."""
    folder.mkdir()
    certificate, key = write_certificate(folder, "localhost")
    return Path(certificate), Path(key)


async def test_a_redis_that_asks_clients_for_a_certificate_is_shown_it_and_the_error_says_if_it_does_not_take_it(
    tmp_path: Path,
) -> None:
    """`tls-auth-clients yes`, which is how Redis comes."""
    server_files, (own, key), (strange, strange_key) = (certificate_in(tmp_path / name) for name in ("server", "own", "strange"))
    both = tmp_path / "both.pem"
    both.write_bytes(own.read_bytes() + key.read_bytes())
    with redis_server(tls=server_files, only=own) as server:
        url = f"rediss://localhost:{server.port}?ssl_ca_certs={server_files[0]}"
        async with nodes_on(f"{url}&ssl_certfile={own}&ssl_keyfile={key}", "a", "b") as (a, b):
            claim = await given(a, ADA, BEN)
            assert await b.cluster.call_of(BEN) == claim
        assert await examine(parse(f"{url}&ssl_certfile={both}"), 5.0)
        with pytest.raises(ConfigurationError, match=r"TLS fails: .*certificate required"):
            await examine(parse(url), 5.0)
        with pytest.raises(ConfigurationError, match=r"TLS fails: .*unknown ca"):
            await examine(parse(f"{url}&ssl_certfile={strange}&ssl_keyfile={strange_key}"), 5.0)


async def test_files_of_the_url_that_are_of_no_use_are_named(tmp_path: Path) -> None:
    (own, key), (_, strange_key) = certificate_in(tmp_path / "own"), certificate_in(tmp_path / "strange")
    secret = serialization.load_pem_private_key(key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    passphrase = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, passphrase))
    no_key = "RELAY_REDIS_URL: ssl_certfile: {} has no certificate in PEM format, or {} has no key of it without a passphrase"
    for query, told in {
        f"ssl_ca_certs={key}": f"RELAY_REDIS_URL: ssl_ca_certs: {key} has no certificate in PEM format",
        f"ssl_certfile={own}": no_key.format(own, "the same file"),
        f"ssl_certfile={own}&ssl_keyfile={strange_key}": no_key.format(own, strange_key),
        f"ssl_certfile={own}&ssl_keyfile={locked}": no_key.format(own, locked),
        f"ssl_certfile={key}&ssl_keyfile={key}": no_key.format(key, key),
    }.items():
        with pytest.raises(ConfigurationError, match=re.escape(told)):
            await examine(parse(f"rediss://localhost?{query}"), 1.0)


async def test_a_file_of_the_url_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="RELAY_REDIS_URL: ssl_ca_certs: /no/such/file: No such file or directory"):
        await examine(parse("rediss://localhost?ssl_ca_certs=/no/such/file"), 1.0)


async def test_keys_of_another_application_are_said_and_counted_and_end_nothing(
    shared_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    namespace = new_id()
    keys = RedisKeys(namespace)
    async with nodes_on(shared_redis.url, "a", namespace=namespace) as (a,), Redis(port=shared_redis.port) as redis:
        await redis.set(keys.busy(ADA), "a stranger's")
        await redis.lpush(keys.busy(BEN), "a list")
        await redis.set(keys.devices(ADA), "a string")
        await redis.hset(keys.devices(BEN), "device", "no card")
        await redis.set(keys.token(b"t"), "no card")
        for profile in (ADA, BEN):
            for asking in (a.cluster.call_of, a.cluster.devices_of, a.cluster.orphan_of):
                with pytest.raises(Unavailable):
                    await asking(profile)
        with pytest.raises(Unavailable):
            await a.cluster.whose(b"t")
        assert a.counted("foreign_keys") == 7
        assert "not the relay's" in caplog.text
        assert await redis.get(keys.busy(ADA)) == b"a stranger's"
        assert await a.cluster.call_of(Profile("parent", 3)) is None
