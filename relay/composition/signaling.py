"""Signaling: the calls of this server."""

from relay.cluster.api import Cluster
from relay.composition.database import DatabasePlane
from relay.composition.media import MediaPlane
from relay.db.chat import SqlChatLog
from relay.db.history import SqlMissedCalls
from relay.media.api import RouteOf
from relay.sealed import SealKeys
from relay.settings.calls import CallSettings
from relay.settings.recording import RecordingSettings
from relay.signaling.calls.context import Ports
from relay.signaling.calls.hooks import HookRunner
from relay.signaling.calls.judge import Judge
from relay.signaling.calls.service import Calls
from relay.signaling.ports import Limiter, RecordingLog, Waker


def signaling_plane(
    settings: CallSettings,
    database: DatabasePlane,
    media: MediaPlane,
    *,
    cluster: Cluster,
    route_of: RouteOf,
    waker: Waker | None,
    limiter: Limiter,
    judge: Judge,
    hooks: HookRunner,
    recording: RecordingSettings,
    recordings: RecordingLog,
) -> Calls:
    """The calls, none of which has begun."""
    ports = Ports(
        directory=database.directory,
        logs=database.call_logs,
        chat=SqlChatLog(database.engine),
        missed=SqlMissedCalls(database.engine),
        waker=waker,
        limiter=limiter,
        route_of=route_of,
        journal=database.journal,
        judge=judge,
        hooks=hooks,
        recordings=recordings,  # also where recording is off: an earlier life may have left some in the journal
    )
    return Calls(
        ports=ports,
        engine=media.reachable,
        cluster=cluster,
        timers=settings,
        public_addresses=media.settings.advertised_addresses,
        recording=recording,
        recording_key=SealKeys.parse(recording.recording_key).first,
    )
