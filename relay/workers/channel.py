"""The channel between the signaling process and a worker process: `MediaEngine` over a stream socket.

A frame is its length (four bytes, big-endian) and a MessagePack array. The side that asks is a `Caller`, whose `engine` looks
like the real one; the side that does the work is a `Server`. Nothing here names a method of the interface: how arguments and
results cross is read from the annotations of `WorkerEngine`, so a method that is added to `MediaEngine` crosses as it is.
"""

import asyncio
import functools
import inspect
import logging
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import msgspec

from relay.errors import ConfigurationError, RelayError
from relay.media.api import CaptureRefused, MediaEngine, MediaEvent, MediaEventSink, WorkerLost

logger = logging.getLogger(__name__)

LENGTH_BYTES: Final = 4

MAX_FRAME: Final = 16 * 1024 * 1024
"""Bytes of one message. Far above what any method needs: a longer one is garbage, and must not be waited for."""


class WorkerEngine(MediaEngine, Protocol):
    """What a worker serves: a `MediaEngine`, and the moment at which it begins."""

    async def start(self) -> tuple[int, ...]:
        """Open the sockets.

        Returns:
            The UDP ports that media comes in by.

        Raises:
            ConfigurationError: they cannot be opened.
        """
        ...


class RemoteError(Exception):
    """A call failed in the worker with an error that is not part of the interface: a mistake of ours. The worker logs it."""


# -- what crosses -----------------------------------------------------------------------------------------------------


class _Request(msgspec.Struct, frozen=True, array_like=True, tag=True):
    number: int
    method: str
    arguments: msgspec.Raw


class _Result(msgspec.Struct, frozen=True, array_like=True, tag=True):
    number: int
    value: msgspec.Raw


class _Failure(msgspec.Struct, frozen=True, array_like=True, tag=True):
    number: int
    error: str
    """A name in `_ERRORS`, or that of some other class."""
    text: str


class _Happened(msgspec.Struct, frozen=True, array_like=True, tag=True):
    event: str
    """A name in `_EVENTS`."""
    fields: msgspec.Raw


_Message = _Request | _Result | _Failure | _Happened

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder[_Message](_Message).decode


@dataclass(frozen=True, slots=True)
class _Method:
    """How a call of one method crosses."""

    signature: inspect.Signature
    arguments: type[msgspec.Struct]
    decode_arguments: msgspec.msgpack.Decoder[msgspec.Struct]
    decode_result: msgspec.msgpack.Decoder[Any]


def _methods(interface: type) -> Iterator[tuple[str, _Method]]:
    for name, function in inspect.getmembers(interface, inspect.iscoroutinefunction):
        types = typing.get_type_hints(function)
        result = types.pop("return")
        arguments = msgspec.defstruct(name, list(types.items()), array_like=True, frozen=True)
        yield (
            name,
            _Method(inspect.signature(function), arguments, msgspec.msgpack.Decoder(arguments), msgspec.msgpack.Decoder(result)),
        )


_METHODS: Final = dict(_methods(WorkerEngine))

# msgspec takes no unions of dataclasses, so the class travels by name.
_EVENTS: Final[Mapping[str, msgspec.msgpack.Decoder[MediaEvent]]] = {
    one.__name__: msgspec.msgpack.Decoder(one) for one in typing.get_args(MediaEvent)
}

_ERRORS: Final[Mapping[str, type[Exception]]] = {
    one.__name__: one for one in (AssertionError, CaptureRefused, ConfigurationError, KeyError)
}
"""The errors that leave a call of `engine` as what they were raised as."""


class ChannelFrames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what came; the frames that are complete now.

        Raises:
            ValueError: the other side does not speak in frames.
        """
        buffer = self._buffer
        buffer += data
        while len(buffer) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(buffer[:LENGTH_BYTES])
            if end > MAX_FRAME:
                raise ValueError(f"a frame of {end} bytes")
            if len(buffer) < end:
                return
            frame = bytes(buffer[LENGTH_BYTES:end])
            del buffer[:end]
            yield frame


# -- the two sides ----------------------------------------------------------------------------------------------------


class _End(asyncio.Protocol):
    """One end of a channel: frames out and in, and the end of it all."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        """Set when nothing will come any more: the other side has gone, spoke garbage, or we closed."""
        self._frames = ChannelFrames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._receive(_decode(frame))
        except ValueError as error:  # msgspec.DecodeError is one
            logger.error("the other end of the channel speaks garbage: %s", error)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. What was sent and is still on its way arrives; what was asked fails."""
        if self._transport is not None:
            self._transport.close()
        self.lost.set()

    def _send(self, message: _Message) -> None:
        frame = _encode(message)
        assert len(frame) <= MAX_FRAME - LENGTH_BYTES, "what crosses is small"
        assert self._transport is not None, "the channel is connected"
        self._transport.write(len(frame).to_bytes(LENGTH_BYTES) + frame)

    def _receive(self, message: _Message) -> None:
        raise NotImplementedError


class Caller(_End):
    """The end that asks.

    Args:
        on_event: takes what happens to transports.
    """

    def __init__(self, on_event: MediaEventSink) -> None:
        super().__init__()
        self._on_event = on_event
        self._number = 0
        self._pending: dict[int, tuple[_Method, asyncio.Future[Any]]] = {}

    @functools.cached_property
    def engine(self) -> WorkerEngine:
        """The engine at the other end. Every method may raise `WorkerLost`, or `RemoteError` where it has a bug."""
        return cast(WorkerEngine, _Remote(self))

    async def call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the engine at the other end; several calls may be under way."""
        method = _METHODS[name]
        bound = method.signature.bind(None, *args, **kwargs)  # None: self
        bound.apply_defaults()
        del bound.arguments["self"]
        arguments = _encode(method.arguments(**bound.arguments))
        if self.lost.is_set():
            raise WorkerLost(_LOST)
        self._number += 1
        number, future = self._number, asyncio.get_running_loop().create_future()
        self._pending[number] = method, future
        try:
            self._send(_Request(number, name, msgspec.Raw(arguments)))
            return await future
        finally:
            self._pending.pop(number, None)

    def close(self) -> None:
        super().close()
        for _, future in self._pending.values():
            if not future.done():
                future.set_exception(WorkerLost(_LOST))

    def _receive(self, message: _Message) -> None:
        match message:
            case _Result(number, value):
                self._settle(number, value)
            case _Failure(number, error, text):
                self._settle(number, _ERRORS[error](text) if error in _ERRORS else RemoteError(f"{error}: {text}"))
            case _Happened(event, fields):
                if event not in _EVENTS:
                    raise ValueError(f"an event {event[:60]!r}")
                self._happened(_EVENTS[event].decode(fields))
            case _:
                raise ValueError("a request, from the end that serves")

    def _settle(self, number: int, outcome: msgspec.Raw | Exception) -> None:
        method, future = self._pending.get(number, (None, None))
        if method is None or future is None or future.done():
            return  # the caller has given up
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(method.decode_result.decode(outcome))

    def _happened(self, event: MediaEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            logger.exception("%s could not be taken", event)


_LOST: Final = "the media worker that had this call is gone"


class _Remote:
    """Looks like the engine at the other end."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        return functools.partial(self._caller.call, name)


class Server(_End):
    """The end that does the work. Set `engine` before the first request."""

    engine: WorkerEngine

    def __init__(self) -> None:
        super().__init__()
        self._tasks: set[asyncio.Task[None]] = set()

    def emit(self, event: MediaEvent) -> None:
        """Tell the other side (`MediaEventSink`)."""
        if not self.lost.is_set():
            self._send(_Happened(type(event).__name__, msgspec.Raw(_encode(event))))

    def _receive(self, message: _Message) -> None:
        if not isinstance(message, _Request) or message.method not in _METHODS:
            raise ValueError("something that is no request")
        arguments = _METHODS[message.method].decode_arguments.decode(message.arguments)
        task = asyncio.get_running_loop().create_task(self._answer(message, arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: _Request, arguments: msgspec.Struct) -> None:
        answer: _Message
        try:
            value = await getattr(self.engine, request.method)(**msgspec.structs.asdict(arguments))
            answer = _Result(request.number, msgspec.Raw(_encode(value)))
        except Exception as error:
            if not isinstance(error, KeyError | RelayError):
                logger.exception("%s failed", request.method)
            # str() of a KeyError is the repr() of its key.
            text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
            answer = _Failure(request.number, type(error).__name__, text)
        if not self.lost.is_set():
            self._send(answer)
