"""The media of a call: what this party sends, and what becomes of the packets that arrive."""

from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from aiortc import MediaStreamTrack, RTCRtpTransceiver
from aiortc.rtp import RtpPacket
from av import AudioFrame, VideoFrame

from relay.client.figures import StreamFigures
from relay.client.media_file import VIDEO_CODECS, MediaFile, Playback
from relay.client.peer import MediaEnd, SdpDescription, codecs_in, kinds_in, timestamp_of
from relay.client.recorder import PacketRecorder, without_retransmission
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
        end: the peer connection; None before the offer or the answer.
        audio, video: the decoded frames of the other party.
        playback: the file that is sent, if it is one.
        first: seconds of the event loop at which the first packet came, by kind.
    """

    def __init__(self, spawn: Spawn, options: CallOptions, recorder: PacketRecorder | None) -> None:
        self.end: MediaEnd | None = None
        self.audio: ReceivedFrames[AudioFrame] = ReceivedFrames("audio")
        self.video: ReceivedFrames[VideoFrame] = ReceivedFrames("video")
        self.playback: Playback | None = None
        self._spawn = spawn
        self._decode = options.decode
        self._ice_servers = options.ice_servers
        self._recorder = recorder
        self._tracks: dict[str, MediaStreamTrack] = {}
        self._codecs: Collection[str] = ()
        self._received = CountedStreams()
        self.first: Mapping[str, float] = self._received.first

    # -- negotiation --------------------------------------------------------------------------------------------------

    async def offer(self, media: Media, kinds: Collection[str], codecs: Collection[str]) -> SdpDescription:
        """The first offer.

        Raises:
            UnusableMedia: the media cannot be sent.
        """
        await self._prepare(media, kinds, codecs, "")
        return await self._new_end().offer({kind: self._tracks.get(kind) for kind in kinds}, self._codecs)

    async def answer(self, offer: Mapping[str, str], media: Media, codecs: Collection[str]) -> SdpDescription:
        """The first answer.

        Raises:
            UnusableMedia, ClientError: the media cannot be sent, or the offer not be used.
        """
        sdp = offer.get("sdp", "")
        await self._prepare(media, kinds_in(sdp), codecs, sdp)
        return await self._answered(self._new_end(), offer, self._codecs)

    async def accept(self, answer: Mapping[str, str]) -> None:
        """Take the answer to an offer.

        Raises:
            ClientError: it cannot be used.
        """
        assert self.end is not None, "this party has offered"
        # Packets may come before aiortc has taken the answer.
        self._received.negotiated = codecs_in(answer.get("sdp", ""))
        await self.end.accept(answer)

    async def answer_update(self, offer: Mapping[str, str]) -> SdpDescription:
        """The answer to an offer during the call.

        Raises:
            ClientError: the offer cannot be used.
        """
        assert self.end is not None, "the call was answered"
        return await self._answered(self.end, offer, ())

    async def replace(self, media: Media) -> SdpDescription | None:
        """Send other media from now on; returns the offer that this needs, None if none.

        Raises:
            UnusableMedia: the media cannot be sent.
        """
        assert self.end is not None, "the call was answered"
        tracks, self.playback = await _loaded(media, ("audio", "video"), "")
        turned = False
        for transceiver in self.end.connection.getTransceivers():
            if (track := tracks.pop(transceiver.kind, None)) is not None:
                transceiver.sender.replaceTrack(track)
                self._tracks[transceiver.kind] = track
                if transceiver.direction in {"recvonly", "inactive"}:
                    transceiver.direction, turned = "sendrecv", True
        self._tracks |= tracks
        return await self.end.offer(tracks, self._preferred((), self.playback)) if tracks or turned else None

    async def leave(self) -> None:
        """Close the peer connection; `rejoin` makes another one."""
        if self.end is not None:
            end, self.end = self.end, None
            await end.aclose()

    async def rejoin(self, offer: Mapping[str, str]) -> SdpDescription:
        """The answer of a new peer connection that sends the same media.

        Raises:
            ClientError: the offer cannot be used.
        """
        kinds = kinds_in(offer.get("sdp", ""))
        if self.playback is not None:
            self.playback = self.playback.again()
            self._tracks = {kind: track for kind, track in self.playback.tracks.items() if kind in kinds}
        else:
            self._tracks = {kind: track for kind, track in self._tracks.items() if track.readyState == "live"}
        self._tracks.setdefault("audio", OutgoingAudio())
        return await self._answered(self._new_end(), offer, self._codecs)

    async def close(self) -> None:
        """Free everything, and finish the recording's file."""
        self.audio.end()
        self.video.end()
        await self.leave()
        for track in self._tracks.values():
            track.stop()
        if self._recorder is not None:
            recorder, self._recorder = self._recorder, None
            recorder.close()

    async def _answered(self, end: MediaEnd, offer: Mapping[str, str], codecs: Collection[str]) -> SdpDescription:
        answer = await end.answer(offer, self._tracks, codecs)
        self._received.negotiated = end.negotiated
        return answer

    def _new_end(self) -> MediaEnd:
        self.end = MediaEnd(
            tap=self._take_packet, report_tap=self._received.take_report, ice_servers=self._ice_servers, on_track=self._take_track
        )
        return self.end

    # -- sending ------------------------------------------------------------------------------------------------------

    async def _prepare(self, media: Media, kinds: Collection[str], codecs: Collection[str], offered: str) -> None:
        self._tracks, self.playback = await _loaded(media, kinds, offered)
        # Without any media of this party the relay would take it for gone.
        self._tracks.setdefault("audio", OutgoingAudio())
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

    def _take_track(self, track: MediaStreamTrack) -> None:
        self._spawn((self.audio if track.kind == "audio" else self.video).consume(track))

    def _take_packet(self, transceiver: RTCRtpTransceiver, packet: RtpPacket, arrival: float) -> bool:
        counted = self._received.take(transceiver, packet, arrival)
        if counted is not None and self._recorder is not None:
            self._record(self._recorder, transceiver.kind, counted, packet, arrival)
        return self._decode

    def _record(self, recorder: PacketRecorder, kind: str, counted: CountedPacket, packet: RtpPacket, arrival: float) -> None:
        rate = counted.figures.clock_rate
        if counted.codec != "rtx":
            recorder.add(kind, counted.codec, rate, packet, arrival)
            return
        numbers = {name: number for number, (name, _) in self._received.negotiated.items()}
        codec = next((name for name in ("vp8", "h264") if name in numbers), "")
        if codec and (one := without_retransmission(packet, numbers[codec], counted.ssrc)) is not None:
            recorder.add(kind, codec, rate, one, arrival)


async def _loaded(media: Media, kinds: Collection[str], offered: str) -> tuple[dict[str, MediaStreamTrack], Playback | None]:
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
        return {kind: track for kind, track in media.tracks.items() if kind in kinds}, media
    return {track.kind: track for track in media or () if track.kind in kinds}, None
