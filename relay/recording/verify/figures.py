"""What a verification finds: the content of `report.json`, whose schema docs/recording.md has.

All times are seconds; those within a recording count from its beginning. Levels are dBFS. A figure that could not be measured is
None, which is not 0.
"""

from typing import Final, Literal

import msgspec

VERSION: Final = 1
"""Of the report. It changes when a field is taken away or means something else; fields are added without."""

Interval = tuple[float, float]
"""Start and duration."""

Sample = tuple[float, float]
"""Time and value."""


class PacketFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One stream as it arrived at the relay, by its SSRC. Only where there is a capture."""

    ssrc: int
    codec: str
    packets: int = 0
    bytes: int = 0
    expected: int = 0
    """Packets that the sender numbered from the first to the last that arrived."""
    lost_before_repair: int = 0
    repaired: int = 0
    """By retransmission (RFC 4588)."""
    lost: int = 0
    """After repair."""
    duplicates: int = 0
    reordered: int = 0
    late: int = 0
    """Of the reordered ones, by more than 2 s."""
    restarts: int = 0
    """Jumps of the sequence number by more than 1,000."""
    longest_burst: int = 0
    """Packets lost in a row, after repair."""
    jitter: float | None = None
    """RFC 3550 A.8, the largest."""
    frames: int | None = None
    key_frames: int | None = None
    longest_key_frame_distance: float | None = None
    frame_rate: float | None = None
    """Frames that the sender gave per second by its timestamps, where no packet is missing."""
    usual_frame_rate: float | None = None
    """The same between its pauses. A camera or an encoder that is overloaded gives less than that in all."""
    sender_left_out: int | None = None
    """Frames that are missing for `usual_frame_rate` where no packet is missing: the sender did not give them."""
    sender_pauses: list[Interval] = []
    """When the sender gave no frame, by its timestamps, for longer than the rule of `freezes` allows: no packet is missing
    there. Starts are seconds of the recording."""
    freezes: list[Interval] = []
    """By the frames' timestamps; the rule is that of `freezeCount` (W3C webrtc-stats)."""
    gaps: list[Interval] = []
    """Of more than 200 ms between two frames' timestamps."""
    nacked: int = 0
    """Packets that the receiver asked for again."""
    key_frame_requests: int = 0
    """PLI and FIR of the receiver."""
    round_trip: float | None = None
    """Between the relay and the receiver, by RTCP: the median."""
    sender_reports: int = 0
    drift: float | None = None
    """ppm by which the media clock runs faster than the sender's wall clock, by its sender reports over 60 s at least."""
    drift_error: float | None = None
    """ppm, one standard error."""
    sender_clock: float | None = None
    """ppm by which the sender's wall clock runs faster than the relay's."""
    bitrate: list[float] = []
    """bit/s of each second."""
    loss: list[float] = []
    """Share of each second's packets that is lost after repair, 0 to 1."""


class CounterFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The burned-in counter of a reference video."""

    readable: int
    unreadable: int
    first: int
    last: int
    missing: int
    """Values between the first and the last that no frame has."""
    rate: float
    """Frames per second of the source."""


class VideoFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A video track of a product, decoded."""

    codec: str
    start: float
    duration: float
    frames: int
    decode_errors: int = 0
    frame_rate: float | None = None
    sizes: list[tuple[float, int, int]] = []
    """Time, width and height, whenever they change."""
    key_frames: int = 0
    longest_key_frame_distance: float | None = None
    freezes: list[Interval] = []
    longest_freeze: float = 0.0
    sender_pauses: list[Interval] = []
    """Those of the freezes in which the sender gave no frame: nothing was lost. By the capture."""
    gaps: list[Interval] = []
    black: list[Interval] = []
    """A second or more without a luma sample above 32."""
    still: list[Interval] = []
    """Two seconds or more in which no sample changes: the camera, or the sender's encoder, stands still."""
    rates: list[float] = []
    """Frames of each second."""
    bitrate: list[float] = []
    """bit/s of each second."""
    counter: CounterFigures | None = None


class AudioFigures(msgspec.Struct, frozen=True, kw_only=True):
    """An audio track of a product, decoded."""

    codec: str
    channels: int
    sample_rate: int
    start: float
    duration: float
    packets: int
    decode_errors: int = 0
    holes: list[Interval] = []
    """Between packets that should abut, more than 1 ms. A player plays on: all that follows sounds too early."""
    overlaps: list[Interval] = []
    """Packets that begin more than 1 ms before the one before has ended."""
    rms: float | None = None
    peak: float | None = None
    loudness: float | None = None
    """LUFS, integrated (EBU R 128)."""
    clipped: int = 0
    """Runs of three samples or more at full scale."""
    silences: list[Interval] = []
    """A second or more below -60 dBFS that the sender sent."""
    longest_silence: float = 0.0
    inserted: list[Interval] = []
    """What the assembly filled because no packet was there: missing, not silent."""
    inserted_total: float = 0.0
    levels: list[float] = []
    """RMS of each 100 ms."""
    bitrate: list[float] = []


class VideoMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A video track beside its reference."""

    by: Literal["counter", "content"]
    matched: float
    """Share of the frames that have their frame in the reference, 0 to 1."""
    compared: int
    """Pairs of frames that PSNR and SSIM are of."""
    psnr: float | None = None
    """dB, of luma, over all pairs."""
    psnr_low: float | None = None
    """dB: 5 % of the pairs are below."""
    ssim: float | None = None
    ssim_low: float | None = None
    missing_frames: int | None = None
    xpsnr: float | None = None
    """dB, of luma: PSNR weighted by what people see."""
    vmaf: float | None = None
    """0 to 100, of five pairs of frames a second, in the size of the reference."""
    psnrs: list[Sample] = []
    ssims: list[Sample] = []


class AudioMatch(msgspec.Struct, frozen=True, kw_only=True):
    """An audio track beside its reference."""

    matched: float
    """Share of the windows with sound that are found in the reference, 0 to 1."""
    lag: float | None = None
    """By which the track is later than its reference: the median."""
    lags: list[Sample] = []
    stoi: float | None = None
    """Of speech, 0 to 1; None without at least 3 s of speech."""
    pesq: float | None = None
    """MOS-LQO of speech, wide band; None without the extra `pesq`."""
    beeps: int = 0
    """Seconds of the source whose tone was heard."""
    wrong_tones: int = 0
    missing_tones: int = 0


class OffsetFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How much later the audio is than the video, each second. Below 0 it is earlier."""

    by: Literal["flash and beep", "reference"]
    median: float
    p95: float
    """Of its distance from 0."""
    worst: float
    seconds: list[Sample]
    slope: float | None = None
    """ppm by which it grows; None for less than 60 s."""


class TrackReport(msgspec.Struct, frozen=True, kw_only=True):
    """One track of one party."""

    party: str
    kind: Literal["audio", "video"]
    number: int = 1
    """Among the party's tracks of that kind."""
    file: str = ""
    packets: list[PacketFigures] = []
    lost: int | None = None
    """Packets, after repair: by the capture, else by the sidecar."""
    expected: int | None = None
    incomplete_frames: int | None = None
    """Frames that the assembly left out because packets of theirs, or of frames that they refer to, are missing."""
    frames_before_keyframe: int | None = None
    """Frames that it left out because the capture began, or went on after a pause, before a key frame: no packet is missing."""
    video: VideoFigures | None = None
    audio: AudioFigures | None = None
    video_match: VideoMatch | None = None
    audio_match: AudioMatch | None = None


class ProductReport(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    name: str
    size: int
    container: str
    duration: float
    cut: str = ""
    """Why it is not whole; empty if it is."""


class CallEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in the call, by its capture."""

    time: float
    name: str
    text: str = ""
    on: bool | None = None
    """Of `hold` and `paused`: whether it begins."""


FindingState = Literal["passed", "failed", "measured", "not_measured", "not_applicable"]
"""`measured`: there is a value and no limit. `not_measured`: there should be a value, and what it takes is missing."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer."""

    name: str
    """`readable`, `whole`, `audio_abuts`, `reference`, or a limit's: `max_freeze`, …"""
    state: FindingState
    sentence: str
    track: str = ""
    """`A video`; empty when it is about all."""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    """Of value and limit: `s`, `%`, `dB`, `ppm`, `frames`; empty for a plain number."""


VerdictState = Literal["passed", "failed", "unreadable"]


class VerificationReport(msgspec.Struct, frozen=True, kw_only=True):
    """`report.json`."""

    version: Literal[1] = VERSION
    generator: str
    created: str
    """ISO 8601, UTC."""
    verdict: VerdictState
    reasons: list[str]
    recording: str = ""
    """Its id, or the name of what was verified."""
    started: str = ""
    duration: float = 0.0
    end_reason: str = ""
    references: dict[str, str] = {}
    """Party to name of the file."""
    limits: dict[str, float | None] = {}
    """All that there are, by name; null: it was not set."""
    unavailable: dict[str, str] = {}
    """Measures beside a reference that this installation cannot take (`pesq`, `xpsnr`, `vmaf`), and why."""
    findings: list[Finding] = []
    products: list[ProductReport] = []
    tracks: list[TrackReport] = []
    av_offsets: dict[str, OffsetFigures] = {}
    """By party."""
    events: list[CallEvent] = []
    notes: list[str] = []
