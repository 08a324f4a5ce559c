"""The tables of a call's states and of its recording's as Mermaid diagrams: what docs/protocol.md shows.

python -m relay.signaling.calls.diagram
"""

import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import TypeVar

from relay.signaling.calls.call import TRANSITIONS, State
from relay.signaling.recording import RECORDING_TRANSITIONS, RecordingStage

_State = TypeVar("_State", bound=StrEnum)
_Event = TypeVar("_Event", bound=StrEnum)


def state_diagram() -> str:
    """That of calls."""
    return "\n".join([*_diagram(State.INVITED, TRANSITIONS), f"    {State.ENDED} --> [*]"])


def recording_diagram() -> str:
    """That of the recording of a call."""
    return "\n".join(_diagram(RecordingStage.IDLE, RECORDING_TRANSITIONS))


def _diagram(first: StrEnum, table: Mapping[_State, Mapping[_Event, _State]]) -> Iterator[str]:
    """A `stateDiagram-v2`, one arrow per pair of states, with all the events that lead from one to the other."""
    yield from ("stateDiagram-v2", f"    [*] --> {first}")
    for state, events in table.items():
        targets: dict[_State, list[str]] = {}
        for event, target in events.items():
            if target is not state:
                targets.setdefault(target, []).append(event.value)
        yield from (f"    {state} --> {target}: {', '.join(names)}" for target, names in targets.items())


if __name__ == "__main__":
    sys.stdout.write(f"{state_diagram()}\n\n{recording_diagram()}\n")
