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
