"""What the tests' cuttable path does to connections."""

import asyncio

from tests.kit.cuttable import HERE, CuttablePath


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def broken(reader: asyncio.StreamReader) -> bool:
    """Whether the connection ends without a byte."""
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


async def test_bytes_pass_until_the_path_is_cut_and_again_when_it_is_mended() -> None:
    async with await asyncio.start_server(echo, HERE, 0) as server, CuttablePath.to(server.sockets[0].getsockname()[1]) as path:
        reader, writer = await asyncio.open_connection(HERE, path.port)
        writer.write(b"one")
        assert await reader.readexactly(3) == b"one"

        path.cut()
        assert await broken(reader)
        writer.close()
        reader, writer = await asyncio.open_connection(HERE, path.port)
        assert await broken(reader)
        writer.close()

        path.mend()
        reader, writer = await asyncio.open_connection(HERE, path.port)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"
        writer.close()


async def test_a_frozen_path_holds_back_what_was_sent_until_it_thaws() -> None:
    async with await asyncio.start_server(echo, HERE, 0) as server, CuttablePath.to(server.sockets[0].getsockname()[1]) as path:
        reader, writer = await asyncio.open_connection(HERE, path.port)
        path.freeze()
        writer.write(b"one")
        waiting = asyncio.create_task(reader.readexactly(3))
        await asyncio.wait({waiting}, timeout=0.1)
        assert not waiting.done()
        path.thaw()
        assert await waiting == b"one"
        writer.close()


async def test_a_path_leads_to_the_first_server_that_takes_connections() -> None:
    async with await asyncio.start_server(echo, HERE, 0) as server, CuttablePath.to(1) as path:
        reader, writer = await asyncio.open_connection(HERE, path.port)
        assert await broken(reader)
        writer.close()
        path.lead_to(1, server.sockets[0].getsockname()[1])
        reader, writer = await asyncio.open_connection(HERE, path.port)
        writer.write(b"two")
        assert await reader.readexactly(3) == b"two"
        writer.close()
