"""Redaction of logs: no token, no session description, no candidate, no user's address.

The relay's own lines have none of that. But a library may put a message that it could not take into an error, and a traceback has
the text of every error in it, so the last word is had here, on the finished line.
"""

import ipaddress
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import msgspec

TEXT: Final = "text"
JSON: Final = "json"
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_SECRETS: Final = (
    # JSON Web Tokens: "eyJ" is '{"' in base64url, which is how every header begins.
    (re.compile(r"\beyJ[\w-]{4,}(?:\.[\w-]*){0,4}"), "(token)"),
    (re.compile(r"(?i)\b((?:token|resume|access_token|secret|password)=)[^&\s'\"]+"), r"\1(secret)"),
    (re.compile(r"(?i)\b(bearer,?\s+)[\w.~+/=-]{8,}"), r"\1(token)"),
    (re.compile(r"(?i)\bcandidate:[^\r\n'\"\\]*"), "(candidate)"),
    # RFC 8866: from the first line that a description must have to the end of the last; real line ends, or those of a repr.
    (re.compile(r"\bv=0(?:\\r|\\n|\r|\n)+(?:[a-z]=[^\r\n'\"\\]*(?:\\r|\\n|\r|\n)*)+"), "(description)"),
    (re.compile(r"\ba=(?:ice-ufrag|ice-pwd|fingerprint|candidate|crypto)[: ][^\r\n'\"\\]*"), "(transport)"),
)

_ADDRESSES: Final = (
    re.compile(r"(?<![\w.:])(?=[\da-fA-F.]*:[\da-fA-F.]*:)[\da-fA-F:.]{2,45}(?![\w:]|\.\d)"),
    re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)"),
)


def redact(text: str) -> str:
    """`text` without secrets and personal data."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    for pattern in _ADDRESSES:
        text = pattern.sub(_without_address, text)
    return text


def _without_address(match: re.Match[str]) -> str:
    """Times look like IPv6 addresses, and versions like IPv4 ones."""
    try:
        ipaddress.ip_address(match[0].rstrip("."))
    except ValueError:
        return match[0]
    return "(address)"


class RedactingFormatter(logging.Formatter):
    """Lines at INFO and above are redacted, tracebacks included. DEBUG lines are not redacted: they are for development."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return redact(text) if record.levelno >= logging.INFO else text


class JsonFormatter(logging.Formatter):
    """One object per line: `time` (ISO 8601, UTC), `level`, `logger`, `message`, `exception` if there is one, and the fields that
    a record has on top. Redacted like lines of text, value by value, so that it stays JSON.

    Args:
        fields: that every line has.
    """

    def __init__(self, **fields: object) -> None:
        super().__init__()
        self._fields = fields

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._fields,
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        said |= {name: value for name, value in vars(record).items() if name not in _OWN and name not in said}
        clean = _redacted(said) if record.levelno >= logging.INFO else _encodable(said)
        return msgspec.json.encode(clean, enc_hook=repr).decode()


_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every record."""


def _redacted(value: object) -> object:
    return _each_text(value, lambda text: redact(_encodable_text(text)))


def _encodable(value: object) -> object:
    return _each_text(value, _encodable_text)


def _encodable_text(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot encode."""
    return text.encode(errors="backslashreplace").decode()


def _each_text(value: object, change: Callable[[str], str]) -> object:
    match value:
        case str():
            return change(value)
        case dict():
            return {change(str(name)): _each_text(one, change) for name, one in value.items()}
        case list() | tuple():
            return [_each_text(one, change) for one in value]
    return value


def configure(level: str | int, style: str = TEXT, worker: int | None = None) -> None:
    """Log to standard error, redacted.

    Args:
        level: of the root logger.
        style: `text` or `json`.
        worker: number of the media worker that this is; None: it is none.
    """
    handler = logging.StreamHandler()
    if style == JSON:
        handler.setFormatter(JsonFormatter() if worker is None else JsonFormatter(worker=worker))
    else:
        handler.setFormatter(
            RedactingFormatter(FORMAT if worker is None else FORMAT.replace(" %(name)s", f" worker {worker} %(name)s"))
        )
    logging.basicConfig(level=level, handlers=[handler])


def style() -> str:
    """As it was configured."""
    return JSON if any(isinstance(one.formatter, JsonFormatter) for one in logging.getLogger().handlers) else TEXT
