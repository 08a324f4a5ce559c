"""A client of the relay as a Python library: bots, transcription, monitoring, tests, load.

    from relay.client import connect

    async with connect("https://relay.example", "tutor_789", token=token) as client:
        async for call in client.incoming():
            await call.answer()
            async for frame in call.audio: ...

docs/client.md has the whole of it. It imports nothing of the server.
"""

from relay.client.call import ClientCall
from relay.client.call_media import Media
from relay.client.client import CallClient, connect
from relay.client.errors import CallOver, ClientError, Disconnected, Refused, SignInFailed, UnusableMedia
from relay.client.events import (
    CallFinished,
    ChatReceived,
    ClientEvent,
    OtherMessage,
    QualityMeasured,
    Reconnected,
    RecordingChanged,
    RecordingRequested,
    RemoteMediaState,
    StateChanged,
    TransferRequested,
)
from relay.client.figures import StreamFigures
from relay.client.media_file import MediaFile, Playback
from relay.client.tracks import OutgoingAudio, OutgoingVideo, ReceivedFrames

__all__ = [
    "CallClient",
    "CallFinished",
    "CallOver",
    "ChatReceived",
    "ClientCall",
    "ClientError",
    "ClientEvent",
    "Disconnected",
    "Media",
    "MediaFile",
    "OtherMessage",
    "OutgoingAudio",
    "OutgoingVideo",
    "Playback",
    "QualityMeasured",
    "ReceivedFrames",
    "Reconnected",
    "RecordingChanged",
    "RecordingRequested",
    "Refused",
    "RemoteMediaState",
    "SignInFailed",
    "StateChanged",
    "StreamFigures",
    "TransferRequested",
    "UnusableMedia",
    "connect",
]
