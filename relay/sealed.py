"""Sealed files: encrypted and authenticated in chunks, so that they can be written bit by bit and read from any position.

A file is a header and chunks. The header (`HEADER_LENGTH` bytes) is `RELAYSEAL1`, the id of the key (8 bytes) and a salt (32
bytes). The file's own key is HKDF-SHA256 of the key and the salt. A chunk is its length (u32, big-endian, of what follows; the
highest bit is set for the last chunk of the file), and AES-256-GCM of the plain text. Its nonce is four zero bytes and the number
of the chunk (u64), its associated data the header, the number and a byte that says whether it is the last one. So a chunk
cannot be changed, moved, repeated, left out or taken from another file, and what was cut off the end is missed.

A capture seals each block as it is written, whatever its size. A finished file has `CHUNK` bytes of plain text in each chunk but
the last, so that where a byte lies is arithmetic.
"""

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay.errors import RelayError

MAGIC: Final = b"RELAYSEAL1"
KEY_LENGTH: Final = 32
CHUNK: Final = 64 * 1024
"""Bytes of plain text in a chunk of a finished file."""

_ID_LENGTH: Final = 8
_SALT_LENGTH: Final = 32
HEADER_LENGTH: Final = len(MAGIC) + _ID_LENGTH + _SALT_LENGTH
_TAG_LENGTH: Final = 16
_LENGTH_BYTES: Final = 4
_LAST: Final = 1 << 31
_FULL: Final = CHUNK + _TAG_LENGTH
MAX_CHUNK: Final = 16 * 1024 * 1024
"""Bytes of a chunk that is looked at: a longer one was not written by the relay."""

_OVERHEAD: Final = _LENGTH_BYTES + _TAG_LENGTH


class SealError(RelayError):
    """A sealed file cannot be read.

    Attributes:
        position: bytes from the beginning of the file up to which it is good.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class SealCutOff(SealError):
    """Its end is missing: the process that wrote it has died, or the file was cut. What came before it is authentic."""


@dataclass(frozen=True, slots=True)
class SealKeys:
    """Those of `RELAY_RECORDING_KEY`: the first seals, all of them open. Iterate over it for the keys, 32 bytes each."""

    all: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read keys in base64, or base64url, separated by commas; an empty text is no key.

        Raises:
            ValueError: one is not 32 bytes.
        """
        found = []
        for number, part in enumerate([one.strip() for one in text.split(",")] if text.strip() else [], 1):
            digits = part.rstrip("=").replace("+", "-").replace("/", "_")
            try:
                key = base64.b64decode(digits + "=" * (-len(digits) % 4), altchars=b"-_", validate=True)
            except ValueError:
                key = b""
            if len(key) != KEY_LENGTH:
                raise ValueError(f"key {number} is not {KEY_LENGTH} bytes in base64")
            found.append(key)
        return cls(tuple(found))

    @property
    def first(self) -> bytes | None:
        """That seals; None: files are not sealed."""
        return self.all[0] if self.all else None

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.all)


def key_id(key: bytes) -> str:
    """What files say about the key that they were sealed with: 16 hexadecimal digits, which say nothing about it."""
    return hashlib.sha256(b"relay recording key id" + key).digest()[:_ID_LENGTH].hex()


def is_sealed(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a sealed one does."""
    with Path(path).open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class Sealer:
    """Seals one file, chunk after chunk. Write `header` first.

    Args:
        key: 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        assert len(key) == KEY_LENGTH, "AES-256"
        self.header: Final = MAGIC + bytes.fromhex(key_id(key)) + os.urandom(_SALT_LENGTH)
        self._cipher = _cipher(key, self.header)
        self._number = 0

    def seal(self, plain: bytes | bytearray | memoryview, last: bool = False) -> bytes:
        """The next chunk, as it is written to the file."""
        number = self._number
        self._number += 1
        sealed = self._cipher.encrypt(_nonce(number), plain, _associated(self.header, number, last))
        return (len(sealed) | (_LAST if last else 0)).to_bytes(_LENGTH_BYTES) + sealed


def seal_file(plain: str | os.PathLike[str], sealed: str | os.PathLike[str], key: bytes) -> None:
    """Seal a finished file to a new one, of mode 0600, and wait until it is on the disk."""
    sealer = Sealer(key)
    descriptor = os.open(sealed, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with Path(plain).open("rb") as source, os.fdopen(descriptor, "wb") as target:
        target.write(sealer.header)
        chunk = source.read(CHUNK)
        while True:
            following = source.read(CHUNK)
            target.write(sealer.seal(chunk, last=not following))
            if not following:
                break
            chunk = following
        target.flush()
        os.fsync(target.fileno())


def open_sealed(path: str | os.PathLike[str], keys: Iterable[bytes]) -> Iterator[bytes]:
    """The plain text of a sealed file, chunk by chunk; each is authentic.

    Raises:
        SealError: it is no sealed file, none of the keys is its own, or a chunk is not authentic.
        SealCutOff: all was read, and the end is missing: every capture that ended with its process.
    """
    with Path(path).open("rb") as file:
        header = file.read(HEADER_LENGTH)
        cipher = _opener(header, keys)
        number, position = 0, HEADER_LENGTH
        while True:
            field_ = file.read(_LENGTH_BYTES)
            length, last = _read_length(field_, position)
            sealed = file.read(length)
            if len(sealed) < length:
                raise SealCutOff(f"the file ends within chunk {number}", position)
            yield _open(cipher, header, number, last, sealed, position)
            number, position = number + 1, position + _LENGTH_BYTES + length
            if last:
                break
        if file.read(1):
            raise SealError(f"the file goes on after its last chunk, at byte {position}", position)


class SealedFile:
    """A finished sealed file, read from any position. Use it as a context.

    Raises:
        SealError, SealCutOff: as of `open_sealed`; also for a capture, whose chunks are of any size.
        OSError: it cannot be read.

    Attributes:
        size: bytes of the plain text.
    """

    def __init__(self, path: str | os.PathLike[str], keys: Iterable[bytes]) -> None:
        self._file = Path(path).open("rb", buffering=0)  # noqa: SIM115 - it is closed by `close`
        try:
            self._header = os.pread(self._file.fileno(), HEADER_LENGTH, 0)
            self._cipher = _opener(self._header, keys)
            chunks = max(0, os.fstat(self._file.fileno()).st_size - HEADER_LENGTH)
            self._last, rest = divmod(chunks, _LENGTH_BYTES + _FULL)
            if not rest:
                self._last, rest = self._last - 1, _LENGTH_BYTES + _FULL
            self.size: Final = max(0, self._last) * CHUNK + rest - _OVERHEAD
            if self._last < 0 or rest < _OVERHEAD:
                raise SealCutOff(f"{Path(path).name} is cut off", HEADER_LENGTH)
            self._read_chunk(self._last)
        except BaseException:
            self._file.close()
            raise

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from `start` up to, and without, `stop`; fewer where the file ends.

        Raises:
            SealError: a chunk there is not authentic.
        """
        start, stop = max(0, start), min(stop, self.size)
        if start >= stop:
            return b""
        first = start // CHUNK
        plain = b"".join(self._read_chunk(number) for number in range(first, (stop - 1) // CHUNK + 1))
        return plain[start - first * CHUNK : stop - first * CHUNK]

    def _read_chunk(self, number: int) -> bytes:
        position = HEADER_LENGTH + number * (_LENGTH_BYTES + _FULL)
        data = os.pread(self._file.fileno(), _LENGTH_BYTES + _FULL, position)
        length, last = _read_length(data[:_LENGTH_BYTES], position)
        if length != len(data) - _LENGTH_BYTES or last is not (number == self._last):
            raise SealCutOff(f"chunk {number} is not as long as in a finished file, or the end is missing", position)
        return _open(self._cipher, self._header, number, last, data[_LENGTH_BYTES : _LENGTH_BYTES + length], position)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


# -- inside -----------------------------------------------------------------------------------------------------------


def _cipher(key: bytes, header: bytes) -> AESGCM:
    salt = header[-_SALT_LENGTH:]
    return AESGCM(HKDF(hashes.SHA256(), KEY_LENGTH, salt, b"relay recording").derive(key))


def _opener(header: bytes, keys: Iterable[bytes]) -> AESGCM:
    if not header.startswith(MAGIC):
        raise SealError("this is no sealed file of a relay")
    if len(header) < HEADER_LENGTH:
        raise SealCutOff("the file ends within its header")
    wanted = header[len(MAGIC) : -_SALT_LENGTH].hex()
    for key in keys:
        if key_id(key) == wanted:
            return _cipher(key, header)
    raise SealError(f"the file was sealed with the key {wanted}, which is not among those of RELAY_RECORDING_KEY")


def _read_length(field_: bytes, position: int) -> tuple[int, bool]:
    """Bytes of a chunk, and whether it is the last one."""
    if len(field_) < _LENGTH_BYTES:
        raise SealCutOff(f"the file ends at byte {position}, before its last chunk", position)
    length = int.from_bytes(field_)
    length, last = length & ~_LAST, bool(length & _LAST)
    if not _TAG_LENGTH <= length <= MAX_CHUNK:
        raise SealError(f"at byte {position} is no chunk", position)
    return length, last


def _open(cipher: AESGCM, header: bytes, number: int, last: bool, sealed: bytes, position: int) -> bytes:
    try:
        return cipher.decrypt(_nonce(number), sealed, _associated(header, number, last))
    except InvalidTag:
        raise SealError(f"chunk {number}, at byte {position}, is not authentic", position) from None


def _nonce(number: int) -> bytes:
    return bytes(4) + number.to_bytes(8)


def _associated(header: bytes, number: int, last: bool) -> bytes:
    return header + number.to_bytes(8) + bytes([last])
