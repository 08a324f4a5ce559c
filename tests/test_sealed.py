"""Sealed files: what is read is what was written, or it is an error that says where."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.sealed import (
    CHUNK,
    HEADER_LENGTH,
    SealCutOff,
    SealedFile,
    Sealer,
    SealError,
    SealKeys,
    is_sealed,
    key_id,
    open_sealed,
    seal_file,
)

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
BLOCKS = (b"first", b"", b"third" * 1000)


def captured(path: Path, *, ends: bool = True) -> Path:
    """Blocks, sealed one by one."""
    sealer = Sealer(KEY)
    chunks = [sealer.seal(block) for block in BLOCKS] + ([sealer.seal(b"end", last=True)] if ends else [])
    path.write_bytes(sealer.header + b"".join(chunks))
    return path


def finished(folder: Path, plain: bytes) -> Path:
    (folder / "plain").write_bytes(plain)
    sealed = folder / "sealed"
    sealed.unlink(missing_ok=True)
    seal_file(folder / "plain", sealed, KEY)
    return sealed


def read(path: Path, keys: tuple[bytes, ...] = (KEY,)) -> tuple[list[bytes], SealError | None]:
    """The chunks of a file, and the error that ended it."""
    found = []
    try:
        for chunk in open_sealed(path, keys):
            found.append(chunk)
    except SealError as error:
        return found, error
    return found, None


def test_blocks_of_any_size_are_read_as_they_were_sealed(tmp_path: Path) -> None:
    path = captured(tmp_path / "file")
    assert is_sealed(path)
    assert read(path) == ([*BLOCKS, b"end"], None)
    assert b"third" not in path.read_bytes()


def test_a_file_whose_writer_died_is_read_up_to_its_end_and_said_to_be_cut_off(tmp_path: Path) -> None:
    blocks, error = read(captured(tmp_path / "file", ends=False))
    assert blocks == [*BLOCKS]
    assert isinstance(error, SealCutOff)


def test_every_cut_gives_whole_chunks_and_a_position(tmp_path: Path) -> None:
    path = captured(tmp_path / "file")
    whole = path.read_bytes()
    for length in (*range(HEADER_LENGTH + 80), len(whole) - 1):
        path.write_bytes(whole[:length])
        blocks, error = read(path)
        assert blocks == [*BLOCKS, b"end"][: len(blocks)]
        assert error is not None
        assert error.position <= length


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],  # within the first chunk
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],  # of the salt
        lambda data: data[:HEADER_LENGTH] + data[HEADER_LENGTH + 25 :],  # without the first chunk
        lambda data: data[:HEADER_LENGTH] + 2 * data[HEADER_LENGTH : HEADER_LENGTH + 25],  # the first one twice
        lambda data: data + b"more",
        lambda data: (
            data[:HEADER_LENGTH] + bytes([0x80 | data[HEADER_LENGTH]]) + data[HEADER_LENGTH + 1 :]
        ),  # the first as the last
        lambda data: data[:HEADER_LENGTH] + b"\x7f\xff\xff\xff" + data[HEADER_LENGTH + 4 :],
    ],
)
def test_what_was_changed_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = captured(tmp_path / "file")
    path.write_bytes(spoil(path.read_bytes()))
    blocks, error = read(path)
    assert blocks == [*BLOCKS, b"end"][: len(blocks)]
    assert isinstance(error, SealError)


def test_a_wrong_key_is_an_error_that_names_the_right_one(tmp_path: Path) -> None:
    path = captured(tmp_path / "file")
    with pytest.raises(SealError, match=key_id(KEY)):
        list(open_sealed(path, [OTHER]))
    assert read(path, (OTHER, KEY))[1] is None, "any of several keys opens"


def test_another_file_is_not_taken_for_a_sealed_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"", b"RELAY", b"\x0a\x0d\x0d\x0a" * 20):
        path.write_bytes(content)
        assert not is_sealed(path)
        with pytest.raises(SealError, match="no sealed file"):
            list(open_sealed(path, [KEY]))


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 17])
def test_a_finished_file_is_read_from_any_position(tmp_path: Path, size: int) -> None:
    plain = os.urandom(size)
    path = finished(tmp_path, plain)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"".join(open_sealed(path, [KEY])) == plain
    with SealedFile(path, SealKeys((OTHER, KEY))) as file:
        assert file.size == size
        for start in (0, 1, CHUNK - 1, CHUNK, size - 1, size, size + 5):
            for length in (0, 1, 100, CHUNK, size):
                assert file.read(start, start + length) == plain[max(0, start) : start + length]


@pytest.mark.parametrize("size", [CHUNK, CHUNK + 1, 2 * CHUNK])
def test_a_finished_file_that_was_cut_off_is_not_opened(tmp_path: Path, size: int) -> None:
    path = finished(tmp_path, bytes(size))
    whole = path.read_bytes()
    for length in (HEADER_LENGTH, HEADER_LENGTH + 3, HEADER_LENGTH + 4 + CHUNK + 16, len(whole) - 1):
        if length < len(whole):
            path.write_bytes(whole[:length])
            with pytest.raises(SealError):
                SealedFile(path, [KEY])


@pytest.mark.parametrize("more", [b"\0", bytes(CHUNK)])
def test_a_finished_file_that_goes_on_after_its_end_is_not_opened(tmp_path: Path, more: bytes) -> None:
    path = finished(tmp_path, bytes(CHUNK + 100))
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(SealError):
        SealedFile(path, [KEY])


def test_a_capture_is_not_read_as_a_finished_file(tmp_path: Path) -> None:
    with pytest.raises(SealError):
        SealedFile(captured(tmp_path / "file"), [KEY])


def test_two_files_of_one_key_have_nothing_in_common(tmp_path: Path) -> None:
    first, second = (Sealer(KEY).seal(bytes(100)) for _ in range(2))
    assert first[4:] != second[4:]


def test_keys_are_read_as_the_setting_has_them() -> None:
    text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    keys = SealKeys.parse(f" {text} , {text.rstrip('=')}")
    assert list(keys) == [KEY, KEY]
    assert (keys.first, SealKeys.parse("").first) == (KEY, None)
    assert "\\x01" not in repr(keys)
    assert list(SealKeys.parse("_" * 42 + "8")) == list(SealKeys.parse("/" * 42 + "8=")) == [b"\xff" * 32]


@pytest.mark.parametrize("text", ["x", "x,", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,", "A" * 44, "é" * 43])
def test_keys_that_are_none_are_named_by_their_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"key [12] is not 32 bytes"):
        SealKeys.parse(text)


@given(st.binary(max_size=300))
def test_no_content_makes_another_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("sealed") / "file"
    header = Sealer(KEY).header
    path.write_bytes(header + content)
    assert read(path)[1] is not None
    with pytest.raises(SealError):
        SealedFile(path, [KEY])
