"""Write down what the WebRTC implementations of the test suite offer and answer today, as files for the corpus.

A description shows the addresses of the machine, so it runs in a network namespace that has one for documentation only. As root:

    ip netns add capture
    ip -netns capture link add eth0 type veth peer name eth1
    ip -netns capture addr add 203.0.113.77/24 dev eth0
    for interface in lo eth0 eth1; do ip -netns capture link set $interface up; done
    ip netns exec capture .venv/bin/python -m tests.sdp.capture FOLDER
    ip netns delete capture
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, cast

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack

from tests.foreign.client import CLIENTS, PROGRAMS
from tests.foreign.media import write_media
from tests.kit.browsers import chromium
from tests.kit.children import child
from tests.lab.firefox import Firefox
from tests.lab.namespaces import Namespace

IN_A_PAGE: Final = """
async () => {
  const found = {};
  // Tracks of a canvas and of an oscillator look in a description like those of a screen, a camera and a microphone.
  const canvas = () => Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
  const video = () => { const one = canvas(); one.getContext("2d").fillRect(0, 0, 9, 9); return one.captureStream(5); };
  const audio = () => new AudioContext().createMediaStreamDestination().stream;
  const described = async (connection) => {
    await connection.setLocalDescription();
    if (connection.iceGatheringState !== "complete") {
      await new Promise((done) => {
        connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && done();
        setTimeout(done, 5000);
      });
    }
    return connection.localDescription.sdp;
  };
  const exchange = async (name, offerer, answerer) => {
    found[`${name}_offer`] = await described(offerer);
    await answerer.setRemoteDescription({ type: "offer", sdp: found[`${name}_offer`] });
    found[`${name}_answer`] = await described(answerer);
    await offerer.setRemoteDescription({ type: "answer", sdp: found[`${name}_answer`] });
  };
  const add = (connection, stream) => stream.getTracks().forEach((track) => connection.addTrack(track, stream));

  let [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()];
  for (const one of [a, b]) add(one, audio());
  await exchange("voice", a, b);

  [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()];
  for (const one of [a, b]) { add(one, audio()); add(one, video()); }
  a.createDataChannel("chat");
  await exchange("call", a, b);
  // The screen is shared in mid-call, and the camera switched off.
  add(a, video());
  a.getTransceivers()[1].direction = "recvonly";
  await exchange("screen", a, b);

  const layers = [{ rid: "q", scaleResolutionDownBy: 4 }, { rid: "h", scaleResolutionDownBy: 2, active: false }, { rid: "f" }];
  a = new RTCPeerConnection();
  a.addTransceiver(video().getTracks()[0], { direction: "sendonly", sendEncodings: layers });
  found.simulcast_offer = await described(a);
  return found;
}
"""


class _Here(Namespace):
    """This machine."""

    def command(self, *arguments: str) -> list[str]:
        return list(arguments)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        yield


async def of_chromium() -> dict[str, str]:
    async with chromium() as browser:
        page = await browser.new_page()
        return cast(dict[str, str], await page.evaluate(IN_A_PAGE))


async def of_firefox() -> dict[str, str]:
    async with Firefox.started(_Here("here")) as firefox:
        return cast(dict[str, str], await firefox.evaluate(IN_A_PAGE))


async def of_aiortc() -> dict[str, str]:
    offerer, answerer = RTCPeerConnection(), RTCPeerConnection()
    for one in (offerer, answerer):
        one.addTrack(AudioStreamTrack())
        one.addTrack(VideoStreamTrack())
    offerer.createDataChannel("chat")
    await offerer.setLocalDescription(await offerer.createOffer())
    offer = offerer.localDescription.sdp
    await answerer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
    await answerer.setLocalDescription(await answerer.createAnswer())
    answer = answerer.localDescription.sdp
    for one in (offerer, answerer):
        await one.close()
    return {"offer": offer, "answer": answer}


def of_client(program: str, offer: str) -> Callable[[], Awaitable[dict[str, str]]]:
    """What one of `tests.foreign` offers, and what it answers to a browser's offer."""

    async def ask(media: Path, **command: Any) -> str:
        interpreter, file = PROGRAMS[program]
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        async with child(interpreter, CLIENTS / file, **pipes, env={**os.environ, "MEDIA": str(media)}) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(command).encode() + b"\n")
            return cast(str, json.loads(await process.stdout.readline())["sdp"])

    async def both() -> dict[str, str]:
        with tempfile.TemporaryDirectory() as folder:
            media = Path(folder) / "media.json"
            write_media(media)
            offered = await ask(media, do="offer")
            return {"offer": offered, "answer": await ask(media, do="answer", offer={"type": "offer", "sdp": offer})}

    return both


async def main(folder: Path) -> None:
    async def note(name: str, found: Awaitable[dict[str, str]]) -> dict[str, str]:
        texts = await found
        for kind, text in texts.items():
            (folder / f"{name}_{kind}.sdp").write_bytes(text.encode())
        return texts

    offer = (await note("chromium", of_chromium()))["call_offer"]
    await note("firefox", of_firefox())
    await note("aiortc", of_aiortc())
    for program, name in (("libwebrtc in Node", "wrtc"), ("werift", "werift"), ("libdatachannel", "libdatachannel")):
        await note(name, of_client(program, offer)())
    await note("gstreamer", of_client("GStreamer", offer)())


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1])))
