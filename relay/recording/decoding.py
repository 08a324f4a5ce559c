"""Audio as a player hears it."""

from typing import Any

import av
from av.audio.stream import AudioStream


def decoder_of(stream: AudioStream) -> Any:
    """The codec context that decodes a stream's packets, of its own; for Opus it is libopus.

    Browsers, VLC and GStreamer play Opus with libopus. FFmpeg's own decoder conceals no loss: a packet that asks for it
    (RFC 7845, section 4.1) becomes silence there.
    """
    own = stream.codec_context
    if own.name != "opus":
        return own
    decoder: Any = av.CodecContext.create("libopus", "r")
    decoder.extradata, decoder.sample_rate, decoder.layout = own.extradata, own.sample_rate, own.layout.name
    decoder.options = {
        "request_sample_fmt": "flt",  # as FFmpeg's own: beyond full scale nothing is cut off
        "pkt_timebase": str(stream.time_base),  # else the first frame's time is that of the samples that are skipped before it
    }
    return decoder
