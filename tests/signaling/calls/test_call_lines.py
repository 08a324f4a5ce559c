"""The line that the log has about each call."""

import asyncio
import logging

import pytest

from relay.media.api import Route, TransportDown, TransportUp
from tests.signaling.figures import HOME, report
from tests.signaling.harness import MemoryHarness, in_memory
from tests.signaling.people import (
    HANG_UP,
    STUDENT,
    TUTOR,
    answer,
    invitation,
)


@in_memory
async def test_the_log_has_a_line_about_each_call_that_says_why_it_was_bad(
    harness: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    harness.routes[HOME] = Route("turn-tls", "ipv4")
    caller, callee = await harness.connect(STUDENT), await harness.connect(TUTOR)
    await harness.say(caller, invitation(TUTOR))
    await asyncio.sleep(3)
    await harness.say(callee, answer())
    await asyncio.sleep(0.5)
    await harness.media(*(TransportUp(transport) for transport in harness.engine.opened))
    await harness.media(
        report(0, harness),
        report(0, harness, rtt=0.3, loss_from_peer=0.2, loss_to_peer=0.1, jitter=0.05, score=2.1),
        report(1, harness),
    )
    await harness.media(TransportDown(harness.engine.opened[0]), TransportUp(harness.engine.opened[0]))
    await asyncio.sleep(6)
    await harness.say(caller, HANG_UP)
    [record] = [one for one in caplog.records if getattr(one, "event", "") == "call_ended"]
    fields = vars(record)
    assert fields["call_id"] == callee.last("call_ended")["call_id"]
    assert {name: fields[name] for name in ("reason", "call_type", "interruptions")} == {
        "reason": "hangup",
        "call_type": "voice",
        "interruptions": 1,
    }
    assert (fields["rang_seconds"], fields["connected_after_seconds"], fields["duration_seconds"]) == (3.0, 0.5, 6.5)
    assert fields["caller"] == {
        "route": "turn-tls",
        "family": "ipv4",
        "rtt_ms": 300.0,
        "worst_rtt_ms": 300.0,
        "worst_jitter_ms": 50.0,
        "score": 3.2,
        "worst_score": 2.1,
        "loss_from_peer": 0.1,
        "loss_to_peer": 0.05,
    }
    assert fields["callee"]["score"] == 4.3
    assert "reason=hangup" in (text := record.getMessage())
    assert "caller.route=turn-tls caller.family=ipv4 caller.rtt_ms=300.0" in text
    for secret in ("Maya", "Daniel", "456", "203.0.113", HOME[0]):
        assert secret not in text.replace(fields["call_id"], "")  # which may have any digits


@in_memory
async def test_the_line_about_an_unanswered_call_has_what_is_known(
    harness: MemoryHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await harness.ringing()
    await asyncio.sleep(45.1)
    [record] = [one for one in caplog.records if getattr(one, "event", "") == "call_ended"]
    assert record.getMessage().endswith("ended: reason=no_answer call_type=voice rang_seconds=45.0 interruptions=0")
