"""VMAF, by a program `ffmpeg` that has it: PyAV's FFmpeg has not, nor has that of most distributions."""

import os
import queue
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Final

import av
import msgspec

LOG: Final = "vmaf.json"

TIME_LIMIT: Final = 120.0
"""Seconds that the program may take after the last frame."""

WAITING: Final = 8
"""Frames of each input that wait for the program."""


class _Mean(msgspec.Struct):
    mean: float


class _Log(msgspec.Struct):
    pooled_metrics: dict[str, _Mean] = {}


def find_program() -> str | None:
    """The `ffmpeg` on PATH, if it lists the filter libvmaf."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    try:
        # The operator's own program.
        listed = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, timeout=30, check=False).stdout  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if b" libvmaf " in listed else None


class Vmaf:
    """One comparison: add pairs of frames, then ask for the result."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._folder = tempfile.TemporaryDirectory(prefix="relay-vmaf-")
        self._process: subprocess.Popen[bytes] | None = None
        self._size = (0, 0)
        self._inputs: list[_Input] = []

    def add(self, shown: av.VideoFrame, known: av.VideoFrame) -> None:
        """A frame of the recording, and that of the reference which it is. The first one's reference gives the size."""
        if self._process is None:
            self._size = (known.width & ~1, known.height & ~1)
            self._start()
        for target, frame in zip(self._inputs, (shown, known), strict=True):
            target.put(frame.reformat(*self._size, "yuv420p").to_ndarray().tobytes())

    def _start(self) -> None:
        pipes = [os.pipe() for _ in range(2)]
        size = "x".join(map(str, self._size))
        reads = [
            argument
            for end, _ in pipes
            for argument in ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", size, "-r", "5", "-i", f"pipe:{end}")
        ]
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    *(self._program, "-hide_banner", "-nostdin", "-loglevel", "error", *reads),
                    *("-lavfi", f"[0:v][1:v]libvmaf=log_fmt=json:log_path={LOG}", "-f", "null", "-"),
                ],
                pass_fds=[end for end, _ in pipes],
                cwd=self._folder.name,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            for end, _ in pipes:
                os.close(end)
        self._inputs = [_Input(end) for _, end in pipes]

    def result(self) -> float | None:
        """The mean, 0 to 100; None: there was nothing to compare, or the program failed."""
        for one in self._inputs:
            one.close()
        try:
            if self._process is not None:
                self._process.wait(TIME_LIMIT)
                log = msgspec.json.decode((Path(self._folder.name) / LOG).read_bytes(), type=_Log)
                return round(log.pooled_metrics["vmaf"].mean, 2)
        except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError, KeyError):
            return None
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            self._folder.cleanup()
        return None


class _Input:
    """Writes frames to a pipe in a thread of its own: the program reads from both inputs in an order that is its own."""

    def __init__(self, descriptor: int) -> None:
        self._frames: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, args=(descriptor,), name="vmaf", daemon=True)
        self._thread.start()

    def put(self, frame: bytes) -> None:
        self._frames.put(frame)

    def close(self) -> None:
        self._frames.put(None)
        self._thread.join(TIME_LIMIT)

    def _write(self, descriptor: int) -> None:
        wanted = True
        while (frame := self._frames.get()) is not None:
            rest = memoryview(frame)
            try:
                while rest and wanted:
                    rest = rest[os.write(descriptor, rest) :]
            except OSError:  # the program has ended, and what is still put is not wanted
                wanted = False
        os.close(descriptor)
