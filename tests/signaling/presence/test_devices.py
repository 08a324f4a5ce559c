"""Who is connected, who may come back, and what it missed meanwhile; in virtual time."""

import asyncio

import pytest

from relay.signaling.messages.outgoing import Error, Pong
from relay.signaling.presence.device import Device
from relay.signaling.presence.devices import RESUMED_ELSEWHERE, Devices
from tests.kit.clock import in_virtual_time
from tests.signaling.people import STUDENT, TUTOR, FakeConnection

GRACE = 30.0


class Registry(Devices):
    """Notes who has not come back."""

    def __init__(self, grace: float = GRACE) -> None:
        self.gone: list[Device] = []
        super().__init__(grace, self.gone.append)


def news(number: int) -> Error:
    """Any message that is kept."""
    return Error(code=str(number), message="", ref=None)


def codes(frames: list[dict[str, str]]) -> list[str]:
    return [one["code"] for one in frames]


def test_devices_of_a_profile_are_kept_in_the_order_in_which_they_came() -> None:
    devices = Registry()
    phone, other, tablet = (devices.open(who, 2, FakeConnection()) for who in (STUDENT, TUTOR, STUDENT))
    assert devices.of(STUDENT) == (phone, tablet)
    assert devices.of(TUTOR) == (other,)
    assert len(devices) == 3


def test_every_device_has_a_name_and_a_token_of_its_own() -> None:
    devices = Registry()
    opened = [devices.open(STUDENT, 2, FakeConnection()) for _ in range(20)]
    assert len({one.device_id for one in opened} | {one.resume_token for one in opened}) == 40


@in_virtual_time
async def test_a_device_that_is_away_is_not_connected_but_can_be_found() -> None:
    devices = Registry()
    phone, tablet = devices.open(STUDENT, 2, FakeConnection()), devices.open(STUDENT, 2, FakeConnection())
    devices.lose(phone)
    assert (phone.connected, tablet.connected) == (False, True)
    assert devices.of(STUDENT) == (tablet,)
    assert devices.get(STUDENT, phone.device_id) is phone
    assert devices.get(TUTOR, phone.device_id) is None
    assert devices.get(STUDENT, "somewhere else") is None
    assert devices.get(STUDENT, None) is None
    assert len(devices) == 1


@in_virtual_time
async def test_a_version_1_client_is_gone_with_its_connection() -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 1, FakeConnection())
    assert devices.resumable(phone.resume_token, STUDENT, 0) is None
    devices.lose(phone)
    assert devices.get(STUDENT, phone.device_id) is None
    assert devices.gone == []
    assert len(devices) == 0


@in_virtual_time
async def test_a_device_that_comes_back_has_what_it_missed_in_order() -> None:
    devices = Registry()
    connection = FakeConnection()
    phone = devices.open(STUDENT, 2, connection)
    phone.send(news(1))
    devices.lose(phone)
    phone.send(news(2))
    phone.send(Pong(server_time=0, ref=None))
    phone.send(news(3))
    assert codes(connection.received) == ["1"]
    assert devices.resumable(phone.resume_token, STUDENT, 1) is phone
    again = FakeConnection()
    for frame in phone.missed(1) or []:
        again.send(frame)
    devices.attach(phone, again)
    phone.send(news(4))
    assert codes(again.received) == ["2", "3", "4"]
    await asyncio.sleep(10 * GRACE)
    assert devices.gone == []
    assert devices.of(STUDENT) == (phone,)


@in_virtual_time
async def test_what_is_only_of_the_moment_is_not_kept() -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 2, FakeConnection())
    devices.lose(phone)
    phone.send(Pong(server_time=0, ref=None))
    assert phone.missed(0) == []


@in_virtual_time
async def test_a_device_is_waited_for_as_long_as_the_grace_lasts_and_then_gone() -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 2, FakeConnection())
    devices.lose(phone)
    await asyncio.sleep(GRACE - 0.1)
    assert devices.resumable(phone.resume_token, STUDENT, 0) is phone
    await asyncio.sleep(0.2)
    assert devices.gone == [phone]
    assert devices.resumable(phone.resume_token, STUDENT, 0) is None
    assert devices.get(STUDENT, phone.device_id) is None


@in_virtual_time
async def test_every_absence_has_a_grace_of_its_own() -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 2, FakeConnection())
    for _ in range(3):
        devices.lose(phone)
        await asyncio.sleep(GRACE - 1)
        devices.attach(phone, FakeConnection())
        await asyncio.sleep(2)
    assert devices.gone == []


@in_virtual_time
async def test_without_a_grace_no_device_comes_back() -> None:
    devices = Registry(grace=0.0)
    phone = devices.open(STUDENT, 2, FakeConnection())
    devices.lose(phone)
    assert devices.resumable(phone.resume_token, STUDENT, 0) is None


@pytest.mark.parametrize("last_seq", [-1, 3, 2**40])
def test_a_device_that_claims_what_cannot_be_is_a_new_one(last_seq: int) -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 2, FakeConnection())
    phone.send(news(1))
    phone.send(news(2))
    assert devices.resumable(phone.resume_token, STUDENT, last_seq) is None


def test_a_device_that_lacks_what_it_once_confirmed_is_a_new_one() -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 2, FakeConnection())
    phone.send(news(1))
    phone.send(news(2))
    phone.arrived(1)
    assert devices.resumable(phone.resume_token, STUDENT, 0) is None
    assert devices.resumable(phone.resume_token, STUDENT, 1) is phone


def test_a_token_is_good_for_its_own_profile_only() -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 2, FakeConnection())
    assert devices.resumable(phone.resume_token, TUTOR, 0) is None
    assert devices.resumable("no such token", STUDENT, 0) is None
    assert devices.resumable(phone.resume_token, STUDENT, 0) is phone


@in_virtual_time
async def test_a_second_use_of_a_token_closes_the_connection_that_the_device_still_had() -> None:
    """The relay may not know yet that the older one is dead."""
    devices = Registry()
    first, second = FakeConnection(), FakeConnection(local_address="198.51.100.2")
    phone = devices.open(STUDENT, 2, first)
    devices.attach(phone, second)
    assert (first.closed, second.closed) == (RESUMED_ELSEWHERE, None)
    assert RESUMED_ELSEWHERE == 4409
    assert phone.addresses.local == "198.51.100.2"
    phone.send(news(1))
    assert codes(second.received) == ["1"]
    assert len(devices) == 1


@in_virtual_time
async def test_after_the_end_no_device_is_waited_for() -> None:
    devices = Registry()
    phone = devices.open(STUDENT, 2, FakeConnection())
    devices.lose(phone)
    devices.close()
    await asyncio.sleep(2 * GRACE)
    assert devices.gone == []
    assert len(devices) == 0
