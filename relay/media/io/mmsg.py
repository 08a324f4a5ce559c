"""recvmmsg(2) and sendmmsg(2) over buffers that are laid out once.

A batch's headers, addresses and lengths are plain memory, seen through memoryviews: reading or writing one field costs an index
operation, without a Python object per packet. The layout of the C structures is taken from cffi, never assumed.
"""

import errno
import mmap
import socket
import sys
from typing import Any, Final

from cffi import FFI

BATCH: Final = 64
"""Datagrams per system call. Past 64 the gain is below 1 %, and signaling would wait longer."""

BUFFER_SIZE: Final = 2048
"""Bytes per datagram: more than an Ethernet MTU plus what SRTP may append (libsrtp: 148)."""

RING_CAPACITY: Final = 8192
"""Datagrams, 16 MiB: 0.4 s of them at 20,000 a second, 10 s of two HD calls."""

ADDRESS_SIZE: Final = 32
"""Bytes per socket address: sockaddr_in6 has 28; a multiple of 8 lets one uint64 view reach every field."""

ffi: Final = FFI()
ffi.cdef("""
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; unsigned int msg_namelen;
        struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen;
        int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int recvmmsg(int, struct mmsghdr *, unsigned int, int, void *);
    int sendmmsg(int, struct mmsghdr *, unsigned int, int);
""")
libc: Final[Any] = ffi.dlopen(None)

_HEADER_SIZE: Final = ffi.sizeof("struct mmsghdr")
HEADER_WORDS: Final = _HEADER_SIZE // 4
"""uint32 words from one message header to the next."""
HEADER_QUADS: Final = _HEADER_SIZE // 8
"""uint64 words from one message header to the next."""
LENGTH_WORD: Final = ffi.offsetof("struct mmsghdr", "msg_len") // 4
NAME_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_name") // 8
NAMELEN_WORD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_namelen") // 4
FLAGS_WORD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_flags") // 4
IOV_QUADS: Final = ffi.sizeof("struct iovec") // 8
ADDRESS_QUADS: Final = ADDRESS_SIZE // 8

MSG_TRUNC: Final = socket.MSG_TRUNC
_MSG_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)
_WOULD_BLOCK: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})


def address_of(cdata: Any) -> int:
    """The address of a cdata pointer or array, as an integer."""
    return int(ffi.cast("uintptr_t", cdata))


def unpack_address(raw: bytes) -> tuple[str, int]:
    """Host and port of a struct sockaddr_in or sockaddr_in6."""
    family = int.from_bytes(raw[:2], sys.byteorder)
    port = int.from_bytes(raw[2:4], "big")
    packed = raw[4:8] if family == socket.AF_INET else raw[8:24]
    return socket.inet_ntop(family, packed), port


class ReceiveRing:
    """Room for the last `capacity` datagrams, which are received round and round.

    They are decrypted and encrypted in place, so what the ring holds of a forwarded packet is what was sent: it is the memory
    behind `relay.media.history`, which costs no copy. Each datagram has a serial number; its slot is that modulo `capacity`.

    Args:
        capacity: datagrams; a multiple of BATCH. The memory is touched, and so taken, only as they arrive.
    """

    __slots__ = (
        "_headers",
        "_keep",
        "addresses",
        "bases",
        "bytes",
        "capacity",
        "lengths",
        "next_serial",
        "pointers",
    )

    def __init__(self, capacity: int = RING_CAPACITY) -> None:
        assert capacity % BATCH == 0, "a batch never wraps"
        self.capacity = capacity
        self.next_serial = 0
        """Of the next datagram to arrive. Those from `next_serial - capacity` on are still there."""
        memory = mmap.mmap(-1, capacity * BUFFER_SIZE)
        buffers = ffi.from_buffer("unsigned char[]", memory)
        names = ffi.new("unsigned char[]", capacity * ADDRESS_SIZE)
        vectors = ffi.new("struct iovec[]", capacity)
        self._headers = ffi.new("struct mmsghdr[]", capacity)
        self.pointers = [buffers + i * BUFFER_SIZE for i in range(capacity)]
        """cdata pointer to each slot's datagram."""
        self.bases = [address_of(pointer) for pointer in self.pointers]
        """The same as integers."""
        for i in range(capacity):
            vectors[i].iov_base = self.pointers[i]
            vectors[i].iov_len = BUFFER_SIZE
            header = self._headers[i].msg_hdr
            header.msg_name = names + i * ADDRESS_SIZE
            header.msg_namelen = ADDRESS_SIZE
            header.msg_iov = vectors + i
            header.msg_iovlen = 1
        self._keep = (buffers, names, vectors)
        self.bytes = memoryview(memory)
        """All datagrams: that of slot i starts at i * BUFFER_SIZE."""
        self.addresses = memoryview(ffi.buffer(names)).cast("B").cast("Q")
        """Source addresses as native uint64, ADDRESS_QUADS each."""
        self.lengths = memoryview(ffi.buffer(self._headers)).cast("B").cast("I")
        """Message headers as native uint32, HEADER_WORDS each; LENGTH_WORD is the datagram's length."""

    def fill(self, descriptor: int) -> tuple[int, int]:
        """Receive what is there, without waiting.

        Returns:
            The slot of the first datagram, and how many there are: 0 to BATCH.
        """
        first = self.next_serial % self.capacity
        # The kernel leaves the length of each name in its header. One ring serves one address family, so it always fits again.
        count: int = libc.recvmmsg(descriptor, self._headers + first, min(BATCH, self.capacity - first), _MSG_DONTWAIT, ffi.NULL)
        if count <= 0:
            return first, 0
        self.next_serial += count
        return first, count

    def address(self, slot: int) -> bytes:
        """The source address of a slot's datagram, as the kernel wrote it."""
        return self.addresses[slot * ADDRESS_QUADS : (slot + 1) * ADDRESS_QUADS].tobytes()

    def read(self, serial: int, size: int) -> bytes | None:
        """The first `size` bytes of a datagram, unless others have taken its place."""
        if serial < self.next_serial - self.capacity:
            return None
        start = serial % self.capacity * BUFFER_SIZE
        return self.bytes[start : start + size].tobytes()


class SendBatch:
    """Headers for datagrams that wait to be sent from one socket. The datagrams themselves stay where they were received."""

    __slots__ = ("_descriptor", "_headers", "_vectors", "count", "header_quads", "header_words", "vectors")

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._vectors = ffi.new("struct iovec[]", BATCH)
        self._headers = ffi.new("struct mmsghdr[]", BATCH)
        for i in range(BATCH):
            self._headers[i].msg_hdr.msg_iov = self._vectors + i
            self._headers[i].msg_hdr.msg_iovlen = 1
        self.count = 0
        """Datagrams that wait; the next one goes to this index, and is sent at BATCH at the latest."""
        self.vectors = memoryview(ffi.buffer(self._vectors)).cast("B").cast("Q")
        """Address and length of each datagram, IOV_QUADS each."""
        self.header_quads = memoryview(ffi.buffer(self._headers)).cast("B").cast("Q")
        self.header_words = memoryview(ffi.buffer(self._headers)).cast("B").cast("I")

    def flush(self) -> int:
        """Send what waits.

        Returns:
            How many datagrams the network did not take.
        """
        start, count, refused = 0, self.count, 0
        self.count = 0
        while start < count:
            sent = libc.sendmmsg(self._descriptor, self._headers + start, count - start, _MSG_DONTWAIT)
            if sent > 0:
                start += sent
            elif ffi.errno in _WOULD_BLOCK:
                return refused + count - start
            else:  # this one has no route, say: the others may have
                start += 1
                refused += 1
        return refused
