"""Which transports a router connects: direct routing joins exactly two of them. Their packets cross in `routing.direct`."""

from relay.media.transport.transport import Transport


def join(first: Transport, second: Transport) -> None:
    """Let media flow between two transports, as soon as each is up."""
    for one in (first, second):
        one.part()
    first.peer, second.peer = second, first
    for one in (first, second):
        one.gap.end()
    for source in (first, second):
        if source.statistics.streams and not source.holds_packets:
            # What was sent before there was anybody to receive it is gone, the first keyframe with it.
            source.request_keyframes()
        source.release_held()
