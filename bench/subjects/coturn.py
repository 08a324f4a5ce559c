"""coturn: forwards without any cryptography, so it shows what the kernel's share of the work costs.

A call is one allocation: the caller talks to the server in ChannelData messages, the callee in plain UDP.
"""

import asyncio
import shutil
import socket
from collections.abc import Sequence
from typing import Any, Final

from aioice import stun

from bench.legs import Flow, Leg, udp_socket
from bench.namespace import ADDRESS
from bench.subjects.program import Program

_UDP: Final = 17 << 24
"""REQUESTED-TRANSPORT (RFC 8656, section 18.7): the protocol number in the top byte."""
_FIRST_CHANNEL: Final = 0x4000
_RESPONSE_TIMEOUT: Final = 1.0
_START_TRIES: Final = 50
_START_INTERVAL: Final = 0.1


class Coturn(Program):
    """Debian's turnserver, UDP only, without authentication (ChannelData carries none in any case)."""

    name = "coturn"
    transports_per_call = 2
    any_payload = True
    description = "coturn TURN relay, ChannelData to UDP and back, no cryptography"

    def __init__(self) -> None:
        super().__init__("turnserver")
        self._sockets: list[socket.socket] = []
        self._server = (ADDRESS, 0)

    @staticmethod
    def missing() -> str | None:
        """Why it cannot run here, or None."""
        return None if shutil.which("turnserver") else "turnserver is not installed"

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        directory = self._directory
        self._server = (ADDRESS, _free_port())
        options = f"""
            listening-ip={ADDRESS}
            relay-ip={ADDRESS}
            listening-port={self._server[1]}
            relay-threads=1
            no-auth
            allow-loopback-peers
            no-cli
            no-tcp
            no-tls
            no-dtls
            no-tcp-relay
            no-rfc5780
            log-file={directory}/turn.log
            simple-log
            pidfile={directory}/turn.pid
            userdb={directory}/turn.db
            realm=bench
        """
        config = directory / "turn.conf"
        config.write_text("\n".join(line.strip() for line in options.splitlines()))
        self._launch("turnserver", "-c", str(config))
        for _ in range(_START_TRIES):
            with udp_socket() as probe:
                probe.connect(self._server)
                try:
                    await _request(probe, stun.Method.BINDING, {})
                except (TimeoutError, ConnectionError):
                    await asyncio.sleep(_START_INTERVAL)
                else:
                    return
        raise self._not_started()

    async def connect(self, transports: int) -> Sequence[Flow]:
        """Make an allocation, with a channel to a plain socket, for each two transports."""
        flows: list[Flow] = []
        for call in range(transports // 2):
            near, far = udp_socket(), udp_socket()
            self._sockets += [near, far]
            near.connect(self._server)
            allocated = await _request(near, stun.Method.ALLOCATE, {"REQUESTED-TRANSPORT": _UDP})
            await _request(
                near,
                stun.Method.CHANNEL_BIND,
                {"CHANNEL-NUMBER": _FIRST_CHANNEL, "XOR-PEER-ADDRESS": far.getsockname()},
            )
            far.connect(allocated.attributes["XOR-RELAYED-ADDRESS"])
            caller, callee = Leg(near, channel=_FIRST_CHANNEL), Leg(far)
            flows += [Flow(caller, callee, 2 * call + 1), Flow(callee, caller, 2 * call + 2)]
        return flows

    async def hold(self, seconds: float) -> None:
        """Wait: allocations live for ten minutes without traffic."""
        await asyncio.sleep(seconds)

    async def stop(self) -> None:
        """End the server and free the sockets."""
        await super().stop()
        for sock in self._sockets:
            sock.close()


def _free_port() -> int:
    with udp_socket() as sock:
        port: int = sock.getsockname()[1]
        return port


async def _request(sock: socket.socket, method: stun.Method, attributes: dict[str, Any]) -> stun.Message:
    """One STUN transaction. Raises `TimeoutError` without an answer, `RuntimeError` on an error response."""
    request = stun.Message(method, stun.Class.REQUEST, attributes=attributes)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, bytes(request))
    while True:
        data = await asyncio.wait_for(loop.sock_recv(sock, 2048), _RESPONSE_TIMEOUT)
        response = stun.parse_message(data)
        if response.transaction_id == request.transaction_id:
            if response.message_class is not stun.Class.RESPONSE:
                raise RuntimeError(f"turnserver refused {method.name}: {response.attributes.get('ERROR-CODE')}")
            return response
