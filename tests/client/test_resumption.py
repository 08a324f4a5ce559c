"""When a device comes back, and what it then has missed."""

from relay.client.resumption import MAX_DELAY, Resumption

WELCOME = {"resume": "token", "resume_seconds": 30.0, "resumed": False}


def test_the_first_connection_asks_for_version_2_and_the_next_one_for_what_was_missed() -> None:
    device = Resumption()
    assert device.query == {"version": "2"}
    assert not device.welcomed(WELCOME)
    assert device.is_new({"seq": 1})
    assert device.is_new({"seq": 2})
    assert device.query == {"version": "2", "resume": "token", "last_seq": "2"}


def test_a_message_that_comes_twice_is_new_once() -> None:
    device = Resumption()
    device.welcomed(WELCOME)
    assert [device.is_new({"seq": seq}) for seq in (1, 1, 2, 1)] == [True, False, True, False]
    assert device.is_new({"type": "pong"})


def test_a_new_device_counts_from_1_again() -> None:
    device = Resumption()
    device.welcomed(WELCOME)
    device.is_new({"seq": 7})
    device.lost(0.0)
    assert not device.welcomed(WELCOME)
    assert device.is_new({"seq": 1})


def test_attempts_become_rarer_and_end_when_the_server_has_dropped_the_device() -> None:
    device = Resumption()
    device.welcomed(WELCOME)
    assert device.lost(100.0)
    delays, now = [], 100.0
    while (delay := device.delay(now)) is not None:
        delays.append(delay)
        now += delay + 0.5
    assert delays[0] == 0.0
    assert delays[1:] == sorted(delays[1:])
    assert max(delays) == MAX_DELAY
    assert 130.0 < now < 135.0


def test_a_device_that_was_disconnected_for_good_does_not_come_back() -> None:
    for code in (4403, 4409):
        device = Resumption()
        device.welcomed(WELCOME)
        assert not device.lost(0.0, code)
    device = Resumption()
    device.welcomed({**WELCOME, "resume_seconds": 0})
    assert not device.lost(0.0)
