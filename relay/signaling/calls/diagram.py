"""The table of a call's states as a Mermaid diagram: what docs/protocol.md shows.

python -m relay.signaling.calls.diagram
"""

import sys

from relay.signaling.calls.call import TRANSITIONS, State


def state_diagram() -> str:
    """A `stateDiagram-v2`, one arrow per pair of states, with all the events that lead from one to the other."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.INVITED}"]
    for state, events in TRANSITIONS.items():
        targets: dict[State, list[str]] = {}
        for event, target in events.items():
            if target is not state:
                targets.setdefault(target, []).append(event.value)
        lines += [f"    {state} --> {target}: {', '.join(names)}" for target, names in targets.items()]
    lines.append(f"    {State.ENDED} --> [*]")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(state_diagram() + "\n")
