"""Calls that are recorded by consent, with a real capture."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from relay.recording.records import CaptureInterface, read_capture
from tests.integration.conftest import Connect
from tests.integration.recorded import (
    HIGH,
    SIZE,
    TOLERANCE,
    begun,
    events,
    file_of,
    media_flows,
    packets_by_party,
    rows,
    state,
    talking,
    the_row,
    time_passes,
)
from tests.kit.peer import BLUE, Peer
from tests.kit.server import RunningRelay
from tests.kit.wait import eventually


@pytest.fixture
def relay_settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Nothing is made of the captures."""
    marker = request.node.get_closest_marker("settings")
    return {"assemblers": 0, **(marker.kwargs if marker else {})}


@pytest.mark.parametrize(
    "workers", [pytest.param(0, marks=pytest.mark.settings(workers=0)), pytest.param(1, marks=pytest.mark.settings(workers=1))]
)
async def test_both_parties_are_in_the_file_once_both_have_consented(
    relay: RunningRelay, connect: Connect, tmp_path: Path, workers: int
) -> None:
    caller, callee = await talking(connect)
    assert not list((tmp_path / "recordings").iterdir())
    recording_id = await begun(caller, callee)
    await time_passes(caller, callee)
    await caller.hang_up()
    await callee.expect("call_ended")
    row = await the_row(relay)
    assert (row["id"], row["end_reason"], row["policy"], bool(row["consented"])) == (recording_id, "call_ended", "consent", True)
    file = file_of(tmp_path, recording_id)
    found = packets_by_party(file)
    assert min(map(len, found.values())) > 10
    assert row["packets"] == sum(map(len, found.values()))
    assert row["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o777 == 0o600
    consents = sorted((one["answered_at"], one["profile_type"], one["answer"]) for one in await rows(relay, "recording_consents"))
    assert [one[1:] for one in consents] == [("student", "requested"), ("tutor", "accepted")]


@pytest.mark.parametrize("side", [0, 1])
async def test_not_one_packet_is_written_that_arrives_after_a_withdrawal(
    relay: RunningRelay, connect: Connect, tmp_path: Path, side: int
) -> None:
    parties = await talking(connect)
    recording_id = await begun(*parties)
    await time_passes(*parties)
    await parties[side].send("call_record_answer", accepted=False)
    stopped = [await state(one, "stopped") for one in parties]
    assert [one["reason"] for one in stopped] == ["consent_withdrawn"] * 2
    await time_passes(*parties)  # the call goes on
    row = await the_row(relay)
    assert row["end_reason"] == "consent_withdrawn"
    found = packets_by_party(file_of(tmp_path, recording_id))
    assert min(map(len, found.values())) > 0
    assert max(max(times) for times in found.values()) <= stopped[0]["since"] * 1_000_000 + TOLERANCE


async def test_nothing_is_written_while_the_call_is_held(relay: RunningRelay, connect: Connect, tmp_path: Path) -> None:
    caller, callee = await talking(connect)
    recording_id = await begun(caller, callee)
    await time_passes(caller, callee)
    await callee.send("call_hold")
    held = await state(caller, "paused")
    assert held["reason"] == "hold"
    await asyncio.sleep(0.5)
    await callee.send("call_resume")
    resumed = await state(caller, "recording")
    await media_flows(caller, callee)
    await caller.send("call_record", action="stop")
    await state(callee, "stopped")
    assert (await the_row(relay))["end_reason"] == "stopped"
    file = file_of(tmp_path, recording_id)
    quiet = (held["since"] * 1_000_000 + TOLERANCE, resumed["since"] * 1_000_000 - TOLERANCE)
    for times in packets_by_party(file).values():
        assert not [one for one in times if quiet[0] < one < quiet[1]]
        assert times[0] < quiet[0]
        assert times[-1] > quiet[1]
    assert events(file).count("hold") == 2


async def test_the_call_of_a_client_that_cannot_show_it_is_not_recorded(
    relay: RunningRelay, connect: Connect, tmp_path: Path
) -> None:
    caller, callee = await talking(connect, callee_shows=False)
    await caller.send("call_record", action="start")
    assert (await caller.expect("error"))["code"] == "not_supported"
    await media_flows(caller, callee)
    assert await rows(relay) == []
    assert not list((tmp_path / "recordings").iterdir())
    assert "call_recording" not in {one["type"] for one in callee.received}


@pytest.mark.settings(recording="always")
async def test_each_call_is_recorded_from_its_first_packet_where_all_are(
    relay: RunningRelay, connect: Connect, tmp_path: Path
) -> None:
    caller, callee = await talking(connect)
    kinds = [one["type"] for one in caller.received]
    assert kinds.index("call_recording") < kinds.index("call_answer")
    await callee.hang_up()
    row = await the_row(relay)
    assert (row["policy"], row["consented"]) == ("always", False)
    found = packets_by_party(file_of(tmp_path, row["id"]))
    assert min(map(len, found.values())) > 10


@pytest.mark.settings(recording_min_free=1024 * 1024)
async def test_a_full_disk_keeps_no_one_from_talking(relay: RunningRelay, connect: Connect, tmp_path: Path) -> None:
    caller, callee = await talking(connect)
    await caller.send("call_record", action="start")
    await callee.expect("call_record_request")
    await callee.send("call_record_answer", accepted=True)
    for one in (caller, callee):
        assert (await state(one, "stopped"))["reason"] == "disk_full"
    await media_flows(caller, callee)
    assert (await the_row(relay))["state"] == "failed"


async def rejoined(connect: Connect) -> Peer:
    """The tutor is in the call by another device, whose media has not connected yet."""
    other = await connect("tutor_789", colour=BLUE, size=SIZE, tone=HIGH)
    other.talk_to("student_456", 123)
    await other.send("call_rejoin", can_show_recording=True)
    return other


async def test_another_device_is_recorded_once_it_has_consented_and_nothing_before(
    relay: RunningRelay, connect: Connect, tmp_path: Path
) -> None:
    caller, callee = await talking(connect)
    recording_id = await begun(caller, callee)
    await time_passes(caller, callee)
    await callee.lose_socket()
    other = await rejoined(connect)
    paused = await state(caller, "paused")
    assert paused["reason"] == "consent"
    request = await other.expect("call_record_request")
    update = await other.expect("call_update")
    await other.prepare_answer(update)
    await other.send("call_update", answer=other.description, update_id=update["update_id"])
    await media_flows(caller, other)
    await other.send("call_record_answer", accepted=True, recording_id=request["recording_id"])
    going_on = await state(caller, "recording")
    await time_passes(caller, other)
    await caller.hang_up()
    await other.expect("call_ended")
    assert (await the_row(relay))["end_reason"] == "call_ended"
    file = file_of(tmp_path, recording_id)
    quiet = (paused["since"] * 1_000_000 + TOLERANCE, going_on["since"] * 1_000_000 - TOLERANCE)
    for times in packets_by_party(file).values():
        assert not [one for one in times if quiet[0] < one < quiet[1]]
        assert times[0] < quiet[0]
        assert times[-1] > quiet[1]
    interfaces = [one.name for one in read_capture(file) if isinstance(one, CaptureInterface)]
    assert "B2" in interfaces
    assert len([one for one in other.received if one["type"] == "call_record_request"]) == 1


@pytest.mark.settings(recording_on_withdrawal="delete")
async def test_a_withdrawal_deletes_the_recording_where_the_operator_wants_that(
    relay: RunningRelay, connect: Connect, tmp_path: Path
) -> None:
    caller, callee = await talking(connect)
    recording_id = await begun(caller, callee)
    await time_passes(caller, callee)
    assert file_of(tmp_path, recording_id).exists()
    await callee.send("call_record_answer", accepted=False)
    await state(caller, "stopped")

    async def gone() -> bool:
        return not await rows(relay) and not file_of(tmp_path, recording_id).exists()

    await eventually(gone, "the recording is deleted")
    await media_flows(caller, callee)
    answers = {one["answer"] for one in await rows(relay, "recording_consents")}
    assert answers == {"requested", "accepted", "withdrawn"}
