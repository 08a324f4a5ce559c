"""Which transports a router holds, and which of them it routes. Packets cross in `routing.direct` and `routing.slow`."""

from relay.media.api import Consumer, MediaDescription, Producer, RouterKind
from relay.media.routing.producers import DescribedMedia
from relay.media.transport.transport import Transport


class DirectRouter:
    """Routes two of its transports to each other: packets cross unchanged. It may hold others: the new one of a device that comes
    back, say."""

    kind = RouterKind.DIRECT

    def __init__(self, router_id: str) -> None:
        self.router_id = router_id
        self.transports: dict[str, Transport] = {}
        self._media: dict[str, DescribedMedia] = {}

    def add(self, transport: Transport) -> None:
        self.transports[transport.transport_id] = transport
        transport.router = self

    def remove(self, transport: Transport) -> None:
        """The transport is to be closed."""
        transport.unroute()
        transport.router = None
        del self.transports[transport.transport_id]
        self._media.pop(transport.transport_id, None)

    def describe(self, transport: Transport, media: tuple[MediaDescription, ...]) -> None:
        """The peer of a transport has described what it sends from now on."""
        self._media[transport.transport_id] = DescribedMedia(transport.transport_id, media)

    def route(self, *transports: Transport) -> None:
        """Let media flow between two transports, as soon as each is up."""
        both = self._own(*transports)
        assert len(set(both)) == len(both) == 2, "direct routing is between two transports"
        first, second = both
        for one in both:
            one.unroute()
        first.peer, second.peer = second, first
        for one in both:
            one.gap.end()
        for source in both:
            if source.statistics.streams and not source.has_buffered:
                # What was sent while it was routed to no other transport is lost, the first key frame with it.
                source.request_keyframes()
            source.send_buffered()

    def unroute(self, *transports: Transport) -> None:
        """Forward nothing of these until they are routed again."""
        for one in self._own(*transports):
            one.unroute()

    def producers(self, transport: Transport) -> tuple[Producer, ...]:
        """What arrives on a transport."""
        media = self._media.get(transport.transport_id)
        if media is None:
            return ()
        return media.producers({ssrc: stream.payload_type for ssrc, stream in transport.statistics.streams.items()})

    def consumers(self, transport: Transport) -> tuple[Consumer, ...]:
        """What leaves by a transport: all that arrives on the one that it is routed to."""
        if transport.peer is None:
            return ()
        return tuple(
            Consumer(transport.transport_id, producer.id, encoding.ssrc)
            for producer in self.producers(transport.peer)
            for encoding in producer.encodings
        )

    def _own(self, *transports: Transport) -> tuple[Transport, ...]:
        assert all(one.router is self for one in transports), "the transports belong to the router"
        return transports
