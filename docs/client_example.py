"""Answers every call to a profile, and prints once a second how loud the other party is: a transcription begins like this."""

import asyncio
import sys
from array import array
from math import log10, sqrt

from relay.client import ClientCall, connect


async def listen(call: ClientCall) -> None:
    await call.answer()
    samples = array("h")
    async for frame in call.audio:  # 16 bits, two channels, 20 ms
        samples.frombytes(bytes(frame.planes[0])[: frame.samples * 4])
        if len(samples) >= 2 * frame.sample_rate:
            level = sqrt(sum(one * one for one in samples[::100]) / len(samples[::100])) / 32768
            print(f"{call.other.key}: {20 * log10(level):.0f} dBFS" if level else f"{call.other.key}: silence", flush=True)
            del samples[:]
    print(f"{call.other.key}: the call is over: {call.reason}", flush=True)


async def main(url: str, profile: str, token: str = "") -> None:
    async with connect(url, profile, token=token) as client, asyncio.TaskGroup() as calls:
        async for call in client.incoming():
            calls.create_task(listen(call))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
