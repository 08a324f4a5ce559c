"""The test: hop by hop, with a callback for each result."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import aiohttp
from aioice.ice import get_host_addresses
from yarl import URL

from relay.check.client import HopFailed, ProbeSocket, RelayClient, target_of, turn_url
from relay.check.descriptions import candidates
from relay.check.loopback import LoopbackCall
from relay.check.report import PATHS, Hop, LoopbackFigures, ProbeState, Report, Result, Target
from relay.check.transports import Connector, TcpConnector, TurnConnector, UdpConnector
from relay.client.signin import ClientLogin, SignedIn

PATH_TIMEOUT: Final = 5.0
"""Seconds for a path to connect: ICE has sent its check four times by then."""

OnResult = Callable[[Hop, Result], None]
"""Called with each hop's result as soon as it is known."""

_TURN: Final = {Hop.TURN_UDP: ("turn", "udp"), Hop.TURN_TCP: ("turn", "tcp"), Hop.TURN_TLS: ("turns", "tcp")}


async def check(url: URL, credential: ClientLogin, on_result: OnResult, *, verify: bool = True) -> Report:
    """Test every path to the relay at `url`. Bounded in time, within a minute, whatever the server does.

    Args:
        verify: whether the TLS certificate must be valid.
    """
    test = _Test(url, credential, on_result, verify=verify)
    try:
        await test.run()
    except HopFailed as failed:
        test.fail(failed)
    for hop in Hop:
        if hop not in test.results:
            test.found(hop, Result(ProbeState.SKIPPED))
    return Report(str(url), test.results, test.figures)


class _Test:
    """
    Attributes:
        results: of the hops tried so far.
        figures: of the call; None until it was made.
    """

    def __init__(self, url: URL, credential: ClientLogin, on_result: OnResult, *, verify: bool) -> None:
        self.results: dict[Hop, Result] = {}
        self.figures: LoopbackFigures | None = None
        self._url = url
        self._credential = credential
        self._on_result = on_result
        self._tls = ssl.create_default_context()
        if not verify:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
        self._hop = Hop.PAGE

    def found(self, hop: Hop, result: Result) -> None:
        self.results[hop] = result
        self._on_result(hop, result)

    def fail(self, failed: HopFailed) -> None:
        """Record the failure that ends the test."""
        hop = Hop.WEBSOCKET if failed.reason == "lost" else self._hop
        targets = (target_of(self._url),) if hop is Hop.PAGE else ()
        self.found(hop, Result(ProbeState.FAILED, targets, failed.reason, failed.detail))

    async def run(self) -> None:
        """
        Raises:
            HopFailed: the test cannot go on.
        """
        clock = asyncio.get_running_loop().time
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls), cookie_jar=aiohttp.DummyCookieJar()
        ) as http:
            client = RelayClient(http)
            begin = clock()
            access = await client.sign_in(self._url, self._credential)
            self.found(Hop.PAGE, Result(ProbeState.OK, (target_of(access.base),), seconds=_rounded(clock() - begin)))
            self._hop, begin = Hop.WEBSOCKET, clock()
            async with client.connect(access) as socket:
                seen = f"the relay sees you at {socket.address}" if socket.address else ""
                self.found(Hop.WEBSOCKET, Result(ProbeState.OK, detail=seen, seconds=_rounded(clock() - begin)))
                for path in PATHS:
                    self._hop = path
                    self.found(path, await self._try(path, socket, access))
                best = next((path for path in PATHS if self.results[path].state is ProbeState.OK), None)
                if best is not None:
                    self._hop = Hop.CALL
                    self.found(Hop.CALL, await self._measure(best, socket, access))

    async def _try(self, path: Hop, socket: ProbeSocket, access: SignedIn) -> Result:
        clock = asyncio.get_running_loop().time
        begin = clock()
        async with LoopbackCall.begun(socket, partial(self._plan, path, access), _loopback()) as call:
            if not call.targets:
                return Result(ProbeState.OFF)
            if await _connected(call):
                return Result(ProbeState.OK, (call.reached,), seconds=_rounded(clock() - begin))
            return Result(ProbeState.FAILED, call.targets, detail=call.problem)

    async def _measure(self, path: Hop, socket: ProbeSocket, access: SignedIn) -> Result:
        async with LoopbackCall.begun(socket, partial(self._plan, path, access), _loopback()) as call:
            if await _connected(call):
                self.figures = await call.figures(path)
        return Result(ProbeState.OK if self.figures else ProbeState.FAILED)

    def _plan(self, path: Hop, access: SignedIn, sdp: str) -> Sequence[tuple[Target, Connector]]:
        """The addresses to try, each with its connector; empty if the relay does not offer the path."""
        udp = candidates(sdp, "udp")
        if path is Hop.UDP:
            return [(target, UdpConnector(target)) for target in udp]
        if path is Hop.TCP:
            return [(target, TcpConnector(target)) for target in candidates(sdp, "tcp")]
        scheme, transport = _TURN[path]
        found = turn_url(access.ice_servers, scheme, transport)
        if found is None or not udp:
            return []
        target, server = found
        tls = self._tls if scheme == "turns" else None
        return [(target, TurnConnector(target, udp[0], server.username, server.credential, transport, tls))]


async def _connected(call: LoopbackCall) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATH_TIMEOUT):
            return await call.connected()
    return False


def _loopback() -> str:
    """A loopback address of the family that aiortc binds: with an IPv6 one alone it cannot send to 127.0.0.1."""
    return "127.0.0.1" if get_host_addresses(use_ipv4=True, use_ipv6=False) else "::1"


def _rounded(seconds: float) -> float:
    return round(seconds, 2)
