"""The TURN server: messages of clients and datagrams of the media plane in, what to send and what began or ended out.

It relays in memory: an allocation has no socket and no port, and its only peers are the relay's own media addresses. Every other
one is refused with 403: it is no open relay, whatever its clients ask of it.

Times are Unix time, because the credentials name their end in it, from a clock that does not jump: the edge adds what a monotonic
clock has counted to the time at which it started.
"""

import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aioice.stun import Class, Method

from relay.ip import network_of
from relay.settings.turn import TurnSettings
from relay.turn.allocate import check, family_number
from relay.turn.allocations import Allocation, Allocations, lifetime
from relay.turn.authentication import Authenticator, TurnIdentity
from relay.turn.counters import TurnCounters
from relay.turn.credentials import Nonces, TurnCredentials
from relay.turn.limits import UNAUTHENTICATED_PER_SECOND, Quotas, UnauthenticatedRate
from relay.turn.messages import (
    MAX_LENGTH,
    Address,
    StunMessage,
    build,
    channel_data,
    is_channel_data,
    parse,
    parse_channel_data,
)
from relay.turn.outputs import Allocated, Output, Released, SendToClient, ToPeer
from relay.turn.refusal import REASONS, Refusal

__all__ = ["Address", "Allocated", "Output", "Released", "SendToClient", "ToPeer", "TurnServer"]

SOFTWARE: Final = "call-relay"
"""Without a version: that would only help an attacker that looks for old ones."""

MAX_DATA: Final = MAX_LENGTH - 48
"""Bytes of a datagram to a client: what a Data indication with an IPv6 peer leaves of a message."""


@dataclass(frozen=True, slots=True)
class _Received:
    """A STUN message and where it came from."""

    client: Hashable
    source: Address
    message: StunMessage
    now: float
    stream: bool


class TurnServer:
    """Feed it what arrives, do what it returns, in order, and call `expire` at `deadline`.

    Args:
        settings: realm and quotas.
        credentials: knows the passwords.
        media: the only peers, as clients name them: hosts as `str(ipaddress.ip_address(host))`. Asked per datagram.
        relayed: the address to name as XOR-RELAYED-ADDRESS; its family is the allocation's.
        counters: what to count in.
        unauthenticated_per_second: answers to messages of one host that are not authentic.
    """

    def __init__(
        self,
        settings: TurnSettings,
        *,
        credentials: TurnCredentials,
        media: Callable[[], frozenset[Address]],
        relayed: Callable[[int], Address],
        counters: TurnCounters,
        unauthenticated_per_second: int = UNAUTHENTICATED_PER_SECOND,
    ) -> None:
        self._authenticator = Authenticator(credentials, settings.turn_realm, Nonces())
        self._media = media
        self._relayed = relayed
        self._counters = counters
        self._quotas = Quotas(settings)
        self._rate = UnauthenticatedRate(unauthenticated_per_second)
        self._allocations = Allocations()

    @property
    def allocation_count(self) -> int:
        return len(self._allocations)

    # -- what the edge calls --------------------------------------------------------------------------------------------

    def receive(self, client: Hashable, source: Address, data: bytes, now: float, *, stream: bool) -> list[Output]:
        """Take one complete message. Never raises on its bytes.

        Args:
            client: whose it is: one per 5-tuple or connection.
            source: the client's address as the relay sees it.
            data: a datagram, or a message out of `split_stream`.
            now: Unix time, seconds.
            stream: it came over TCP or TLS.
        """
        outputs = self.expire(now)
        if is_channel_data(data):
            outputs += self._receive_channel_data(client, data, now)
            return outputs
        message = parse(data)
        if message is None:
            self._counters["malformed"] += 1
            return outputs
        outputs += self._receive_message(_Received(client, source, message, now, stream))
        return outputs

    def from_peer(self, allocation_id: int, peer: Address, data: bytes, now: float) -> list[Output]:
        """Take a datagram that the media address `peer` sends to an allocation."""
        outputs = self.expire(now)
        allocation = self._allocations.get(allocation_id)
        number = allocation.channel_of(peer, now) if allocation else None
        if allocation is None or (number is None and not allocation.permits(peer[0], now)) or peer not in self._media():
            self._counters["dropped_uninvited"] += 1
            return outputs
        if len(data) > MAX_DATA:
            self._counters["dropped_too_long"] += 1
            return outputs
        if number is None:
            indication = {"XOR-PEER-ADDRESS": peer, "DATA": data}
            message = build(Method.DATA, Class.INDICATION, secrets.token_bytes(12), indication)
        else:
            message = channel_data(number, data, padded=allocation.stream)
        self._counters["packets_to_clients"] += 1
        self._counters["bytes_to_clients"] += len(data)
        outputs.append(SendToClient(allocation.client, message))
        return outputs

    def disconnected(self, client: Hashable) -> list[Output]:
        """The client's connection is closed, and with it its allocation."""
        allocation = self._allocations.of(client)
        return [] if allocation is None else [self._release(allocation)]

    def deadline(self) -> float | None:
        """When to call `expire` next, in Unix time; None if there is nothing to wait for."""
        return self._allocations.deadline()

    def expire(self, now: float) -> list[Output]:
        """End what has come to its end."""
        return [self._release(allocation) for allocation in self._allocations.expired(now)]

    # -- data of clients ------------------------------------------------------------------------------------------------

    def _receive_channel_data(self, client: Hashable, data: bytes, now: float) -> list[Output]:
        parsed = parse_channel_data(data)
        if parsed is None:
            self._counters["malformed"] += 1
            return []
        number, payload = parsed
        allocation = self._allocations.of(client)
        peer = allocation.peer_of(number, now) if allocation else None
        if allocation is None or peer is None:
            self._counters["dropped_unbound"] += 1
            return []
        return self._to_media(allocation, peer, payload)

    def _send(self, received: _Received) -> list[Output]:
        """RFC 8656 section 11.2. Without a signature: the allocation and the permission were asked for with one."""
        message, allocation = received.message, self._allocations.of(received.client)
        if not message.peers or "DATA" not in message.attributes:
            self._counters["malformed"] += 1
            return []
        peer = message.peers[0]
        if allocation is None or not allocation.permits(peer[0], received.now):
            self._counters["dropped_unbound"] += 1
            return []
        return self._to_media(allocation, peer, message.attributes["DATA"])

    def _to_media(self, allocation: Allocation, peer: Address, data: bytes) -> list[Output]:
        if peer not in self._media():
            self._counters["dropped_foreign"] += 1
            return []
        self._counters["packets_to_media"] += 1
        self._counters["bytes_to_media"] += len(data)
        return [ToPeer(allocation.allocation_id, peer, data)]

    # -- STUN -----------------------------------------------------------------------------------------------------------

    def _receive_message(self, received: _Received) -> list[Output]:
        message = received.message
        kind = message.method, message.message_class
        if kind not in _OPEN and kind not in _AUTHENTICATED:
            self._counters["ignored"] += 1
            return []
        # A client with an allocation is always served: others of its network could use up the limit.
        if self._allocations.of(received.client) is None and self._rate.is_used_up(
            received.source[0], received.now, stream=received.stream
        ):
            self._counters["limited"] += 1
            return []
        identity: TurnIdentity | None = None
        try:
            if message.malformed:
                raise Refusal(400, "bad_requests")
            if kind in _OPEN:
                _understand(message)
                return _OPEN[kind](self, received)
            identity = self._authenticator.identify(message, received.source, received.now)
            # RFC 8489 section 6.3: unknown attributes are answered only after authentication.
            _understand(message)
            return _AUTHENTICATED[kind](self, received, identity)
        except Refusal as refusal:
            self._counters[refusal.counter] += 1
            if message.message_class is not Class.REQUEST:
                return []
            return self._refuse(received, refusal, identity)

    def _refuse(self, received: _Received, refusal: Refusal, identity: TurnIdentity | None) -> list[Output]:
        # A client that shall try with other credentials, or another nonce, cannot rely on a signature made with these.
        key = identity.key if identity and refusal.code not in (401, 438) else None
        attributes = {"ERROR-CODE": (refusal.code, REASONS[refusal.code])} | refusal.attributes
        return self._answer(received, Class.ERROR, attributes, key)

    def _answer(
        self, received: _Received, message_class: Class, attributes: Mapping[str, Any], key: bytes | None
    ) -> list[Output]:
        """An answer; none beyond the rate for clients that are not authenticated, or that are over their quota."""
        is_known = key is not None and (message_class is Class.RESPONSE or self._allocations.of(received.client) is not None)
        if not is_known and not self._rate.admits(received.source[0], received.now, stream=received.stream):
            self._counters["limited"] += 1
            return []
        request = received.message
        data = build(
            request.method,
            message_class,
            request.transaction_id,
            {**attributes, "SOFTWARE": SOFTWARE},
            key=key,
            fingerprint=request.has_fingerprint,
        )
        return [SendToClient(received.client, data)]

    def _bind(self, received: _Received) -> list[Output]:
        self._counters["bindings"] += 1
        return self._answer(received, Class.RESPONSE, {"XOR-MAPPED-ADDRESS": received.source}, None)

    def _ignore(self, _received: _Received) -> list[Output]:
        """Keeps a mapping in a NAT alive, and asks for nothing."""
        self._counters["ignored"] += 1
        return []

    # -- allocations ----------------------------------------------------------------------------------------------------

    def _allocate(self, received: _Received, identity: TurnIdentity) -> list[Output]:
        message, now = received.message, received.now
        present = self._allocations.of(received.client)
        if present is not None:
            if (present.transaction_id, present.username) == (message.transaction_id, identity.username):
                return [SendToClient(received.client, present.answer)]
            raise Refusal(437, "mismatched")
        # Only here: a call that lasts longer than its credentials keeps its way.
        if identity.expires <= now:
            raise self._authenticator.challenge("credentials_expired", received.source, now)
        allocation_id = self._allocations.next_id
        relayed = self._relayed(allocation_id)
        additional = check(message.attributes, relayed)
        origin = network_of(received.source[0])
        self._quotas.take(identity.profile, origin)
        seconds = lifetime(message.attributes.get("LIFETIME"))
        attributes = {"XOR-RELAYED-ADDRESS": relayed, "LIFETIME": seconds, "XOR-MAPPED-ADDRESS": received.source} | additional
        [answer] = self._answer(received, Class.RESPONSE, attributes, identity.key)
        assert isinstance(answer, SendToClient), "an answer goes to the client"
        self._allocations.add(
            Allocation(
                allocation_id=allocation_id,
                client=received.client,
                username=identity.username,
                profile=identity.profile,
                origin=origin,
                stream=received.stream,
                relayed=relayed,
                transaction_id=message.transaction_id,
                answer=answer.data,
                expires=now + seconds,
            )
        )
        self._counters["allocations_opened"] += 1
        return [Allocated(allocation_id, received.client), answer]

    def _refresh(self, received: _Received, identity: TurnIdentity) -> list[Output]:
        allocation, attributes = self._own(received, identity), received.message.attributes
        family = attributes.get("REQUESTED-ADDRESS-FAMILY")
        if family is not None and family != family_number(allocation.relayed):
            raise Refusal(443, "unsupported")
        requested = attributes.get("LIFETIME")
        if requested == 0:
            answer = self._answer(received, Class.RESPONSE, {"LIFETIME": 0}, identity.key)
            return [*answer, self._release(allocation)]
        seconds = lifetime(requested)
        self._allocations.prolong(allocation, received.now + seconds)
        self._counters["refreshes"] += 1
        return self._answer(received, Class.RESPONSE, {"LIFETIME": seconds}, identity.key)

    def _create_permission(self, received: _Received, identity: TurnIdentity) -> list[Output]:
        allocation, peers = self._own(received, identity), received.message.peers
        if not peers:
            raise Refusal(400, "bad_requests")
        # RFC 8656 section 10.2: all of them or none.
        self._check_peers(allocation, peers)
        for host, _ in peers:
            allocation.permit(host, received.now)
        self._counters["permissions"] += 1
        return self._answer(received, Class.RESPONSE, {}, identity.key)

    def _channel_bind(self, received: _Received, identity: TurnIdentity) -> list[Output]:
        allocation, message = self._own(received, identity), received.message
        number = message.attributes.get("CHANNEL-NUMBER")
        if number is None or not message.peers:
            raise Refusal(400, "bad_requests")
        peer = message.peers[0]
        self._check_peers(allocation, (peer,))
        allocation.bind(number, peer, received.now)
        self._counters["channels"] += 1
        return self._answer(received, Class.RESPONSE, {}, identity.key)

    def _own(self, received: _Received, identity: TurnIdentity) -> Allocation:
        """The allocation that a request is about (RFC 8656 section 5)."""
        allocation = self._allocations.of(received.client)
        if allocation is None:
            raise Refusal(437, "mismatched")
        if allocation.username != identity.username:
            raise Refusal(441, "mismatched")
        return allocation

    def _check_peers(self, allocation: Allocation, peers: Iterable[Address]) -> None:
        media = self._media()
        # RFC 8656 section 9 has permissions per host. Here the port must be media's too: the host has other services.
        if not media.issuperset(peers):
            raise Refusal(403, "peers_refused")
        if any(family_number(peer) != family_number(allocation.relayed) for peer in peers):
            raise Refusal(443, "unsupported")

    def _release(self, allocation: Allocation) -> Released:
        self._allocations.remove(allocation)
        self._quotas.give_back(allocation.profile, allocation.origin)
        self._counters["allocations_closed"] += 1
        return Released(allocation.allocation_id)


def _understand(message: StunMessage) -> None:
    if message.unknown:
        raise Refusal(420, "unknown_attributes", unknown_attributes=message.unknown)


_Kind = tuple[Method, Class]

_OPEN: Final[Mapping[_Kind, Callable[[TurnServer, _Received], list[Output]]]] = {
    (Method.BINDING, Class.REQUEST): TurnServer._bind,
    (Method.BINDING, Class.INDICATION): TurnServer._ignore,
    (Method.SEND, Class.INDICATION): TurnServer._send,
}
"""What is done with messages that need no credentials."""

_AUTHENTICATED: Final[Mapping[_Kind, Callable[[TurnServer, _Received, TurnIdentity], list[Output]]]] = {
    (Method.ALLOCATE, Class.REQUEST): TurnServer._allocate,
    (Method.REFRESH, Class.REQUEST): TurnServer._refresh,
    (Method.CREATE_PERMISSION, Class.REQUEST): TurnServer._create_permission,
    (Method.CHANNEL_BIND, Class.REQUEST): TurnServer._channel_bind,
}
"""What is done with requests whose sender is known."""
