"""aiortc's MediaRelay between the two parties of a call, as its documentation shows it; see `bench.subjects.lines`."""

import asyncio
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamTrack

from bench.subjects.lines import serve


async def _main() -> None:
    connections: list[RTCPeerConnection] = []
    relay = MediaRelay()

    async def call(offers: list[str]) -> list[str]:
        # Without ICE servers: else each description waits for one that cannot be reached from here.
        pair = [RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in offers]
        connections.extend(pair)
        for sender, receiver in (pair, pair[::-1]):

            @sender.on("track")
            def forward(track: MediaStreamTrack, receiver: RTCPeerConnection = receiver) -> None:
                receiver.addTrack(relay.subscribe(track))

        for connection, offer in zip(pair, offers, strict=True):
            await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        answers = []
        for connection in pair:
            await connection.setLocalDescription(await connection.createAnswer())
            answers.append(connection.localDescription.sdp)
        return answers

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        return {"answers": await call(request["offers"])} if request["do"] == "call" else {}

    try:
        await serve(handle)
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))


if __name__ == "__main__":
    asyncio.run(_main())
