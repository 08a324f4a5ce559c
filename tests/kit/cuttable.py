"""A way to a TCP server that can be cut, and mended: for connections that break while everything else goes on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Self

HERE = "127.0.0.1"


class CuttablePath:
    """Takes connections on a port of its own, and passes bytes on to a server of this machine."""

    def __init__(self, port: int) -> None:
        self._ports: tuple[int, ...] = (port,)
        self._connections: set[asyncio.StreamWriter] = set()
        self._passing: set[asyncio.Task[None]] = set()
        self._whole = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        """Where it listens."""

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator[Self]:
        path = cls(port)
        server = await asyncio.start_server(path._take, HERE, 0)
        path.port = server.sockets[0].getsockname()[1]
        try:
            yield path
        finally:
            server.close()
            path.cut()
            path.thaw()
            await asyncio.gather(*path._passing, return_exceptions=True)

    def cut(self) -> None:
        """Every connection breaks, and new ones do at once."""
        self._whole = False
        for writer in self._connections:
            writer.transport.abort()

    def mend(self) -> None:
        """New connections get through."""
        self._whole = True

    def freeze(self) -> None:
        """Nothing gets through, as if the network dropped all packets: connections stay open, and no end is told."""
        self._flowing.clear()

    def thaw(self) -> None:
        """What was under way arrives."""
        self._flowing.set()

    def lead_to(self, *ports: int) -> None:
        """New connections get to another server, the first of these that takes them, as by a load balancer."""
        self._ports = ports

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        there = await self._open()
        if there is None:
            writer.transport.abort()
            return
        there_reader, there_writer = there
        both = {writer, there_writer}
        self._connections |= both
        tasks = [asyncio.create_task(self._pass(reader, there_writer)), asyncio.create_task(self._pass(there_reader, writer))]
        self._passing.update(tasks)
        await asyncio.gather(*tasks)
        self._passing.difference_update(tasks)
        self._connections -= both

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        for port in self._ports:
            with contextlib.suppress(ConnectionError):
                return await asyncio.open_connection(HERE, port)
        return None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either side is gone."""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
