"""What a report means, in plain words: which hop fails, what media will use, and what to open.

The command line calls this itself; the page asks the relay for it (`POST /api/connectivity/verdict`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from relay.check.report import PATHS, Hop, LoopbackFigures, ProbeState, Report, Result, Target

WORKS, NO_MEDIA, NOT_TESTED = 0, 1, 2
"""Statuses: media gets through; it does not, or no call can begin; the relay could not be tested."""

HIGH_LOSS: Final = 5.0
"""Percent. From there on audio breaks up (ITU-T G.113)."""

LONG_ROUND_TRIP: Final = 300.0
"""Milliseconds. A call has two of them, one per party: a delay that people notice (ITU-T G.114: up to 150 ms one way is good,
400 ms is the limit)."""

SHOWN_HOSTS: Final = 3
"""Hosts that a sentence names at most."""

LABELS: Final = {
    Hop.PAGE: "Page",
    Hop.WEBSOCKET: "WebSocket",
    Hop.UDP: "UDP",
    Hop.TCP: "TCP",
    Hop.TURN_UDP: "TURN over UDP",
    Hop.TURN_TCP: "TURN over TCP",
    Hop.TURN_TLS: "TURN over TLS",
    Hop.CALL: "Call",
}

_PAGE: Final = {
    "name": "The name {host} cannot be resolved.",
    "refused": "TCP {port} of {host} refuses connections: is the relay running, and is this its port?",
    "silent": "TCP {port} to {host} is not answered. Open it, or check that the relay is running.",
    "certificate": "The TLS certificate of {host} is not valid: {detail}.",
    "not_relay": "The server at {url} is not a call relay: {detail}.",
    "unauthorized": "The relay at {url} requires a credential: {detail}.",
}
_PAGE_BROKEN: Final = "The relay at {url} cannot be used: {detail}."

_WEBSOCKET: Final = {
    "upgrade": "The page works, but no WebSocket opens, so no call can begin: something between, likely a reverse proxy, does "
    "not pass on the Upgrade. Let it pass the headers Upgrade and Connection for /ws/.",
    "silent": "The page works, but nothing comes through the WebSocket, so no call can begin: something between, likely a "
    "reverse proxy, holds it back. Let it pass /ws/ without buffering.",
    "busy": "The relay accepts no test now: {detail}.",
    "lost": "The WebSocket broke in the middle of the test: something between cuts connections, or the relay was restarted.",
}
_OFF: Final = {
    Hop.TCP: "media over TCP (RELAY_MEDIA_TCP)",
    Hop.TURN_UDP: "TURN over UDP",
    Hop.TURN_TCP: "TURN over TCP",
    Hop.TURN_TLS: "TURN over TLS (RELAY_TLS_CERT)",
}
_TURN: Final = (Hop.TURN_UDP, Hop.TURN_TCP, Hop.TURN_TLS)


class ConnectionVerdict(msgspec.Struct, frozen=True):
    """What a report means."""

    status: int
    """`WORKS`, `NO_MEDIA` or `NOT_TESTED`."""
    sentences: tuple[str, ...]
    """The first says the most."""


class Explanation(msgspec.Struct, frozen=True):
    """Everything that a reader is shown of a report."""

    status: int
    """As of `ConnectionVerdict`."""
    summary: str
    """One sentence for people who only want to call."""
    sentences: tuple[str, ...]
    """As of `ConnectionVerdict`."""
    lines: Mapping[Hop, str]
    """The result of each hop in the report, in a few words."""
    figures: str | None
    """The figures of the call, in a line; None: no call was made."""


def explain(report: Report) -> Explanation:
    """The report in words."""
    found = verdict(report)
    lines = {hop: result_text(hop, result) for hop, result in report.hops.items()}
    figures = None if report.figures is None else figures_text(report.figures)
    return Explanation(found.status, summary(report, found.status), found.sentences, lines, figures)


def summary(report: Report, status: int) -> str:
    """What a report means for calls, without a word about networks.

    Args:
        status: of the verdict on it.
    """
    if status == WORKS:
        return _quality_expected(report)
    if report.result(Hop.PAGE).state is not ProbeState.OK:
        signed_out = report.result(Hop.PAGE).reason == "unauthorized"
        return "You are not signed in: sign in, then test again." if signed_out else "Calls cannot be reached from here."
    if report.result(Hop.WEBSOCKET).state is not ProbeState.OK:
        interrupted = status == NOT_TESTED
        return "The test could not be finished: try again in a minute." if interrupted else "Calls cannot begin from here."
    return "Calls are not available now." if status == NOT_TESTED else "Calls will not work from here."


def _quality_expected(report: Report) -> str:
    figures = report.figures
    if figures is not None and figures.loss_percent >= HIGH_LOSS:
        return "Calls will work from here, but audio and video will break up."
    if figures is not None and figures.round_trip_ms is not None and figures.round_trip_ms >= LONG_ROUND_TRIP:
        return "Calls will work from here, with a delay that you will notice."
    if report.result(Hop.UDP).state is ProbeState.OK:
        return "Calls will work well from here."
    return "Calls will work from here. Where the line is poor, they may lag."


def verdict(report: Report) -> ConnectionVerdict:
    """The verdict on a report."""
    page, websocket = report.result(Hop.PAGE), report.result(Hop.WEBSOCKET)
    if page.state is not ProbeState.OK:
        return ConnectionVerdict(NOT_TESTED, (_of_page(report.url, page),))
    if websocket.state is not ProbeState.OK:
        text = _WEBSOCKET.get(websocket.reason, _WEBSOCKET["upgrade"]).format(detail=websocket.detail)
        return ConnectionVerdict(NOT_TESTED if websocket.reason in {"busy", "lost"} else NO_MEDIA, (text,))
    if any(report.result(path).reason == "unavailable" for path in PATHS):
        return ConnectionVerdict(NOT_TESTED, ("The relay cannot accept a call now: see its log.",))
    best = next((path for path in PATHS if report.result(path).state is ProbeState.OK), None)
    if best is None:
        return ConnectionVerdict(NO_MEDIA, (*_without_media(report), *_turned_off(report)))
    if report.result(Hop.CALL).state is ProbeState.FAILED:
        return ConnectionVerdict(NO_MEDIA, (*_without_audio_and_video(report, best), *_turned_off(report)))
    return ConnectionVerdict(WORKS, (*_with_media(report, best), *_turned_off(report), *_about_quality(report.figures)))


def figures_text(figures: LoopbackFigures) -> str:
    """The figures of the call, in a line."""
    return " · ".join(
        (
            f"{LABELS[figures.way]} ({figures.family}) to {_host_port(figures.host, figures.port)}",
            "round trip unknown" if figures.round_trip_ms is None else f"round trip {figures.round_trip_ms:g} ms",
            f"{figures.loss_percent:g} % lost",
            "jitter unknown" if figures.jitter_ms is None else f"jitter {figures.jitter_ms:g} ms",
            f"{figures.kbps:g} kbit/s",
            f"{figures.frames_per_second:g} frames/s",
        )
    )


def result_text(hop: Hop, result: Result) -> str:
    """The result of one hop, in a few words."""
    time = "" if result.seconds is None else f" ({result.seconds:g} s)"
    where = _addresses([(hop, result)]) if hop in PATHS and result.targets else ""
    match result.state:
        case ProbeState.OK:
            more = where or result.detail
            return f"works{time}" + (f": {more}" if more else "")
        case ProbeState.OFF:
            return "turned off at the relay"
        case ProbeState.SKIPPED:
            return "not tried"
        case ProbeState.FAILED if hop in PATHS:
            return f"not answered: {where}" if where and not result.detail else f"fails: {result.detail or where}"
        case ProbeState.FAILED:
            return f"fails: {result.detail}" if result.detail else "fails"


# -- sentences --------------------------------------------------------------------------------------------------------


def _of_page(url: str, page: Result) -> str:
    target = page.targets[0] if page.targets else Target("", 0)
    text = _PAGE.get(page.reason, _PAGE_BROKEN)
    return text.format(url=url, host=target.host, port=target.port, detail=page.detail)


def _without_media(report: Report) -> list[str]:
    failed = _failed(report, PATHS)
    if not failed:
        return ["The relay offers no path for media."]
    others = [one for one in failed if one[0] is not Hop.UDP]
    second = next((one for one in others if one[0] is Hop.TCP), others[-1] if others else None)
    instead = f"; or, where that cannot be, {_addresses([second])}" if second and failed[0][0] is Hop.UDP else ""
    return [f"No media gets through: {_not_answered(failed)}.", f"Open {_addresses(failed[:1])}{instead}."]


def _with_media(report: Report, best: Hop) -> list[str]:
    used = report.result(best)
    direct = _failed(report, PATHS[: PATHS.index(best)], among=(Hop.UDP, Hop.TCP))
    rest = [one for one in _failed(report, PATHS) if one not in direct]
    sentences = []
    if direct:
        sentences.append(f"{_not_answered(direct)}; media will use {_short(best, used)}.")
    elif rest:
        sentences.append(f"Media will use {_addresses([(best, used)])}.")
    else:
        sentences.append(f"Everything works: media will use {_addresses([(best, used)])}.")
    if rest and direct:
        sentences.append(f"{_not_answered(rest)} either.")
    elif rest:
        sentences.append(f"{_not_answered(rest)}: calls from here do not need that, but other networks may.")
    if direct and direct[0][0] is Hop.UDP:
        sentences.append(f"For the best quality, open {_addresses(direct[:1])}.")
    return sentences


def _without_audio_and_video(report: Report, best: Hop) -> list[str]:
    failed = _failed(report, PATHS)
    return [
        f"{_addresses([(best, report.result(best))])} is answered, but neither audio nor video came back in the call.",
        *([f"{_not_answered(failed)}."] if failed else []),
    ]


def _turned_off(report: Report) -> list[str]:
    off = [path for path in PATHS if report.result(path).state is ProbeState.OFF]
    no_turn = set(_TURN) <= set(off)
    names = [_OFF[path] for path in off if path in _OFF and not (no_turn and path in _TURN)]
    if no_turn:
        names.append("TURN (RELAY_TURN)")
    return [f"Turned off at the relay: {_listed(names)}."] if names else []


def _about_quality(figures: LoopbackFigures | None) -> list[str]:
    if figures is None:
        return []
    sentences = []
    if figures.loss_percent >= HIGH_LOSS:
        lost = f"{figures.loss_percent:g}"
        sentences.append(f"The call lost {lost} % of its packets: the network is congested, or its radio signal is weak.")
    if figures.round_trip_ms is not None and figures.round_trip_ms >= LONG_ROUND_TRIP:
        sentences.append(f"The round trip took {figures.round_trip_ms:g} ms: people will interrupt each other.")
    return sentences


# -- parts of sentences -------------------------------------------------------------------------------------------------

_Tried = tuple[Hop, Result]


def _failed(report: Report, paths: Iterable[Hop], among: Sequence[Hop] = PATHS) -> list[_Tried]:
    return [(path, report.result(path)) for path in paths if path in among and report.result(path).state is ProbeState.FAILED]


def _not_answered(tried: Sequence[_Tried]) -> str:
    return f"{_addresses(tried)} {'is' if len(tried) == 1 else 'are'} not answered"


def _addresses(tried: Sequence[_Tried]) -> str:
    """`UDP 40000 and TCP 443 to 203.0.113.10`: paths to the same hosts are joined."""
    groups: list[tuple[str, list[str]]] = []
    for hop, result in tried:
        hosts = _hosts(result)
        if groups and groups[-1][0] == hosts:
            groups[-1][1].append(_short(hop, result))
        else:
            groups.append((hosts, [_short(hop, result)]))
    return "; ".join(f"{_listed(names)} to {hosts}" if hosts else _listed(names) for hosts, names in groups)


def _short(hop: Hop, result: Result) -> str:
    """`TCP 443`."""
    ports = dict.fromkeys(str(target.port) for target in result.targets)
    return " ".join([LABELS[hop], *(["/".join(ports)] if ports else [])])


def _hosts(result: Result) -> str:
    hosts = list(dict.fromkeys(target.host for target in result.targets))
    more = len(hosts) - SHOWN_HOSTS
    return ", ".join(hosts[:SHOWN_HOSTS]) + (f" and {more} more" if more > 0 else "")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
