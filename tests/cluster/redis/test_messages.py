"""Messages between nodes, by inboxes in Redis."""

import asyncio

import pytest
from redis.asyncio import Redis

from relay.cluster.messages import Denied, FromDevice, Message, Request, Resume, encode
from relay.cluster.redis.keys import Envelope, RedisKeys, pack
from relay.cluster.values import DeviceCard, NodeRef
from relay.errors import Unavailable
from relay.ids import Profile, new_id
from tests.kit.nodes import Counted, given, nodes_on
from tests.kit.redis_server import RedisServer
from tests.kit.wait import eventually

pytestmark = pytest.mark.servers


async def test_messages_arrive_once_and_in_order_from_each_sender(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b", "c") as (a, b, c):
        for number in range(1000):
            a.say(c, b"a%d" % number)
            b.say(c, b"b%d" % number)
        await eventually(lambda: len(c.heard.taken) == 2000, "all messages arrive")
        for node, initial in ((a, b"a"), (b, b"b")):
            frames = [one.frame for sender, one in c.heard.taken if sender == node.me and isinstance(one, FromDevice)]
            assert frames == [initial + b"%d" % number for number in range(1000)]
        assert c.counted("gaps") == c.counted("duplicates") == 0


async def test_a_release_that_was_done_before_a_message_has_been_done_when_it_arrives(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        pair = Profile("student", 1), Profile("tutor", 2)
        for number in range(50):
            a.cluster.release(await given(a, *pair))
            a.say(b, b"released")
            await eventually(lambda: len(b.heard.taken) > number, "the message arrives", every=0)  # noqa: B023
            assert await b.cluster.call_of(pair[0]) is None


async def test_a_question_is_answered(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        assert await a.cluster.ask(b.me, Resume("token", 3)) == Denied("to a")
        asked = await asyncio.gather(*(b.cluster.ask(a.me, Resume("token", number)) for number in range(100)))
        assert asked == [Denied("to b")] * 100


async def test_a_question_that_cannot_be_answered_is_unavailable(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        with pytest.raises(Unavailable, match="node b cannot answer"):
            await a.cluster.ask(b.me, Resume("unknown", 3))
        with pytest.raises(Unavailable, match="node gone is gone"):
            await a.cluster.ask(NodeRef("gone", 99), Resume("token", 3))
        assert a.counted("posts_undeliverable") == 1


async def test_no_inbox_is_made_for_a_node_that_does_not_live(shared_redis: RedisServer) -> None:
    namespace = new_id()
    async with nodes_on(shared_redis.url, "a", namespace=namespace) as (a,):
        a.cluster.post(NodeRef("gone", 99), FromDevice(a.device(Profile("student", 1)), b""))
        await eventually(lambda: a.counted("posts_undeliverable"), "the message is given up")
        async with Redis(port=shared_redis.port) as redis:
            assert not await redis.exists(RedisKeys(namespace).inbox(NodeRef("gone", 99)))


@pytest.mark.parametrize("name", ["foreign field", "no envelope", "no message", "another version", "a number that is not one"])
async def test_what_no_node_has_written_is_counted_and_what_follows_is_read(shared_redis: RedisServer, name: str) -> None:
    body = encode(FromDevice(DeviceCard(Profile("student", 1), "d", NodeRef("x", 9), 2, connected=True), b"from afar"))
    entries = {
        "foreign field": {b"field": b"value"},
        "no envelope": {b"m": b"\xc1"},
        "no message": {b"m": pack(Envelope("x", 9, 1, "message", 0, b"\x92\x01\xa0"))},
        "another version": {b"m": pack(Envelope("x", 9, 1, "message", 0, b"\x92\x63" + body[2:]))},
        "a number that is not one": {b"m": pack(Envelope("x", 9, 0, "message", 0, body))},
    }
    namespace = new_id()
    async with nodes_on(shared_redis.url, "a", "b", namespace=namespace) as (a, b):
        async with Redis(port=shared_redis.port) as redis:
            await redis.xadd(RedisKeys(namespace).inbox(b.me), dict(entries[name].items()))
        a.say(b, b"next")
        await eventually(lambda: b.heard.frames == [b"next"], "the next message is read")
        assert b.counted("foreign_messages") == 1


class Unheard(Message, frozen=True):
    """What a later version may post."""

    text: str


class Unasked(Request, frozen=True):
    """What a later version may ask."""


async def test_a_message_of_a_later_version_is_known_to_be_missing(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        a.say(b, b"first")
        a.cluster.post(b.me, Unheard("news"))
        a.say(b, b"third")
        await eventually(lambda: b.heard.frames == [b"first", b"third"], "what is known is read")
        assert b.counted("foreign_messages") == 1
        assert b.heard.missing == [a.me], "the devices that it may have concerned begin anew"


async def test_a_question_of_a_later_version_is_refused_at_once_and_nothing_is_missing(shared_redis: RedisServer) -> None:
    async with nodes_on(shared_redis.url, "a", "b") as (a, b):
        a.say(b, b"first")
        with pytest.raises(Unavailable, match="node b cannot answer"):
            await a.cluster.ask(b.me, Unasked())
        a.say(b, b"third")
        await eventually(lambda: b.heard.frames == [b"first", b"third"], "what is known is read")
        assert b.counted("foreign_messages") == 1
        assert b.heard.missing == []


async def test_messages_that_redis_has_trimmed_are_known_to_be_missing(own_redis: RedisServer) -> None:
    namespace = new_id()
    async with nodes_on(own_redis.url, "a", "b", namespace=namespace, counted=Counted()) as (a, b):
        a.say(b, b"first")
        await eventually(lambda: b.heard.frames == [b"first"], "the first message arrives")
        async with Redis(port=own_redis.port) as redis:
            key = RedisKeys(namespace).inbox(b.me)
            body = encode(FromDevice(a.device(Profile("student", 1)), b"third"))
            await redis.xadd(key, {b"m": pack(Envelope("a", a.me.incarnation, 3, "message", 0, body))})
        await eventually(lambda: b.heard.frames == [b"first", b"third"], "the third message arrives")
        assert b.heard.missing == [a.me]
