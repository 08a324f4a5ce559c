"""Where one message ends and the next begins in the bytes of a TCP or TLS connection (RFC 8656 sections 3.1 and 12.5)."""

from typing import Final

from aioice import stun

from relay.errors import RelayError
from relay.turn.messages import CHANNEL_HEADER_LENGTH, MAX_LENGTH, is_channel_data, padding

_COOKIE: Final = stun.COOKIE.to_bytes(4)


class NotTurn(RelayError):
    """The bytes are neither STUN nor ChannelData, or longer than any message may be: there is no next message to find."""


def split_stream(buffer: bytearray) -> list[bytes]:
    """Take every complete message out of the front of `buffer`; what remains is the beginning of the next one.

    Returns:
        Messages for `TurnServer.receive`, in order. What remains is always shorter than `MAX_LENGTH`.

    Raises:
        NotTurn: close the connection. Looks at each byte as soon as it is there: garbage waits for nothing more.
    """
    messages = []
    position = 0
    while position < len(buffer):
        length = _length(buffer, position)
        if length is None or position + length > len(buffer):
            break
        messages.append(bytes(memoryview(buffer)[position : position + length]))
        position += length
    del buffer[:position]
    return messages


def _length(buffer: bytearray, position: int) -> int | None:
    """Bytes of the message that begins here, with its padding; None if too few of them are there to tell."""
    available = len(buffer) - position
    bound = is_channel_data(buffer[position : position + 1])
    # The methods that there are leave 0 and 1 for the first byte of STUN; RFC 7983 has 2 and 3 as well.
    if buffer[position] > 3 and not bound:
        raise NotTurn("neither STUN nor ChannelData")
    if available < 4:
        return None
    length = int.from_bytes(buffer[position + 2 : position + 4])
    if bound:
        whole = CHANNEL_HEADER_LENGTH + length + padding(length)
    elif length % 4:
        raise NotTurn("a STUN message of a length that none has")
    else:
        whole = stun.HEADER_LENGTH + length
        if available >= 8 and buffer[position + 4 : position + 8] != _COOKIE:
            raise NotTurn("STUN without its cookie")
    if whole > MAX_LENGTH:
        raise NotTurn(f"a message of {whole} bytes")
    return whole
