"""What may stand in a log: no token, no description of a session, no candidate, nobody's address.

The relay's own lines have none of that. But a library may put a message that it could not take into an error, and a traceback has
the text of every error in it, so the last word is had here, on the finished line.
"""

import ipaddress
import logging
import re
from typing import Final

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
    """`text` without what must not be in a log."""
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
    """Lines at INFO and above are redacted, tracebacks included. DEBUG is for whoever looks for a fault of their own."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return redact(text) if record.levelno >= logging.INFO else text


def configure(level: str | int, line: str = FORMAT) -> None:
    """Log to standard error, redacted.

    Args:
        level: of the root logger.
        line: a format of `logging`, with percent signs.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(RedactingFormatter(line))
    logging.basicConfig(level=level, handlers=[handler])
