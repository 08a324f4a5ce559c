"""What the TURN server counts. Operators see each as `relay_turn_NAME_total` on `/metrics`."""

from typing import Final

from relay.counting import Counters

NAMES: Final = {
    "bindings": "plain STUN binding requests answered",
    "allocations_opened": "allocations made",
    "allocations_closed": "allocations deleted by their clients, expired, or gone with their connection",
    "refreshes": "allocations whose life was prolonged",
    "permissions": "requests for permissions that were granted",
    "channels": "channels bound, or bound again",
    "packets_to_media": "datagrams handed from clients to the media plane",
    "bytes_to_media": "bytes of the datagrams handed to the media plane",
    "packets_to_clients": "datagrams of the media plane handed to clients",
    "bytes_to_clients": "bytes of the datagrams handed to clients",
    "challenges": "requests without credentials, answered with 401: every client's first one",
    "nonces_stale": "requests with a nonce that is too old or not ours, answered with 438",
    "unauthentic": "requests with a wrong user name, password or realm, answered with 401",
    "credentials_expired": "allocations refused because the credentials' time is over, answered with 401",
    "bad_requests": "requests that lack something or contradict themselves, answered with 400",
    "unknown_attributes": "messages with an attribute that must be understood and is not; requests are answered with 420",
    "mismatched": "requests for an allocation that is not there, already there, or of another user, answered with 437 or 441",
    "unsupported": "requests for TCP, for reserved ports, or for another address family, answered with 440, 442, 443 or 508",
    "peers_refused": "requests that name a peer that is not the relay's own media, answered with 403",
    "refused_quota": "allocations refused because their profile or address has too many, answered with 486",
    "refused_capacity": "allocations refused because the relay has as many as it may, answered with 508",
    "limited": "messages not looked at or not answered, because too many from their host were not authentic within a second",
    "malformed": "messages that are neither STUN nor ChannelData, or cut short",
    "ignored": "STUN messages that a server has no answer to: answers, indications without effect, methods of old",
    "dropped_unbound": "datagrams of clients without an allocation, a permission or a bound channel",
    "dropped_foreign": "datagrams of clients for a peer that is no longer the relay's own media",
    "dropped_uninvited": "datagrams of the media plane to allocations that are gone or permit no such peer",
    "dropped_too_long": "datagrams of the media plane too long for a message",
}


class TurnCounters(Counters):
    def __init__(self) -> None:
        super().__init__(NAMES)
