"""haproxy before the nodes. It is in every distribution, follows /readyz, and passes WebSockets on.

Each WebSocket goes to the next node in turn, so two windows of a browser are at different nodes.
"""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Final

from deploy.cluster.process import Show, running

ADDRESS: Final = "127.0.0.2"
"""Where its connections to the nodes come from."""

_SETTINGS: Final = """\
defaults
    mode http
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    # Longer than the relay leaves a WebSocket without a ping.
    timeout tunnel 75s
    retries 3
    option redispatch
    balance roundrobin
    # An address of its own, which nodes trust: browsers of this machine come from 127.0.0.1.
    source {source}
    # A node that drains, or has lost its lease, answers 503 and gets no new connections; those that it has stay.
    option httpchk GET /readyz
    default-server check inter 500ms fall 1 rise 1 send-proxy-v2 check-send-proxy

frontend relay
{binds}
    acl websocket req.hdr(Upgrade) -i websocket
    # Where none is ready, Redis or the database is away.
    use_backend living if {{ nbsrv(pages) eq 0 }}
    use_backend sockets if websocket
    default_backend pages

# The same nodes again, because each backend counts its own turns.
backend sockets
{servers}

backend pages
{servers}

backend living
    option httpchk GET /healthz
{servers}
"""


def settings(port: int, nodes: Mapping[str, int], hosts: Iterable[str]) -> str:
    """haproxy's configuration.

    Args:
        nodes: the TCP port of each node on 127.0.0.1, by its name.
        hosts: addresses to listen on.
    """
    return _SETTINGS.format(
        source=ADDRESS,
        binds="\n".join(f"    bind [{host}]:{port}" if ":" in host else f"    bind {host}:{port}" for host in hosts),
        servers="\n".join(f"    server {name} 127.0.0.1:{at}" for name, at in nodes.items()),
    )


def loopbacks() -> list[str]:
    """127.0.0.1, and ::1 where this machine has it: browsers take either for `localhost`."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return ["127.0.0.1", "::1"]
    except OSError:
        return ["127.0.0.1"]


@contextlib.asynccontextmanager
async def balancer(
    folder: Path, programs: Mapping[str, str], show: Show, port: int, nodes: Mapping[str, int]
) -> AsyncIterator[str]:
    """The URL of a balancer before the nodes."""
    file = folder / "haproxy.cfg"
    file.write_text(settings(port, nodes, loopbacks()))
    async with running("haproxy", [programs["haproxy"], "-db", "-f", str(file)], show) as program:

        async def ready() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return True
            return False

        await program.ready(ready)
        yield f"http://localhost:{port}"
