"""The files that are made: WebM where a browser's codecs allow it, Matroska for the rest. Packets are copied as they are."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from struct import pack
from typing import Any, Final

import av
from av.container import OutputContainer

from relay.recording.assembly.sources import TrackKey
from relay.recording.payloads.audio import linear

WEBM: Final = frozenset({"vp8", "vp9", "av1", "opus"})

_VIDEO_BASE: Final = Fraction(1, 90000)

_CUES_HEAD: Final = 1024
_CUE: Final = 48
"""Bytes of an index, and of each position in it."""

MILLISECOND: Final = 90
"""Of 90 kHz: the resolution of the container."""


@dataclass(frozen=True, slots=True)
class PlannedTrack:
    """A track as a container's header has it."""

    key: TrackKey
    title: str
    rate: int = 48000
    stereo: bool = False
    size: tuple[int, int] = (0, 0)
    rotation: int = 0
    """Degrees clockwise by which players turn the frames."""
    parameter_sets: bytes = b""
    """Of H.264: an Annex B byte stream of those that the sender used."""

    @property
    def is_turned(self) -> bool:
        """Whether the container says the rotation."""
        return bool(self.rotation) and (self.key.codec in ("vp8", "vp9") or bool(self.parameter_sets))


def product_names(tracks: Iterable[PlannedTrack]) -> dict[str, list[PlannedTrack]]:
    """File name → the tracks in it: one of each party, and one of all."""
    files: dict[str, list[PlannedTrack]] = {}
    every = list(tracks)
    for party in ("A", "B"):
        own = [one for one in every if one.key.party == party]
        if own:
            files[f"{party}.{'webm' if all(one.key.codec in WEBM for one in own) else 'mkv'}"] = own
    if every:
        files["call.mkv"] = every
    return files


class Muxer:
    """Writes each track to all of its files."""

    def __init__(self, folder: Path, tracks: Iterable[PlannedTrack], *, cues: int) -> None:
        """Open all files.

        Args:
            cues: about how many positions each file's index will have. If they are more, closing takes longer.
        """
        self._containers: list[OutputContainer] = []
        self._outputs: dict[TrackKey, list[tuple[OutputContainer, Any]]] = {}
        self._decoders: dict[TrackKey, Any] = {}
        self._times: dict[TrackKey, Fraction] = {}
        options = {"cues_to_front": "1", "reserve_index_space": str(_CUES_HEAD + _CUE * cues)}
        self.unwritten = 0
        """Packets that the container did not take."""
        for name, planned in product_names(tracks).items():
            kind = "webm" if name.endswith(".webm") else "matroska"
            container = av.open(str(folder / name), "w", format=kind, options=options)
            self._containers.append(container)
            for track in planned:
                stream = _add_stream(container, track)
                stream.metadata["title"] = track.title
                self._outputs.setdefault(track.key, []).append((container, stream))
                self._times[track.key] = _VIDEO_BASE if track.key.kind == "video" else Fraction(1, track.rate)
                if track.key.codec == "g722" and track.key not in self._decoders:
                    self._decoders[track.key] = av.CodecContext.create("g722", "r")

    def write(self, key: TrackKey, begin: int, payload: bytes, duration: int, *, is_keyframe: bool = True) -> None:
        """Write a packet.

        Args:
            begin: in units of 1/90,000 s for video, of the track's rate for audio. It grows from packet to packet.

        Raises:
            OSError: a file cannot be written.
        """
        if key.codec in ("pcmu", "pcma"):
            payload = linear(key.codec, payload)
        elif key.codec == "g722":
            payload = b"".join(
                bytes(frame.planes[0])[: frame.samples * 2] for frame in self._decoders[key].decode(av.Packet(payload))
            )
        for container, stream in self._outputs[key]:
            packet = av.Packet(payload)
            packet.pts = packet.dts = begin
            packet.time_base = self._times[key]
            if duration:
                packet.duration = duration
            packet.stream = stream
            packet.is_keyframe = is_keyframe
            try:
                container.mux_one(packet)
            except av.FFmpegError as error:
                if isinstance(error, OSError):  # of the disk, not of the packet: the file would be truncated
                    raise
                self.unwritten += 1

    def close(self) -> None:
        """Write what the files still lack.

        Raises:
            OSError: that of one cannot be written.
        """
        failed: OSError | None = None
        for container in self._containers:
            try:
                container.close()
            except av.FFmpegError as error:
                if isinstance(error, OSError):
                    failed = error
                else:
                    self.unwritten += 1
        if failed is not None:
            raise failed


def _add_stream(container: OutputContainer, track: PlannedTrack) -> Any:
    codec = track.key.codec
    if codec == "opus":
        with av.open(io.BytesIO(opus_file(2 if track.stereo else 1)), "r", format="ogg") as template:
            return container.add_stream_from_template(template.streams.audio[0])
    if track.key.kind == "audio":
        # Matroska has no G.711 and no G.722.
        stream: Any = container.add_stream("pcm_s16le", rate=16000 if codec == "g722" else track.rate)
        stream.codec_context.layout = "mono"
        return stream
    if track.is_turned:
        return _add_turned(container, track)
    width, height = track.size
    return container.add_mux_stream(codec, width=width, height=height, time_base=_VIDEO_BASE)


def _add_turned(container: OutputContainer, track: PlannedTrack) -> Any:
    """A stream with a display matrix, which PyAV writes only where there is a codec context. For AV1 there is none that would not
    have an encoder's own sequence header."""
    codec = track.key.codec
    if codec == "h264":
        with av.open(io.BytesIO(track.parameter_sets), "r", format="h264") as template:
            stream: Any = container.add_stream_from_template(template.streams.video[0], opaque=True)
            stream.time_base = _VIDEO_BASE
    else:
        stream = container.add_stream({"vp8": "libvpx", "vp9": "libvpx-vp9"}[codec], rate=25)
        stream.codec_context.time_base = _VIDEO_BASE
        stream.pix_fmt = "yuv420p"
    stream.width, stream.height = track.size
    stream.set_display_rotation(-track.rotation)  # PyAV counts counter-clockwise
    return stream


def opus_file(channels: int) -> bytes:
    """An Ogg file of Opus with a packet of silence (RFC 7845): what a muxer takes its header from.

    Without pre-skip: the times of a call's packets are those of what comes out of the decoder.
    """
    head = b"OpusHead" + pack("<BBHIHB", 1, channels, 0, 48000, 0, 0)
    tags = b"OpusTags" + pack("<I", 5) + b"relay" + pack("<I", 0)
    return _ogg_page(head, 0, 2) + _ogg_page(tags, 1, 0) + _ogg_page(b"\xf8\xff\xfe", 2, 4, 960)


def _ogg_page(packet: bytes, number: int, flags: int, samples: int = 0) -> bytes:
    """RFC 3533, section 6."""
    page = b"OggS" + pack("<BBqIIIBB", 0, flags, samples, 1, number, 0, 1, len(packet)) + packet
    crc = 0
    for octet in page:
        crc ^= octet << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return page[:22] + pack("<I", crc) + page[26:]
