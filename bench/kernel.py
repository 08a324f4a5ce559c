"""The Linux system calls that the load generator needs and Python does not offer."""

from typing import Any, Final

from cffi import FFI

from relay.media.net.mmsg import MMSG, address_of

ffi: Final = FFI()
ffi.cdef(MMSG)
ffi.cdef("int prctl(int, unsigned long);")
libc: Final[Any] = ffi.dlopen(None)

SO_TIMESTAMPNS: Final = 35
"""Asks for a CLOCK_REALTIME stamp on each received datagram, taken when it entered the network stack (socket(7))."""

_PR_SET_PDEATHSIG: Final = 1

HEADER_QUADS: Final = ffi.sizeof("struct mmsghdr") // 8
"""uint64 words from one message header to the next."""
IOV_QUADS: Final = ffi.sizeof("struct iovec") // 8
_IOV_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_iov") // 8
_IOVLEN_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_iovlen") // 8
_CONTROL_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_control") // 8
_CONTROLLEN_QUAD: Final = ffi.offsetof("struct mmsghdr", "msg_hdr", "msg_controllen") // 8


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent ends, however that happens (prctl(2))."""
    libc.prctl(_PR_SET_PDEATHSIG, signal_number)


class Messages:
    """Message headers, one datagram each, over one buffer of equal slots. Laid out once, then only used."""

    def __init__(self, buffer: Any, slot: int, lengths: list[int], control: Any = None, control_slot: int = 0) -> None:
        """`buffer` holds slots of `slot` bytes, of which `lengths` are in use; `control` likewise for ancillary data."""
        count = len(lengths)
        self._keep = (buffer, control)
        self._iov = ffi.new("struct iovec[]", count)
        iov = memoryview(ffi.buffer(self._iov)).cast("B").cast("Q")
        self.headers: Any = ffi.new("struct mmsghdr[]", count)
        headers = memoryview(ffi.buffer(self.headers)).cast("B").cast("Q")
        data_start, iov_start = address_of(buffer), address_of(self._iov)
        for i in range(count):
            iov[i * IOV_QUADS] = data_start + i * slot
            iov[i * IOV_QUADS + 1] = lengths[i]
            headers[i * HEADER_QUADS + _IOV_QUAD] = iov_start + i * IOV_QUADS * 8
            headers[i * HEADER_QUADS + _IOVLEN_QUAD] = 1
            if control is not None:
                headers[i * HEADER_QUADS + _CONTROL_QUAD] = address_of(control) + i * control_slot
                headers[i * HEADER_QUADS + _CONTROLLEN_QUAD] = control_slot
