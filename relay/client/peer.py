"""One end of a call's media: aiortc's peer connection, as a client of the relay uses it.

async with contextlib.aclosing(MediaEnd()) as end:
    offer = await end.offer({"audio": track}, codecs=("opus",))
    ...
    await end.accept(answer)
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCRtpTransceiver,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidStateError
from aiortc.rtcrtpreceiver import StreamStatistics
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket
from aiortc.stats import RTCRemoteInboundRtpStreamStats

from relay.client.errors import ClientError
from relay.ice_servers import IceServer

SdpDescription = dict[str, str]
"""`{"type": "offer" | "answer", "sdp": …}`, as messages carry it."""

Tap = Callable[[RTCRtpTransceiver, RtpPacket, float], bool]
"""Takes each RTP packet that arrives, with its time in seconds of the event loop; returns whether aiortc is to decode it."""

ReportTap = Callable[[RTCRtpTransceiver, RtcpSrPacket], None]
"""Takes each sender report that arrives."""

BEGIN_TIMEOUT: Final = 5.0
"""Seconds for ICE to begin after both descriptions are there."""

MAX_REPORTED: Final = 31
"""SSRCs of a receiver that are reported: as many as a receiver report holds (RFC 3550 section 6.4.2)."""

_RTPMAP: Final = re.compile(r"^a=rtpmap:(\d{1,3}) ([\w.-]+)/(\d+)", re.MULTILINE)
_UFRAG: Final = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)
_KIND: Final = re.compile(r"^m=(audio|video) ", re.MULTILINE)


class Negotiated(dict[int, tuple[str, int]]):
    """Payload type → name of the codec, in lower case, and its clock rate in Hz."""


class ClosableConnection(RTCPeerConnection):
    """That may be closed while it connects: aiortc then raises in a task of its own, which would be logged as never retrieved."""

    async def _RTCPeerConnection__connect(self) -> None:  # noqa: N802 - aiortc's own private name
        try:
            await super()._RTCPeerConnection__connect()  # type: ignore[misc]
        except (InvalidStateError, ConnectionError):
            if self.connectionState != "closed":
                raise


class MediaEnd:
    """
    Args:
        tap: sees each RTP packet before aiortc does.
        report_tap: sees each sender report.
        ice_servers: TURN servers to gather relayed candidates from.
        configuration: of the connection, in place of one with `ice_servers` and `bundle`.

    Attributes:
        connection: aiortc's.
        on_track: called with each track that the other party sends, once.
    """

    def __init__(
        self,
        *,
        tap: Tap | None = None,
        report_tap: ReportTap | None = None,
        ice_servers: Iterable[IceServer] = (),
        on_track: Callable[[MediaStreamTrack], None] | None = None,
        bundle: RTCBundlePolicy = RTCBundlePolicy.MAX_BUNDLE,
        configuration: RTCConfiguration | None = None,
    ) -> None:
        servers = [RTCIceServer([*one.urls], one.username, one.credential) for one in ice_servers]
        self.connection = ClosableConnection(configuration or RTCConfiguration(iceServers=servers, bundlePolicy=bundle))
        self._tap = tap
        self._report_tap = report_tap
        self._tapped: set[RTCRtpReceiver] = set()
        self._tracks: Mapping[str, MediaStreamTrack] = {}
        self._ice_began = asyncio.Event()
        self.connection.on("iceconnectionstatechange", self._ice_began.set)
        if on_track is not None:
            self.connection.on("track", on_track)

    async def aclose(self) -> None:
        """End the connection, and the tracks that it sends."""
        await self.connection.close()
        for track in self._tracks.values():
            track.stop()

    def receiver(self, kind: str) -> RTCRtpReceiver | None:
        """The first receiver of that kind."""
        return next((one.receiver for one in self.connection.getTransceivers() if one.kind == kind), None)

    @property
    def description(self) -> SdpDescription:
        """The local description."""
        local = self.connection.localDescription
        return {"type": local.type, "sdp": local.sdp}

    @property
    def negotiated(self) -> Negotiated:
        """The codecs that both descriptions have."""
        local: RTCSessionDescription | None = self.connection.localDescription
        remote: RTCSessionDescription | None = self.connection.remoteDescription
        answer = local if local is not None and local.type == "answer" else remote
        return codecs_in(answer.sdp if answer is not None else "")

    async def offer(
        self, tracks: Mapping[str, MediaStreamTrack | None], codecs: Mapping[str, Collection[str]] | Collection[str] = ()
    ) -> SdpDescription:
        """Make an offer.

        Args:
            tracks: by kind, `audio` or `video`, what to send; None: only receive.
            codecs: only these codecs, such as `VP8` and `opus`, are offered; empty: all that aiortc has.
        """
        self._tracks = {**self._tracks, **{kind: track for kind, track in tracks.items() if track is not None}}
        for kind, track in tracks.items():
            direction = "sendrecv" if track is not None else "recvonly"
            transceiver = self.connection.addTransceiver(track or kind, direction)
            if codecs:
                transceiver.setCodecPreferences(capabilities(kind, codecs))
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.description

    async def accept(self, answer: Mapping[str, str]) -> None:
        """Take the answer to the offer, and connect.

        Raises:
            ClientError: it cannot be used.
        """
        with _usable(answer):
            await self._set_remote(answer)
            self._attach()
            await self._ice_begun()

    async def answer(
        self,
        offer: Mapping[str, str],
        tracks: Mapping[str, MediaStreamTrack] | None = None,
        codecs: Collection[str] = (),
    ) -> SdpDescription:
        """Answer an offer, and connect. `tracks`: of an earlier answer they are sent on, and need not be given again.

        Raises:
            ClientError: the offer cannot be used.
        """
        with _usable(offer):
            await self._set_remote(offer)
            self._tracks = {**self._tracks, **(tracks or {})}
            for transceiver in self.connection.getTransceivers():
                if codecs and (preferred := capabilities(transceiver.kind, codecs)):
                    transceiver.setCodecPreferences(preferred)
                track = self._tracks.get(transceiver.kind)
                sent: MediaStreamTrack | None = transceiver.sender.track
                if track is not None and sent is None and track.readyState == "live":
                    self.connection.addTrack(track)
            if codecs:
                # aiortc negotiates codecs when it takes the description: once more, by the preferences.
                await self._set_remote(offer)
            self._attach()
            await self.connection.setLocalDescription(await self.connection.createAnswer())
            await self._ice_begun()
        return self.description

    async def connected(self) -> bool:
        """Wait until media can flow; False: it cannot."""
        settled = asyncio.Event()
        self.connection.on("connectionstatechange", settled.set)
        while self.connection.connectionState not in {"connected", "failed", "closed"}:
            await settled.wait()
            settled.clear()
        return bool(self.connection.connectionState == "connected")

    async def round_trip(self) -> float | None:
        """Seconds from here to the other party and back, the shortest that its receiver reports tell; None before those."""
        stats = (await self.connection.getStats()).values()
        trips: list[float | None] = [one.roundTripTime for one in stats if isinstance(one, RTCRemoteInboundRtpStreamStats)]
        return min((one for one in trips if one is not None), default=None)

    async def _set_remote(self, description: Mapping[str, str]) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(description["sdp"], description["type"]))

    async def _ice_begun(self) -> None:
        """Wait until ICE has begun: aiortc logs an exception when it is closed on the way there."""
        async with asyncio.timeout(BEGIN_TIMEOUT):
            while self.connection.iceConnectionState == "new":
                await self._ice_began.wait()
                self._ice_began.clear()

    def _attach(self) -> None:
        """Put the tap before each receiver's own handler of packets."""
        if self._tap is None:
            return
        for transceiver in self.connection.getTransceivers():
            if transceiver.receiver not in self._tapped:
                self._tapped.add(transceiver.receiver)
                tap_receiver(transceiver, self._tap, self._report_tap)


@contextlib.contextmanager
def _usable(description: Mapping[str, str]) -> Iterator[None]:
    """Blame the description for what aiortc raises: its parser and negotiation raise any exception at a bad one."""
    try:
        yield
    except Exception as error:
        raise ClientError(f"the {description.get('type')} cannot be used: {str(error) or type(error).__name__}") from error


def tap_receiver(transceiver: RTCRtpTransceiver, tap: Tap, report_tap: ReportTap | None = None) -> None:
    """Have `tap` see every RTP packet of a receiver, and `report_tap` every sender report.

    aiortc has no public way to take packets: this replaces private methods of the one receiver. A packet that is not decoded
    still comes into aiortc's statistics, of which its receiver reports are made: else the sender would see no loss, and no
    round trip.
    """
    receiver: Any = transceiver.receiver
    decode, report = receiver._handle_rtp_packet, receiver._handle_rtcp_packet
    reported: dict[int, StreamStatistics] = receiver._RTCRtpReceiver__remote_streams
    codecs: Mapping[int, Any] = receiver._RTCRtpReceiver__codecs
    time = asyncio.get_running_loop().time

    async def handle(packet: RtpPacket, arrival_time_ms: int) -> None:
        if tap(transceiver, packet, time()):
            await decode(packet, arrival_time_ms=arrival_time_ms)
        elif packet.ssrc in reported:
            reported[packet.ssrc].add(packet)
        elif (codec := codecs.get(packet.payload_type)) is not None and len(reported) < MAX_REPORTED:
            reported[packet.ssrc] = StreamStatistics(codec.clockRate)
            reported[packet.ssrc].add(packet)

    async def handle_rtcp(packet: AnyRtcpPacket) -> None:
        if report_tap is not None and isinstance(packet, RtcpSrPacket):
            report_tap(transceiver, packet)
        await report(packet)

    receiver._handle_rtp_packet, receiver._handle_rtcp_packet = handle, handle_rtcp


def timestamp_of(receiver: RTCRtpReceiver, pts: int) -> int:
    """The RTP timestamp of a decoded frame, whose `pts` aiortc counts from the receiver's first one."""
    whole: Any = receiver
    return int((pts + (whole._RTCRtpReceiver__timestamp_mapper._origin or 0)) % 2**32)


def capabilities(kind: str, codecs: Mapping[str, Collection[str]] | Collection[str]) -> list[Any]:
    """What aiortc can of these codecs, retransmission included, in the order of their names in `codecs`."""
    names = [name.lower() for name in (codecs.get(kind, ()) if isinstance(codecs, Mapping) else codecs)]
    order = {name: at for at, name in enumerate(names)}
    known = [one for one in RTCRtpSender.getCapabilities(kind).codecs if _name(one) in order]
    return sorted(known, key=lambda one: order[_name(one)])


def codecs_in(sdp: str) -> Negotiated:
    """The codecs of a description, by payload type."""
    return Negotiated({int(number): (name.lower(), int(rate)) for number, name, rate in _RTPMAP.findall(sdp)})


def kinds_in(sdp: str) -> tuple[str, ...]:
    """The kinds of the media sections of a description, in their order."""
    return tuple(_KIND.findall(sdp))


def ufrag_in(sdp: str) -> str:
    """The ICE user name fragment of a description; empty: it has none."""
    found = _UFRAG.search(sdp)
    return found[1] if found else ""


def _name(capability: Any) -> str:
    return str(capability.mimeType).partition("/")[2].lower()
