"""The one private name of aiortc that the client uses."""

import inspect

from aiortc import RTCRtpReceiver


def test_packets_still_come_to_a_method_of_the_receiver_that_can_be_replaced() -> None:
    """If this fails, aiortc has changed: `relay.client.peer.tap_receiver` sees no packets, and counts and records nothing."""
    method = RTCRtpReceiver._handle_rtp_packet
    assert [*inspect.signature(method).parameters] == ["self", "packet", "arrival_time_ms"]
    assert inspect.iscoroutinefunction(method)
    assert not hasattr(RTCRtpReceiver, "__slots__"), "an instance can have its own"
