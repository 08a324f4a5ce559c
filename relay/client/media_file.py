"""A media file as packets, sent without being encoded during the call, audio and video on one clock.

What a codec of the call can carry as it is, is sent as it is; everything else is encoded once, before.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from aiortc import MediaStreamError, MediaStreamTrack
from av.bitstream import BitStreamFilterContext
from av.video.frame import PictureType

from relay.client.errors import UnusableMedia
from relay.client.tracks import MediaClock

MAX_OCTETS: Final = 512 * 1024 * 1024
"""Of a file's packets, which are in memory."""

KEY_FRAME_DISTANCE: Final = 2.0
"""Seconds. Packets that are sent as they are answer no request for a key frame, so a receiver that misses one waits for the next.
To go on with the next key frame at once would put video before audio, which goes on."""

MAX_KEY_FRAME_DISTANCE: Final = KEY_FRAME_DISTANCE + 0.05
"""Seconds, of video that is sent as it is: a frame more, as timestamps are rounded."""

VIDEO_BIT_RATE: Final = 1_200_000
"""bit/s of video that is encoded here; audio has 64,000."""

MAX_WIDTH: Final = 1280

VIDEO_CODECS: Final = ("VP8", "H264")
"""Those that aiortc can send, preferred first."""

_OF_FILE: Final = {"vp8": "VP8", "h264": "H264", "opus": "opus"}
_ENCODERS: Final = {"VP8": "libvpx", "H264": "libx264"}
_OPTIONS: Final = {
    "VP8": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"},
    "H264": {
        "preset": "veryfast",
        "x264-params": "bframes=0:rc-lookahead=0:sync-lookahead=0",
        "profile": "baseline",
        "forced-idr": "1",
    },
}
_AUDIO_BASE: Final = Fraction(1, 48_000)
_VIDEO_BASE: Final = Fraction(1, 90_000)

Progress = Callable[[float], None]
"""Called with the part of the file that is read or encoded, 0 to 1."""


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """A frame of video, or a packet of audio."""

    pts: int
    """In units of the track's time base."""
    data: bytes
    key: bool


@dataclass(frozen=True, slots=True)
class EncodedTrack:
    kind: str
    codec: str
    """`opus`, `VP8` or `H264`."""
    time_base: Fraction
    packets: Sequence[EncodedPacket]
    encoded: bool = False
    """It was encoded here, and not taken from the file as it was."""

    @property
    def duration(self) -> float:
        """Seconds, the last packet's included."""
        if len(self.packets) < 2:
            return 0.02
        first, last = self.packets[0].pts, self.packets[-1].pts
        return float((last + (last - first) / (len(self.packets) - 1)) * self.time_base)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that was loaded. Any number of calls may send it at the same time.

    Attributes:
        duration: seconds of the longer of its tracks.
    """

    path: str
    audio: EncodedTrack | None
    video: EncodedTrack | None

    @classmethod
    async def load(cls, path: str | Path, *, video_codec: str | None = None, progress: Progress | None = None) -> "MediaFile":
        """Read a file, and encode what cannot be sent as it is; in a thread.

        Args:
            video_codec: `VP8` or `H264`; None: the file's, if it can be sent.

        Raises:
            UnusableMedia: it has no audio or video that can be read, or too much of it.
        """
        return await asyncio.to_thread(cls.read, path, video_codec=video_codec, progress=progress)

    @classmethod
    def read(cls, path: str | Path, *, video_codec: str | None = None, progress: Progress | None = None) -> "MediaFile":
        """As `load`, but blocking."""
        try:
            tracks = {kind: _read(str(path), kind, video_codec, progress or (lambda _: None)) for kind in ("audio", "video")}
        except (OSError, av.FFmpegError, ValueError) as error:
            raise UnusableMedia(f"{path} cannot be sent: {error}") from error
        if tracks["audio"] is None and tracks["video"] is None:
            raise UnusableMedia(f"{path} has neither audio nor video")
        return cls(str(path), tracks["audio"], tracks["video"])

    @property
    def duration(self) -> float:
        return max(track.duration for track in (self.audio, self.video) if track is not None)

    @property
    def codecs(self) -> tuple[str, ...]:
        """Those that a call must have, or this cannot be sent."""
        return tuple(track.codec for track in (self.video, self.audio) if track is not None)

    async def as_codec(self, codec: str) -> "MediaFile":
        """The same with its video in another codec, `VP8` or `H264`; in a thread.

        Raises:
            UnusableMedia: it cannot be encoded.
        """
        if self.video is None or self.video.codec == codec:
            return self
        return MediaFile(self.path, self.audio, await asyncio.to_thread(transcoded, self.video, codec))

    def play(self, *, loop: bool = True) -> "Playback":
        """Tracks for one call. `loop`: begin again at the end; else the tracks end."""
        return Playback(self, loop=loop)


class Playback:
    """A file being sent in one call.

    Attributes:
        tracks: by kind.
    """

    def __init__(self, file: MediaFile, *, loop: bool) -> None:
        clock = MediaClock()
        period = file.duration if loop else None
        self.tracks: dict[str, MediaStreamTrack] = {
            track.kind: PacketTrack(track, clock, period) for track in (file.audio, file.video) if track is not None
        }
        self._file = file
        self._loop = loop
        self._clock = clock

    @property
    def codecs(self) -> tuple[str, ...]:
        return self._file.codecs

    def again(self) -> "Playback":
        """The file from its begin, for another peer connection."""
        return Playback(self._file, loop=self._loop)

    async def finished(self) -> None:
        """Wait until the file has been sent once."""
        await self._clock.reach(self._file.duration)


class PacketTrack(MediaStreamTrack):
    """Packets that are sent as they are: aiortc takes an `av.Packet` for something that is encoded already.

    Args:
        period: seconds after which it begins again; None: it ends.
    """

    def __init__(self, track: EncodedTrack, clock: MediaClock, period: float | None) -> None:
        super().__init__()
        self.kind = track.kind
        self._track = track
        self._clock = clock
        self._period = None if period is None else round(period / track.time_base)
        self._next = 0

    async def recv(self) -> "av.Packet[Any]":
        """Called by aiortc."""
        packets = self._track.packets
        turn, at = divmod(self._next, len(packets))
        if (turn and self._period is None) or self.readyState != "live":
            self.stop()
            raise MediaStreamError
        self._next += 1
        one = packets[at]
        pts = one.pts + turn * (self._period or 0)
        await self._clock.reach(float(pts * self._track.time_base))
        packet = av.Packet(one.data)
        packet.pts = packet.dts = pts
        packet.time_base = self._track.time_base
        return packet


# -- reading ----------------------------------------------------------------------------------------------------------


def _read(path: str, kind: str, video_codec: str | None, progress: Progress) -> EncodedTrack | None:
    with av.open(path) as container:
        streams = container.streams.audio if kind == "audio" else container.streams.video
        if not streams:
            return None
        stream = streams[0]
        name = _OF_FILE.get(stream.codec_context.name, "")
        if name and (kind == "audio" or video_codec in {None, name}) and (found := _as_it_is(container, stream, name)):
            return found
    with av.open(path) as container:
        if kind == "audio":
            return _encoded_audio(container, progress)
        return _encoded_video(container, video_codec or VIDEO_CODECS[0], progress)


def _as_it_is(container: Any, stream: Any, codec: str) -> EncodedTrack | None:
    """The packets of the file; None if they cannot be sent so."""
    annex_b = codec == "H264" and stream.codec_context.extradata[:1] == b"\x01"
    if codec == "H264" and "Baseline" not in str(stream.codec_context.profile):
        return None
    unwrap = BitStreamFilterContext("h264_mp4toannexb", stream) if annex_b else None
    base = _AUDIO_BASE if stream.type == "audio" else _VIDEO_BASE
    found: list[EncodedPacket] = []
    octets, zero = 0, _start(container)
    for raw in container.demux(stream):
        if raw.size == 0 or raw.pts is None:
            continue
        if raw.dts is not None and raw.dts != raw.pts and codec == "H264":
            return None  # It has B frames, which browsers do not take from RTP.
        time_base = float(raw.time_base)
        for packet in unwrap.filter(raw) if unwrap else (raw,):
            pts = round((float(packet.pts or 0) * time_base - zero) / base)
            found.append(EncodedPacket(max(0, pts), bytes(packet), packet.is_keyframe))
            octets += packet.size
            if octets > MAX_OCTETS:
                raise ValueError(f"it has more than {MAX_OCTETS // 2**20} MiB")
    track = EncodedTrack(stream.type, codec, base, found)
    if not found or (stream.type == "video" and _longest_wait(track) > MAX_KEY_FRAME_DISTANCE):
        return None
    return track


def _longest_wait(track: EncodedTrack) -> float:
    """The most seconds from one key frame to the next, or to the end, after which the track begins again with its first one."""
    keys = [one.pts for one in track.packets if one.key]
    if not keys or not track.packets[0].key:
        return float("inf")
    ends = [*keys[1:], round(track.duration / track.time_base)]
    return max(float((end - begin) * track.time_base) for begin, end in zip(keys, ends, strict=True))


def _start(container: Any) -> float:
    return float(container.start_time or 0) / av.time_base


def _encoded_audio(container: Any, progress: Progress) -> EncodedTrack:
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
    encoder.time_base, encoder.bit_rate = _AUDIO_BASE, 64_000
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=48_000, frame_size=960)
    packets: list[EncodedPacket] = []
    zero, total = _start(container), float(container.duration or 0) / av.time_base
    skipped: int | None = None

    def encode(frames: Sequence[Any | None]) -> None:
        for frame in frames:
            for packet in encoder.encode(frame):
                packets.append(EncodedPacket(0, bytes(packet), True))

    for frame in container.decode(audio=0):
        if skipped is None:
            skipped = round((float(frame.time or 0.0) - zero) / _AUDIO_BASE)
        progress(min(1.0, (float(frame.time or 0.0) - zero) / total) if total else 0.0)
        encode(resampler.resample(frame))
    encode([*resampler.resample(None), None])
    start = max(0, skipped or 0)
    return EncodedTrack(
        "audio", "opus", _AUDIO_BASE, [EncodedPacket(start + at * 960, one.data, True) for at, one in enumerate(packets)], True
    )


def _encoded_video(container: Any, codec: str, progress: Progress) -> EncodedTrack:
    stream = container.streams.video[0]
    zero, total = _start(container), float(container.duration or 0) / av.time_base
    encoder: Any = None
    packets: list[EncodedPacket] = []
    octets, last_key, last = 0, -float("inf"), -1
    for frame in container.decode(video=0):
        seconds = float(frame.time or 0.0) - zero
        if encoder is None:
            encoder = video_encoder(codec, *_size(frame.width, frame.height), stream.average_rate or Fraction(30))
        last = max(last + 1, round(seconds / _VIDEO_BASE))
        key = seconds - last_key >= KEY_FRAME_DISTANCE
        last_key = seconds if key else last_key
        made = encoder.encode(_for_encoder(encoder, frame, last, key))
        octets += sum(one.size for one in made)
        packets += [EncodedPacket(one.pts, bytes(one), one.is_keyframe) for one in made]
        if octets > MAX_OCTETS:
            raise ValueError(f"it has more than {MAX_OCTETS // 2**20} MiB")
        progress(min(1.0, seconds / total) if total else 0.0)
    if encoder is None:
        raise ValueError("its video has no frames")
    packets += [EncodedPacket(one.pts, bytes(one), one.is_keyframe) for one in encoder.encode(None)]
    return EncodedTrack("video", codec, _VIDEO_BASE, packets, True)


def transcoded(track: EncodedTrack, codec: str) -> EncodedTrack:
    """Decode and encode a track of video."""
    decoder: Any = av.CodecContext.create({"VP8": "vp8", "H264": "h264"}[track.codec], "r")
    encoder: Any = None
    packets: list[EncodedPacket] = []
    last_key = -float("inf")

    def encode(frames: Sequence[Any]) -> None:
        nonlocal encoder, last_key
        for frame in frames:
            if encoder is None:
                encoder = video_encoder(codec, frame.width, frame.height, Fraction(30))
            seconds = float(frame.pts * track.time_base)
            key = seconds - last_key >= KEY_FRAME_DISTANCE
            last_key = seconds if key else last_key
            made = encoder.encode(_for_encoder(encoder, frame, frame.pts, key))
            packets.extend(EncodedPacket(one.pts, bytes(one), one.is_keyframe) for one in made)

    try:
        for one in track.packets:
            packet = av.Packet(one.data)
            packet.pts = packet.dts = one.pts
            packet.time_base = track.time_base
            encode(decoder.decode(packet))
        encode(decoder.decode(None))
        packets.extend(EncodedPacket(one.pts, bytes(one), one.is_keyframe) for one in encoder.encode(None) if encoder)
    except (OSError, ValueError) as error:
        raise UnusableMedia(f"the video cannot be encoded as {codec}: {error}") from error
    return EncodedTrack("video", codec, track.time_base, packets, True)


def _for_encoder(encoder: Any, frame: Any, pts: int, key: bool) -> Any:
    """The frame in the encoder's size and format, at `pts` in units of 1/90,000 s."""
    fitting = frame.reformat(width=encoder.width, height=encoder.height, format="yuv420p")
    fitting.pts, fitting.time_base = pts, _VIDEO_BASE
    fitting.pict_type = PictureType.I if key else PictureType.NONE
    return fitting


def video_encoder(codec: str, width: int, height: int, rate: Fraction) -> Any:
    """An encoder for frames in yuv420p, with timestamps in units of 1/90,000 s and key frames where a frame asks for one."""
    encoder: Any = av.CodecContext.create(_ENCODERS[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate, encoder.bit_rate = _VIDEO_BASE, rate, VIDEO_BIT_RATE
    encoder.gop_size = max(1, round(rate * Fraction(KEY_FRAME_DISTANCE)))
    encoder.options = _OPTIONS[codec]
    encoder.thread_count = 1  # libvpx spins between its threads: on a busy machine that takes ten times as long
    return encoder


def _size(width: int, height: int) -> tuple[int, int]:
    """At most `MAX_WIDTH` wide, and even, as yuv420p wants it."""
    if width > MAX_WIDTH:
        width, height = MAX_WIDTH, height * MAX_WIDTH // width
    return width // 2 * 2, height // 2 * 2
