"""Write the seed corpus: `python -m tests.fuzz.make_corpus`. Every file is the same each time.

The packets have the shapes that browsers and aiortc give them, down to the order of attributes and extensions; what a capture
would add, addresses and keys of a real machine, is left out.
"""

import json
from pathlib import Path
from struct import pack
from typing import Final

from aioice import stun

from tests.fuzz import recording_corpus
from tests.kit.media import rtcp_compound, rtp_packet

FOLDER: Final = Path(__file__).with_name("corpus")

UFRAG: Final = "relayufr"
PWD: Final = "relaypwdrelaypwdrelaypwd"
"""Of the relay's end in every STUN message here."""

SSRC: Final = 0x1234
"""Of every stream here."""

# -- STUN ---------------------------------------------------------------------------------------------------------------

_BINDING_REQUEST: Final = 0x0001
_BINDING_INDICATION: Final = 0x0011
_BINDING_RESPONSE: Final = 0x0101


def _attribute(kind: int, value: bytes) -> bytes:
    return pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


_USERNAME: Final = _attribute(0x0006, f"{UFRAG}:g69U".encode())
_PRIORITY: Final = _attribute(0x0024, pack("!I", 0x6E7F1EFF))
_CONTROLLING: Final = _attribute(0x802A, bytes.fromhex("0123456789abcdef"))
_CONTROLLED: Final = _attribute(0x8029, bytes.fromhex("fedcba9876543210"))
_USE_CANDIDATE: Final = _attribute(0x0025, b"")
_NETWORK_INFO: Final = _attribute(0xC057, bytes.fromhex("000103e7"))
"""GOOG-NETWORK-INFO: network id 1, cost 999."""


def _stun(*attributes: bytes, kind: int = _BINDING_REQUEST, pwd: str | None = PWD, fingerprint: bool = True) -> bytes:
    body = b"".join(attributes)
    message = pack("!HHI", kind, len(body), stun.COOKIE) + b"transaction!" + body
    if pwd is not None:
        message += _attribute(0x0008, stun.message_integrity(message, pwd.encode()))
    if fingerprint:
        message += _attribute(0x8028, pack("!I", stun.message_fingerprint(message)))
    return stun.set_body_length(message, len(message) - stun.HEADER_LENGTH)


STUN: Final = {
    "chromium_check": _stun(_USERNAME, _NETWORK_INFO, _CONTROLLING, _PRIORITY),
    "chromium_nomination": _stun(_USERNAME, _NETWORK_INFO, _CONTROLLING, _USE_CANDIDATE, _PRIORITY),
    "chromium_ping_with_nomination_count": _stun(_USERNAME, _attribute(0xC001, pack("!I", 1)), _CONTROLLING, _PRIORITY),
    "firefox_check": _stun(_USERNAME, _PRIORITY, _USE_CANDIDATE, _CONTROLLING),
    "aiortc_check": _stun(_USERNAME, _PRIORITY, _CONTROLLING, _USE_CANDIDATE),
    "check_of_a_controlled_agent": _stun(_USERNAME, _NETWORK_INFO, _CONTROLLED, _PRIORITY),
    "check_with_another_password": _stun(_USERNAME, _PRIORITY, _CONTROLLING, pwd="another-password-entirely"),
    "check_without_integrity": _stun(_USERNAME, _PRIORITY, _CONTROLLING, pwd=None),
    "check_without_fingerprint": _stun(_USERNAME, _PRIORITY, _CONTROLLING, fingerprint=False),
    "check_without_username": _stun(_PRIORITY, _CONTROLLING),
    "check_for_an_unknown_ufrag": _stun(_attribute(0x0006, b"nobodyhere:g69U"), _PRIORITY, _CONTROLLING),
    "every_attribute": _stun(
        _USERNAME,
        _PRIORITY,
        _attribute(0x0001, bytes.fromhex("0001 d431 cb007107")),
        _attribute(0x0009, bytes.fromhex("00000457") + b"Role Conflict"),
        _attribute(0x000C, pack("!HH", 0x4000, 0)),
        _attribute(0x000D, pack("!I", 600)),
        _attribute(0x0012, bytes.fromhex("0001 f523 ea12d545")),
        _attribute(0x0013, b"data"),
        _attribute(0x0014, b"realm"),
        _attribute(0x0015, b"nonce"),
        _attribute(0x0019, bytes.fromhex("11000000")),
        _attribute(0x8022, "née relay".encode()),
        _attribute(0x802B, bytes.fromhex("0002 d431") + bytes(15) + b"\1"),
    ),
    "response": _stun(_attribute(0x0020, bytes.fromhex("0001 f523 ea12d545")), kind=_BINDING_RESPONSE),
    "indication": _stun(kind=_BINDING_INDICATION, pwd=None),
    "turn_allocation": _stun(_attribute(0x0019, bytes.fromhex("11000000")), kind=0x0003, pwd=None, fingerprint=False),
    "bare_binding_request": _stun(pwd=None, fingerprint=False),
}

# -- RTP ----------------------------------------------------------------------------------------------------------------

_ABS_SEND_TIME_AND_MID: Final = bytes.fromhex("22 a1b2c3 51 0007 30 31")
"""One-byte elements: abs-send-time (2), transport-wide sequence number (5), mid "1" (3)."""


def _rtp(
    payload: bytes,
    payload_type: int = 96,
    *,
    marker: bool = False,
    extension: bytes | None = _ABS_SEND_TIME_AND_MID,
    profile: int = 0xBEDE,
    csrcs: int = 0,
    padding: int = 0,
) -> bytes:
    first = 0x80 | (0x10 if extension is not None else 0) | csrcs | (0x20 if padding else 0)
    packet = pack("!BBHII", first, payload_type | (0x80 if marker else 0), 7, 3_000_000_000, SSRC)
    packet += b"".join(pack("!I", number) for number in range(csrcs))
    if extension is not None:
        words = extension + bytes(-len(extension) % 4)
        packet += pack("!HH", profile, len(words) // 4) + words
    return packet + payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")


_VP8_KEYFRAME: Final = bytes.fromhex("90e0 8123 05 61 10020 0 9d012a 8002e001".replace(" ", "")) + b"picture"
"""X, S; picture id of 15 bits, TL0PICIDX, TID and KEYIDX; then the key frame's start code and 640×480."""

RTP: Final = {
    "opus_with_audio_level": _rtp(b"\x78opus frame", 111, marker=True, extension=bytes.fromhex("10 91 22 a1b2c3 51 0007 40 30")),
    "opus_silence": _rtp(bytes.fromhex("f8fffe"), 111, extension=bytes.fromhex("10 ff")),
    "opus_in_red": _rtp(bytes.fromhex("ef 00f0 05 6f") + b"older" + b"newer", 63),
    "vp8_keyframe": _rtp(_VP8_KEYFRAME),
    "vp8_keyframe_short_descriptor": _rtp(bytes.fromhex("10 1002009d012a8002e001") + b"picture"),
    "vp8_interframe": _rtp(bytes.fromhex("90e0 8124 06 61 b10100") + b"picture", marker=True),
    "vp8_continuation": _rtp(bytes.fromhex("80e0 8124 06 61") + b"picture"),
    "vp9_keyframe": _rtp(bytes.fromhex("8a 8123 0a") + b"picture", 98),
    "vp9_lowest_layer": _rtp(bytes.fromhex("aa 8123 00 01 22") + b"picture", 98),
    "vp9_upper_layer": _rtp(bytes.fromhex("aa 8123 06 01 22") + b"picture", 98),
    "h264_sps_pps_idr_aggregate": _rtp(bytes.fromhex("78 0004 6742c01f 0004 68ce3c80 0005 6588843fff"), 102),
    "h264_idr_fragment": _rtp(bytes.fromhex("7c 85 88843fff"), 102),
    "h264_idr_fragment_end": _rtp(bytes.fromhex("7c 45 88843fff"), 102, marker=True),
    "h264_slice": _rtp(bytes.fromhex("41 9a2664"), 102, marker=True),
    "av1_new_sequence": _rtp(bytes.fromhex("18 0a0b 0000") + b"picture", 45),
    "rtx": _rtp(pack("!H", 7) + _VP8_KEYFRAME, 97),
    "rtx_padding_probe": _rtp(b"", 97, padding=255),
    "two_byte_extension": _rtp(
        _VP8_KEYFRAME, extension=bytes.fromhex("02 03 a1b2c3 00 05 02 0007 03 01 31 0c 00 10 14") + bytes(20), profile=0x1000
    ),
    "two_byte_extension_with_application_bits": _rtp(_VP8_KEYFRAME, extension=bytes.fromhex("0101 31"), profile=0x100F),
    "unknown_extension_profile": _rtp(_VP8_KEYFRAME, extension=b"whatever", profile=0xABAC),
    "empty_extension": _rtp(_VP8_KEYFRAME, extension=b""),
    "extension_padding_and_reserved_id": _rtp(_VP8_KEYFRAME, extension=bytes.fromhex("00 00 30 31 00 f3 01020304 22 a1b2c3")),
    "contributing_sources": _rtp(b"\x78mixed", 111, csrcs=15),
    "padded": _rtp(_VP8_KEYFRAME, padding=4),
    "only_a_header": _rtp(b"", extension=None),
    "extension_longer_than_the_packet": _rtp(b"", extension=b"")[:-2] + b"\xff\xff",
    "more_padding_than_packet": bytes([0xA0]) + _rtp(b"\xff", extension=None)[1:],
    "version_1": bytes([0x50]) + _rtp(_VP8_KEYFRAME)[1:],
}

# -- RTCP ---------------------------------------------------------------------------------------------------------------


def _part(count: int, kind: int, body: bytes, *, padding: int = 0) -> bytes:
    body += bytes(padding - 1) + bytes([padding]) if padding else b""
    return pack("!BBH", 0x80 | count | (0x20 if padding else 0), kind, len(body) // 4) + body


_BLOCK: Final = pack("!IIIIII", SSRC, 0x10_000003, 0x0001_0007, 120, 0x5678_9ABC, 0x0001_8000)
_SR: Final = _part(1, 200, pack("!IQIII", SSRC, 0xE8A1_5678_9ABC_0000, 90_000, 1000, 900_000) + _BLOCK)
_RR: Final = _part(2, 201, pack("!I", 1) + _BLOCK + _BLOCK)
_SDES: Final = _part(1, 202, pack("!I", SSRC) + b"\x01\x10WHEwZK4DD6si1F52" + bytes(2))
_BYE: Final = _part(2, 203, pack("!II", SSRC, SSRC + 1) + b"\x07goodbye")
_NACK: Final = _part(1, 205, pack("!IIHHHH", 1, SSRC, 65534, 0x8005, 100, 0))
_TRANSPORT_CC: Final = _part(15, 205, pack("!IIHHI", 1, SSRC, 7, 5, 0xA1B2C301) + bytes.fromhex("2005 28 14 10 0c 04 00"))
_PLI: Final = _part(1, 206, pack("!II", 1, SSRC))
_FIR: Final = _part(4, 206, pack("!IIIBxxxIBxxx", 1, 0, SSRC, 1, SSRC + 1, 9))
_REMB: Final = _part(15, 206, pack("!II4sII", 1, 0, b"REMB", 1 << 24 | 5 << 18 | 0x1E848, SSRC))
_XR: Final = _part(0, 207, pack("!IBBHQ", 1, 4, 0, 2, 0xE8A1_5678_9ABC_0000))


def nack_round_the_circle(answered: int, parts: int = 1) -> bytes:
    """NACKs that ask, in two entries each, for `answered`, for what follows it, and for what lies around the far side of the
    circle of sequence numbers."""
    far = (answered + 1 - 0x8000 - 8) & 0xFFFF
    return _part(1, 205, pack("!IIHHHH", 1, SSRC, answered, 1, far, 0xFFFF)) * parts


RTCP: Final = {
    "sender_report": _SR + _SDES,
    "receiver_report": _RR,
    "empty_receiver_report_and_nack": _part(0, 201, pack("!I", 1)) + _NACK,
    "nack": _NACK,
    "nacks_of_two_streams": _NACK + _part(1, 205, pack("!IIHH", 1, SSRC + 1, 0, 0xFFFF)),
    "transport_feedback": _TRANSPORT_CC,
    "picture_loss": _PLI,
    "full_intra_request": _FIR,
    "bitrate_estimate": _RR + _REMB,
    "extended_report": _part(0, 201, pack("!I", 1)) + _XR,
    "goodbye": _RR + _SDES + _BYE,
    "everything": _SR + _RR + _SDES + _NACK + _TRANSPORT_CC + _PLI + _FIR + _REMB + _XR + _BYE,
    "padded": _RR + _part(1, 206, pack("!II", 1, SSRC), padding=8),
    "aiortc_sender_report": rtcp_compound(SSRC),
    "report_extension": _part(0, 201, pack("!I4s", 1, b"more")),
    "part_longer_than_the_packet": _RR[:-4],
    "nack_with_an_entry_cut_off": _part(1, 205, pack("!II", 1, SSRC) + b"\0\1\0\2")[:-2],
    "nack_round_the_circle": nack_round_the_circle(100),
}

# -- descriptions and messages: whole ones of real software are in tests/sdp/corpus --------------------------------------

_VOICE: Final = f"""v=0
o=- 4611731400430051336 2 IN IP4 203.0.113.77
s=-
t=0 0
a=group:BUNDLE 0
m=audio 50000 UDP/TLS/RTP/SAVPF 111
c=IN IP4 203.0.113.77
a=rtcp:50001 IN IP4 203.0.113.77
a=candidate:1 1 udp 2122260223 203.0.113.77 50000 typ srflx raddr 192.0.2.7 rport 50000 generation 0
a=candidate:2 1 tcp 1518280447 f9b05dd3-e4d2-459e-b5d7-efe0e76b07b8.local 9 typ host tcptype active
a=ice-ufrag:g69U
a=ice-pwd:rmzSESlpcvSldUxzxw2MjG3B
a=fingerprint:sha-256 {":".join(["9D"] * 32)}
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=ssrc:1030330694 cname:WHEwZK4DD6si1F52
""".replace("\n", "\r\n")

SDP: Final = {
    "voice": _VOICE.encode(),
    "voice_without_carriage_returns": _VOICE.replace("\r", "").encode(),
    "session_level_transport": "".join(
        sorted(_VOICE.splitlines(keepends=True), key=lambda line: line.startswith(("m=", "a=mid", "a=rt", "a=ssrc", "a=ext")))
    ).encode(),
    "rejected_video": (_VOICE + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\n").encode(),
    "bundle_only_video": (
        _VOICE.replace("BUNDLE 0", "BUNDLE 0 1") + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=bundle-only\r\na=mid:1\r\n"
    ).encode(),
    "only_bundle_only_sections": _VOICE.replace("m=audio 50000", "m=audio 0")
    .replace("a=mid:0", "a=bundle-only\r\na=mid:0")
    .encode(),
    "clock_of_0_hz": _VOICE.replace("opus/48000", "opus/0").encode(),
    "data_channel": _VOICE.replace(
        "audio 50000 UDP/TLS/RTP/SAVPF 111", "application 9 UDP/DTLS/SCTP webrtc-datachannel"
    ).encode(),
}

MESSAGES: Final = {
    name: json.dumps(message, ensure_ascii=False).encode()
    for name, message in {
        "invitation": {
            "type": "call_invitation",
            "conversation_id": 123,
            "call_type": "video",
            "to_profile_id": 789,
            "to_profile_type": "tutor",
            "from_name": "Zoë 🎓",
            "ref": "my-7",
            "offer": {"type": "offer", "sdp": "v=0\r\n"},
        },
        "answer": {"type": "call_answer", "conversation_id": 123, "answer": {"type": "answer", "sdp": "v=0\r\n"}},
        "candidate": {
            "type": "ice_candidate",
            "conversation_id": 123,
            "candidate": {"candidate": "candidate:1 1 udp 1 203.0.113.4 5 typ host", "sdpMid": "0", "sdpMLineIndex": 0},
        },
        "end_of_candidates": {"type": "ice_candidate", "conversation_id": 123, "candidate": None},
        "decline": {"type": "call_declined", "conversation_id": 123, "reason": "busy"},
        "hang_up": {"type": "call_ended", "conversation_id": 9007199254740991},
        "unknown_type": {"type": "dance", "ref": "tango"},
        "list_where_an_object_belongs": [1, 2, {"type": "call_ended"}],
        "nested": {"type": "call_ended", "conversation_id": 1, "more": [[[[[[[[{"a": [None, True, -1.5e300]}]]]]]]]]},
    }.items()
} | {
    "lone_surrogate_escape": b'{"type":"call_ended","conversation_id":1,"ref":"\\ud800"}',
    "huge_numbers": b'{"type":"call_ended","conversation_id":1e400,"ref":' + b"9" * 400 + b"}",
    "not_utf_8": b'{"type":"call_ended","conversation_id":1,"ref":"\xff\xfe"}',
    "long_unknown_type": b'{"type":"' + "\ufffd".encode() * 500 + b'","conversation_id":1}',
    "deeply_nested": b'{"type":' + b"[" * 3000 + b"]" * 3000 + b"}",
}

# -- the demultiplexer: datagrams in frames, as tests.fuzz.demultiplexer reads them -------------------------------------------

STRANGER, FIRST, SECOND, MALLORY, MALLORY_RTP, MALLORY_RTCP, MALLORY_CHECK, FORGED_CHECK = range(8)
"""Where a datagram comes from, and which keys it is made with."""


def frames(*sent: tuple[int, bytes]) -> bytes:
    """A run of datagrams, each with its sender in front."""
    return b"".join(pack("!BH", sender, len(datagram)) + datagram for sender, datagram in sent)


DTLS: Final = {
    "client_hello": bytes.fromhex("16fefd 0000 000000000000 000c") + bytes(12),
    "alert": bytes.fromhex("15fefd 0001 000000000001 0002 0228"),
    "plain_close_notify": bytes.fromhex("15fefd 0000 000000000001 0002 0100"),
    "application_data": bytes.fromhex("17fefd 0001 000000000005 0010") + bytes(16),
    "change_cipher_spec": bytes.fromhex("14fefd 0000 000000000001 0001 01"),
}

DEMULTIPLEXER: Final = {
    "empty_datagrams": frames(*((sender, b"") for sender in range(4))),
    "stun_from_everywhere": frames(*((sender, STUN["chromium_nomination"]) for sender in (0, 1, 2, 3, 0x80, 0x90))),
    "authentic_checks": frames((MALLORY_CHECK, STUN["firefox_check"]), (MALLORY_CHECK, STUN["chromium_nomination"])),
    "checks_of_a_role_that_is_taken": frames((MALLORY_CHECK, STUN["check_of_a_controlled_agent"])),
    "more_addresses_than_one_may_have": frames(
        *((FORGED_CHECK | number << 3, STUN["aiortc_check"]) for number in range(16)), (MALLORY_CHECK, STUN["firefox_check"])
    ),
    "dtls_from_everywhere": frames(*((sender, datagram) for datagram in DTLS.values() for sender in range(4))),
    "forged_media": frames(*((sender, rtp_packet(7, SSRC, payload=bytes(40))) for sender in range(4))),
    "forged_reports": frames(*((sender, RTCP["everything"]) for sender in range(4))),
    "authentic_media": frames(*((MALLORY_RTP, packet) for packet in RTP.values())),
    "authentic_reports": frames(*((MALLORY_RTCP, compound) for name, compound in RTCP.items() if "circle" not in name)),
    "nacks_that_grow_beyond_their_buffer": frames((MALLORY_RTCP, nack_round_the_circle(127, parts=94))),
    "unknown_classes": frames(*((FIRST, bytes([first]) * 30) for first in (4, 19, 64, 79, 127, 192, 255))),
    "too_long": frames((FIRST, b"\x80" * 2048), (STRANGER, b"\0" * 2048), (MALLORY_RTP, b"\x80" * 1900)),
}

CORPUS: Final = {
    "stun": STUN,
    "rtp": RTP,
    "rtcp": RTCP,
    "sdp": SDP,
    "messages": MESSAGES,
    "demultiplexer": DEMULTIPLEXER,
    **recording_corpus.CORPUS,
}
"""Target → name → bytes."""


def main() -> None:
    for target, seeds in CORPUS.items():
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, seed in seeds.items():
            (folder / f"{name}.bin").write_bytes(seed)


if __name__ == "__main__":
    main()
