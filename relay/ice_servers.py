"""The TURN servers that the relay gives its clients."""

import msgspec


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A TURN server, as `RTCPeerConnection` takes it (RTCIceServer, W3C WebRTC)."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = ""
