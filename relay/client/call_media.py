"""The media of a call: what this party sends, and what becomes of the packets that arrive."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from aiortc import MediaStreamTrack, RTCRtpTransceiver
from aiortc.rtp import RtpPacket
from av import AudioFrame, VideoFrame

from relay.client.figures import StreamFigures
from relay.client.line import Line
from relay.client.media_file import VIDEO_CODECS, MediaFile, Playback
from relay.client.peer import MediaEnd, SdpDescription, codecs_in, kinds_in, timestamp_of, ufrag_in
from relay.client.recorder import PacketRecorder, without_retransmission
from relay.client.shared_track import SharedTrack
from relay.client.streams import CountedPacket, CountedStreams
from relay.client.tracks import OutgoingAudio, ReceivedFrames
from relay.ice_servers import IceServer

Media = MediaFile | Playback | str | Path | Sequence[MediaStreamTrack] | None
"""What a party sends: a file, tracks of its own, or None: silence."""

_ALL: Final = {"audio": ("opus", "PCMU", "PCMA"), "video": VIDEO_CODECS}
"""The codecs that aiortc has."""


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What the calls of a client have in common."""

    decode: bool = True
    """Have aiortc decode what arrives; else it is counted only."""
    can_show_recording: bool = False
    consent: bool | None = None
    """The answer to requests to record a call; None: the program gives it."""
    ice_servers: Sequence[IceServer] = ()


class Spawn(Protocol):
    """Runs a coroutine beside the caller."""

    def __call__(self, work: Coroutine[Any, Any, None]) -> None: ...


class CallMedia:
    """
    Args:
        recorder: gets each packet that arrives.

    Attributes:
        audio, video: the decoded frames of the other party.
        playback: the file that is sent, if it is one.
        first: seconds of the event loop at which the first packet came, by kind.
    """

    def __init__(self, spawn: Spawn, options: CallOptions, recorder: PacketRecorder | None) -> None:
        self.audio: ReceivedFrames[AudioFrame] = ReceivedFrames("audio")
        self.video: ReceivedFrames[VideoFrame] = ReceivedFrames("video")
        self.playback: Playback | None = None
        self._spawn = spawn
        self._decode = options.decode
        self._ice_servers = options.ice_servers
        self._recorder = recorder
        self._tracks: dict[str, SharedTrack] = {}
        self._lines: list[Line] = []
        """Of its peer connections, the one of now at last."""
        self._latest = 0
        """The number of the latest one."""
        self._recorded: dict[str, int] = {}
        """By kind, the number of the one that is recorded."""
        self._codecs: Collection[str] = ()
        self._received = CountedStreams()
        self.first: Mapping[str, float] = self._received.first

    @property
    def end(self) -> MediaEnd | None:
        """The peer connection; None before the offer or the answer."""
        return self._lines[-1].end if self._lines else None

    @property
    def has_begun(self) -> bool:
        """There is a peer connection."""
        return bool(self._lines)

    @property
    def is_connected(self) -> bool:
        """A peer connection is up."""
        return any(one.is_up for one in self._lines)

    # -- negotiation --------------------------------------------------------------------------------------------------

    async def offer(self, media: Media, kinds: Collection[str], codecs: Collection[str]) -> SdpDescription:
        """The first offer.

        Raises:
            UnusableMedia: the media cannot be sent.
        """
        await self._prepare(media, kinds, codecs, "")
        line = self._new_line()
        tracks = line.sends(self._tracks)
        return await line.end.offer({kind: tracks.get(kind) for kind in kinds}, self._codecs)

    async def answer(self, offer: Mapping[str, str], media: Media, codecs: Collection[str]) -> SdpDescription:
        """The first answer.

        Raises:
            UnusableMedia, ClientError: the media cannot be sent, or the offer not be used.
        """
        sdp = offer.get("sdp", "")
        await self._prepare(media, kinds_in(sdp), codecs, sdp)
        return await self._answered(self._new_line(), offer, self._codecs)

    async def accept(self, answer: Mapping[str, str]) -> None:
        """Take the answer to an offer.

        Raises:
            ClientError: it cannot be used.
        """
        line = self._line
        # Packets may come before aiortc has taken the answer.
        line.negotiated = codecs_in(answer.get("sdp", ""))
        line.remote_ufrag = ufrag_in(answer.get("sdp", ""))
        await line.end.accept(answer)

    async def answer_update(self, offer: Mapping[str, str]) -> SdpDescription:
        """The answer to an offer during the call.

        Raises:
            ClientError: the offer cannot be used.
        """
        return await self._answered(self._line, offer, ())

    def is_for_another(self, offer: Mapping[str, str]) -> bool:
        """Whether an offer during the call is for another peer connection than the one of now: it has other ICE credentials, and
        an ICE restart (RFC 8839, section 4.4.1.1.1), which would too, is only offered to who asks for it. This client does not.
        """
        return bool(self._lines) and self._line.remote_ufrag not in {"", ufrag_in(offer.get("sdp", ""))}

    async def replace(self, media: Media) -> SdpDescription | None:
        """Send other media from now on; returns the offer that this needs, None if none.

        Raises:
            UnusableMedia: the media cannot be sent.
        """
        tracks, self.playback = await _loaded(media, ("audio", "video"), "")
        line, turned = self._line, False
        self._tracks |= tracks
        sent = line.sends(tracks)
        for transceiver in line.end.connection.getTransceivers():
            if (track := sent.pop(transceiver.kind, None)) is not None:
                transceiver.sender.replaceTrack(track)
                if transceiver.direction in {"recvonly", "inactive"}:
                    transceiver.direction, turned = "sendrecv", True
        return await line.end.offer(sent, self._preferred((), self.playback)) if sent or turned else None

    async def rejoin(self, offer: Mapping[str, str]) -> SdpDescription:
        """The answer of a new peer connection that sends the same media. The one that there is stays, until what comes by it
        comes by the new one.

        Raises:
            ClientError: the offer cannot be used, and the peer connection is the same as before.
        """
        older = max(self._lines, key=lambda one: (len(one.flowing(self._now)), one.number), default=None)
        kinds = kinds_in(offer.get("sdp", ""))
        if self.playback is not None and (older is None or not older.is_up):
            self.playback = self.playback.again()
            tracks = {kind: track for kind, track in self.playback.tracks.items() if kind in kinds}
            self._tracks = {kind: SharedTrack(track) for kind, track in tracks.items()}
        self._tracks = {kind: one for kind, one in self._tracks.items() if one.source.readyState == "live"}
        self._tracks.setdefault("audio", SharedTrack(OutgoingAudio()))
        line = self._new_line()
        try:
            answer = await self._answered(line, offer, self._codecs)
        except BaseException:
            await self._drop(line)
            raise
        for one in [one for one in self._lines if one not in (older, line)]:
            await self._drop(one)
        if older is not None:
            self._spawn(self._replace_line(older, line))
        return answer

    async def _replace_line(self, older: Line, newer: Line) -> None:
        await newer.outlast(older, decoded=self._decode)
        if newer in self._lines:  # otherwise the call was had back once more meanwhile, and the older one is beside the next
            await self._drop(older)

    async def _drop(self, line: Line) -> None:
        if line in self._lines:
            self._lines.remove(line)
        await line.end.aclose()

    async def close(self) -> None:
        """Free everything, and finish the recording's file."""
        self.audio.end()
        self.video.end()
        for line in [*self._lines]:
            await self._drop(line)
        for track in self._tracks.values():
            track.source.stop()
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.close()

    async def _answered(self, line: Line, offer: Mapping[str, str], codecs: Collection[str]) -> SdpDescription:
        line.remote_ufrag = ufrag_in(offer.get("sdp", ""))
        answer = await line.end.answer(offer, line.sends(self._tracks), codecs)
        line.negotiated = line.end.negotiated
        return answer

    @property
    def _line(self) -> Line:
        assert self._lines, "this party has offered, or answered"
        return self._lines[-1]

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _new_line(self) -> Line:
        end = MediaEnd(
            tap=lambda transceiver, packet, arrival: self._take_packet(line, transceiver, packet, arrival),
            report_tap=self._received.take_report,
            ice_servers=self._ice_servers,
            on_track=lambda track: self._take_track(line, track),
        )
        self._latest += 1
        line = Line(end, self._latest)
        self._lines.append(line)
        return line

    # -- sending ------------------------------------------------------------------------------------------------------

    async def _prepare(self, media: Media, kinds: Collection[str], codecs: Collection[str], offered: str) -> None:
        tracks, self.playback = await _loaded(media, kinds, offered)
        # Without any media of this party the relay would take it for gone.
        tracks.setdefault("audio", SharedTrack(OutgoingAudio()))
        self._tracks = tracks
        self._codecs = self._preferred(codecs, self.playback)

    def _preferred(self, codecs: Collection[str], playback: Playback | None) -> Collection[str]:
        """The codecs to negotiate: what is encoded already can be sent by its own codec only."""
        if codecs or playback is None:
            return codecs
        others = {"audio", "video"} - {*playback.tracks}
        return (*playback.codecs, *(name for kind in others for name in _ALL[kind]))

    # -- receiving ----------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> Collection[StreamFigures]:
        return self._received.all

    def figures(self, kind: str) -> StreamFigures | None:
        """The received stream of that kind with the most packets; None: nothing has arrived."""
        return self._received.figures(kind)

    def position(self, frame: AudioFrame | VideoFrame) -> float | None:
        """Seconds of a decoded frame on the line of its stream's timestamps; None: the connection it came by is gone.

        What `epochs` says, added to it, is a time line that audio and video have in common.
        """
        kind = "audio" if isinstance(frame, AudioFrame) else "video"
        stream, receiver = self.figures(kind), self.end.receiver(kind) if self.end is not None else None
        if stream is None or receiver is None or frame.pts is None:
            return None
        return stream.unwrapped(timestamp_of(receiver, frame.pts)) / stream.clock_rate

    def epochs(self) -> tuple[float, float] | None:
        """Where the timestamps of video and of audio begin on a time line that both have in common, in seconds.

        The sender's, by its sender reports, as players keep audio and video together (RFC 3550 section 6.4.1); before those
        have come that of the arrivals. None: there is not both.
        """
        video, audio = self.figures("video"), self.figures("audio")
        if video is None or audio is None:
            return None
        if video.epoch is not None and audio.epoch is not None:
            return video.epoch, audio.epoch
        return video.least_transit, audio.least_transit

    def _take_track(self, line: Line, track: MediaStreamTrack) -> None:
        frames = self.audio if track.kind == "audio" else self.video
        self._spawn(frames.consume(track, line.number, lambda: line.frame_came(track.kind)))

    def _take_packet(self, line: Line, transceiver: RTCRtpTransceiver, packet: RtpPacket, arrival: float) -> bool:
        kind = transceiver.kind
        counted = self._received.take(transceiver, packet, arrival, line.negotiated)
        if counted is not None:
            line.packet_came(kind, arrival)
            if self._recorder is not None and line.number >= self._recorded.get(kind, 0):
                self._recorded[kind] = line.number
                self._record(self._recorder, line, kind, counted, packet, arrival)
        return self._decode

    def _record(
        self, recorder: PacketRecorder, line: Line, kind: str, counted: CountedPacket, packet: RtpPacket, arrival: float
    ) -> None:
        rate = counted.figures.clock_rate
        if counted.codec != "rtx":
            recorder.add(kind, counted.codec, rate, packet, arrival)
            return
        numbers = {name: number for number, (name, _) in line.negotiated.items()}
        codec = next((name for name in ("vp8", "h264") if name in numbers), "")
        if codec and (one := without_retransmission(packet, numbers[codec], counted.ssrc)) is not None:
            recorder.add(kind, codec, rate, one, arrival)


async def _loaded(media: Media, kinds: Collection[str], offered: str) -> tuple[dict[str, SharedTrack], Playback | None]:
    """The tracks that `media` is, those of `kinds`, and the playback if it is a file.

    Args:
        offered: the description of the other party, which says what it takes; empty: whatever there is.
    """
    if isinstance(media, str | Path):
        media = await MediaFile.load(media)
    if isinstance(media, MediaFile):
        takes = {name for name, _ in codecs_in(offered).values()}
        if takes and media.video is not None and "video" in kinds and media.video.codec.lower() not in takes:
            codec = next((name for name in VIDEO_CODECS if name.lower() in takes), None)
            media = await media.as_codec(codec) if codec is not None else media
        media = media.play()
    if isinstance(media, Playback):
        return {kind: SharedTrack(track) for kind, track in media.tracks.items() if kind in kinds}, media
    return {track.kind: SharedTrack(track) for track in media or () if track.kind in kinds}, None
