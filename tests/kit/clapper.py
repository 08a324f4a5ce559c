"""A camera and a microphone on one clock, as a page has them, and what a browser plays of their recording.

The camera shows the counter of `relay.recording.verify.counter`, and the microphone hears a tone of another pitch in each second,
as those of `relay.recording.verify.reference` do. Seconds count from the moment at which the clapper was made, in whatever page.
"""

import base64
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from playwright.async_api import Page

from relay.recording.assembly.survey import survey
from relay.recording.records import read_capture
from relay.recording.verify import audio, counter, sync, video
from relay.recording.verify.reference import BEEP, tone

RATE: Final = 30
"""Numbers of the counter per second."""

SECONDS: Final = 120
"""That it lasts, at most."""

_NEAR: Final = 25
"""Looks at what the player shows, by which the time of a tone is known."""

_HELD: Final = """
// Give this page a camera and a microphone of its own.
(({ epoch, late, size, tones, beep, rate }) => {
  if (!window.MediaDevices) return; // an empty page has none
  const elapsed = () => Date.now() / 1000 - epoch;
  const audio = new AudioContext();
  const microphone = audio.createMediaStreamDestination();
  const [oscillator, level] = [audio.createOscillator(), audio.createGain()];
  microphone.channelCount = 1;
  level.gain.value = 0;
  oscillator.connect(level).connect(microphone);
  oscillator.start();
  let zero = null; // of the audio's clock, in seconds of the clapper
  const seconds = () => (zero === null ? elapsed() : zero + audio.currentTime);

  const canvas = Object.assign(document.createElement("canvas"), { width: size[0], height: size[1] });
  const context = canvas.getContext("2d");
  const side = canvas.width / 20;
  const draw = () => {
    const number = Math.floor(seconds() * rate);
    context.fillStyle = number % rate < beep * rate ? "#fff" : "#999";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = `hsl(${performance.now() / 20} 60% 40%)`; // something moves
    context.fillRect(0, canvas.height - 2 * side, canvas.width, 2 * side);
    context.fillStyle = "#000";
    context.fillRect(3.5 * side, 0.5 * side, 13 * side, 3 * side);
    const bits = number * 256 + (Math.imul(number, 0x9e3779b1) >>> 24);
    context.fillStyle = "#fff";
    for (let at = 0; at < 24; at++) {
      if ((bits >> (23 - at)) & 1) context.fillRect((4 + (at % 12)) * side, (1 + Math.floor(at / 12)) * side, side, side);
    }
    requestAnimationFrame(draw);
  };
  draw();
  const [camera] = canvas.captureStream(rate).getVideoTracks();
  const [sound] = microphone.stream.getAudioTracks();

  const start = async () => {
    await audio.resume();
    // Until its output has a steady pace: what it has let pass while it started, it catches up with.
    await new Promise((resolve) => setTimeout(resolve, 500));
    zero = elapsed() - audio.currentTime;
    for (let second = Math.ceil(seconds()); second < tones.length; second++) {
      oscillator.frequency.setValueAtTime(tones[second], second - zero);
      level.gain.setValueAtTime(0.5, second - zero);
      level.gain.setValueAtTime(0, second - zero + beep);
    }
  };
  const stopped = audio.suspend();
  if (!late) stopped.then(start);
  window.clapper = { start, seconds };
  MediaDevices.prototype.getUserMedia = async (wanted) => {
    const tracks = [wanted.audio && sound, wanted.video && camera].filter(Boolean);
    return new MediaStream(tracks.map((track) => track.clone()));
  };
})(GIVEN);
"""

_PLAYED: Final = """
async (url) => {
  const audio = new AudioContext({ sampleRate: 16000 });
  await audio.audioWorklet.addModule("/recorder.js");
  const video = Object.assign(document.createElement("video"), { src: url, preload: "auto" });
  document.body.append(video);
  await new Promise((resolve, reject) => {
    video.addEventListener("canplaythrough", resolve, { once: true });
    video.addEventListener("error", () => reject(new Error(video.error.message)), { once: true });
  });
  const options = { channelCount: 1, channelCountMode: "explicit" };
  const kept = new AudioWorkletNode(audio, "recorder", options);
  audio.createMediaElementSource(video).connect(kept).connect(audio.destination);
  const times = [];
  const noting = setInterval(() => !video.paused && times.push([audio.currentTime, video.currentTime]), 20);
  await video.play();
  await new Promise((resolve) => video.addEventListener("ended", resolve, { once: true }));
  clearInterval(noting);
  const { blocks, begins } = await new Promise((resolve) => {
    kept.port.onmessage = ({ data }) => resolve(data);
    kept.port.postMessage("all");
  });
  await audio.close();
  video.remove();
  const samples = Int16Array.from(blocks.flatMap((block) => [...block]), (value) => Math.max(-1, Math.min(1, value)) * 32767);
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return { samples: btoa(text), begins: begins / audio.sampleRate, times };
}
"""


@dataclass(frozen=True)
class Clapper:
    """What a page holds in front of its camera and its microphone."""

    epoch: float = field(default_factory=time.time)
    """When its seconds began: seconds since 1970."""
    late: bool = False
    """The microphone starts with `start`, and not with the page."""
    size: tuple[int, int] = (320, 180)
    """Of the camera's frames, 16:9."""

    async def held_by(self, page: Page) -> None:
        """From now on, also after the page was loaded anew."""
        tones = [tone(second) for second in range(SECONDS)]
        given = {"epoch": self.epoch, "late": self.late, "size": self.size, "tones": tones, "beep": BEEP, "rate": RATE}
        script = _HELD.replace("GIVEN", json.dumps(given))
        await page.add_init_script(script)
        await page.evaluate(script)

    async def start(self, page: Page) -> int:
        """Start the microphone; the first second that is heard."""
        await page.evaluate("clapper.start()")
        return await self.second(page) + 1

    async def second(self, page: Page) -> int:
        """The one that began last."""
        return int(await page.evaluate("Math.floor(clapper.seconds())"))

    async def passes(self, page: Page, seconds: int) -> int:
        """Wait until so many seconds have begun from now on, and the tone of the last one is over; that one."""
        until = await self.second(page) + seconds
        await page.wait_for_function("(until) => clapper.seconds() > until", arg=until + 3 * BEEP)
        return until

    def due(self, sidecar: Mapping[str, Any], seconds: int = SECONDS - 1) -> dict[int, float]:
        """When each second was, in the time of a recording."""
        return {second: self.epoch + second - float(sidecar["started_at"]) for second in range(seconds + 1)}


def seconds_seen(file: Path, due: Mapping[int, float]) -> dict[int, float]:
    """When each second of the clapper is in the video of a recording, near to when it was due."""
    with av.open(file) as container:
        shown = video.read_video(container, container.streams.video[0], False, lambda _: None)
    flashes = sync.flashes(counter.passes(shown.numbered), RATE)
    return {one.second: one.time for one in flashes if abs(due.get(one.second, math.inf) - one.time) < sync.NEAR}


def tones_in(file: Path) -> list[sync.Beep]:
    """The tones in the audio of a recording."""
    with av.open(file) as container:
        heard = audio.read_audio(container, container.streams.audio[0], True, lambda _: None)
    return sync.beeps(heard.samples, heard.start)


async def tones_played(page: Page, url: str) -> list[sync.Beep]:
    """Play a file in a page of the relay, from its beginning to its end: the tones, by the time that its player shows."""
    played: dict[str, Any] = await page.evaluate(_PLAYED, url)
    samples = np.frombuffer(base64.b64decode(played["samples"]), np.int16)
    clock = np.array(played["times"])

    def shown(time: float) -> float:
        near = clock[np.argsort(np.abs(clock[:, 0] - time))[:_NEAR]]
        return time + float(np.median(near[:, 1] - near[:, 0]))

    return [sync.Beep(shown(one.time), one.frequency) for one in sync.beeps(samples, played["begins"])]


def arrived_apart(capture: Path, party: str) -> float:
    """By how much more than its video the sound of a party came later than a recording has it: seconds.

    A recording goes by what a browser says of its clocks, as every receiver does. One that waits for a processor says that its
    camera or its microphone was tens of milliseconds earlier or later than it was.
    """
    later: dict[str, dict[str, float]] = {}
    for (transport, _), stream in survey(read_capture(capture)).streams.items():
        section = stream.sender.section
        if section.party == party and not section.ordinal and stream.packets:
            lines = [(one.points(), one.line) for one in stream.timing.segments if one.line is not None]
            delays = [arrival - line.at(media) for points, line in lines for media, arrival in points]
            later.setdefault(transport, {})[section.kind] = statistics.median(delays)
    return statistics.median(one["audio"] - one["video"] for one in later.values() if len(one) == 2)


def seconds_heard(tones: Sequence[sync.Beep], due: Mapping[int, float]) -> dict[int, float]:
    """When each second of the clapper is heard: by the nearest tone of its pitch."""
    found = {}
    for second, at in due.items():
        fitting = (one.time for one in tones if abs(one.frequency - tone(second)) < sync.TOLERANCE)
        nearest = min(fitting, key=lambda one: abs(one - at), default=at + sync.NEAR)
        if abs(nearest - at) < sync.NEAR:
            found[second] = nearest
    return found
