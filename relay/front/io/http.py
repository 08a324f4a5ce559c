"""HTTP connections, as far as the front has to do with them: how many there are, and of whom."""

import asyncio
from collections.abc import Callable


class HttpConnection(asyncio.Protocol):
    """Passes everything on to the protocol that serves it.

    Args:
        on_lost: called once, when it is over.
    """

    def __init__(self, served: asyncio.Protocol, on_lost: Callable[[], None]) -> None:
        self._served = served
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._served.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost()
        self._served.connection_lost(exc)
