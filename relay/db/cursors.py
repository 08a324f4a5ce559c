"""Where the next page of a list begins: opaque to clients, and checked when it comes back."""

import base64
import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def cursor_of(at: datetime, key: object) -> str:
    """The cursor behind a row with that date and that key."""
    position = f"{(at - _EPOCH) // _MICROSECOND} {key}"
    return base64.urlsafe_b64encode(position.encode()).rstrip(b"=").decode()


def position_of(cursor: str, pattern: re.Pattern[str]) -> tuple[datetime, str]:
    """The date and the key of the row that a cursor is behind.

    Args:
        pattern: of the key.

    Raises:
        ValueError: it did not come with an earlier page.
    """
    try:
        decoded = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except ValueError:  # the characters or their number are not those of base64, or what comes out is no text
        decoded = ""
    moment, _, key = decoded.partition(" ")
    if not _MOMENT.fullmatch(moment) or not pattern.fullmatch(key):
        raise ValueError("not a cursor that came with an earlier page")
    return _EPOCH + int(moment) * _MICROSECOND, key


_MOMENT = re.compile(r"[0-9]{1,17}")
