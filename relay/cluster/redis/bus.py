"""Messages between nodes: an inbox for each, in order, each message once."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final

from redis.exceptions import ResponseError

from relay.cluster.api import Member
from relay.cluster.inbox import Inbox, SeqCheck
from relay.cluster.messages import ForeignMessage, Message, Reply, Request, decode, encode
from relay.cluster.redis.figures import ClusterFigures
from relay.cluster.redis.keys import FIELD, Envelope, ForeignValue, RedisKeys, envelope_of, pack
from relay.cluster.redis.link import Link
from relay.cluster.redis.scripts import POST
from relay.cluster.redis.timing import INBOX_ENTRIES, INBOX_SECONDS, ClusterTiming
from relay.cluster.redis.writer import Order, Writer
from relay.cluster.values import NodeRef
from relay.errors import RelayError, Unanswered, Unavailable

logger = logging.getLogger(__name__)

ENTRIES: Final = 500
"""That are read at a time."""

BLOCK: Final = 1.0
"""Seconds that Redis waits for an entry before it answers that there is none."""

QUESTIONS: Final = 1000
"""Of other nodes that are answered at a time."""


class Bus:
    """The inbox of this node, and what it posts to those of others.

    Args:
        seen: is given the nodes that messages arrive from.
    """

    def __init__(
        self,
        link: Link,
        writer: Writer,
        keys: RedisKeys,
        me: NodeRef,
        figures: ClusterFigures,
        timing: ClusterTiming,
        member: Member,
        seen: Callable[[NodeRef], None],
    ) -> None:
        self._link = link
        self._writer = writer
        self._keys = keys
        self._me = me
        self._figures = figures
        self._timing = timing
        self._member = member
        self._seen = seen
        self._inbox = Inbox()
        self._posted: dict[NodeRef, int] = {}
        """The number of the latest message to each node: kept as long as this process lives, as the other may be back."""
        self._last_id: bytes | str = "0-0"
        self._reading: asyncio.Task[Any] | None = None
        self._correlations = count(1)
        self._asked: dict[int, tuple[NodeRef, asyncio.Future[Reply]]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    def post(self, to: NodeRef, message: Message) -> None:
        self._send(to, "message", 0, encode(message))

    async def ask(self, to: NodeRef, request: Request) -> Reply:
        """
        Raises:
            Unanswered: there was no answer in time.
            Unavailable: a refusal, or the node is gone.
        """
        correlation = next(self._correlations)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[correlation] = to, answer
        self._figures.counters["asked"] += 1
        try:
            self._send(to, "request", correlation, encode(request), undelivered=lambda: self._gone(to, answer))
            async with asyncio.timeout(self._timing.ask):
                return await answer
        except TimeoutError:
            self._figures.counters["unanswered"] += 1
            raise Unanswered(f"node {to.name} does not answer") from None
        finally:
            del self._asked[correlation]

    def lost(self, node: NodeRef) -> None:
        """That node is gone: it answers no question any more."""
        self._inbox.forget(node)
        for to, answer in self._asked.values():
            if to == node:
                self._gone(to, answer)

    @staticmethod
    def _gone(node: NodeRef, answer: "asyncio.Future[Reply]") -> None:
        if not answer.done():
            answer.set_exception(Unavailable(f"node {node.name} is gone"))

    def restart(self) -> None:
        """Redis may have lost what was in this inbox, and numbers its entries anew."""
        self._last_id = "0-0"
        if self._reading is not None:
            self._reading.cancel()
        for sender in self._inbox.senders():
            self._missed(sender)

    def say_hello(self) -> None:
        """Let the nodes see that are to have messages which were given up that these are missing."""
        lost, self._writer.lost = self._writer.lost, set()
        for node in lost:
            self._send(node, "hello", 0, b"")

    async def work(self) -> None:
        """Read the inbox, for ever."""
        try:
            while True:
                self._reading = asyncio.create_task(self._read())
                # Not by awaiting it: a cancellation of the reading, by `restart`, is not one of this task.
                await asyncio.wait([self._reading])
                if self._reading.cancelled():
                    continue
                if self._reading.exception() is not None:
                    await asyncio.sleep(self._timing.retry_at_most)
                    if not isinstance(self._reading.exception(), Unavailable):
                        logger.error("an inbox could not be read", exc_info=self._reading.exception())
        finally:
            tasks = [*([self._reading] if self._reading else []), *self._answering]
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        key = self._keys.inbox(self._me)
        command = ("XREAD", "COUNT", ENTRIES, "BLOCK", round(BLOCK * 1000), "STREAMS", key, self._last_id)
        [found] = await self._link.run([command], waiting=BLOCK)
        if isinstance(found, ResponseError):
            self._figures.counters["foreign_keys"] += 1
            logger.error("%s in Redis is not the relay's: %s", key, found)
            raise Unavailable(str(found))
        for _, entries in found or ():
            for entry_id, fields in entries:
                self._last_id = entry_id
                self._take(dict(zip(fields[::2], fields[1::2], strict=True)))

    def _take(self, fields: Mapping[bytes, bytes]) -> None:
        try:
            envelope = envelope_of(fields.get(FIELD, b""))
        except ForeignValue as error:
            self._foreign(error)
            return
        try:
            body = decode(envelope.body) if envelope.body else None
        except ForeignMessage as error:
            self._foreign(error)
            if envelope.kind != "request":
                # Not counted as received: what is not understood is as good as lost. Of a question, its sender is told.
                return
            body = None
        sender = envelope.sender
        position = self._inbox.take(sender, envelope.seq)
        if position is SeqCheck.DUPLICATE:
            self._figures.counters["duplicates"] += 1
            return
        self._figures.counters["received"] += 1
        self._seen(sender)
        if position is SeqCheck.AFTER_GAP:
            self._missed(sender)
        match envelope.kind, body:
            case "message", Message():
                self._member.take(sender, body)
            case "request", Request():
                self._answer(sender, envelope.correlation, body)
            case "request", None:
                self._send(sender, "refusal", envelope.correlation, b"")
            case "reply", Reply():
                self._answered(sender, envelope.correlation, body)
            case "refusal", None:
                self._answered(sender, envelope.correlation, None)
            case "hello", None:
                pass
            case _:
                self._figures.counters["foreign_messages"] += 1
                logger.error("a message of node %s is of no known kind", sender.name)

    def _foreign(self, error: RelayError) -> None:
        self._figures.counters["foreign_messages"] += 1
        logger.error("a message is not of a node of this version: %s", str(error)[:200])

    def _missed(self, sender: NodeRef) -> None:
        self._figures.counters["gaps"] += 1
        self._member.missed(sender)

    def _answer(self, sender: NodeRef, correlation: int, request: Request) -> None:
        if len(self._answering) >= QUESTIONS:
            self._send(sender, "refusal", correlation, b"")
            return
        task = asyncio.create_task(self._find_answer(sender, correlation, request))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _find_answer(self, sender: NodeRef, correlation: int, request: Request) -> None:
        try:
            reply = await self._member.answer(sender, request)
        except RelayError as error:
            logger.info("a question of node %s is refused: %s", sender.name, error)
            self._send(sender, "refusal", correlation, b"")
        except Exception:
            logger.exception("a question of node %s could not be answered", sender.name)
            self._send(sender, "refusal", correlation, b"")
        else:
            self._send(sender, "reply", correlation, encode(reply))

    def _answered(self, sender: NodeRef, correlation: int, reply: Reply | None) -> None:
        asked, answer = self._asked.get(correlation, (None, None))
        if answer is None or asked != sender or answer.done():
            return
        if reply is None:
            answer.set_exception(Unavailable(f"node {sender.name} cannot answer"))
        else:
            answer.set_result(reply)

    def _send(self, to: NodeRef, kind: str, correlation: int, body: bytes, undelivered: Callable[[], None] | None = None) -> None:
        seq = self._posted[to] = self._posted.get(to, 0) + 1
        envelope = pack(Envelope(self._me.name, self._me.incarnation, seq, kind, correlation, body))
        keys = [self._keys.node(to), self._keys.inbox(to)]
        self._writer.put(Order(POST, keys, [envelope, INBOX_ENTRIES, INBOX_SECONDS], post_to=to, undelivered=undelivered))
