"""The DTLS association of a transport: when its handshake begins, which datagrams it takes, and data channel records."""

from collections.abc import Callable
from typing import Any

from aiortc import RTCCertificate

from relay.media.api import DtlsRole, TransportParameters
from relay.media.net.dtls_srtp import DtlsSrtp
from relay.media.quality.counters import MediaCounters
from relay.media.transport.path import Path, RemoteAddress
from relay.media.transport.policing import Budget


class DtlsAssociation:
    """One transport's.

    Args:
        certificate: the relay's, on this transport.
        path: where the peer is.
        budget: what the peer may send.
        on_keys, on_closed, on_record: as of `DtlsSrtp`.
    """

    __slots__ = ("_budget", "_counters", "_dtls", "_path", "_remote")

    def __init__(
        self,
        certificate: RTCCertificate,
        path: Path,
        budget: Budget,
        counters: MediaCounters,
        *,
        on_keys: Callable[[Any, Any], None],
        on_closed: Callable[[str], None],
        on_record: Callable[[bytes], None],
    ) -> None:
        self._path = path
        self._budget = budget
        self._counters = counters
        self._dtls = DtlsSrtp(certificate, path.send_dtls, on_keys, on_closed, on_record)
        self._remote: TransportParameters | None = None

    @property
    def shaking_hands(self) -> bool:
        """The handshake has begun and is not done."""
        return self._dtls.shaking_hands

    def connect(self, remote: TransportParameters) -> None:
        """The peer is known: begin the handshake as soon as it can be."""
        assert self._remote is None, "a transport is connected once"
        self._remote = remote
        # RFC 5763 section 5: the active endpoint sends the first flight. As a server, the relay waits for the peer's; as a client
        # it needs to know where to send its own.
        if remote.role is not DtlsRole.PASSIVE or self._path.selected is not None:
            self._dtls.start(remote)

    def path_found(self) -> None:
        """The peer has been heard from its first address."""
        if self._remote is not None and self._remote.role is DtlsRole.PASSIVE:
            self._dtls.start(self._remote)

    def receive(self, datagram: bytes, now: float, address: RemoteAddress | None) -> None:
        """Take a datagram; `address` is where it came from, if that is the transport's."""
        if not self._budget.admits_data(len(datagram), now):
            self._counters["dtls_limited"] += 1
            return
        if address is not None:
            self._path.received(address, len(datagram))
        if not self._dtls.receive(datagram):
            self._counters["dtls_overflow"] += 1

    def send_record(self, record: bytes) -> bool:
        """Send a data channel record; False if the handshake is not done, or the record is refused."""
        return self._dtls.send(record)

    async def close(self) -> None:
        """Say close_notify and free everything: the SRTP sessions are invalid afterwards."""
        await self._dtls.close()
