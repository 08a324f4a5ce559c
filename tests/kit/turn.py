"""A TURN client without a network, the server that it talks to, and that server on real sockets of the loopback interface."""

import asyncio
import hashlib
import itertools
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

from aioice.stun import Class, Method

from relay.settings.turn import TurnSettings
from relay.turn.counters import TurnCounters
from relay.turn.credentials import TurnCredential, TurnCredentials
from relay.turn.limits import UNAUTHENTICATED_PER_SECOND
from relay.turn.messages import Address, StunMessage, build, channel_data, parse
from relay.turn.outputs import Allocated, Output, Released, SendToClient, ToPeer
from relay.turn.server import TurnServer
from relay.turn.stream import NotTurn, split_stream

SECRET: Final = "a secret of the tests"
REALM: Final = "relay.test"
BEGIN: Final = 1_800_000_000.0
"""Unix time at which the tests without a network begin."""

MEDIA: Final = ("192.0.2.1", 40000)
OTHER_WORKER: Final = ("192.0.2.1", 40001)
MEDIA_IPV6: Final = ("2001:db8::1", 40000)
RELAYED: Final = ("192.0.2.1", 3478)

UDP: Final = 17 << 24
ALLOCATION: Final[dict[str, Any]] = {"REQUESTED-TRANSPORT": UDP}


class Desk:
    """A server, its clock, and what it may relay to."""

    def __init__(
        self,
        relayed: Address = RELAYED,
        unauthenticated_per_second: int = UNAUTHENTICATED_PER_SECOND,
        **settings: Any,
    ) -> None:
        self.now = BEGIN
        self.media = {MEDIA, OTHER_WORKER, MEDIA_IPV6}
        self.counters = TurnCounters()
        self.credentials = TurnCredentials(SECRET)
        self.server = TurnServer(
            TurnSettings(turn_realm=REALM, **settings),
            credentials=self.credentials,
            media=lambda: frozenset(self.media),
            relayed=lambda _: relayed,
            counters=self.counters,
            unauthenticated_per_second=unauthenticated_per_second,
        )
        self._ports = itertools.count(50000)

    def client(self, profile: str = "student_1", host: str = "198.51.100.7", *, stream: bool = False) -> "Client":
        """A client with valid credentials at an address of its own."""
        address = host, next(self._ports)
        return Client(self, address, address, self.credentials.issue(profile, self.now), stream)


@dataclass(eq=False)
class Client:
    """Sends requests, and keeps the responses."""

    desk: Desk
    name: Hashable
    address: Address
    credential: TurnCredential
    stream: bool = False
    realm: str = REALM
    nonce: bytes = b""
    outputs: list[Output] = field(default_factory=list)
    """Of the last thing sent."""

    @property
    def key(self) -> bytes:
        # Written down again on purpose: the digest of RFC 8489 section 9.2.2, of the password and not of the secret.
        return hashlib.md5(f"{self.credential.username}:{self.realm}:{self.credential.password}".encode()).digest()

    def send(self, data: bytes) -> list[Output]:
        self.outputs = self.desk.server.receive(self.name, self.address, data, self.desk.now, stream=self.stream)
        return self.outputs

    def request(
        self,
        method: Method,
        attributes: dict[str, Any] | None = None,
        *,
        signed: bool = True,
        transaction_id: bytes | None = None,
        fingerprint: bool = False,
    ) -> bytes:
        """A request, signed with this client's credentials if it has a nonce."""
        attributes = dict(attributes or {})
        if signed and self.nonce:
            attributes |= {"USERNAME": self.credential.username, "REALM": self.realm, "NONCE": self.nonce}
        return build(
            method,
            Class.REQUEST,
            transaction_id or next(_transaction_ids),
            attributes,
            key=self.key if signed and self.nonce else None,
            fingerprint=fingerprint,
        )

    def ask(self, method: Method, attributes: dict[str, Any] | None = None, **how: Any) -> StunMessage:
        """What a request is answered with; gets a nonce first where it needs one."""
        if not self.nonce and how.get("signed", True):
            self.nonce = self.answer_to(self.request(method, attributes)).attributes["NONCE"]
        return self.answer_to(self.request(method, attributes, **how))

    def answer_to(self, data: bytes) -> StunMessage:
        """The one answer to a message."""
        [answer] = [one for one in self.send(data) if isinstance(one, SendToClient)]
        assert answer.client == self.name
        message = parse(answer.data)
        assert message is not None, "the server speaks STUN"
        assert message.transaction_id == data[8:20]
        return message

    def allocate(self, **attributes: Any) -> int:
        """An allocation, with everything that is expected of it; its id."""
        answer = self.ask(Method.ALLOCATE, ALLOCATION | attributes)
        assert answer.message_class is Class.RESPONSE, answer.attributes
        [allocated] = [one for one in self.outputs if isinstance(one, Allocated)]
        assert allocated.client == self.name
        return allocated.allocation_id

    def permit(self, *peers: Address) -> StunMessage:
        return self.ask(Method.CREATE_PERMISSION, {"XOR-PEER-ADDRESS": list(peers)})

    def bind(self, number: int, peer: Address) -> StunMessage:
        return self.ask(Method.CHANNEL_BIND, {"CHANNEL-NUMBER": number, "XOR-PEER-ADDRESS": peer})

    def indicate(self, peer: Address, data: bytes, **attributes: Any) -> list[Output]:
        """A Send indication."""
        content = {"XOR-PEER-ADDRESS": peer, "DATA": data} | attributes
        return self.send(build(Method.SEND, Class.INDICATION, next(_transaction_ids), content))

    def send_on(self, number: int, data: bytes) -> list[Output]:
        return self.send(channel_data(number, data, padded=self.stream))


_transaction_ids = (number.to_bytes(12) for number in itertools.count(1))


def code_of(answer: StunMessage) -> int | None:
    """The error code of an answer; None if it is a success."""
    if answer.message_class is Class.RESPONSE:
        return None
    code: int = answer.attributes["ERROR-CODE"][0]
    return code


def data_of(outputs: list[Output]) -> StunMessage:
    """The Data indication that a client was sent."""
    [output] = outputs
    assert isinstance(output, SendToClient)
    message = parse(output.data)
    assert message is not None
    assert (message.method, message.message_class) == (Method.DATA, Class.INDICATION)
    return message


def ready(desk: Desk, **how: Any) -> tuple[Client, int]:
    """A client with an allocation that may talk to media."""
    client = desk.client(**how)
    allocation_id = client.allocate()
    assert code_of(client.permit(MEDIA)) is None
    return client, allocation_id


# -- on real sockets ----------------------------------------------------------------------------------------------------


class Echo(asyncio.DatagramProtocol):
    """Stands for the media plane: sends back what arrives."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)
        self.address: Address = transport.get_extra_info("sockname")[:2]
        self.seen: list[tuple[bytes, Address]] = []

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.seen.append((data, address[:2]))
        self.transport.sendto(data, address)


class TurnEdge:
    """A `TurnServer` on a UDP and a TCP port. Each allocation gets a socket of its own towards the media plane."""

    def __init__(self, server: TurnServer) -> None:
        self.server = server
        self.released: list[int] = []
        self._udp: asyncio.DatagramTransport | None = None
        self._streams: dict[Hashable, asyncio.WriteTransport] = {}
        self._towards_media: dict[int, asyncio.DatagramTransport] = {}
        self._waiting: dict[int, list[ToPeer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []

    def perform(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case SendToClient(client, data):
                    if client in self._streams:
                        self._streams[client].write(data)
                    elif self._udp is not None:
                        self._udp.sendto(data, client)  # type: ignore[arg-type] # a datagram's client is its address
                case ToPeer(allocation_id, peer, data):
                    if allocation_id in self._towards_media:
                        self._towards_media[allocation_id].sendto(data, peer)
                    else:
                        self._waiting[allocation_id].append(output)
                case Allocated(allocation_id):
                    self._waiting[allocation_id] = []
                    task = asyncio.ensure_future(self._open(allocation_id))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case Released(allocation_id):
                    self.released.append(allocation_id)
                    self._waiting.pop(allocation_id, None)
                    if allocation_id in self._towards_media:
                        self._towards_media.pop(allocation_id).close()

    async def _open(self, allocation_id: int) -> None:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _FromMedia(self, allocation_id), local_addr=("127.0.0.1", 0)
        )
        if allocation_id not in self._waiting:
            transport.close()
            return
        self._towards_media[allocation_id] = transport
        self.perform(list(self._waiting.pop(allocation_id)))

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[tuple[Address, Address]]:
        """Where it is reached: over UDP, over TCP."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=("127.0.0.1", 0))
        listener = await loop.create_server(lambda: _Stream(self, self._streams), "127.0.0.1", 0)
        try:
            yield self._udp.get_extra_info("sockname"), listener.sockets[0].getsockname()
        finally:
            listener.close()
            for transport in [self._udp, *self._streams.values(), *self._towards_media.values()]:
                transport.close()
            await asyncio.gather(*self._tasks)
            assert not self.failures


class _FromMedia(asyncio.DatagramProtocol):
    def __init__(self, edge: TurnEdge, allocation_id: int) -> None:
        self._edge, self._allocation_id = edge, allocation_id

    def datagram_received(self, data: bytes, address: Any) -> None:
        self._edge.perform(self._edge.server.from_peer(self._allocation_id, address[:2], data, time.time()))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, edge: TurnEdge) -> None:
        self._edge = edge

    def datagram_received(self, data: bytes, address: Any) -> None:
        try:
            self._edge.perform(self._edge.server.receive(address, address[:2], data, time.time(), stream=False))
        except Exception as error:
            self._edge.failures.append(error)
            raise


class _Stream(asyncio.Protocol):
    def __init__(self, edge: TurnEdge, streams: dict[Hashable, asyncio.WriteTransport]) -> None:
        self._edge, self._streams = edge, streams
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._source = transport.get_extra_info("peername")[:2]
        self._streams[self] = self._transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            for message in split_stream(self._buffer):
                self._edge.perform(self._edge.server.receive(self, self._source, message, time.time(), stream=True))
        except NotTurn:
            self._transport.close()
        except Exception as error:
            self._edge.failures.append(error)
            raise

    def connection_lost(self, error: Exception | None) -> None:
        del self._streams[self]
        self._edge.perform(self._edge.server.disconnected(self))
