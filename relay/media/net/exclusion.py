"""The classic BPF program by which the kernel drops the datagrams of given sources before they enter a UDP socket's queue.

A socket filter runs on the datagram as the socket sees it: the packet data begins at the UDP header, and the IP header is reached
at negative offsets. Per source there is a block that is left by short jumps, since offsets have 8 bits.
"""

import struct
from collections.abc import Collection
from typing import Final

MAX_SOURCES: Final = 64
"""Sources that are dropped at most: every datagram is compared with each of them."""

_NETWORK_HEADER: Final = 0x1_0000_0000 - 0x100000
"""SKF_NET_OFF: offsets from here on are in the IP header."""
_IPV4_SOURCE: Final = _NETWORK_HEADER + 12
_IPV6_SOURCE: Final = _NETWORK_HEADER + 8

_LOAD_WORD: Final = 0x20
_LOAD_HALF: Final = 0x28
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_DROP: Final = 0
_ACCEPT: Final = 0xFFFFFFFF

Source = tuple[bytes, int]
"""An IP address, as 4 or 16 bytes, and a UDP port."""

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: struct sock_filter."""

INSTRUCTION: Final = struct.Struct("=HBBI")


def program(sources: Collection[Source]) -> list[Instruction]:
    """What drops datagrams of these sources and accepts all others: of more than `MAX_SOURCES`, the first ones count."""
    instructions: list[Instruction] = []
    for packed, port in list(sources)[:MAX_SOURCES]:
        at = _IPV4_SOURCE if len(packed) == 4 else _IPV6_SOURCE
        compared = [(_LOAD_WORD, at + n, int.from_bytes(packed[n : n + 4], "big")) for n in range(0, len(packed), 4)]
        compared.append((_LOAD_HALF, 0, port))
        for n, (load, offset, value) in enumerate(compared):
            # Past the pairs that follow, and the return: to the next block.
            instructions += [(load, 0, 0, offset), (_JUMP_IF_EQUAL, 0, 2 * (len(compared) - n - 1) + 1, value)]
        instructions.append((_RETURN, 0, 0, _DROP))
    return [*instructions, (_RETURN, 0, 0, _ACCEPT)]


def packed(instructions: Collection[Instruction]) -> bytes:
    """The array of struct sock_filter."""
    return b"".join(INSTRUCTION.pack(*one) for one in instructions)
