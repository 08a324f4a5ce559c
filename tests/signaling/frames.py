"""Messages of clients: good ones, and what is refused with which code."""

import json
from typing import Any

from relay.signaling.messages import incoming
from relay.signaling.messages.incoming import (
    AboutCall,
)

SENDER = {"from_profile_id": 456, "from_profile_type": "student", "from_name": "Maya", "from_avatar": "/maya.png"}
RECEIVER = {"to_profile_id": 789, "to_profile_type": "tutor"}
CANDIDATE = {"candidate": "candidate:1 1 udp 1 203.0.113.4 5 typ host", "sdpMid": "0", "sdpMLineIndex": 0}
EXAMPLES: dict[str, dict[str, Any]] = {
    "call_invitation": {
        "type": "call_invitation",
        "call_type": "video",
        "conversation_id": 123,
        **SENDER,
        **RECEIVER,
        "offer": {"type": "offer", "sdp": "v=0\r\n"},
    },
    "call_answer": {
        "type": "call_answer",
        "conversation_id": 123,
        "from_profile_id": 789,
        "to_profile_id": 456,
        "to_profile_type": "student",
        "answer": {"type": "answer", "sdp": "v=0\r\n"},
    },
    "ice_candidate": {
        "type": "ice_candidate",
        "conversation_id": 123,
        "from_profile_id": 456,
        **RECEIVER,
        "candidate": CANDIDATE,
    },
    "call_declined": {"type": "call_declined", "conversation_id": 123, "reason": "busy"},
    "call_ended": {"type": "call_ended", "conversation_id": 123, "from_profile_id": 456, **RECEIVER},
    "call_update": {
        "type": "call_update",
        "conversation_id": 123,
        "offer": {"type": "offer", "sdp": "v=0\r\n"},
        "call_type": "video",
    },
    "call_restart": {"type": "call_restart", "conversation_id": 123},
    "call_rejoin": {"type": "call_rejoin", "conversation_id": 123},
    "call_rejoin_answer": {
        "type": "call_rejoin_answer",
        "conversation_id": 123,
        "accepted": True,
        "request_id": "c0" * 16,
    },
    "call_media_state": {"type": "call_media_state", "conversation_id": 123, "muted": True, "camera_off": True, "sharing": True},
    "call_hold": {"type": "call_hold", "conversation_id": 123},
    "call_resume": {"type": "call_resume", "conversation_id": 123},
    "call_transfer": {
        "type": "call_transfer",
        "conversation_id": 123,
        "target_profile_id": 321,
        "target_profile_type": "parent",
    },
    "call_transfer_answer": {"type": "call_transfer_answer", "conversation_id": 123, "accepted": True},
    "call_transfer_targets": {"type": "call_transfer_targets", "conversation_id": 123},
    "call_chat": {"type": "call_chat", "conversation_id": 123, "text": "hello", "message_id": "m-1"},
    "call_record": {"type": "call_record", "conversation_id": 123, "action": "start", "text_hash": "ab" * 32},
    "call_record_answer": {
        "type": "call_record_answer",
        "conversation_id": 123,
        "accepted": True,
        "recording_id": "c0" * 16,
        "text_hash": "ab" * 32,
    },
    "ping": {"type": "ping", "last_seq": 7},
}
"""Version 1 as in the contract, every field of it there."""
CODES = {
    "nothing": ("", "malformed"),
    "prose": ("hello", "malformed"),
    "half a message": ('{"type":"call_ended"', "malformed"),
    "two messages": ('{"type":"call_ended","conversation_id":1}{}', "malformed"),
    "an array": ("[1, 2]", "malformed"),
    "a string": ('"call_ended"', "malformed"),
    "a number": ("7", "malformed"),
    "null": ("null", "malformed"),
    "not a number": ('{"type":"call_ended","conversation_id":NaN}', "malformed"),
    "not a number, in a field of the future": ('{"type":"call_ended","conversation_id":1,"x":NaN}', "malformed"),
    "infinity": ('{"type":"call_ended","conversation_id":Infinity}', "malformed"),
    "an integer of 5,000 digits": (f'{{"type":"call_ended","conversation_id":{"9" * 5000}}}', "invalid_message"),
    "a float beyond all floats": ('{"type":"call_ended","conversation_id":1e999}', "invalid_message"),
    "arrays in arrays": ("[" * 60_000, "malformed"),
    "objects in objects": ('{"a":' * 10_000, "malformed"),
    "an offer of objects in objects": (
        '{"type":"call_answer","conversation_id":1,"answer":' + '{"a":' * 10_000 + "1" + "}" * 10_001,
        "malformed",
    ),
    "half a surrogate pair, escaped": ('{"type":"call_ended","conversation_id":1,"ref":"\\ud800"}', "invalid_message"),
    "the other half": ('{"type":"call_ended","conversation_id":1,"x":["\\uDE00"]}', "invalid_message"),
    "both halves the wrong way round": ('{"type":"call_ended","conversation_id":1,"x":"\\ude00\\ud83d"}', "invalid_message"),
    "half a surrogate pair in half a message": ('{"type":"call_ended","x":"\\ud800"', "malformed"),
    "half a surrogate pair in no object": ('["\\ud800"]', "malformed"),
    "half a surrogate pair, plain": ('{"type":"call_ended","conversation_id":1,"ref":"\ud800"}', "malformed"),
    "bytes that are no UTF-8": (b'{"type":"call_ended","conversation_id":1,"ref":"\xff"}', "malformed"),
    "bytes in UTF-16": ('{"type":"call_ended","conversation_id":1}'.encode("utf-16"), "malformed"),
    "no type": ('{"conversation_id":1}', "unknown_type"),
    "an unknown type": ('{"type":"dance","conversation_id":1}', "unknown_type"),
    "a type of the server's own": ('{"type":"welcome","conversation_id":1}', "unknown_type"),
    "a type that is no text": ('{"type":{"type":"call_ended"},"conversation_id":1}', "unknown_type"),
    "a megabyte": (json.dumps({**EXAMPLES["call_ended"], "note": "x" * 2**20}), "too_large"),
    "a megabyte of nonsense": (b"\xff" * 2**20, "too_large"),
}


def about(frame: str) -> AboutCall:
    """A message about a call."""
    message = incoming.decode(frame)
    assert isinstance(message, AboutCall)
    return message
