"""The relay's media engine as a process of its own, as a worker runs it; see `bench.subjects.lines`."""

import asyncio
import os
import subprocess
from typing import Any
from uuid import uuid4

import uvloop

from bench.namespace import ADDRESS
from bench.subjects.lines import serve
from relay.interpreter import spare_the_collector
from relay.media.api import CaptureOrder, DtlsRole, Fingerprint, TransportParameters
from relay.media.engine import LocalEngine


async def _main() -> None:
    engine = LocalEngine(lambda event: None, hosts=(ADDRESS,), port=0)

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        match request["do"]:
            case "start":
                await engine.start()
                spare_the_collector()
            case "open":
                return _described(await engine.open_transport(request["router"], request["transport"]))
            case "connect":
                await engine.connect_transport(request["transport"], _parameters(request), ())
            case "route":
                await engine.route(request["router"], (request["first"], request["second"]))
            case "record":
                first, second = request["first"], request["second"]
                order = CaptureOrder(uuid4().hex, request["directory"], "bench", "always", {first: "A", second: "B"})
                await engine.start_capture(request["router"], order)
            case "block":
                _block_disk(engine, request["after"], request["seconds"])
            case "counters":
                return dict(await engine.counters())
        return {}

    try:
        await serve(handle)
    finally:
        await engine.close()


def _block_disk(engine: LocalEngine, after: float, seconds: float) -> None:
    """Have the disk of the recordings take nothing for some time: their files become a pipe, which is read only afterwards."""
    out, end = os.pipe()
    subprocess.Popen(["sh", "-c", f"sleep {after + seconds}; exec cat > /dev/null"], stdin=out, close_fds=True)
    os.close(out)

    def begin() -> None:
        for capture in engine._captures._running.values():
            os.dup2(end, capture.file.descriptor, inheritable=False)
        os.close(end)

    asyncio.get_running_loop().call_later(after, begin)


def _described(local: TransportParameters) -> dict[str, Any]:
    fingerprint = next(one.value for one in local.fingerprints if one.algorithm == "sha-256")
    address = [local.candidates[0].address, local.candidates[0].port]
    return {"ufrag": local.ufrag, "pwd": local.pwd, "fingerprint": fingerprint, "address": address}


def _parameters(request: dict[str, Any]) -> TransportParameters:
    fingerprint = Fingerprint("sha-256", request["fingerprint"])
    return TransportParameters(request["ufrag"], request["pwd"], (fingerprint,), DtlsRole.ACTIVE)


if __name__ == "__main__":
    uvloop.run(_main())
