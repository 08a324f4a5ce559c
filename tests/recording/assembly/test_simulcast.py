"""Simulcast: the layers of one camera become one track."""

from itertools import pairwise
from pathlib import Path

import pytest

from relay.recording import assemble
from tests.recording.capture_file import MID_EXTENSION, REPAIRED_EXTENSION, RID_EXTENSION, RTX, VP8, audio_section, video_section
from tests.recording.kit import Packet, Stream, decoded_frames, encoded, rtp
from tests.recording.test_assemble import track, written


def test_of_simulcast_the_highest_layer_that_is_complete_is_taken_and_changed_at_key_frames(tmp_path: Path) -> None:
    layers = {0x51: (80, 60), 0x52: (160, 120), 0x53: (320, 240)}
    media = [audio_section(), video_section("1", list(layers), [("SIM", list(layers))])]
    packets: list[Packet] = []
    for ssrc, (width, height) in layers.items():
        stream = list(Stream(ssrc, VP8, 90000).frames(encoded("libvpx", 150, width, height)))
        if ssrc == 0x53:  # its sender has no bandwidth for it from 2 to 4 s
            stream = [one for one in stream if not 2.0 <= one.time - 0.02 < 4.0]
        packets += stream
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=6, media=media), tmp_path / "out")
    found = track(result.sidecar, "video")
    assert [one[1:] for one in found["sizes"]] == [[320, 240], [160, 120], [320, 240]]
    assert [ssrc for _, ssrc in found["layers"]] == [0x53, 0x52, 0x53]
    shown = decoded_frames(tmp_path / "out" / "A.webm")
    assert len(shown) == found["frames"]
    assert 145 <= len(shown) <= 150
    assert max(after.time - before.time for before, after in pairwise(shown)) < 0.2


@pytest.mark.parametrize("stops", [65, 74], ids=["in a second", "at the end of a second"])
def test_when_the_highest_layer_stops_the_next_one_goes_on_from_the_key_frame_that_it_sends_then(
    tmp_path: Path, stops: int
) -> None:
    """As Chromium does when a layer is turned off, or when its network is too poor for it."""
    media = [audio_section(), video_section("1", [0x51, 0x52], [("SIM", [0x51, 0x52])])]
    high = encoded("libvpx", stops, 320, 240, key_every=1000)
    low = [*encoded("libvpx", stops, 160, 120, key_every=1000), *encoded("libvpx", 150 - stops, 160, 120, key_every=1000)]
    packets = [*Stream(0x51, VP8, 90000).frames(low), *Stream(0x52, VP8, 90000).frames(high)]
    result = assemble(written(tmp_path / "x.pcapng", packets, duration=6, media=media), tmp_path / "out")
    found = track(result.sidecar, "video")
    assert [one[1:] for one in found["sizes"]] == [[320, 240], [160, 120]]
    shown = decoded_frames(tmp_path / "out" / "A.webm")
    assert len(shown) == 150
    assert max(after.time - before.time for before, after in pairwise(shown)) < 0.1


@pytest.mark.parametrize("named", [True, False], ids=["from its begin", "from when packets name no layer any more"])
def test_simulcast_that_only_packets_tell_apart_is_repaired_and_becomes_one_track(tmp_path: Path, *, named: bool) -> None:
    """As Chromium sends it: no SSRC is in the description. Packets name their layer until the first report has come."""
    sizes = {"q": (80, 60), "h": (160, 120), "f": (320, 240)}
    media = [audio_section(), video_section("1", rids=list(sizes))]
    arrived: list[Packet] = []
    lost = 0
    for number, (rid, (width, height)) in enumerate(sizes.items()):
        names = {MID_EXTENSION: b"1", RID_EXTENSION: rid.encode()} if named else None
        numbers = {} if named else {"sequence": 20_000 * number, "timestamp": 2**32 - 90_000 + 2**30 * number}
        stream = Stream(0x51 + number, VP8, 90000, **numbers)
        frames = encoded("libvpx", 100, width, height)
        sent = [*stream.frames(frames[:5], extensions=names), *stream.frames(frames[5:], 0.2)]
        gone = sent[30::9]
        lost += len(gone)
        arrived += [one for one in sent if one not in gone]
        for count, one in enumerate(gone):
            repaired = {MID_EXTENSION: b"1", REPAIRED_EXTENSION: rid.encode()} if named and not count else None
            payload, stamp = one.data[2:4] + one.data[12:], int.from_bytes(one.data[4:8])
            again = rtp(RTX, count, stamp, 0x61 + number, payload, marker=bool(one.data[1] & 0x80), extensions=repaired)
            arrived.append(Packet(one.time + 0.15, again))
    result = assemble(written(tmp_path / "x.pcapng", arrived, duration=4, media=media), tmp_path / "out")
    found = track(result.sidecar, "video")
    assert (found["ssrcs"], found["frames"], found["lost"], found["repaired"]) == ([0x51, 0x52, 0x53], 100, 0, lost)
    assert [one[1:] for one in found["sizes"]] == [[320, 240]]
    assert len(decoded_frames(tmp_path / "out" / "A.webm")) == 100
