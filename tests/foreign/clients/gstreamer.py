"""GStreamer's webrtcbin, as Debian ships it, told what to do by lines of JSON like the clients beside it.

Runs on the system's Python, which has the bindings of GStreamer.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 - versions come first

PATIENCE = 20.0
"""Seconds."""

AUDIO = "audiotestsrc is-live=true freq=440 ! opusenc ! rtpopuspay pt=%d ssrc=1111 ! "
AUDIO += "application/x-rtp,media=audio,encoding-name=OPUS,encoding-params=(string)2,payload=%d ! out."
VIDEO = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=20/1 ! "
VIDEO += "vp8enc deadline=1 keyframe-max-dist=20 ! rtpvp8pay pt=%d ssrc=2222 picture-id-mode=2 ! "
VIDEO += "application/x-rtp,media=video,encoding-name=VP8,payload=%d ! out."


class Client:
    """One peer connection. Its methods without an underscore are the commands."""

    def __init__(self) -> None:
        self._heard: dict[str, Any] = {"audio": 0, "video": 0, "texts": []}
        self._channel: Any = None
        self._pipeline: Any = None
        self._webrtc: Any = None

    def _start(self, payload_types: dict[str, int]) -> None:
        policy = os.environ.get("BUNDLE_POLICY", "max-bundle")
        parts = [f"webrtcbin name=out bundle-policy={policy}"]
        parts += [
            text % (number, number) for kind, text in (("audio", AUDIO), ("video", VIDEO)) if (number := payload_types.get(kind))
        ]
        self._pipeline = Gst.parse_launch("  ".join(parts))
        self._webrtc = self._pipeline.get_by_name("out")
        self._webrtc.connect("pad-added", self._receive)
        self._webrtc.connect("on-data-channel", lambda _, channel: self._use(channel))
        self._pipeline.set_state(Gst.State.PLAYING)
        self._wait_for_caps()

    def _wait_for_caps(self) -> None:
        """Wait until webrtcbin knows what it sends: its offer would else name neither the SSRC of a track nor its stream, and a
        page that plays the streams of the other party would not hear it."""
        pads = self._webrtc.sinkpads
        known = threading.Event()

        def look(*_: Any) -> None:
            if all(pad.get_current_caps() for pad in pads):
                known.set()

        for pad in pads:
            pad.connect("notify::caps", look)
        look()
        if not known.wait(PATIENCE):
            raise RuntimeError("no media is made")

    def _receive(self, _: Any, pad: Any) -> None:
        """Decode what a new pad brings, and count it."""
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        kind = pad.get_current_caps().get_structure(0).get_string("media")
        decode = "rtpopusdepay ! opusdec" if kind == "audio" else "rtpvp8depay ! vp8dec"
        sink = Gst.parse_bin_from_description(f"queue ! {decode} ! fakesink name=end sync=false signal-handoffs=true", True)

        def count(*_: Any) -> None:
            self._heard[kind] += 1

        sink.get_by_name("end").connect("handoff", count)
        self._pipeline.add(sink)
        pad.link(sink.get_static_pad("sink"))
        sink.sync_state_with_parent()

    def _use(self, channel: Any) -> None:
        self._channel = channel
        channel.connect("on-message-string", lambda _, text: self._heard["texts"].append(text))

    def _make(self, kind: str) -> dict[str, str]:
        promise = Gst.Promise.new()
        self._webrtc.emit(f"create-{kind}", None, promise)
        promise.wait()
        reply = promise.get_reply()  # owns what the description points to
        description = reply.get_value(kind)
        applied = Gst.Promise.new()
        self._webrtc.emit("set-local-description", description, applied)
        applied.wait()
        return {"type": kind, "sdp": description.sdp.as_text()}

    def _apply(self, description: dict[str, str]) -> None:
        _, message = GstSdp.SDPMessage.new_from_text(description["sdp"])
        kind = GstWebRTC.WebRTCSDPType.OFFER if description["type"] == "offer" else GstWebRTC.WebRTCSDPType.ANSWER
        promise = Gst.Promise.new()
        self._webrtc.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, message), promise)
        promise.wait()
        reply = promise.get_reply()
        if reply is not None and reply.has_field("error"):
            raise RuntimeError(reply.get_value("error").message)

    def offer(self, *, kind: str = "video") -> dict[str, str]:
        self._start({"audio": 111, **({"video": 96} if kind == "video" else {})})
        if kind == "video":
            self._use(self._webrtc.emit("create-data-channel", "chat", None))
        return self._make("offer")

    def answer(self, *, offer: dict[str, str]) -> dict[str, str]:
        self._start(_payload_types(offer["sdp"]))
        self._apply(offer)
        return self._make("answer")

    def accept(self, *, answer: dict[str, str]) -> None:
        self._apply(answer)

    def send(self, *, text: str) -> dict[str, bool]:
        if self._channel is None or self._channel.get_property("ready-state") != GstWebRTC.WebRTCDataChannelState.OPEN:
            return {"sent": False}
        self._channel.emit("send-string", text)
        return {"sent": True}

    def heard(self) -> dict[str, Any]:
        return self._heard


def _payload_types(sdp: str) -> dict[str, int]:
    """Of Opus and VP8 in an offer, by kind of media."""
    names = {"opus": "audio", "vp8": "video"}
    found: dict[str, int] = {}
    for line in sdp.splitlines():
        number, _, codec = line.removeprefix("a=rtpmap:").partition(" ")
        kind = names.get(codec.partition("/")[0].lower())
        if line.startswith("a=rtpmap:") and kind:
            found.setdefault(kind, int(number))
    return found


def _serve(client: Client) -> None:
    for line in sys.stdin:
        given = json.loads(line)
        command: Callable[..., Any] = getattr(client, given.pop("do"))
        try:
            answer = command(**given) or {}
        except Exception as error:  # the test tells what it was
            answer = {"error": repr(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    Gst.init(None)
    threading.Thread(target=_serve, args=(Client(),), daemon=True).start()
    GLib.MainLoop().run()
