"""Whether the search for frames that a recording lacks finds each, and nothing else."""

from random import Random
from struct import pack

import pytest
from aiortc.rtp import RtpPacket

from tests.kit.recorded import RecordedFrame, last_unit, payloads_of, wrong_frames

FRAMES = 60
FIRST = 2**32 - 20 * 3000
"""RTP timestamps wrap."""

RANDOM = Random(1)
STAMPS = [(FIRST + 3000 * frame) % 2**32 for frame in range(FRAMES)]
CODED = [RANDOM.randbytes(RANDOM.randint(1, 2500)) for _ in STAMPS]
ARRIVED = {
    stamp: {b"\x90\x80" + coded[begin : begin + 1000] for begin in range(0, len(coded), 1000)}
    for stamp, coded in zip(STAMPS, CODED, strict=True)
}
SHOWN = STAMPS[10:-5]


def recorded(begin: float = 3.0) -> list[RecordedFrame]:
    return [(begin + frame / 30, coded) for frame, coded in enumerate(CODED)]


def test_a_recording_of_all_frames_lacks_none() -> None:
    assert wrong_frames(SHOWN, ARRIVED, recorded()) == []


@pytest.mark.parametrize("out", range(FRAMES))
def test_each_frame_that_is_taken_out_is_found_and_no_other(out: int) -> None:
    file = recorded()
    del file[out]
    expected = [(out - 10, "missing")] if STAMPS[out] in SHOWN else []
    assert wrong_frames(SHOWN, ARRIVED, file) == expected


def test_a_frame_that_is_beside_its_time_is_found_unless_its_sender_paused() -> None:
    file = recorded()
    file[20] = (file[20][0] + 0.033, file[20][1])
    assert wrong_frames(SHOWN, ARRIVED, file) == [(10, "+0.033 s beside its time")]
    assert wrong_frames(SHOWN, ARRIVED, file, timed=False) == []


@pytest.mark.parametrize("taken", [(), (30,)], ids=["the others are there", "another one is taken out"])
def test_a_frame_whose_end_was_recovered_is_known_by_its_time(taken: tuple[int, ...]) -> None:
    lost = {STAMPS[20], STAMPS[40], STAMPS[41]}
    arrived = {stamp: payloads for stamp, payloads in ARRIVED.items() if stamp not in lost}
    file = [one for index, one in enumerate(recorded()) if index not in taken]
    assert wrong_frames(SHOWN, arrived, file, recovered=3) == [(index - 10, "missing") for index in taken]
    del file[39 if taken else 40]
    assert wrong_frames(SHOWN, arrived, file, recovered=3) == [(index - 10, "missing") for index in (*taken, 40)]


def test_an_h264_frame_whose_units_came_in_one_packet_is_found() -> None:
    frames = [[RANDOM.randbytes(size) for size in (24, 4, 300)] for _ in STAMPS]
    arrived = {
        stamp: {b"\x78" + b"".join(pack("!H", len(unit)) + unit for unit in units)}
        for stamp, units in zip(STAMPS, frames, strict=True)
    }
    in_file = [b"".join(pack("!I", len(unit)) + unit for unit in units) for units in frames]
    file = [(frame / 30, last_unit(coded)) for frame, coded in enumerate(in_file)]
    assert wrong_frames(SHOWN, arrived, file) == []
    del file[20]
    assert wrong_frames(SHOWN, arrived, file) == [(10, "missing")]


def test_a_frame_that_did_not_arrive_is_not_in_a_recording() -> None:
    with pytest.raises(AssertionError, match="did not arrive"):
        wrong_frames(SHOWN, ARRIVED, [*recorded(), (6.0, b"another frame")])


def test_a_last_frame_of_which_only_what_was_resent_has_come_has_arrived() -> None:
    sent, resent, other = 1, 2, 3

    def packet(ssrc: int, timestamp: int, payload: bytes) -> RtpPacket:
        made = RtpPacket(timestamp=timestamp, ssrc=ssrc)
        made.payload = payload
        return made

    frames = [packet(sent, stamp, bytes([number])) for number, stamp in enumerate(STAMPS[:-1])]
    packets = [*frames, packet(resent, STAMPS[-1], b"last"), packet(other, (FIRST + 2**31) % 2**32, b"other")]
    assert [*payloads_of(packets, {sent})] == STAMPS
