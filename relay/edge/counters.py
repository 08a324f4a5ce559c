"""What the edge counts. Operators see each as `relay_front_NAME_total` on `/metrics`."""

from typing import Final

from relay.counting import Counters

NAMES: Final = {
    "connections": "TCP connections accepted",
    "connections_http": "connections that turned out to be HTTP, within TLS or without",
    "connections_tls": "connections that turned out to be TLS",
    "connections_ice_tcp": "connections that turned out to be ICE-TCP",
    "connections_turn": "connections that turned out to be TURN, within TLS or without",
    "refused_full": "connections closed for a new one, because there were as many as there may be: the oldest idle one of the "
    "address that had most",
    "refused_address": "connections closed for a new one of the same address, because it had as many as it may have: the oldest "
    "idle one of it",
    "idle_closed_early": "idle HTTP connections closed before their time, because more than half of the places were taken",
    "refused_garbage": "connections closed because their first bytes were nothing that is served here",
    "refused_tls": "TLS connections closed because there is no certificate, or the handshake failed",
    "refused_proxy_header": "connections closed because of a PROXY header that is malformed, or whose sender is no trusted proxy",
    "proxy_headers": "PROXY headers that named the client of a connection",
    "tls_delayed": "times that a TLS handshake had to wait, because its address had begun as many as it may",
    "refused_off": "ICE-TCP and TURN connections closed because it is turned off, or served on another port",
    "refused_slow": "connections closed because they did not say in time what they want",
    "refused_long": "HTTP connections closed because the head of the first request does not end",
    "http_malformed": "HTTP requests answered with 400, because they were not HTTP, or too long a head or line",
    "refused_silent": "connections that were closed before they said what they want",
    "accept_failed": "times that no connection could be accepted, for lack of file descriptors or memory",
    "ice_tcp_refused": "ICE-TCP connections closed because they did not begin with a check of a transport of ours",
    "ice_tcp_malformed": "ICE-TCP connections closed because of a frame that is too long",
    "refused_flood": "ICE-TCP and TURN connections closed because they sent more messages within a second than any call does",
    "idle_closed": "ICE-TCP and TURN connections closed because nothing went through them any more",
    "stream_packets_received": "datagrams that came in on ICE-TCP and TURN, and went on to a media worker",
    "stream_packets_sent": "datagrams of the media workers that went out on ICE-TCP and TURN",
    "stream_packets_dropped": "datagrams not sent because a TCP connection was slower than its media",
    "stream_frames_dropped": "video frames dropped for that reason, as a whole",
    "tunnel_dropped": "datagrams that the loopback would not take",
    "tunnel_foreign": "datagrams on the loopback that came from no media worker, or for no connection that is left",
    "turn_datagrams": "datagrams that came to the TURN port over UDP",
    "turn_malformed": "TURN connections closed because their bytes were neither STUN nor channel data",
    "turn_refused_peer": "datagrams from TURN clients for an address that is not, or no longer, a media worker's",
    "turn_dropped": "datagrams for TURN clients over UDP that the network refused to take",
    "certificates_loaded": "times that the TLS certificate was loaded",
    "certificates_refused": "times that a changed TLS certificate could not be loaded, and the one before stayed",
}

LEVELS: Final = {
    "streams": "ICE-TCP and TURN connections over TCP or TLS that are open",
    "turn_allocations": "TURN allocations that are in force",
    "turn_udp_ports": "UDP sockets that TURN listens on, one per address family; none, if another process has the port",
}
"""Gauges of the edge. Operators see each as `relay_front_NAME`."""

CERTIFICATE_LEVELS: Final = {"expiry_seconds": "time until the TLS certificate expires, negative once it has; none without TLS"}
"""Operators see it as `relay_certificate_expiry_seconds`."""


class EdgeCounters(Counters):
    def __init__(self) -> None:
        super().__init__(NAMES)
