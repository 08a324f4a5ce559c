"""The test: hop after hop, each told of as it is known."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import aiohttp
from aioice.ice import get_host_addresses
from yarl import URL

from relay.check.carriers import Opener, TcpOpener, TurnOpener, UdpOpener
from relay.check.descriptions import candidates
from relay.check.door import Credential, Entrance, HopFailed, Socket, enter, target_of, turn_url
from relay.check.loop import Loop
from relay.check.report import WAYS, Figures, Hop, Report, Result, State, Target

WAY_TIMEOUT: Final = 5.0
"""Seconds for a way to be answered: ICE has sent its check four times by then."""

Tell = Callable[[Hop, Result], None]
"""Is told of each hop as it is known."""

_TURN: Final = {Hop.TURN_UDP: ("turn", "udp"), Hop.TURN_TCP: ("turn", "tcp"), Hop.TURN_TLS: ("turns", "tcp")}


async def check(url: URL, credential: Credential, tell: Tell, *, verify: bool = True) -> Report:
    """Test every way to the relay at `url`. It ends by itself, within a minute, whatever answers there.

    Args:
        verify: whether the certificate must be good.
    """
    test = _Test(url, credential, tell, verify=verify)
    try:
        await test.run()
    except HopFailed as failed:
        test.fail(failed)
    for hop in Hop:
        if hop not in test.results:
            test.found(hop, Result(State.SKIPPED))
    return Report(str(url), test.results, test.figures)


class _Test:
    """
    Attributes:
        results: of the hops that have been tried.
        figures: of the call, once it was made.
    """

    def __init__(self, url: URL, credential: Credential, tell: Tell, *, verify: bool) -> None:
        self.results: dict[Hop, Result] = {}
        self.figures: Figures | None = None
        self._url = url
        self._credential = credential
        self._tell = tell
        self._tls = ssl.create_default_context()
        if not verify:
            self._tls.check_hostname = False
            self._tls.verify_mode = ssl.CERT_NONE
        self._hop = Hop.PAGE

    def found(self, hop: Hop, result: Result) -> None:
        self.results[hop] = result
        self._tell(hop, result)

    def fail(self, failed: HopFailed) -> None:
        """The test cannot go on."""
        hop = Hop.WEBSOCKET if failed.reason == "lost" else self._hop
        targets = (target_of(self._url),) if hop is Hop.PAGE else ()
        self.found(hop, Result(State.FAILED, targets, failed.reason, failed.detail))

    async def run(self) -> None:
        """
        Raises:
            HopFailed: the test cannot go on.
        """
        clock = asyncio.get_running_loop().time
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls), cookie_jar=aiohttp.DummyCookieJar()
        ) as http:
            begin = clock()
            entrance = await enter(http, self._url, self._credential)
            self.found(Hop.PAGE, Result(State.OK, (target_of(entrance.base),), seconds=_rounded(clock() - begin)))
            self._hop, begin = Hop.WEBSOCKET, clock()
            async with Socket.opened(http, entrance) as socket:
                seen = f"the relay sees you at {socket.address}" if socket.address else ""
                self.found(Hop.WEBSOCKET, Result(State.OK, detail=seen, seconds=_rounded(clock() - begin)))
                for way in WAYS:
                    self._hop = way
                    self.found(way, await self._try(way, socket, entrance))
                best = next((way for way in WAYS if self.results[way].state is State.OK), None)
                if best is not None:
                    self._hop = Hop.CALL
                    self.found(Hop.CALL, await self._call(best, socket, entrance))

    async def _try(self, way: Hop, socket: Socket, entrance: Entrance) -> Result:
        clock = asyncio.get_running_loop().time
        begin = clock()
        async with Loop.made(socket, partial(self._plan, way, entrance), _loopback()) as loop:
            if not loop.targets:
                return Result(State.OFF)
            if await _connected(loop):
                return Result(State.OK, (loop.reached,), seconds=_rounded(clock() - begin))
            return Result(State.FAILED, loop.targets, detail=loop.problem)

    async def _call(self, way: Hop, socket: Socket, entrance: Entrance) -> Result:
        async with Loop.made(socket, partial(self._plan, way, entrance), _loopback()) as loop:
            if await _connected(loop):
                self.figures = await loop.figures(way)
        return Result(State.OK if self.figures else State.FAILED)

    def _plan(self, way: Hop, entrance: Entrance, sdp: str) -> Sequence[tuple[Target, Opener]]:
        """The addresses to try, and how; none if the relay does not offer that."""
        udp = candidates(sdp, "udp")
        if way is Hop.UDP:
            return [(target, UdpOpener(target)) for target in udp]
        if way is Hop.TCP:
            return [(target, TcpOpener(target)) for target in candidates(sdp, "tcp")]
        scheme, transport = _TURN[way]
        found = turn_url(entrance.ice_servers, scheme, transport)
        if found is None or not udp:
            return []
        server, access = found
        tls = self._tls if scheme == "turns" else None
        return [(server, TurnOpener(server, udp[0], access.username, access.credential, transport, tls))]


async def _connected(loop: Loop) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WAY_TIMEOUT):
            return await loop.connected()
    return False


def _loopback() -> str:
    """An address that aiortc can send to from its own ones."""
    return "127.0.0.1" if get_host_addresses(use_ipv4=True, use_ipv6=False) else "::1"


def _rounded(seconds: float) -> float:
    return round(seconds, 2)
