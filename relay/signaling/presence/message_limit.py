"""What of a client's WebSocket frames (RFC 6455 section 5.2) is worth keeping. Sans-IO.

A reader of frames keeps a message until its last byte has come, and a client may take its time. So what a message has beyond the
limit is left out as it arrives: the reader gets a message that is one byte too long, however long it was.
"""

from typing import Final

_FIN: Final = 0x80
_OPCODE: Final = 0x0F
_CONTINUATION: Final = 0x0
_CONTROL: Final = 0x8
"""Opcodes from here on are control frames, which may come between the frames of a message (section 5.4)."""
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_TWO_BYTES, _EIGHT_BYTES = 126, 127


class MessageLimit:
    """One direction of one connection: what arrives goes in, what a reader shall see comes out.

    Args:
        limit: bytes of a message that are kept, and one more, which tells a reader that it is too long.
        hard_limit: bytes of a message above which the reader is told its length, so that it ends the connection.

    Attributes:
        finished: messages that have come to their end so far.
    """

    __slots__ = ("_hard_limit", "_head", "_in_message", "_length", "_limit", "_to_drop", "_to_pass", "finished")

    def __init__(self, limit: int, hard_limit: int) -> None:
        self._limit = limit
        self._hard_limit = hard_limit
        self._head = bytearray()
        """The beginning of a frame, as long as its length and mask are not all there."""
        self._to_pass = self._to_drop = 0
        """Bytes of the present frame's payload that are still to come; first those that are kept."""
        self._length = 0
        """Bytes of the present message, as its frames have announced them."""
        self._in_message = False
        self.finished = 0

    @property
    def is_unfinished(self) -> bool:
        """Whether there is a frame or a message of which something is missing."""
        return bool(self._head or self._to_pass or self._to_drop or self._in_message)

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; what the reader shall see of it."""
        kept, at, end = bytearray(), 0, len(data)
        while at < end:
            if self._to_pass:
                part = data[at : at + self._to_pass]
                kept += part
                self._to_pass -= len(part)
                at += len(part)
            elif self._to_drop:
                size = min(self._to_drop, end - at)
                self._to_drop -= size
                at += size
            else:
                self._head.append(data[at])
                at += 1
                if len(self._head) >= 2 and len(self._head) == _head_size(self._head[1]):
                    kept += self._begin(bytes(self._head))
                    self._head.clear()
        return bytes(kept)

    def _begin(self, head: bytes) -> bytes:
        """A frame begins; its head as the reader shall see it."""
        opcode, length = head[0] & _OPCODE, _length_of(head)
        if opcode >= _CONTROL:
            self._to_pass = length
            return head
        if opcode != _CONTINUATION:
            self._length = 0
        room = max(0, self._limit + 1 - self._length)
        self._length += length
        is_last = bool(head[0] & _FIN)
        self._in_message = not is_last
        if is_last:
            self.finished += 1
        if self._length > self._hard_limit:
            self._to_drop = length
            return _with_length(head, self._hard_limit + 1)
        self._to_pass = min(length, room)
        self._to_drop = length - self._to_pass
        return head if not self._to_drop else _with_length(head, self._to_pass)


def _head_size(second: int) -> int:
    """Bytes of a frame before its payload."""
    extended = {_TWO_BYTES: 2, _EIGHT_BYTES: 8}.get(second & _LENGTH, 0)
    return 2 + extended + (4 if second & _MASKED else 0)


def _length_of(head: bytes) -> int:
    short = head[1] & _LENGTH
    if short == _TWO_BYTES:
        return int.from_bytes(head[2:4])
    return int.from_bytes(head[2:10]) if short == _EIGHT_BYTES else short


def _with_length(head: bytes, length: int) -> bytes:
    mask = head[-4:] if head[1] & _MASKED else b""
    flag = head[1] & _MASKED
    if length < _TWO_BYTES:
        return bytes((head[0], flag | length)) + mask
    if length < 1 << 16:
        return bytes((head[0], flag | _TWO_BYTES)) + length.to_bytes(2) + mask
    return bytes((head[0], flag | _EIGHT_BYTES)) + length.to_bytes(8) + mask
