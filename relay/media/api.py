"""The seam between the signaling plane and the media plane, in the words of ORTC and mediasoup.

A `Router` joins transports and decides what goes where. What arrives on a transport are producers, each with its encodings; an
encoding on its way out by another transport is a consumer.

Everything that crosses it is a frozen dataclass, so that the same `MediaEngine` can be served in this process or by a worker
process behind a channel.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, Protocol

from relay.errors import RelayError
from relay.media.quality.statistics import LegReport


class DtlsRole(StrEnum):
    """The value of `a=setup` (RFC 8842)."""

    ACTPASS = "actpass"
    ACTIVE = "active"
    PASSIVE = "passive"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`a=fingerprint` (RFC 8122): the hash of a DTLS certificate."""

    algorithm: str
    value: str
    """Upper-case hexadecimal bytes joined by colons."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address at which the relay receives media (RFC 8445 host candidate)."""

    address: str
    """IPv4 or IPv6, as a literal."""
    port: int
    transport: Literal["udp", "tcp"] = "udp"
    """`tcp`: the relay waits for the peer's connection (RFC 6544, passive)."""


@dataclass(frozen=True, slots=True)
class TransportParameters:
    """One end of a transport, as SDP describes it: what each side must know of the other."""

    ufrag: str
    pwd: str
    fingerprints: tuple[Fingerprint, ...]
    role: DtlsRole
    candidates: tuple[Candidate, ...] = ()
    """Filled for the relay's own end only: an ICE-lite agent needs none of the peer's."""


class Direction(StrEnum):
    """What a media section's sender does with media of that kind (RFC 3264 section 5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Codec:
    """One payload type of a media section (`a=rtpmap` and `a=fmtp`)."""

    payload_type: int
    name: str
    """Lower-case encoding name: `opus`, `vp8`, `rtx`."""
    clock_rate: int
    """Hz."""
    channels: int = 1
    """Of audio: 2 for `opus/48000/2`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Format parameters by lower-case name: `apt`, `profile-level-id`, `sprop-parameter-sets`. A value without a name
    (`111/111` of RED, `0-15` of telephone events) is a name with an empty value."""


@dataclass(frozen=True, slots=True)
class SsrcGroup:
    """SSRCs that belong together (RFC 5576 section 4.2)."""

    semantics: str
    """`FID`: media and its retransmissions (RFC 4588); `FEC-FR`: media and its repair; `SIM`: layers of simulcast."""
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rid:
    """One encoding of a source (RFC 8851), which its packets name in a header extension."""

    id: str
    direction: Literal["send", "recv"]
    payload_types: tuple[int, ...] = ()
    """That it may use; none: all of its section."""
    restrictions: Mapping[str, str] = field(default_factory=dict)
    """`max-width`, `max-br` and the like, by lower-case name."""
    paused: bool = False
    """It is not sent at first (RFC 8853 section 5.1)."""


@dataclass(frozen=True, slots=True)
class Simulcast:
    """The encodings that are sent, or received, at a time (RFC 8853): the ids of each one's alternatives, by preference."""

    send: tuple[tuple[str, ...], ...] = ()
    recv: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """What one media section says of the packets that its sender will send."""

    mid: str
    kind: str
    """`audio`, `video` or `application`."""
    codecs: tuple[Codec, ...] = ()
    """In the sender's order of preference."""
    ssrcs: tuple[int, ...] = ()
    """Those that the description announces; others may appear later."""
    extensions: Mapping[int, str] = field(default_factory=dict)
    """RTP header extension id → URI (RFC 8285)."""
    direction: Direction = Direction.SENDRECV
    ssrc_groups: tuple[SsrcGroup, ...] = ()
    rids: tuple[Rid, ...] = ()
    simulcast: Simulcast = Simulcast()


class RouterKind(StrEnum):
    """How a router forwards."""

    DIRECT = "direct"
    """Between exactly two transports; packets cross unchanged, and congestion control is the peers'."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """One RTP stream of a producer. A simulcast source has several."""

    ssrc: int
    codec: str = ""
    """Of the packets that arrived, as of `Codec.name`; empty before any has."""
    repair_ssrc: int | None = None
    """By which its packets are sent again (RFC 4588), if that was announced."""


@dataclass(frozen=True, slots=True)
class Producer:
    """A source of media that arrives on a transport: what one media section of its peer's description says that it sends."""

    transport_id: str
    mid: str
    kind: str
    """`audio` or `video`."""
    encodings: tuple[Encoding, ...] = ()
    """Those announced, or heard. `LegReport.streams` has their figures, by SSRC."""

    @property
    def id(self) -> str:
        return f"{self.transport_id}/{self.mid}"


@dataclass(frozen=True, slots=True)
class Consumer:
    """An encoding on its way out by another transport."""

    transport_id: str
    """By which it leaves."""
    producer_id: str
    ssrc: int
    """As the receiver sees it. Direct routing leaves that of the encoding."""


Address = tuple[str, int]
"""Host, as a literal, and port."""


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """The way that a peer's media takes to the relay."""

    transport: Literal["udp", "tcp", "turn-udp", "turn-tcp", "turn-tls"]
    """`tcp`: ICE-TCP (RFC 6544); `turn-…`: through the built-in TURN server, which the peer reaches by that."""
    family: Literal["ipv4", "ipv6"]
    """Of the address that the peer comes from."""


RouteOf = Callable[[Address], Route | None]
"""The route of the peer that the media plane sees at an address; None if it has just gone."""


@dataclass(frozen=True, slots=True)
class TransportUp:
    """ICE and DTLS are done, or traffic is back after `TransportDown`: media flows."""

    transport_id: str
    remote: Address | None = field(default=None, compare=False, repr=False)
    """Where the peer is, as the media plane sees it: the selected address. It is the same event wherever that is, and no log
    shows it."""


@dataclass(frozen=True, slots=True)
class TransportDown:
    """Nothing valid has arrived from the selected address for a while (`transport.consent`), or the peer has answered no check
    for so long that nothing more is sent to it. It may come back."""

    transport_id: str


@dataclass(frozen=True, slots=True)
class TransportClosed:
    """The transport is gone for good: the peer closed it (DTLS close_notify) or the handshake failed."""

    transport_id: str
    reason: str
    """`closed`, `dtls_failed` or `worker_lost`."""


WORKER_LOST: Final = "worker_lost"
"""The reason of a `TransportClosed` when the process that had the transport has died."""


class WorkerLost(RelayError):
    """The process that had the router has died, or no process is there to take a new one."""


@dataclass(frozen=True, slots=True)
class TransportReport:
    """How good the path to one device is: every `quality.SNAPSHOT_INTERVAL` seconds, while it is up."""

    transport_id: str
    report: LegReport
    remote: Address | None = field(default=None, compare=False, repr=False)
    """As of `TransportUp`, now."""
    producers: tuple[Producer, ...] = ()
    """What arrives on it."""
    consumers: tuple[Consumer, ...] = ()
    """What leaves by it."""


PartyLabel = Literal["A", "B"]
"""A party of a recorded call: `A` is the caller, `B` the callee."""


@dataclass(frozen=True, slots=True)
class CaptureOrder:
    """What of a router is to be written to a file, and within which bounds.

    The file is `DIRECTORY/RECORDING_ID.pcapng`; it must not exist.
    """

    recording_id: str
    """32 hexadecimal digits."""
    directory: str
    call_id: str
    policy: str
    """Under which policy it is recorded (`consent`, `always`): the file says so."""
    parties: Mapping[str, PartyLabel]
    """Transport id → the party whose device is at the other end. `capture_party` adds others."""
    key: bytes | None = field(default=None, repr=False)
    """32 bytes that the file is sealed with (`relay.sealed`); None: it is not sealed."""
    min_free: int = 0
    """Bytes of free disk space below which the capture does not start, or ends."""
    max_hours: float = 0.0
    """Hours after which it ends; 0: any time."""
    keyframe_interval: float = 0.0
    """Seconds between two key frames of each video stream; 0: only the first is requested."""
    buffer: int = 128 * 1024 * 1024
    """Bytes that may wait to be written, of all captures of a process."""


@dataclass(frozen=True, slots=True)
class CaptureEnded:
    """A capture has ended, and its file is complete. Said once of each that was started."""

    router_id: str
    recording_id: str
    reason: str
    """`stopped`, `consent_withdrawn` or what else `stop_capture` was given; `call_ended`: the router was closed; `disk_full`,
    `write_failed`, `too_long`, `worker_lost`."""
    packets: int = 0
    """Media packets in the file. This and the next two are 0 where a worker was lost: the file says what is in it."""
    bytes: int = 0
    """Size of the file."""
    dropped: int = 0
    """Packets that were to be written and are not in the file."""


class CaptureRefused(RelayError):
    """A capture cannot be started. The text is one of `disk_full`, `write_failed` and `already_captured`."""


TransportEvent = TransportUp | TransportDown | TransportClosed | TransportReport
MediaEvent = TransportEvent | CaptureEnded
MediaEventSink = Callable[[MediaEvent], None]
"""Called in the event loop that the engine was started in. It must not block."""


class MediaEngine(Protocol):
    """What the signaling plane may ask of the media plane.

    A router holds the transports of one call or room. What arrives on one that is routed leaves by those that it is routed to.
    Ids are the caller's to choose. Naming an id that is unknown, or already gone, is not an error for the closing methods: a
    peer may have closed it a moment before. The others raise `KeyError`.
    """

    async def open_transport(
        self, router_id: str, transport_id: str, kind: RouterKind = RouterKind.DIRECT
    ) -> TransportParameters:
        """Open the relay's end of a path to one device and say how it is reached. Creates the router, if it is the first.

        Args:
            kind: of the router that is created.
        """
        ...

    async def connect_transport(
        self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]
    ) -> None:
        """Set the parameters of a transport's peer. DTLS starts at once, on connectivity checks already validated."""
        ...

    async def update_transport(self, transport_id: str, remote: TransportParameters, media: tuple[MediaDescription, ...]) -> None:
        """Tell a connected transport what its peer sends from now on, and by which ICE credentials it answers.

        Its fingerprints and its role are not looked at: they stay the same for the transport's life.
        """
        ...

    async def route(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        """Forward what arrives on each of these transports of a router by all the others.

        Direct routing takes exactly two. A third transport that one of them was routed to is then routed to none.
        """
        ...

    async def unroute(self, router_id: str, transport_ids: tuple[str, ...]) -> None:
        """Forward nothing of and to these until they are routed again; their connections stay."""
        ...

    async def restart_transport(self, transport_id: str) -> TransportParameters:
        """ICE restart (RFC 8445 section 9): give the relay's end fresh credentials. The keys and the other transports stay as
        they are.

        The old credentials are good until a check with the new ones has arrived.
        """
        ...

    async def close_transport(self, transport_id: str) -> None:
        """Close one transport and free what it held."""
        ...

    async def close_router(self, router_id: str) -> None:
        """Close a router and its transports."""
        ...

    async def start_capture(self, router_id: str, order: CaptureOrder) -> None:
        """Write what arrives on a router's transports to a file, from now on, decrypted and before any of it is dropped.

        While two transports are unrouted, or the capture is paused, nothing is captured.

        Raises:
            CaptureRefused: it cannot be written, or the router is being captured.
        """
        ...

    async def stop_capture(self, router_id: str, reason: str, at: float) -> None:
        """End the capture of a router; `CaptureEnded` follows. No error if there is none.

        Args:
            at: seconds, monotonic: of what arrived later, nothing is in the file. Exact for a moment up to
                `relay.media.capture.captures.CaptureTiming.grace` seconds ago: what came before that is written.
        """
        ...

    async def pause_capture(self, router_id: str, paused: bool, reason: str) -> None:
        """Capture nothing of a router, or all of it again. No error if it is not captured.

        Args:
            reason: why (`consent`): the file says so. Two pauses for two reasons are both to be ended.
        """
        ...

    async def capture_party(self, router_id: str, transport_id: str, party: PartyLabel) -> None:
        """Capture one more transport of a router: the new one of a party. No error if the router is not captured."""
        ...

    async def counters(self) -> Mapping[str, int]:
        """What has been counted since the start, by name (see `relay.media.quality.counters`)."""
        ...

    async def close(self) -> None:
        """Close everything."""
        ...
