"""What the media plane counts. Operators see each as `relay_media_NAME_total` on `/metrics`."""

from typing import Final

NAMES: Final = {
    "packets_received": "SRTP and SRTCP packets that arrived and were authentic",
    "packets_sent": "SRTP and SRTCP packets handed to the network",
    "bytes_received": "bytes of the packets received",
    "packets_held": "packets that waited for the other party's transport to come up, and were then forwarded",
    "packets_resent": "packets sent again from the relay's own history, in answer to a NACK",
    "nacks_answered": "RTCP packets that were not forwarded, because the relay had all that they asked for",
    "dropped_overflow": "packets dropped because the other party's transport took too long to come up",
    "dropped_unjoined": "packets of a transport that is not joined to another",
    "dropped_unreachable": "packets for a party whose path has been dead for longer than it makes sense to go on sending",
    "dropped_send": "packets that the network refused to take (socket buffer full, no route)",
    "dropped_kernel": "datagrams that the kernel dropped because the relay did not take them from its socket in time",
    "dropped_streams": "packets of a new SSRC when the transport had as many as it may, none of them silent for long",
    "streams_forgotten": "SSRCs that were silent for long and made room for new ones",
    "gaps_filled": "empty packets sent after a hold or a dead path, without which a receiver could decrypt nothing any more",
    "rollovers_found": "streams whose sender had sent so long unheard that its packet index had to be searched for",
    "dropped_unprotectable": "packets that could not be encrypted for the other party",
    "srtp_unauthentic": "SRTP or SRTCP packets that failed authentication",
    "srtp_replayed": "SRTP or SRTCP packets that were seen before",
    "srtp_early": "SRTP or SRTCP packets that arrived before the keys and were dropped",
    "packets_early": "packets that arrived before the keys, during the handshake, and were then forwarded",
    "rtp_malformed": "SRTP or SRTCP packets too short to have a header",
    "rtcp_malformed": "authentic RTCP packets that could not be read; they are forwarded all the same",
    "unknown_address": "datagrams that are nobody's, from an address that no transport has validated",
    "packets_followed": "of the packets received, those from an address that the peer had not validated yet",
    "strays_limited": "packets from such addresses not looked at, because there were too many within a second",
    "unknown_class": "datagrams that are none of STUN, DTLS, SRTP and SRTCP",
    "datagrams_too_long": "datagrams longer than the receive buffer",
    "stun_checks": "ICE connectivity checks answered",
    "stun_malformed": "STUN messages that could not be parsed",
    "stun_unknown_ufrag": "ICE connectivity checks that name no transport of ours",
    "stun_unauthentic": "ICE connectivity checks with a wrong or missing MESSAGE-INTEGRITY",
    "stun_ignored": "STUN messages other than binding requests and the answers to our own",
    "checks_sent": "ICE connectivity checks of our own, to addresses that a peer's packets or checks come from",
    "checks_answered": "those that the peer has answered",
    "consent_checks_sent": "ICE connectivity checks of our own to where media is sent, which ask for consent (RFC 7675)",
    "consent_checks_answered": "those that the peer has answered",
    "consents_expired": "times that a peer had answered none of these for 30 s, so that nothing more was sent to it",
    "dropped_unconsented": "packets not sent to a peer for that reason",
    "dropped_unvalidated": "DTLS datagrams not sent to an address because the peer had not proved to receive there",
    "stun_limited": "STUN messages not looked at, because too many from their host had failed within a second",
    "stun_address_taken": "authentic checks from an address that belongs to another live transport",
    "dtls_received": "DTLS datagrams from validated addresses",
    "dtls_handshakes": "DTLS handshakes completed",
    "dtls_failed": "DTLS handshakes that failed, or whose certificate is not the one in the SDP",
    "byes_withheld": "RTCP packets whose BYE was not forwarded, because the party may come back",
    "data_messages": "data channel records forwarded",
    "data_held": "data channel records that waited for the other party's transport to come up, and were then forwarded",
    "data_dropped": "data channel records dropped, because the other party's transport was not up",
    "dtls_overflow": "DTLS datagrams dropped because the transport's queue was full",
    "keyframes_requested": "picture loss indications that the relay sent on its own account",
    "transports_opened": "transports opened",
    "transports_closed": "transports closed",
    "workers_lost": "worker processes that died",
    "workers_unresponsive": "times that a worker process had not answered for 2 s, so that it got no new calls",
    "calls_rehomed": "calls opened at another worker process, because the first one did not answer",
}


class Counters(dict[str, int]):
    """A count per name; adding to a name that is not in `NAMES` is a mistake of ours and raises KeyError."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(NAMES, 0))
