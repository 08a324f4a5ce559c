"""What may stand in a log."""

import contextlib
import io
import json
import logging
import signal
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.logs import FORMAT, JsonFormatter, RedactingFormatter, configure, redact
from tests.kit.process import serving
from tests.kit.server import running_relay

TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJzdHVkZW50XzQ1NiJ9.c2lnbmF0dXJlLW9mLW5vYm9keQ"
PASSWORD = "x9R7p2Qe5Lk1Zt8Vw3Yb6Nc4"
CANDIDATE = "candidate:842163049 1 udp 1677729535 203.0.113.77 46154 typ srflx raddr 192.168.7.7 rport 46154"
SDP = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 198.51.100.66\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 198.51.100.66\r\na=mid:0\r\na=rtcp-mux\r\na=ice-ufrag:uF7a\r\n"
    f"a=ice-pwd:{PASSWORD}\r\na=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\na=setup:actpass\r\na={CANDIDATE}\r\n"
)

SECRETS = {
    "token": TOKEN,
    "half a token": TOKEN.rpartition(".")[0],
    "a token in a URL": f"GET /ws/456/student?token={TOKEN}&version=2 failed",
    "another token in a URL": f"/ws/456/student?resume={PASSWORD}&last_seq=4",
    "a token in a header": f"Authorization: Bearer {PASSWORD}",
    "a subprotocol": f"Sec-WebSocket-Protocol: bearer, {PASSWORD}",
    "candidate": CANDIDATE,
    "a candidate in JSON": json.dumps({"candidate": CANDIDATE}),
    "description": SDP,
    "the text of a description": repr(SDP),
    "a description in JSON": json.dumps({"type": "offer", "sdp": SDP}),
    "part of a description": f"bad line 'a=ice-pwd:{PASSWORD}'",
    "IPv4": "Error handling request from 203.0.113.77",
    "IPv4 with a port": "connection to 203.0.113.77:46154 lost",
    "IPv6": "from 2001:db8:7::66 came nothing",
    "IPv6 with a port": "connection to [2001:db8:7::66]:443 lost",
    "IPv6 in full": "2001:0db8:0007:0000:0000:0000:0000:0066 is gone",
    "IPv4 in IPv6": "peer ('::ffff:203.0.113.77', 5000, 0, 0)",
    "local": "fe80::7:66%eth0",
}

LEAKS = (
    TOKEN[:20],
    TOKEN[-12:],
    PASSWORD,
    "203.0.113.77",
    "192.168.7.7",
    "198.51.100.66",
    "2001:",
    "::66",
    "fe80::",
    "uF7a",
    "AB:AB",
)


def leaks_of(text: str) -> list[str]:
    return [leak for leak in LEAKS if leak in text]


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_private_data_is_removed(text: str) -> None:
    assert leaks_of(text), "there is something to take away"
    assert not leaks_of(redact(text))


@pytest.mark.parametrize(
    "text",
    [
        "call 4f1c2d3e4f1c2d3e4f1c2d3e4f1c2d3e ended: hangup after 73 s",
        "2026-11-23 11:26:49,123 INFO relay: stopping",
        "media worker 1 (process 4711) has died (exit status 1): 2 calls lost",
        "a device of student_456 does not read its messages; it is disconnected",
        "aiohttp 3.14.5, Python 3.11.7, SQLAlchemy 2.1.9",
        'File "/app/relay/http/auth.py", line 12, in verify',
        "RELAY_PROT is no setting of the relay; it is ignored",
        "ratio 1:2, std::string, dead::beef::cafe, 00:11:22",
    ],
)
def test_data_that_is_not_private_stays(text: str) -> None:
    assert redact(text) == text


@given(st.text() | st.text(alphabet="0123456789abcdef:.v=\r\n eyJ-"))
def test_no_text_is_too_strange(text: str) -> None:
    assert isinstance(redact(text), str)


def test_a_long_line_takes_no_long_time() -> None:
    """A pattern that goes back over its steps again and again would not come to an end here."""
    for part in ("v=0\r\n", "a=b\r\n", "1.", "a:", ":", "eyJa.", "candidate:", "bearer "):
        assert redact(part * 100_000) is not None


@contextlib.contextmanager
def logging_to(stream: io.StringIO, level: int) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.of.logs")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(RedactingFormatter(FORMAT))
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)


def test_a_traceback_has_locations_and_no_values() -> None:
    stream = io.StringIO()
    with logging_to(stream, logging.INFO) as logger:
        try:
            raise ValueError(f"cannot take {SDP!r} of 203.0.113.77 with {TOKEN}")
        except ValueError:
            logger.exception("a message could not be taken")
    assert "test_a_traceback_has_locations_and_no_values" in stream.getvalue()
    assert "(description)" in stream.getvalue()
    assert not leaks_of(stream.getvalue())


def test_debug_logging_shows_everything() -> None:
    stream = io.StringIO()
    with logging_to(stream, logging.DEBUG) as logger:
        logger.debug("from %s", "203.0.113.77")
        logger.info("from %s", "203.0.113.77")
    assert [line.partition(": ")[2] for line in stream.getvalue().splitlines()] == ["from 203.0.113.77", "from (address)"]


def test_the_command_line_logs_in_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, root = io.StringIO(), logging.Logger("root")
    monkeypatch.setattr(logging, "root", root)
    monkeypatch.setattr(sys, "stderr", stream)
    configure("INFO")
    root.warning("from %s", "203.0.113.77")
    root.debug("nothing")
    assert stream.getvalue().endswith("WARNING root: from (address)\n")


# -- an object per line -----------------------------------------------------------------------------------------------


def said(level: int, *args: Any, exc_info: bool = False, **extra: Any) -> dict[str, Any]:
    """What a line of JSON has; there is exactly one."""
    record = logging.getLogger("tests.of.logs").makeRecord(
        "tests.of.logs", level, __file__, 1, args[0], args[1:], sys.exc_info() if exc_info else None, extra=extra
    )
    [line] = JsonFormatter(worker=3).format(record).splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_of_json_has_what_a_line_of_text_has_and_its_fields() -> None:
    found = said(logging.INFO, "call %s ended", "a" * 32, call_id="a" * 32, caller={"route": "udp", "rtt_ms": 4.5}, tries=2)
    assert datetime.fromisoformat(found.pop("time")).utcoffset() == timedelta(0)
    assert found == {
        "level": "INFO",
        "logger": "tests.of.logs",
        "message": f"call {'a' * 32} ended",
        "worker": 3,
        "call_id": "a" * 32,
        "caller": {"route": "udp", "rtt_ms": 4.5},
        "tries": 2,
    }


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_a_line_of_json_has_no_secret_either(text: str) -> None:
    try:
        raise ValueError(text)
    except ValueError:
        found = said(logging.ERROR, "failed: %s", text, exc_info=True, what=[{"text": text}])
    assert "ValueError" in found["exception"]
    assert not leaks_of(json.dumps(found, ensure_ascii=False))


def test_a_line_of_json_takes_any_value() -> None:
    found = said(logging.WARNING, "half an emoji \ud83d", thing=object(), mapping={1: (2, "\ud83d")})
    assert found["message"] == "half an emoji \\ud83d"
    assert found["mapping"] == {"1": [2, "\\ud83d"]}
    assert found["thing"].startswith("<object object")
    assert said(logging.DEBUG, "from %s", "203.0.113.77")["message"] == "from 203.0.113.77"


@pytest.mark.servers
@pytest.mark.parametrize("workers", ["0", "1"])
async def test_the_whole_log_of_a_server_is_json_when_it_is_asked_for(tmp_path: Path, workers: str) -> None:
    async with serving(tmp_path, log_format="json", workers=workers) as server:
        outcome = await server.stop(signal.SIGTERM)
    lines = [json.loads(line) for line in outcome.err.splitlines()]
    assert "stopping" in [line["message"] for line in lines]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)


# -- the relay's own lines, before anything is taken away ------------------------------------------------------------------


INVITATION = {
    "type": "call_invitation",
    "call_type": "voice",
    "conversation_id": 123,
    "to_profile_id": 789,
    "to_profile_type": "tutor",
    "offer": {"type": "offer", "sdp": SDP},
}

FRAMES: list[Any] = [
    INVITATION,
    {**INVITATION, "offer": {"type": "offer", "sdp": SDP.replace("a=rtcp-mux\r\n", "")}},
    {**INVITATION, "offer": {"type": "offer", "sdp": SDP + "a=ice-pwd:\udcff\r\n"}},
    {**INVITATION, "offer": SDP},
    {**INVITATION, "conversation_id": TOKEN},
    {**INVITATION, "call_type": CANDIDATE},
    {"type": "ice_candidate", "conversation_id": 123, "to_profile_id": 789, "to_profile_type": "tutor", "candidate": CANDIDATE},
    {
        "type": "ice_candidate",
        "conversation_id": 123,
        "to_profile_id": 789,
        "to_profile_type": "tutor",
        "candidate": {"candidate": f"{CANDIDATE} \x00", "sdpMid": "0", "sdpMLineIndex": 0},
    },
    {"type": "call_answer", "conversation_id": 123, "to_profile_id": 789, "to_profile_type": "tutor", "answer": {"sdp": SDP}},
    {"type": TOKEN, "sdp": SDP, "ref": CANDIDATE},
    {"type": "call_chat", "conversation_id": 123, "text": TOKEN},
    {"type": "call_update", "conversation_id": 123, "offer": {"type": "offer", "sdp": SDP}},
    [SDP],
    SDP,
]


async def test_no_line_about_bad_input_repeats_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running_relay(tmp_path, trusted_proxies=("127.0.0.1",)) as relay, aiohttp.ClientSession(relay.url) as http:
        sockets = []
        headers = {"X-Forwarded-For": "203.0.113.77"}
        for kind, number in (("student", 456), ("tutor", 789)):
            async with http.post("/api/dev/login", json={"profile_type": kind, "profile_id": number}) as response:
                token = (await response.json())["token"]
            url = f"/ws/{number}/{kind}?version=2&token={token}"
            sockets.append((await http.ws_connect(url, headers=headers), token))
        for socket, _ in sockets:
            for frame in FRAMES:
                await socket.send_str(json.dumps(frame))
            await socket.send_str(SDP)
            await socket.send_str(json.dumps({"type": "ping", "ref": "all is said"}))
            while (await socket.receive_json(timeout=20)).get("ref") != "all is said":
                pass
        for path in (f"/ws/456/student?token={TOKEN}", f"/api/profiles?token={TOKEN}", f"/api/calls?x={CANDIDATE}"):
            async with http.get(path, headers={**headers, "Sec-WebSocket-Protocol": f"bearer, {TOKEN}"}):
                pass
        async with http.post("/api/dev/login", data=SDP.encode(), headers={**headers, "Origin": f"https://{PASSWORD}"}):
            pass
        for socket, _ in sockets:
            await socket.close()
    lines = [RecordText(record) for record in caplog.records if record.levelno >= logging.INFO]
    assert not [(line, leaks) for line in map(str, lines) if (leaks := leaks_of(line) + [t for _, t in sockets if t in line])]


class RecordText:
    """A record as the plain formatter of `logging` writes it."""

    def __init__(self, record: logging.LogRecord) -> None:
        self._record = record

    def __str__(self) -> str:
        return logging.Formatter(FORMAT).format(self._record)
