"""A device of `relay.client` by protocol version 1, which sends a colour and a tone, and sees and hears those of the other.

async with Peer.connected(relay.url, "student_456", colour=RED, tone=440) as caller:
    await caller.call("tutor_789", 123, "video", codecs=("VP8", "opus"))
    await caller.accept_answer()
    await eventually(lambda: caller.sees(BLUE), "the caller sees the callee")
"""

import array
import asyncio
import contextlib
import fractions
import math
from collections.abc import Collection
from typing import Any, NamedTuple

import aiohttp
from aiortc import MediaStreamError, MediaStreamTrack, RTCBundlePolicy, RTCConfiguration, VideoStreamTrack
from av import AudioFrame, VideoFrame

from relay.client.messages import answer
from relay.client.peer import MediaEnd
from relay.ids import Profile
from tests.kit.caller import Caller, Message

SAMPLE_RATE = 48_000
"""Hz, of the tones that are sent."""
SAMPLES_PER_FRAME = SAMPLE_RATE // 50  # 20 ms
AMPLITUDE = 12_000
"""Of 32,767: loud, far from clipping."""


class Colour(NamedTuple):
    """In YUV, as codecs keep it."""

    y: int
    u: int
    v: int

    def is_like(self, other: "Colour") -> bool:
        """Equal, as far as a lossy codec keeps it."""
        return all(abs(mine - its) <= 10 for mine, its in zip(self, other, strict=True))


RED = Colour(81, 90, 240)
GREEN = Colour(145, 54, 34)
BLUE = Colour(41, 240, 110)


class Frame(NamedTuple):
    """The latest frame that was decoded."""

    width: int
    height: int
    colour: Colour


class ColourTrack(VideoStreamTrack):
    """30 frames per second of one colour."""

    def __init__(self, colour: Colour, size: tuple[int, int]) -> None:
        super().__init__()
        self._colour, self._size = colour, size

    async def recv(self) -> VideoFrame:
        frame = VideoFrame(*self._size, "yuv420p")
        for plane, value in zip(frame.planes, self._colour, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = await self.next_timestamp()
        return frame


class ToneTrack(MediaStreamTrack):
    """A sine, mono, in frames of 20 ms."""

    kind = "audio"

    def __init__(self, hertz: float) -> None:
        super().__init__()
        self._hertz = hertz
        self._sent = 0
        self._start: float | None = None

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        if self._start is None:
            self._start = loop.time()
        await asyncio.sleep(self._start + self._sent / SAMPLE_RATE - loop.time())
        radians = 2 * math.pi * self._hertz / SAMPLE_RATE
        times = range(self._sent, self._sent + SAMPLES_PER_FRAME)
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES_PER_FRAME)
        frame.planes[0].update(array.array("h", (int(AMPLITUDE * math.sin(radians * time)) for time in times)).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._sent, fractions.Fraction(1, SAMPLE_RATE)
        self._sent += SAMPLES_PER_FRAME
        return frame


class Ear:
    """Consumes decoded audio."""

    WINDOW = 0.25
    """Seconds of the latest audio that are kept: two tones are distinguished if they differ by 1 / WINDOW = 4 Hz."""

    def __init__(self) -> None:
        self._samples = array.array("h")
        self._rate = 0

    def hear(self, frame: AudioFrame) -> None:
        samples = array.array("h", bytes(frame.planes[0])[: frame.samples * frame.layout.nb_channels * 2])
        self._rate = frame.sample_rate
        self._samples = (self._samples + samples[:: frame.layout.nb_channels])[-int(self.WINDOW * self._rate) :]

    def hears(self, hertz: float) -> bool:
        """Whether most of the energy of the latest audio is at that frequency (one bin of a Fourier transform)."""
        count = len(self._samples)
        if not count or count < int(self.WINDOW * self._rate):
            return False
        energy = sum(sample * sample for sample in self._samples) / count
        step = 2 * math.pi * hertz / self._rate
        real = sum(sample * math.cos(step * time) for time, sample in enumerate(self._samples))
        imaginary = sum(sample * math.sin(step * time) for time, sample in enumerate(self._samples))
        tone = 2 * (real**2 + imaginary**2) / count**2
        return energy > (AMPLITUDE / 10) ** 2 and tone > energy / 2


class Peer(Caller):
    """One device of a profile, and its end of a call.

    Attributes:
        connection: aiortc's.
        frame: the latest frame that was decoded.
        frames: how many frames were decoded.
    """

    def __init__(
        self,
        profile: Profile,
        socket: aiohttp.ClientWebSocketResponse,
        colour: Colour = RED,
        size: tuple[int, int] = (320, 240),
        tone: float = 440.0,
    ) -> None:
        super().__init__(profile, socket)
        # Each kind has a transport of its own until the answer bundles them, as in the offer of a browser.
        self._end = MediaEnd(bundle=RTCBundlePolicy.BALANCED, on_track=self._take_in)
        self.connection = self._end.connection
        self.frame: Frame | None = None
        self.frames = 0
        self._sends = {"video": ColourTrack(colour, size), "audio": ToneTrack(tone)}
        self._ear = Ear()

    async def replace_connection(self, configuration: RTCConfiguration) -> None:
        """Have another peer connection for the call to come."""
        await self._end.aclose()
        self._end = MediaEnd(configuration=configuration, on_track=self._take_in)
        self.connection = self._end.connection

    async def close(self) -> None:
        """Leave: end the media, the connection and everything that waits for them."""
        await self._end.aclose()
        await super().close()

    # -- calls --------------------------------------------------------------------------------------------------------

    async def call(
        self, key: str, conversation_id: int, call_type: str = "video", codecs: Collection[str] = ("VP8", "opus")
    ) -> None:
        """Invite `key`, offering only the given codecs."""
        await self.prepare_offer(call_type, codecs)
        await self.invite(key, conversation_id, call_type, self.description)

    async def prepare_offer(self, call_type: str, codecs: Collection[str]) -> None:
        """Make the offer, without sending it."""
        await self._end.offer({kind: self._sends[kind] for kind in kinds_of(call_type)}, codecs)

    async def accept_answer(self) -> Message:
        """Wait for the answer and connect."""
        message = await self.expect("call_answer")
        await self._end.accept(message["answer"])
        return message

    async def answer(self, invitation: Message) -> None:
        """Accept."""
        await self.prepare_answer(invitation)
        await self.send_message(answer(self.description, **self.abilities))

    async def prepare_answer(self, invitation: Message) -> None:
        """Make the answer, without sending it."""
        await self._end.answer(invitation["offer"], self._sends)

    @property
    def description(self) -> dict[str, str]:
        """The local description, as messages carry it."""
        return self._end.description

    # -- media --------------------------------------------------------------------------------------------------------

    def sees(self, colour: Colour, size: tuple[int, int]) -> bool:
        """Whether the latest frame has that colour and size."""
        return self.frame is not None and self.frame[:2] == size and self.frame.colour.is_like(colour)

    def hears(self, hertz: float) -> bool:
        """Whether the latest audio is that tone."""
        return self._ear.hears(hertz)

    def forget_what_was_heard(self) -> None:
        """Drop the audio so far: only new audio counts."""
        self._ear = Ear()

    def _take_in(self, track: MediaStreamTrack) -> None:
        self._tasks.add(asyncio.create_task(self._watch(track) if track.kind == "video" else self._listen(track)))

    async def _watch(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, VideoFrame)
                self.frames += 1
                self.frame = Frame(frame.width, frame.height, colour_of(frame))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                self._ear.hear(frame)


def kinds_of(call_type: str) -> tuple[str, ...]:
    """The kinds of media of a call."""
    return ("audio", "video") if call_type == "video" else ("audio",)


def colour_of(frame: VideoFrame) -> Colour:
    """The mean of the middle row of each plane."""

    def middle(plane: Any) -> int:
        start = plane.height // 2 * plane.line_size
        row = bytes(plane)[start : start + plane.width]
        return sum(row) // len(row)

    return Colour(*(middle(plane) for plane in frame.reformat(format="yuv420p").planes))
