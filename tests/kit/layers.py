"""The rules that `test_architecture.py` holds the imports to: which modules think, and which package may import which."""

SANS_IO = (
    "relay/signaling/sessions/addresses.py",
    *(
        f"relay/signaling/calls/{name}.py"
        for name in ("call", "notices", "policy", "paths", "diagram", "measured", "quality", "summary")
    ),
    "relay/signaling/log/entries.py",
    "relay/signaling/recording.py",
    *(f"relay/signaling/presence/{name}.py" for name in ("outbox", "inflow", "message_limit")),
    *(f"relay/signaling/messages/{name}.py" for name in ("common", "incoming", "outgoing")),
    *(f"relay/sdp/{name}.py" for name in ("model", "media", "parse", "attributes", "negotiate", "write", "rewrite")),
    *(f"relay/edge/{name}.py" for name in ("public", "ice_servers", "routes")),
    *(f"relay/edge/tcp/{name}.py" for name in ("framing", "demux", "sendqueue", "checks", "pace", "bounds", "connection_table")),
    *(f"relay/edge/tcp/{name}.py" for name in ("handshakes", "peers", "proxy_protocol")),
    *(f"relay/cluster/{name}.py" for name in ("values", "messages", "lease", "inbox", "choose")),
    "relay/counting.py",
    "relay/mos.py",
    *(f"relay/client/{name}.py" for name in ("av_offset", "events", "figures", "resumption")),
    "relay/stun.py",
    *(f"relay/turn/{name}.py" for name in ("allocate", "allocations", "authentication", "credentials", "limits", "messages")),
    *(f"relay/turn/{name}.py" for name in ("outputs", "refusal", "server", "stream")),
    *(f"relay/check/{name}.py" for name in ("report", "verdicts", "descriptions")),
    *(f"relay/rtp/{name}.py" for name in ("packet", "rtcp", "rtcp_cuts", "rollover", "keyframes")),
    *(
        f"relay/media/transport/{name}.py"
        for name in ("ice", "peer_reflexive", "payloads", "consent", "liveness", "path", "ssrcs")
    ),
    *(
        f"relay/media/transport/{name}.py"
        for name in ("forwarding", "received", "buffers", "keyframe_requests", "events", "timing")
    ),
    "relay/media/quality/statistics.py",
    "relay/recording/limits.py",
    "relay/recording/assembly/budget.py",
    "relay/recording/records.py",
    *(f"relay/recording/verify/{name}.py" for name in ("facts", "figures", "intervals", "measures", "pace", "verdict")),
    *(
        f"relay/recording/assembly/{name}.py"
        for name in (
            "streams",
            "ulpfec",
            "sources",
            "clock",
            "survey",
            "frames",
            "selection",
            "audio_track",
            "video_track",
            "tracks",
            "sidecar",
        )
    ),
    *(f"relay/recording/payloads/{name}.py" for name in ("frame", "formats", "vp8", "vp9", "h264", "av1", "audio")),
    "relay/media/repair/history.py",
    *(f"relay/media/capture/{name}.py" for name in ("block", "keyframes")),
    "relay/media/net/exclusion.py",
)
"""The parts that think: bytes and times go in, values come out."""

WORLD = {"asyncio", "socket", "time", "aiohttp", "threading", "selectors", "sqlalchemy", "random"}

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "relay.ids": (),
    "relay.records": ("relay.records", "relay.ids"),
    "relay.errors": (),
    "relay.logs": (),
    "relay.counting": (),
    "relay.ip": (),
    "relay.ice_servers": (),
    "relay.clock": (),
    "relay.locked_file": (),
    "relay.cluster.values": ("relay.ids",),
    "relay.cluster.messages": ("relay.cluster.values", "relay.records", "relay.ids", "relay.errors"),
    "relay.cluster.api": ("relay.cluster.values", "relay.cluster.messages", "relay.ids"),
    "relay.cluster.redis": ("relay.cluster", "relay.counting", "relay.ids", "relay.errors", "relay.settings.redis_url"),
    "relay.cluster": ("relay.cluster", "relay.locked_file", "relay.ids", "relay.errors"),
    "relay.interpreter": (),
    "relay.rtp": ("relay.rtp", "relay.errors"),
    "relay.settings": ("relay.settings", "relay.errors", "relay.recording.limits"),
    "relay.cli": ("relay",),
    "relay.sealed": ("relay.errors",),
    "relay.stun": (),
    "relay.mos": (),
    # Not one plane of the server: a program that calls runs beside it, or far away.
    "relay.client.media_file": ("relay.client.tracks", "relay.client.errors"),
    "relay.client.recorder": ("relay.client.errors",),
    "relay.client.websocket": ("relay.client.errors",),
    "relay.client.peer": ("relay.client.errors", "relay.ice_servers"),
    "relay.client.connection": (
        *("relay.client.resumption", "relay.client.signin", "relay.client.websocket", "relay.client.errors"),
        "relay.ids",
    ),
    "relay.client": ("relay.client", "relay.mos", "relay.ice_servers", "relay.ids", "relay.errors"),
    "relay.media.quality": ("relay.media.quality", "relay.rtp", "relay.counting", "relay.mos"),
    "relay.media.api": ("relay.media.quality.statistics", "relay.errors"),
    "relay.media.net": ("relay.media.net", "relay.media.api"),
    "relay.media.repair": ("relay.media.repair", "relay.media.quality", "relay.rtp"),
    "relay.media.transport": (
        *("relay.media.transport", "relay.media.repair.history", "relay.media.net", "relay.media.quality", "relay.media.api"),
        *("relay.rtp", "relay.settings.media"),
    ),
    "relay.media.routing": (
        *("relay.media.routing", "relay.media.transport", "relay.media.repair.history", "relay.media.net", "relay.media.quality"),
        *("relay.media.api", "relay.rtp"),
    ),
    "relay.media.capture": (
        "relay.media.capture",
        "relay.media.transport",
        "relay.media.quality",
        "relay.media.api",
        "relay.sealed",
        "relay.errors",
    ),
    "relay.media": ("relay.media", "relay.rtp", "relay.stun", "relay.settings.media", "relay.counting", "relay.errors"),
    "relay.workers": ("relay.workers", "relay.media", "relay.settings.media", "relay.interpreter", "relay.errors", "relay.logs"),
    "relay.sdp": ("relay.sdp", "relay.media.api", "relay.errors"),
    "relay.signaling.messages": ("relay.signaling.messages", "relay.errors", "relay.ids"),
    "relay.signaling.ports": ("relay.media.api", "relay.records", "relay.ids"),
    "relay.signaling.recording": ("relay.records", "relay.errors", "relay.ids"),
    "relay.signaling.log": (
        *("relay.signaling.log", "relay.signaling.ports", "relay.records", "relay.locked_file", "relay.errors", "relay.ids"),
    ),
    "relay.signaling.sessions": ("relay.signaling.sessions", "relay.sdp", "relay.media.api", "relay.errors", "relay.ids"),
    "relay.signaling.presence": (
        *("relay.signaling.presence", "relay.signaling.messages", "relay.signaling.ports", "relay.signaling.sessions"),
        *("relay.cluster.values", "relay.cluster.messages", "relay.ids"),
    ),
    "relay.signaling": (
        *("relay.signaling", "relay.sdp", "relay.media.api", "relay.settings.calls", "relay.settings.recording"),
        *("relay.cluster.api", "relay.cluster.values", "relay.cluster.messages"),
        *("relay.records", "relay.clock", "relay.errors", "relay.ids"),
    ),
    "relay.check": ("relay.check", "relay.client", "relay.edge.tcp.framing", "relay.ice_servers", "relay.ids"),
    "relay.turn": ("relay.turn", "relay.settings.turn", "relay.counting", "relay.ip", "relay.errors"),
    "relay.edge": (
        *("relay.edge", "relay.turn", "relay.media.api", "relay.rtp.packet", "relay.stun", "relay.counting", "relay.ip"),
        *(
            "relay.ice_servers",
            "relay.settings.edge",
            "relay.settings.turn",
            "relay.settings.notation",
            "relay.errors",
            "relay.ids",
        ),
    ),
    "relay.http.access": (
        *("relay.http.access", "relay.http.api", "relay.http.limits", "relay.http.proxies", "relay.http.responses"),
        *("relay.http.ports", "relay.signaling.calls.faults", "relay.settings.auth", "relay.settings.notation"),
        *("relay.records", "relay.errors", "relay.ids"),
    ),
    "relay.http": (
        *("relay.http", "relay.signaling", "relay.sdp", "relay.media.api", "relay.media.quality.counters"),
        *("relay.check.report", "relay.check.verdicts", "relay.sealed", "relay.cluster.api"),
        *("relay.records", "relay.errors", "relay.ids", "relay.ip", "relay.ice_servers", "relay.settings.notation"),
        *("relay.settings.auth", "relay.settings.http", "relay.settings.limits"),
    ),
    "relay.push": (
        *("relay.push", "relay.signaling.ports", "relay.records", "relay.clock"),
        *("relay.errors", "relay.ids"),
    ),
    "relay.extensions": (
        *("relay.http.access.identity", "relay.signaling.ports", "relay.records.profiles", "relay.ids"),
        *(f"relay.signaling.calls.{name}" for name in ("extensions", "hooks", "judge")),
    ),
    "relay.recording.payloads": ("relay.recording.payloads",),
    "relay.recording.limits": ("relay.errors",),
    "relay.recording.records": ("relay.sealed", "relay.errors"),
    "relay.recording.decoding": (),
    "relay.recording.assembly": (
        *("relay.recording.assembly", "relay.recording.payloads", "relay.recording.records", "relay.recording.decoding"),
        "relay.rtp",
        "relay.errors",
    ),
    "relay.recording.assemble": ("relay.recording.assembly", "relay.recording.records", "relay.errors"),
    # Of what makes the files it knows `assemble` only, for a capture that has none yet.
    "relay.recording.verify": (
        *("relay.recording.verify", "relay.recording.assemble", "relay.recording.limits", "relay.recording.records"),
        "relay.recording.decoding",
        *("relay.rtp", "relay.sealed", "relay.errors"),
    ),
    "relay.recording": ("relay.recording", "relay.rtp", "relay.sealed", "relay.errors", "relay.ids"),
    "relay.housekeeping": ("relay.settings.retention", "relay.records.calls", "relay.clock", "relay.errors"),
    "relay.composition": ("relay",),
    "relay.serving": ("relay",),
    "relay.app": ("relay",),
    "relay.__main__": ("relay",),
    "relay.db": (
        *(
            "relay.db",
            "relay.settings.database",
            "relay.settings.database_url",
            "relay.settings.retention",
            "relay.ids",
            "relay.errors",
        ),
        *("relay.signaling.ports", "relay.cluster.api", "relay.cluster.values", "relay.cluster.messages", "relay.records"),
    ),
}
"""Package or module → what it may import of our own. The longest name that fits counts."""
