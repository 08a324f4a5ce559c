"""A program that works on one recording: its progress comes line by line, and it ends with this process or when told to.

A line on its standard output is a JSON object: `{"step": "video A", "done": 0.4}` while it works, and `{"result": {…}}` or
`{"failed": "why"}` as the last one.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

MAX_LINE: Final = 1024 * 1024
"""Bytes of a line; ours have less than 10 KB."""

MAX_LAST_WORDS: Final = 4096
"""Bytes of its standard error that are kept: a traceback ends with what is of use."""

LOOK_INTERVAL: Final = 0.25
"""Seconds between two looks whether the program has ended."""

Progress = Callable[[str, float], None]
"""Takes the step and how much of it is done, from 0 to 1."""


class WorkFailed(Exception):
    """The program did not do its work; the text says why, in a sentence."""


class _Line(msgspec.Struct, frozen=True):
    step: str = ""
    done: float = 0.0
    result: dict[str, Any] | None = None
    failed: str | None = None


async def run(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    time_limit: float,
    progress: Progress,
    descriptors: Sequence[int] = (),
) -> Mapping[str, Any]:
    """Run a program to its end; its result.

    However this ends, the program and all that it has started are gone afterwards.

    Args:
        environment: all that the program gets of it.
        time_limit: seconds.
        descriptors: that the program has, too.

    Raises:
        WorkFailed: it ended otherwise, took too long, or could not be started.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *arguments,
            # It reads its input to learn that this process has died (SIGKILL included): the kernel closes the pipe then.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
            env=dict(environment),
            start_new_session=True,
            pass_fds=tuple(descriptors),
        )
    )
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # asyncio itself would kill the program only, and wait for the pipes that what it has started keeps open.
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise
    except OSError as error:
        raise WorkFailed(f"the program could not be started: {error.strerror}") from None
    try:
        async with asyncio.timeout(time_limit):
            return await _result(process, progress)
    except TimeoutError:
        raise WorkFailed(f"it took longer than {time_limit:.0f} s and was stopped") from None
    finally:
        await _end(process)


async def _result(process: asyncio.subprocess.Process, progress: Progress) -> Mapping[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    last_words = bytearray()
    listening = asyncio.create_task(_keep(process.stderr, last_words))
    ending = asyncio.create_task(_end_group(process))
    last = _Line()
    try:
        while line := await process.stdout.readline():
            with contextlib.suppress(msgspec.DecodeError, UnicodeError):  # a library that prints is not our line
                last = msgspec.json.decode(line, type=_Line)
                if last.result is None and last.failed is None:
                    progress(last.step, min(max(last.done, 0.0), 1.0))
        status = await process.wait()
        await listening
    except ValueError:
        raise WorkFailed(f"a line of its output is longer than {MAX_LINE} bytes") from None
    finally:
        listening.cancel()
        ending.cancel()
    if last.result is not None and status == 0:
        return last.result
    raise WorkFailed(last.failed or _reason(status, last_words))


async def _keep(stream: asyncio.StreamReader, last: bytearray) -> None:
    """Read to the end, so that the program never waits for this process to read, and keep the last bytes."""
    while chunk := await stream.read(65536):
        last += chunk
        del last[:-MAX_LAST_WORDS]


def _reason(status: int, last_words: bytes | bytearray) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"the process was ended by {signal.Signals(-status).name}"
    said = next((line.strip() for line in reversed(last_words.decode(errors="replace").splitlines()) if line.strip()), "")
    return f"the process ended with status {status}{f': {said[:300]}' if said else ''}"


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """What the program has started ends with it: it would keep the pipes open, and this process would wait for it."""
    # `wait` may itself wait for the pipes, depending on the version of Python, and there is no event.
    while process.returncode is None:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_INTERVAL)
    _kill(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    _kill(process)
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        await asyncio.shield(process.wait())


def _kill(process: asyncio.subprocess.Process) -> None:
    # The whole group, which it leads: also what it has started.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
