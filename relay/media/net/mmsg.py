"""recvmmsg(2) and sendmmsg(2) over buffers that are laid out once.

A batch's headers, addresses and lengths are plain memory, seen through memoryviews: reading or writing one field costs an index
operation, without a Python object per packet. The layout of the C structures is taken from cffi, never assumed.
"""

import errno
import mmap
import socket
import sys
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from cffi import FFI

BATCH: Final = 64
"""Datagrams per system call: enough to spread its cost thin, and few enough that signaling does not wait long."""

BUFFER_SIZE: Final = 2048
"""Bytes per datagram: more than an Ethernet MTU plus what SRTP may append (libsrtp: 148)."""

RING_CAPACITY: Final = 8192
"""Datagrams, 16 MiB: 0.4 s of them at 20,000 a second, 10 s of two HD calls."""

ADDRESS_SIZE: Final = 32
"""Bytes per socket address: sockaddr_in6 has 28; a multiple of 8 lets one uint64 view reach every field."""

MMSG: Final = """
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
"""
"""What recvmmsg(2) declares, as C."""

ffi: Final = FFI()
ffi.cdef(MMSG)
ffi.cdef("""
    struct segment_control { size_t cmsg_len; int cmsg_level; int cmsg_type; unsigned short size; unsigned short unused[3]; };
""")
libc: Final[Any] = ffi.dlopen(None)

_HEADER_SIZE: Final = ffi.sizeof("struct mmsghdr")
HEADER_WORDS: Final = _HEADER_SIZE // 4
"""uint32 words from one message header to the next."""
LENGTH_WORD: Final = ffi.offsetof("struct mmsghdr", "msg_len") // 4
ADDRESS_QUADS: Final = ADDRESS_SIZE // 8

# Indexes of uint64 fields, in a message header and in a struct iovec.
_HEADER_QUADS: Final = _HEADER_SIZE // 8
_NAME_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_name") // 8
_IOV_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_iov") // 8
_IOVLEN_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_iovlen") // 8
_CONTROLLEN_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_controllen") // 8
_IOV_QUADS: Final = ffi.sizeof("struct iovec") // 8
_IOV_BASE_QUAD: Final = ffi.offsetof("struct iovec", "iov_base") // 8
_IOV_LEN_QUAD: Final = ffi.offsetof("struct iovec", "iov_len") // 8
_NAMELEN_WORD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_namelen") // 4
_CONTROL_SIZE: Final = ffi.sizeof("struct segment_control")
_SEGMENT_SIZE_INDEX: Final = ffi.offsetof("struct segment_control", "size") // 2

MAX_SEGMENTS: Final = 32
"""Datagrams of one message. The kernel takes 64 (UDP_MAX_SEGMENTS), and 65,507 bytes in all."""

_UDP_SEGMENT: Final = 103
"""udp(7), since Linux 4.18."""

_CANNOT_CUT: Final = frozenset({errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP})
"""What sendmmsg says where the kernel, or the network device's driver, has no UDP_SEGMENT."""

_MSG_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)
_WOULD_BLOCK: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS})


def address_of(cdata: Any) -> int:
    """The address of a cdata pointer or array, as an integer."""
    return int(ffi.cast("uintptr_t", cdata))


def _quads(values: Iterable[int]) -> memoryview:
    """Native uint64, to be laid over every so many of a structure's."""
    return memoryview(array("Q", values))


def unpack_address(raw: bytes) -> tuple[str, int]:
    """Host and port of a struct sockaddr_in or sockaddr_in6."""
    family = int.from_bytes(raw[:2], sys.byteorder)
    port = int.from_bytes(raw[2:4], "big")
    packed = raw[4:8] if family == socket.AF_INET else raw[8:24]
    return socket.inet_ntop(family, packed), port


Slot = tuple[int, Any, int, int, int]
"""Where a slot's datagram is: offset in `ReceiveRing.bytes`, cdata pointer, address in memory; and the indexes of its length in
`ReceiveRing.lengths` and of its source address in `ReceiveRing.addresses`. Laid out once, since arithmetic costs more."""


class ReceiveRing:
    """Room for the last `capacity` datagrams, which are received round and round.

    They are decrypted and encrypted in place, so what the ring holds of a forwarded packet is what was sent: it is the memory
    behind `repair.history`, which costs no copy. Each datagram has a serial number; its slot is that modulo `capacity`.

    Args:
        capacity: datagrams; a multiple of BATCH. The memory is touched, and so taken, only as they arrive.
    """

    __slots__ = (
        "_base",
        "_headers",
        "_keep",
        "_laid_out",
        "addresses",
        "bytes",
        "capacity",
        "lengths",
        "next_serial",
        "slots",
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
        base = address_of(buffers)

        def every(step: int, first: int = 0) -> range:
            return range(first, first + step * capacity, step)

        # Field by field instead of message by message: an assignment to each field of a C structure takes twice as long.
        headers = memoryview(ffi.buffer(self._headers)).cast("B").cast("Q")
        headers[_NAME_QUAD::_HEADER_QUADS] = _quads(every(ADDRESS_SIZE, address_of(names)))
        headers[_IOV_QUAD::_HEADER_QUADS] = _quads(every(ffi.sizeof("struct iovec"), address_of(vectors)))
        headers[_IOVLEN_QUAD::_HEADER_QUADS] = _quads([1] * capacity)
        lengths = headers.cast("B").cast("I")
        lengths[_NAMELEN_WORD::HEADER_WORDS] = memoryview(array("I", [ADDRESS_SIZE]) * capacity)
        room = memoryview(ffi.buffer(vectors)).cast("B").cast("Q")
        room[_IOV_BASE_QUAD::_IOV_QUADS] = _quads(every(BUFFER_SIZE, base))
        room[_IOV_LEN_QUAD::_IOV_QUADS] = _quads([BUFFER_SIZE] * capacity)
        self.slots: list[Slot] = []
        """Those that may have been filled, from the first one on."""
        self._laid_out = 0
        """How many they are."""
        self._base = base
        self._keep = (buffers, names, vectors)
        self.bytes = memoryview(memory)
        """All datagrams: that of slot i starts at i * BUFFER_SIZE."""
        self.addresses = memoryview(ffi.buffer(names)).cast("B").cast("Q")
        """Source addresses as native uint64, ADDRESS_QUADS each."""
        self.lengths = lengths
        """Message headers as native uint32, HEADER_WORDS each; LENGTH_WORD is the datagram's length."""

    def fill(self, descriptor: int) -> tuple[int, int]:
        """Receive what is there, without waiting.

        Returns:
            The slot of the first datagram, and how many there are: 0 to BATCH.
        """
        first = self.next_serial % self.capacity
        room = self._laid_out - first
        if room < BATCH:
            room = self.lay_out(first)
        # The kernel leaves the length of each name in its header. One ring serves one address family, so it always fits again.
        count: int = libc.recvmmsg(descriptor, self._headers + first, BATCH if room > BATCH else room, _MSG_DONTWAIT, ffi.NULL)
        if count <= 0:
            return first, 0
        self.next_serial += count
        return first, count

    def lay_out(self, first: int) -> int:
        """Let `slots` have room for a batch more, unless the ring ends; the room from `first` on. All at once took a fifth of a
        server's start."""
        new = range(self._laid_out, min(self._laid_out + BATCH, self.capacity))
        buffers, base = self._keep[0], self._base
        self.slots += [
            (at, buffers + at, base + at, slot * HEADER_WORDS + LENGTH_WORD, slot * ADDRESS_QUADS)
            for slot, at in zip(new, range(new.start * BUFFER_SIZE, new.stop * BUFFER_SIZE, BUFFER_SIZE), strict=True)
        ]
        self._laid_out = new.stop
        return new.stop - first

    def address(self, slot: int) -> bytes:
        """The source address of a slot's datagram, as the kernel wrote it."""
        return self.addresses[slot * ADDRESS_QUADS : (slot + 1) * ADDRESS_QUADS].tobytes()

    def read(self, serial: int, size: int) -> bytes | None:
        """The first `size` bytes of a datagram, unless others have taken its place."""
        if serial < self.next_serial - self.capacity:
            return None
        start = serial % self.capacity * BUFFER_SIZE
        return self.bytes[start : start + size].tobytes()


class Destination(Protocol):
    """Where a datagram goes."""

    name: int
    """Address in memory of a struct sockaddr."""


Packet = tuple[int, int, Destination]
"""A datagram to send: address in memory, bytes, destination."""


class SendBatch:
    """Sends datagrams of one socket from where they lie in memory, with as few system calls as can be.

    Neighbours of one size and destination leave as one message, which the kernel cuts into datagrams at the very end
    (UDP_SEGMENT, udp(7)): the packets of a video frame pass through its network stack as one.

    Args:
        descriptor: of the socket.
        name_length: bytes of a struct sockaddr of its family.
    """

    __slots__ = (
        "_controls",
        "_descriptor",
        "_header_quads",
        "_headers",
        "_runs",
        "_segment_sizes",
        "_vector_base",
        "_vector_quads",
        "_vectors",
        "segments",
    )

    def __init__(self, descriptor: int, name_length: int) -> None:
        self.segments = sys.platform == "linux"
        """Whether the kernel can cut; switched off when it says that it cannot."""
        self._descriptor = descriptor
        self._vectors = ffi.new("struct iovec[]", BATCH)
        self._controls = ffi.new("struct segment_control[]", BATCH)
        self._headers = ffi.new("struct mmsghdr[]", BATCH)
        for i in range(BATCH):
            header = self._headers[i].msg_hdr
            header.msg_namelen = name_length
            header.msg_iovlen = 1
            header.msg_control = self._controls + i
            self._controls[i].cmsg_len = ffi.offsetof("struct segment_control", "size") + 2
            self._controls[i].cmsg_level = socket.IPPROTO_UDP
            self._controls[i].cmsg_type = _UDP_SEGMENT
        self._vector_base = address_of(self._vectors)
        self._vector_quads = memoryview(ffi.buffer(self._vectors)).cast("B").cast("Q")
        self._header_quads = memoryview(ffi.buffer(self._headers)).cast("B").cast("Q")
        self._segment_sizes = memoryview(ffi.buffer(self._controls)).cast("B").cast("H")
        self._runs: list[int] = []
        """Datagrams in each message."""

    def send(self, packets: Sequence[Packet]) -> int:
        """Send at most `BATCH` datagrams, without waiting.

        Returns:
            How many of them the network did not take.
        """
        messages = self._lay_out(packets)
        refused = start = 0
        while start < messages:
            sent = libc.sendmmsg(self._descriptor, self._headers + start, messages - start, _MSG_DONTWAIT)
            if sent > 0:
                start += sent
            elif ffi.errno in _WOULD_BLOCK:
                refused += sum(self._runs[start:])
                break
            else:  # this one cannot be sent: the others may
                refused += self._send_singly(start, ffi.errno) if self._runs[start] > 1 else 1
                start += 1
        for number, run in enumerate(self._runs):
            if run > 1:
                self._join(number, 1, 0)
        return refused

    def _lay_out(self, packets: Sequence[Packet]) -> int:
        """Write a message header for each run of packets that can leave together; how many there are."""
        vectors, headers, runs = self._vector_quads, self._header_quads, self._runs
        vector_base, limit = self._vector_base, MAX_SEGMENTS if self.segments else 1
        runs.clear()
        last: Destination | None = None
        last_size = run = vector = quad = 0
        for base, size, destination in packets:
            vectors[vector] = base
            vectors[vector + 1] = size
            if size == last_size and destination is last and run < limit:
                run += 1
            else:
                if run:
                    runs.append(run)
                    if run > 1:
                        self._join(len(runs) - 1, run, last_size)
                headers[quad + _NAME_QUAD] = destination.name
                headers[quad + _IOV_QUAD] = vector_base + vector * 8
                quad += _HEADER_QUADS
                run, last, last_size = 1, destination, size
            vector += _IOV_QUADS
        runs.append(run)
        if run > 1:
            self._join(len(runs) - 1, run, last_size)
        return len(runs)

    def _join(self, number: int, run: int, size: int) -> None:
        """Let a message consist of `run` datagrams of `size` bytes; a single one needs no control data."""
        quad = number * _HEADER_QUADS
        self._header_quads[quad + _IOVLEN_QUAD] = run
        self._header_quads[quad + _CONTROLLEN_QUAD] = _CONTROL_SIZE if run > 1 else 0
        self._segment_sizes[number * (_CONTROL_SIZE // 2) + _SEGMENT_SIZE_INDEX] = size

    def _send_singly(self, number: int, problem: int) -> int:
        """Send the datagrams of a message that the kernel would not cut one by one; how many of them it did not take."""
        if problem in _CANNOT_CUT:
            self.segments = False
        run, quad = self._runs[number], number * _HEADER_QUADS
        first = self._header_quads[quad + _IOV_QUAD]
        self._join(number, 1, 0)
        refused = 0
        for i in range(run):
            self._header_quads[quad + _IOV_QUAD] = first + i * _IOV_QUADS * 8
            if libc.sendmmsg(self._descriptor, self._headers + number, 1, _MSG_DONTWAIT) != 1:
                refused += 1
        return refused
