"""Header extensions of RTP (RFC 8285): the elements that a packet has, by the numbers that were negotiated."""

from collections.abc import Iterator


def header_extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of a packet's header extension, by id (RFC 8285 sections 4.2 and 4.3). Ends at what makes no sense."""
    return ((identifier, data[begin:end]) for identifier, begin, end in extension_elements(data))


def extension_elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Id of each element of a packet's header extension, and where its value lies: its first byte, and the one behind it."""
    if len(data) < 16 or not data[0] & 0x10:
        return
    position = 12 + (data[0] & 0x0F) * 4
    if position + 4 > len(data):
        return
    profile = (data[position] << 8) | data[position + 1]
    end = min(position + 4 + ((data[position + 2] << 8) | data[position + 3]) * 4, len(data))
    position += 4
    one_byte = profile == 0xBEDE
    if not one_byte and profile & 0xFFF0 != 0x1000:
        return
    while position < end:
        first = data[position]
        if not first:
            position += 1
            continue
        if one_byte:
            identifier, length = first >> 4, (first & 0x0F) + 1
            position += 1
            if identifier == 15:
                return
        else:
            if position + 2 > end:
                return
            identifier, length = first, data[position + 1]
            position += 2
        if position + length > end:
            return
        yield identifier, position, position + length
        position += length
