"""The thread that writes, and the others of its core."""

import threading
from collections.abc import Callable
from pathlib import Path

from relay.media.capture.block import ClosedBlock
from relay.media.capture.writer import Append, CaptureFile, CaptureWriter, Open

PACKET = bytes(1000)


def file_in(folder: Path, name: str, on_closed: Callable[[], None]) -> CaptureFile:
    return CaptureFile(folder / name, None, 0, on_trouble=lambda reason: None, on_closed=on_closed)


def blocks(count: int, packets: int) -> tuple[ClosedBlock, ...]:
    return tuple(ClosedBlock([PACKET] * packets, packets * len(PACKET), packets, 0.0) for _ in range(count))


def test_it_gives_way_after_a_few_packets_but_not_while_more_waits_to_be_written(tmp_path: Path) -> None:
    ended, more_waits = threading.Event(), threading.Event()
    gave_way: list[tuple[int, int]] = []
    first, second = file_in(tmp_path, "first", lambda: None), file_in(tmp_path, "second", ended.set)
    writer = CaptureWriter(give_way=lambda: gave_way.append((first.packets, second.packets)))

    def opened(refused: str | None) -> None:
        assert refused is None
        more_waits.wait()

    writer.put([Open(first, opened), Append(first, blocks(5, 30), last=True)])
    writer.put([Open(second, lambda refused: None), Append(second, blocks(5, 30), last=True)])
    more_waits.set()
    assert ended.wait(10)
    writer.close()
    writer.join(10)
    assert gave_way == [(150, 60), (150, 120), (150, 150)]
