"""What an operator sees of a call that goes on: its state, and what each party sends at this moment."""

from relay.media.api import TransportReport
from relay.records.calls import MeasuredMedia, MeasuredStream, OngoingCall, OngoingCallDetail
from relay.signaling.calls.call import Party
from relay.signaling.calls.live import LiveCall


def ongoing(live: LiveCall, node: str) -> OngoingCall:
    """The call, without its media.

    Args:
        node: the name of this server.
    """
    call = live.call
    return OngoingCall(
        call_id=call.call_id,
        scope=call.scope,
        call_type=call.call_type,
        state=call.state.value,
        caller=call.caller.profile,
        callee=call.callee.profile,
        started_at=live.started_at,
        answered_at=live.answered_at,
        node=node,
    )


def detail(live: LiveCall, node: str) -> OngoingCallDetail:
    """The call with its media."""
    caller, callee = live.call.parties
    return OngoingCallDetail(ongoing(live, node), _media(live, caller), _media(live, callee))


def _media(live: LiveCall, party: Party) -> MeasuredMedia | None:
    media, report = live.media(party), _report(live, party)
    if report is None:
        return None
    route, leg = media.path.route, report.report
    return MeasuredMedia(
        score=leg.score,
        rtt=leg.rtt,
        jitter=leg.jitter,
        loss_from_peer=leg.loss_from_peer,
        loss_to_peer=leg.loss_to_peer,
        bitrate=leg.bitrate,
        route=None if route is None else route.transport,
        family=None if route is None else route.family,
        streams=_streams(report, _report(live, live.call.other(party))),
    )


def _report(live: LiveCall, party: Party) -> TransportReport | None:
    """The latest report on the transport that the party has now: a page that was reloaded has another one than before."""
    media = live.media(party)
    if media.report is None or media.session is None or media.report.transport_id != media.session.transport_id:
        return None
    return media.report


def _streams(sending: TransportReport, receiving: TransportReport | None) -> tuple[MeasuredStream, ...]:
    figures = {one.ssrc: one for one in sending.report.streams}
    leaving = {(one.producer_id, one.ssrc) for one in (receiving.consumers if receiving is not None else ())}
    found = []
    for producer in sending.producers:
        for encoding in producer.encodings:
            stream = figures.get(encoding.ssrc)
            if stream is None:
                continue  # announced, and silent so far
            found.append(
                MeasuredStream(
                    mid=producer.mid,
                    kind=producer.kind,
                    ssrc=encoding.ssrc,
                    codec=encoding.codec,
                    repair_ssrc=encoding.repair_ssrc,
                    forwarded=(producer.id, encoding.ssrc) in leaving,
                    packets=stream.packets,
                    lost=stream.lost,
                    loss=stream.loss,
                    jitter=stream.jitter,
                    bitrate=stream.bitrate,
                    keyframes=stream.keyframes,
                    keyframe_requests=stream.plis + stream.firs,
                    nacks=stream.nacks,
                )
            )
    return tuple(found)
