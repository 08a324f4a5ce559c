"""What is written of packets that come late, twice or never."""

from itertools import pairwise
from pathlib import Path

import av
from aiortc.rtp import RtpPacket

from relay.client.media_file import EncodedTrack
from relay.client.pattern import pattern
from relay.client.recorder import PacketRecorder

OPUS, FIRST = 96, 65_500
"""The payload type; the first sequence number, so that it wraps."""


def audio_packets(track: EncodedTrack, count: int) -> list[tuple[RtpPacket, float]]:
    """Packets with their times of arrival."""
    made = []
    for at, one in enumerate(track.packets[:count]):
        packet = RtpPacket(OPUS, 0, (FIRST + at) & 0xFFFF, (2**32 - 9600 + at * 960) & 0xFFFFFFFF, 1)
        packet.payload = one.data
        made.append((packet, at * 0.02))
    return made


def recorded(path: Path, packets: list[tuple[RtpPacket, float]]) -> tuple[PacketRecorder, list[float]]:
    """The recorder, and the times of the packets in the file."""
    recorder = PacketRecorder(path, ("audio",))
    for packet, arrival in packets:
        recorder.add("audio", "opus", 48_000, packet, arrival)
    recorder.close()
    with av.open(str(path)) as container:
        return recorder, [float(one.pts * one.time_base) for one in container.demux(audio=0) if one.pts is not None]


def test_audio_that_is_lost_is_silence_so_that_what_follows_stays_in_its_place(tmp_path: Path) -> None:
    track = pattern(video=False).audio
    assert track is not None
    sent = audio_packets(track, 200)
    recorder, times = recorded(tmp_path / "a.webm", [*sent[:100], *sent[130:]])
    assert recorder.inserted == 30
    assert all(abs(later - earlier - 0.02) <= 0.001 for earlier, later in pairwise(times))
    assert abs(times[-1] - times[0] - 199 * 0.02) <= 0.002


def test_a_lost_packet_of_audio_is_concealed_by_the_decoder(tmp_path: Path) -> None:
    track = pattern(video=False).audio
    assert track is not None
    sent = audio_packets(track, 200)
    recorder, times = recorded(tmp_path / "a.webm", [*sent[:100], *sent[102:]])
    assert recorder.inserted == 2
    assert all(abs(later - earlier - 0.02) <= 0.001 for earlier, later in pairwise(times))
    with av.open(str(tmp_path / "a.webm")) as container:
        written = [bytes(one) for one in container.demux(audio=0) if one.pts is not None]
    # RFC 7845, section 4.1: mode, bandwidth and length of the packet before, and no bytes.
    assert written[100:102] == [bytes([written[99][0] & 0xFC])] * 2


def test_packets_that_come_in_another_order_or_twice_are_written_once_in_theirs(tmp_path: Path) -> None:
    track = pattern(video=False).audio
    assert track is not None
    sent = audio_packets(track, 150)
    mixed = [*sent[:50], sent[51], sent[50], sent[50], *sent[52:]]
    recorder, times = recorded(tmp_path / "a.mkv", mixed)
    assert recorder.inserted == 0
    assert len(times) == 150
    assert all(abs(later - earlier - 0.02) <= 0.001 for earlier, later in pairwise(times))
