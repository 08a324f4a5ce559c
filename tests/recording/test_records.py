"""Capture files that are cut, corrupted, hostile or of another program."""

import tracemalloc
from pathlib import Path
from random import Random
from struct import pack

import pytest

from relay.__main__ import main
from relay.recording.assemble import assemble
from relay.recording.assembly.budget import HeldLimit
from relay.recording.assembly.clock import StreamTiming
from relay.recording.assembly.sources import MAX_SSRCS, MAX_TRACKS, MAX_TRANSPORTS
from relay.recording.assembly.survey import CaptureFacts, survey
from relay.recording.payloads.formats import depacketizer
from relay.recording.payloads.frame import MAX_FRAME
from relay.recording.records import (
    CaptureCut,
    CapturedPacket,
    CaptureError,
    CaptureEvent,
    CaptureInterface,
    read_blocks,
    read_capture,
)
from tests.fuzz.recording_targets import assembled
from tests.fuzz.seeds import mutated
from tests.recording.capture_file import OPUS, RECORDING, VP8, CaptureFile, audio_section, interface_block, option

from tests.recording.capture_file import block, packet_block, section_header, video_section  # isort: skip
from tests.recording.kit import Packet, Stream, encoded, opus_packets, product_packets, rtp
from tests.recording.test_assemble import AUDIO_SSRC, VIDEO_SSRC, track, written


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Two seconds of audio and video."""
    packets = [*Stream(VIDEO_SSRC, VP8, 90000).frames(encoded("libvpx", 50))]
    packets += Stream(AUDIO_SSRC, OPUS, 48000).audio(opus_packets(100))
    return written(tmp_path / f"{RECORDING}.pcapng", packets, duration=2.1)


def test_records_are_what_was_written(capture: Path) -> None:
    records = list(read_capture(capture))
    events = [one.name for one in records if isinstance(one, CaptureEvent)]
    assert events == ["started", "transport", "transport", "ended"]
    interfaces = [one for one in records if isinstance(one, CaptureInterface)]
    assert [(one.number, one.name, one.party, [media.kind for media in one.media]) for one in interfaces] == [
        (1, "A", "A", ["audio", "video"]),
        (2, "B", "B", ["audio", "video"]),
    ]
    assert interfaces[0].media[1].extensions[4] == "urn:ietf:params:rtp-hdrext:sdes:mid"
    packets = [one for one in records if isinstance(one, CapturedPacket)]
    assert [one.at for one in packets] == sorted(one.at for one in packets)
    assert all(one.data[0] & 0xC0 == 0x80 for one in packets)
    assert not any(isinstance(one, CaptureCut) for one in records)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_file_that_comes_in_pieces_is_read_as_one_that_comes_whole(size: int, capture: Path) -> None:
    data = capture.read_bytes()
    assert list(read_blocks(data[at : at + size] for at in range(0, len(data), size))) == list(read_capture(capture))


def test_of_a_file_that_is_cut_everything_before_the_cut_is_there(capture: Path, tmp_path: Path) -> None:
    data = capture.read_bytes()
    whole = list(read_blocks([data]))
    for length in range(1000, len(data), 977):
        records = list(read_blocks([data[:length]]))
        cut = records[-1] if isinstance(records[-1], CaptureCut) else None
        assert records[: len(records) - bool(cut)] == whole[: len(records) - bool(cut)]
        if cut is not None:
            assert cut.offset + cut.left == length
    (tmp_path / "cut.pcapng").write_bytes(data[: len(data) // 2 + 1])
    result = assemble(tmp_path / "cut.pcapng", tmp_path / "out")
    assert (result.sidecar["complete"], result.sidecar["end_reason"]) == (False, None)
    assert result.warnings == [
        f"the file ends at byte {result.sidecar['cut']['offset']}: the file ends within a block; "
        f"{result.sidecar['cut']['left']} bytes are left out"
    ]
    assert 0.5 < product_packets(tmp_path / "out" / "A.webm", "video")[-1][0] < 1.6


def test_reading_stops_where_a_block_makes_no_sense_and_says_where(capture: Path) -> None:
    data = bytearray(capture.read_bytes())
    records = list(read_blocks([bytes(data)]))
    at = len(data) // 2
    data[at : at + 2500] = b"\xff" * 2500
    found = list(read_blocks([bytes(data)]))
    cut = found[-1]
    assert isinstance(cut, CaptureCut)
    assert at - 1500 < cut.offset <= at + 2500
    assert found[:-2] == records[: len(found) - 2]


PCAP = pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + bytes(64)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"x", "ends before"),
        (bytes(1000), "does not begin as pcapng"),
        (PCAP, "does not begin as pcapng"),
        (section_header(), "no event"),
        (section_header() + interface_block(1) + packet_block(0, 5, bytes(60)), "link type 1, not 147"),
        (section_header() + interface_block(147) + packet_block(0, 5, b'{"event":"ended"}'), "not `started`"),
        (section_header() + interface_block(147) + packet_block(0, 5, b"\xff"), "not `started`"),
        (section_header() + interface_block(147) + packet_block(7, 5, b"{}"), "names no interface"),
    ],
)
def test_what_is_no_recording_is_said_to_be_none(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.pcapng").write_bytes(data)
    with pytest.raises(CaptureError, match=f"this is no recording of a relay.*{reason}"):
        assemble(tmp_path / "x.pcapng", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_recording_that_wireshark_has_saved_is_read() -> None:
    """Big-endian, with blocks of its own, microseconds, and statistics at the end."""

    def big(kind: int, body: bytes) -> bytes:
        length = pack(">I", 12 + len(body) + (-len(body) % 4))
        return pack(">I", kind) + length + body + bytes(-len(body) % 4) + length

    def packet(interface: int, at: int, data: bytes) -> bytes:
        return big(6, pack(">IIIII", interface, at >> 32, at & 0xFFFFFFFF, len(data), len(data)) + data)

    name = pack(">HH", 2, 1) + b"A\0\0\0"
    data = big(0x0A0D0D0A, pack(">IHHq", 0x1A2B3C4D, 1, 0, -1)) + big(1, pack(">HHI", 147, 0, 0))
    data += packet(0, 1_000_000, b'{"event":"started"}') + big(1, pack(">HHI", 228, 0, 0) + name) + big(4, bytes(8))
    data += packet(1, 1_000_001, bytes(28) + rtp(111, 1, 2, 3, b"x")) + big(5, bytes(12))
    started, interface, media = read_blocks([data])
    assert isinstance(started, CaptureEvent)
    assert (started.at, started.name) == (1_000_000_000, "started")
    assert isinstance(interface, CaptureInterface)
    assert (interface.name, interface.media) == ("A", ())
    assert isinstance(media, CapturedPacket)
    assert (media.at, media.data) == (1_000_001_000, rtp(111, 1, 2, 3, b"x"))


def test_more_senders_than_a_call_has_are_counted_and_left_out(tmp_path: Path) -> None:
    packets = [Packet(n / 1000, rtp(OPUS, 1, 0, n, b"\xf8\xff\xfe")) for n in range(5000)]
    tracemalloc.start()
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=5), tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 64e6
    tracemalloc.stop()
    assert len(track(result.sidecar, "audio")["ssrcs"]) == MAX_SSRCS
    assert result.sidecar["counts"]["ssrcs_left_out"] >= 5000 - MAX_SSRCS


def test_what_all_senders_leave_open_together_is_bounded_and_takes_nothing_from_the_other_party(tmp_path: Path) -> None:
    """Each begins a frame, leaves out a packet, and sends what waits for it."""
    senders, packets, limit = 40, 150, HeldLimit(held=1 << 18, unseen=1 << 14)
    frame, rest = b"\x10" + encoded("libvpx", 1)[0][0][:200], b"\x10" + bytes(250)
    hostile = [Packet(0.1, rtp(VP8, 0, 0, 1000 + n, frame)) for n in range(senders)]
    hostile += [
        Packet(0.2 + 1.5 * number / packets, rtp(VP8, 2 + number, 90 * number, 1000 + n, rest))
        for number in range(packets)
        for n in range(senders)
    ]
    honest = list(Stream(VIDEO_SSRC, VP8, 90000, interface=2).frames(encoded("libvpx", 50)))
    path = written(tmp_path / "x.pcapng", [*hostile, *honest], duration=2.1)
    assert path.stat().st_size > 4 * limit.held
    hostile.clear()
    tracemalloc.start()
    facts, writer = assembled(lambda: read_capture(path), limit, enough=10**6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * limit.held + (12 << 20)
    assert facts.counts["relieved"] > 0
    assert any("waited for missing packets" in one for one in facts.warnings)
    [theirs] = [track.facts for key, track in writer.video.items() if key.party == "B"]
    assert (theirs.frames, theirs.broken, theirs.dependent) == (50, 0, 0)


def test_a_frame_of_many_small_packets_takes_no_more_memory_than_one_of_few(tmp_path: Path) -> None:
    unpacker = depacketizer("vp8", {})
    with pytest.raises(ValueError, match="parts"):
        for _ in range(MAX_FRAME):
            unpacker.add(b"\0x")
    assert unpacker.held < 40_000


def test_descriptions_without_end_describe_no_more_than_a_call_has(tmp_path: Path) -> None:
    with CaptureFile(tmp_path / "x.pcapng") as capture:
        for n in range(600):
            section = audio_section(f"mid {n}", [n])
            section["codecs"].append({**section["codecs"][0], "payload_type": 1000 + n})
            section["ssrc_groups"] = [{"semantics": "FID", "ssrcs": [n, *range(10**6 + 100 * n, 10**6 + 100 * n + 100)]}]
            capture.interface(f"A{n % 100 or ''}", [section])
        capture.event(1, "ended", reason="stopped")
    facts = survey(read_capture(tmp_path / "x.pcapng"))
    assert len(facts.transports) == MAX_TRANSPORTS
    for transport in facts.transports.values():
        assert len(transport.sections) <= MAX_TRACKS
        assert all(len(one.payloads) <= 128 for one in transport.sections.values())
        assert all(len(one.originals) <= 5 * MAX_SSRCS for one in transport.sections.values())


def test_one_party_cannot_use_up_what_is_noted_of_the_other(tmp_path: Path) -> None:
    budgets = CaptureFacts()
    while budgets.budget("A").take("reports"):
        pass
    assert budgets.budget("B").take("reports")
    assert not StreamTiming(48_000, budgets.budget("A")).reports
    hostile, honest = (StreamTiming(48_000, budgets.budget(party)) for party in ("A", "B"))
    for timing in (hostile, honest):
        timing.add(0, 0.1)
        timing.report(1 << 32, 0)
    assert (hostile.reports, honest.reports) == (0, 1)


def test_more_tracks_than_a_call_has_are_counted_and_left_out(tmp_path: Path) -> None:
    with CaptureFile(tmp_path / "x.pcapng") as capture:
        for party in ("A", "B", "C"):
            interface = capture.interface(party, [audio_section(str(n), [n]) for n in range(40)])
            for n in range(40):
                capture.packet(0.1, interface, rtp(OPUS, 1, 0, n, b"\xf8\xff\xfe"))
        capture.event(1, "ended", reason="stopped")
    facts = survey(read_capture(tmp_path / "x.pcapng"))
    assert len(facts.tracks) == MAX_TRACKS
    assert facts.counts["tracks_left_out"] == 3 * 40 - MAX_TRACKS


def test_packets_that_no_track_takes_are_counted(tmp_path: Path) -> None:
    media = [audio_section("0", [AUDIO_SSRC]), video_section("1", [VIDEO_SSRC])]
    media[1]["codecs"].append({"payload_type": 49, "name": "H265", "clock_rate": 90000, "channels": 1, "parameters": {}})
    packets = [Packet(n / 50, rtp(49, n, n * 1800, VIDEO_SSRC, b"\x26\x01" + bytes(50))) for n in range(50)]
    packets += [Packet(0.5, b"\x80"), Packet(0.6, rtp(77, 1, 1, 5, b"what"))]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=1, media=media), tmp_path / "out")
    assert set(result.files) == {"sidecar.json"}
    assert "50 packets of h265 cannot be written; the capture has them" in result.warnings
    assert "no media that can be written was captured" in result.warnings


@pytest.mark.parametrize("count", [30, pytest.param(150, marks=pytest.mark.long)])
def test_whatever_is_in_a_file_it_is_assembled_or_said_to_be_no_recording(count: int, capture: Path, tmp_path: Path) -> None:
    rng = Random(count)
    data = capture.read_bytes()[:20_000]
    (tmp_path / "x").mkdir()
    for number in range(count):
        spoiled = mutated(rng, [data])
        path = tmp_path / "x" / f"{number}.pcapng"
        path.write_bytes(spoiled)
        try:
            assemble(path, tmp_path / "out", keep_broken=bool(number % 2))
        except CaptureError as error:
            assert str(error).startswith("this is no recording of a relay")


@pytest.mark.parametrize("count", [10, pytest.param(60, marks=pytest.mark.long)])
def test_whatever_parties_send_it_is_assembled(count: int, tmp_path: Path) -> None:
    rng = Random(count)
    video = Stream(VIDEO_SSRC, VP8, 90000)
    good = [*video.frames(encoded("libvpx", 25)), *Stream(AUDIO_SSRC, OPUS, 48000).audio(opus_packets(50))]
    good += [video.report(0.5), video.report(0.7, 10.0)]
    for number in range(count):
        packets = [
            Packet(one.time, mutated(rng, [one.data]) if rng.random() < 0.2 else one.data, rng.choice((1, 1, 2))) for one in good
        ]
        assemble(written(tmp_path / f"{number}.pcapng", packets, duration=1), tmp_path / "out")


def test_timestamps_that_run_away_make_no_more_audio_than_the_recording_lasts(tmp_path: Path) -> None:
    """A hostile sender: 29 s of media time in each packet."""
    packets = [Packet(n / 50, rtp(OPUS, n, n * 29 * 48000, AUDIO_SSRC, b"\xf8\xff\xfe")) for n in range(100)]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=2), tmp_path / "out")
    assert track(result.sidecar, "audio")["duration"] < 7.5  # the files may begin 5 s before the recording


@pytest.mark.parametrize(("time", "reason"), [(10**6, "hours after"), (-100.0, "earlier")])
def test_a_record_with_a_damaged_time_ends_the_reading(time: float, reason: str, tmp_path: Path) -> None:
    with CaptureFile(tmp_path / "x.pcapng") as capture:
        interface = capture.interface("A", [audio_section("0", [AUDIO_SSRC])])
        for n, payload in enumerate(opus_packets(50)):
            capture.packet(n / 50, interface, rtp(OPUS, n, n * 960, AUDIO_SSRC, payload))
        capture.packet(time, interface, rtp(OPUS, 50, 48000, AUDIO_SSRC, b"\xf8\xff\xfe"))
    result = assemble(tmp_path / "x.pcapng", tmp_path / "out")
    assert reason in result.sidecar["cut"]["reason"]
    assert track(result.sidecar, "audio")["duration"] == pytest.approx(1, abs=0.1)


def test_an_interface_whose_description_makes_no_sense_has_none() -> None:
    odd = block(1, pack("<HHI", 228, 0, 0) + option(2, b"A") + option(1, b'{"media": 7}') + option(0, b""))
    data = section_header() + interface_block(147) + packet_block(0, 5, b'{"event":"started"}') + odd
    [_, interface] = read_blocks([data])
    assert isinstance(interface, CaptureInterface)
    assert interface.media == ()


# -- the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quiet_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RELAY_DEV", "RELAY_RECORDING_KEY", "RELAY_JWT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RELAY_RECORDING_DIRECTORY", str(tmp_path))


@pytest.mark.usefixtures("quiet_environment")
def test_the_command_assembles_by_path_and_by_id_and_says_what_it_made(
    capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["assemble", RECORDING]) == 0
    said = capsys.readouterr()
    assert f"{tmp_path / RECORDING / 'A.webm'}: " in said.out
    assert "A/video/1/vp8: 50 frames in 1.96 s" not in said.out  # ordinals begin at 0
    assert "A/video/0/vp8: 50 frames in 1.96 s" in said.out
    assert main(["assemble", str(capture), "--out", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "call.mkv").exists()


@pytest.mark.usefixtures("quiet_environment")
def test_the_command_says_what_is_wrong_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.pcapng").write_bytes(bytes(100))
    for argument, text in [
        (str(tmp_path / "x.pcapng"), "this is no recording of a relay"),
        ("f" * 32, "No such file"),
        ("notes.txt", "those are called ID.pcapng"),
    ]:
        assert main(["assemble", argument]) == 2
        said = capsys.readouterr()
        assert text in said.err
        assert said.err.count("\n") == 1
