"""coturn's client, and the peers that it asks for."""

import asyncio
import re
import shutil
from typing import Final

from relay.turn.messages import Address
from tests.kit.children import child
from tests.kit.turn import Echo

OVER: Final = {"udp": (), "tcp": ("-t",), "tls": ("-t", "-S")}


async def two_neighbours() -> tuple[Echo, Echo]:
    """On neighbouring ports: coturn's client asks for the one behind its peer's too, where it thinks RTCP is."""
    loop = asyncio.get_running_loop()
    for _ in range(20):
        transport, first = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        try:
            _, second = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", first.address[1] + 1))
        except (OSError, OverflowError):
            transport.close()
        else:
            return first, second
    raise AssertionError("no two neighbouring ports are free")


async def uclient(server: Address, peer: Address, way: str, *options: str, secret: str) -> str:
    """What it prints: it makes its user name of the time and `student_1`, and its password with the secret."""
    program = shutil.which("turnutils_uclient")
    assert program, "turnutils_uclient is missing: install coturn"
    login = "-u", "student_1", "-W", secret
    addresses = "-p", str(server[1]), "-e", peer[0], "-r", str(peer[1])
    command = (program, *OVER[way], "-c", *login, *addresses, *options, server[0])
    async with child(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    return output.decode(errors="replace")


def totals(output: str) -> tuple[int, int]:
    """Messages sent and received, as its last lines say."""
    found = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", output)
    assert found, output
    return int(found[-1][0]), int(found[-1][1])
