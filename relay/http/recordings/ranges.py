"""Which bytes of a file a request asks for: RFC 9110 section 14. One range at a time."""

import re
from typing import Final, NamedTuple

_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))", re.IGNORECASE)

_UNIT: Final = re.compile(r"bytes=", re.IGNORECASE)


class ByteRange(NamedTuple):
    """The bytes from `start` up to, and without, `stop`."""

    start: int
    stop: int


class NotSatisfiable(ValueError):
    """There are no such bytes, or it is more than one range."""


def range_in(value: str | None, if_range: str | None, size: int, tag: str) -> ByteRange | None:
    """The range of a request; None: the whole file.

    Args:
        value: of the header Range.
        if_range: of the header If-Range: with the tag of another version, the whole file is meant (section 13.1.5).
        size: bytes of the file.
        tag: the file's ETag, with its quotes.

    Raises:
        NotSatisfiable: answer with 416.
    """
    if value is None or (if_range is not None and if_range.strip() != tag):
        return None
    value = value.strip()
    if not _UNIT.match(value):
        return None  # section 14.2: a unit that is not known is ignored
    match = _RANGE.fullmatch(value)
    if match is None:
        raise NotSatisfiable("one range of bytes is taken: bytes=FIRST-LAST, bytes=FIRST- or bytes=-LENGTH")
    first, last, length = match.groups()
    if length is not None:
        start, stop = max(0, size - int(length)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
    if start >= stop:
        raise NotSatisfiable(f"the file has {size} bytes")
    return ByteRange(start, stop)
