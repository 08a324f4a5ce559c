"""Who is connected."""

from relay.signaling.devices import Devices
from tests.signaling.people import STUDENT, TUTOR, FakeDevice


def test_devices_of_a_profile_are_kept_in_the_order_in_which_they_came() -> None:
    devices = Devices()
    phone, tablet, other = FakeDevice(STUDENT), FakeDevice(STUDENT), FakeDevice(TUTOR)
    for device in (phone, other, tablet):
        devices.add(device)
    assert devices.of(STUDENT) == (phone, tablet)
    assert devices.of(TUTOR) == (other,)
    assert len(devices) == 3


def test_a_device_is_found_by_its_name_as_long_as_it_is_there() -> None:
    devices = Devices()
    phone = FakeDevice(STUDENT)
    devices.add(phone)
    assert devices.get(STUDENT, phone.device_id) is phone
    assert devices.get(TUTOR, phone.device_id) is None
    assert devices.get(STUDENT, "somewhere else") is None
    assert devices.get(STUDENT, None) is None
    devices.remove(phone)
    assert devices.get(STUDENT, phone.device_id) is None
    assert devices.of(STUDENT) == ()


def test_a_device_that_goes_takes_no_other_with_it() -> None:
    devices = Devices()
    phone, tablet = FakeDevice(STUDENT), FakeDevice(STUDENT)
    devices.add(phone)
    devices.add(tablet)
    devices.remove(phone)
    devices.remove(phone)
    assert devices.of(STUDENT) == (tablet,)
    assert len(devices) == 1


def test_what_is_being_looked_at_may_change_meanwhile() -> None:
    devices = Devices()
    for _ in range(3):
        devices.add(FakeDevice(STUDENT))
    for device in devices.of(STUDENT):
        devices.remove(device)
    assert len(devices) == 0
