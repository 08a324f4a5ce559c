"""What the forwarding path reads of a transport for every packet, and nothing else. It lies on the transport itself: an attribute
more on the way there would show."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from relay.media.quality.statistics import StreamStatistics
from relay.media.repair.history import PacketHistory, SentStream

OtherT = TypeVar("OtherT")


class ForwardingState(Generic[OtherT]):
    """The part of a transport that `relay.media.routing.direct` uses.

    Args:
        streams: what the peer sends at present, by SSRC.
        read_payload: takes a decrypted packet of a stream that the relay reads, the first with its timestamp, and the timestamp.
    """

    __slots__ = ("destination", "history", "peer", "read_payload", "rx", "sent", "streams", "tap", "tx")

    def __init__(
        self, streams: dict[int, StreamStatistics], read_payload: Callable[[StreamStatistics, memoryview, int], None]
    ) -> None:
        self.rx: Any = None
        """libsrtp session for what the peer sends; None before the handshake is done, and while the peer sends too much."""
        self.tx: Any = None
        """libsrtp session for what the peer receives; None also while its path is dead."""
        self.peer: OtherT | None = None
        """The other transport of the call."""
        self.tap: Callable[[bytes, float], None] | None = None
        """Is shown each packet that arrives, decrypted, once, in order of arrival, and when it arrived (seconds, monotonic); but
        first, that packet is sent, and all that came with it. It must not block. None: none is shown."""
        self.destination: Any = None
        """Where the selected address is (`relay.media.net.udp.Remote`, or what takes its place); set before `tx` is."""
        self.streams = streams
        self.history = PacketHistory()
        """What was sent to the peer a moment ago."""
        self.sent: dict[int, SentStream] = self.history.streams
        self.read_payload = read_payload
