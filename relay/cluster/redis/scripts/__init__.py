"""What runs inside Redis, all of it or nothing, with no other command in between."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent
_PRELUDE: Final = (_FOLDER / "prelude.lua").read_text()


@dataclass(frozen=True, slots=True)
class RedisScript:
    """A script, and the name by which Redis keeps it."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


def _bare(name: str) -> RedisScript:
    return RedisScript((_FOLDER / f"{name}.lua").read_text())


def _writing(name: str) -> RedisScript:
    """For a node's writing connection."""
    return RedisScript(_PRELUDE + (_FOLDER / f"{name}.lua").read_text())


RENEW: Final = _bare("renew")
LOOK: Final = _bare("look")
LEAVE: Final = _bare("leave")
ENTER: Final = _bare("enter")
CLAIM: Final = _writing("claim")
RELEASE: Final = _writing("release")
HELD: Final = _writing("held")
TAKE: Final = _writing("take")
KEEP: Final = _writing("keep")
READ: Final = _writing("read")
ENLIST: Final = _writing("enlist")
DISMISS: Final = _writing("dismiss")
DEVICES: Final = _writing("devices")
POST: Final = _writing("post")
COUNT: Final = _writing("count")

WRITING: Final = (CLAIM, RELEASE, HELD, TAKE, KEEP, READ, ENLIST, DISMISS, DEVICES, POST, COUNT)
