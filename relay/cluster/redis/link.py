"""Connections to Redis: each command with a deadline of its own, and each outage in the log once."""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import hiredis
from redis.asyncio import Redis, Sentinel
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError

from relay.cluster.redis.figures import ClusterFigures
from relay.cluster.redis.scripts import RedisScript
from relay.errors import ConfigurationError, Unavailable
from relay.settings.redis_url import RedisAddress

logger = logging.getLogger(__name__)

Command = tuple[Any, ...]
_Result = TypeVar("_Result")

OLDEST: Final = (6, 2)
"""Redis. It is the oldest one that its makers repair."""

_AWAY: Final = frozenset(
    {
        *("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "OOM", "MISCONF", "NOREPLICAS"),
        *("NOAUTH", "NOPERM", "WRONGPASS", "UNKILLABLE"),
    }
)
"""First words of errors that say nothing about the command: any other one would fail too."""

OWN: Final = ("GONE", "STALE", "SETTLING", "FOREIGN")
"""First words of errors of the relay's own scripts."""

_REFUSED: Final = ("WRONGPASS", "NOAUTH", "NOPERM", "invalid username-password", "AUTH failed")


def call(script: RedisScript, keys: Sequence[str], *arguments: object) -> Command:
    """The command that runs a script which Redis may not have yet."""
    return ("EVAL", script.text, len(keys), *keys, *arguments)


def is_away(error: ResponseError) -> bool:
    """Whether Redis cannot run any command at the moment."""
    text = str(error)
    if text.startswith(OWN):
        return False
    if type(error) is not ResponseError:
        # redis-py cuts the first word off of errors that it has classes for.
        return not isinstance(error, NoScriptError)
    # Redis 6 puts what went wrong inside a script at the end of a sentence of its own.
    return not _AWAY.isdisjoint(re.findall(r"\b[A-Z]{3,}\b", text if "running script" in text else text.partition(" ")[0]))


class Link:
    """A connection to Redis, or to what its Sentinels say is its master, opened anew whenever that is necessary.

    What runs over it runs one after the other. It is kept from one round trip to the next: redis-py's pipelines take theirs from
    a pool each time, note that, and look every command up, which takes more of a core than all the rest of a round trip.
    """

    def __init__(self, address: RedisAddress, figures: ClusterFigures, outage: "RedisOutage", deadline: float) -> None:
        self._figures = figures
        self._outage = outage
        self._deadline = deadline
        self._sentinel, self._client = _client(address, deadline)
        self._connection: AbstractConnection | None = None

    async def run(self, commands: Sequence[Command], *, waiting: float = 0.0) -> list[Any]:
        """Run some commands, in one round trip.

        Args:
            waiting: seconds that they may wait inside Redis.

        Returns:
            The result of each as Redis sends it (RESP 2, strings as bytes), or its `ResponseError`.

        Raises:
            Unavailable: Redis is away; whether it has run the commands is not known.
        """
        began = time.perf_counter()
        try:
            connection = self._connection
            if connection is None or await connection.can_read():  # its peer has closed it, or it is out of step
                connection = await _within(self._deadline, self._connect())
            async with asyncio.timeout(self._deadline + waiting):
                # By hiredis: redis-py's own function for it takes six times as long.
                packed = b"".join(hiredis.pack_command(one) for one in commands)
                await connection.send_packed_command(packed, check_health=False)
                results = [await _response(connection) for _ in commands]
        except (RedisError, OSError) as error:
            await self._drop()
            self._figures.counters["redis_failures"] += 1
            self._outage.failed(error, began)
            raise Unavailable(f"Redis is away: {reason_of(error)}") from None
        except asyncio.CancelledError:
            await self._drop()  # an answer may still come, which would be taken for that to the next command
            raise
        away = next((one for one in results if isinstance(one, ResponseError) and is_away(one)), None)
        if away is None:
            self._outage.succeeded()
        else:
            self._figures.counters["redis_failures"] += 1
            self._outage.failed(away, began)
            await self._drop()  # a master that has become a replica refuses: Sentinels know the new one
        if not waiting:
            self._figures.answered(began)
        return results

    async def close(self) -> None:
        await self._drop()

    async def _connect(self) -> AbstractConnection:
        pool = self._client.connection_pool
        if self._connection is None:
            self._connection = await pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's own
        else:
            await pool.ensure_connection(self._connection)
        return self._connection

    async def _drop(self) -> None:
        """Close the connection, without waiting for a peer that hangs."""
        held, self._connection = self._connection, None
        for client in (self._client, *(self._sentinel.sentinels if self._sentinel else ())):
            try:
                await _within(self._deadline, client.connection_pool.disconnect(inuse_connections=True))
            except (RedisError, OSError):
                logger.debug("a connection to Redis could not be closed in time")
        if held is not None:
            await self._client.connection_pool.release(held)


async def _response(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def info_in(text: bytes) -> dict[str, str]:
    """What `INFO` says, by its names."""
    lines = text.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


async def _within(seconds: float, doing: Coroutine[Any, Any, _Result]) -> _Result:
    """Its result, if there is one in time. The end of what hangs is not waited for, as the library may catch its cancellation.

    Raises:
        TimeoutError: there is none.
    """
    task = asyncio.create_task(doing)
    try:
        await asyncio.wait([task], timeout=seconds)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            task.add_done_callback(_consume_exception)


def _consume_exception(done: "asyncio.Task[Any]") -> None:
    """Retrieve the exception of what was given up, so that asyncio does not log it."""
    if not done.cancelled():
        done.exception()


class RedisOutage:
    """Whether Redis is away: one line in the log when that begins, and one when it ends."""

    def __init__(self, figures: ClusterFigures) -> None:
        self._figures = figures
        self._since: float | None = None
        self._succeeded_at = 0.0

    @property
    def lasts(self) -> bool:
        return self._since is not None

    def failed(self, error: Exception, began: float) -> None:
        """
        Args:
            began: when the command was sent, by `time.perf_counter`. Redis may have answered others since.
        """
        if self._since is None and began >= self._succeeded_at:
            self._since = time.perf_counter()
            self._figures.counters["redis_outages"] += 1
            logger.error("Redis is away: %s. Calls go on; new ones are refused once the lease has run out", reason_of(error))

    def succeeded(self) -> None:
        self._succeeded_at = time.perf_counter()
        if self._since is not None:
            logger.warning("Redis is back after %.0f s", self._succeeded_at - self._since)
            self._since = None


def reason_of(error: BaseException) -> str:
    """What is wrong, in a line."""
    if isinstance(error, AuthenticationError) or any(one in str(error) for one in _REFUSED):
        return f"it does not accept the user's name and the password ({_line(error)})"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS fails: {_line(cause)}"
        cause = cause.__cause__ or cause.__context__
    return "no answer in time" if isinstance(error, TimeoutError) else _line(error)


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


async def examine(address: RedisAddress, deadline: float) -> str:
    """Whether Redis can be used; its version.

    Raises:
        ConfigurationError: it answers, and will not do: the password, TLS, or its version. A line that says why.
        Unavailable: it does not answer.
    """
    figures = ClusterFigures()
    _check_files(address)
    quiet = _Quiet(figures)
    link = Link(address, figures, quiet, deadline)
    try:
        [info] = await link.run([("INFO", "server")])
    except Unavailable:
        error = quiet.error
        if error is None or not _is_lasting(error):
            error = await _refusal(address, deadline)
        if error is not None:
            raise ConfigurationError(f"cannot use {address}: {reason_of(error)}") from None
        raise
    finally:
        await link.close()
    if isinstance(info, ResponseError):
        raise ConfigurationError(f"cannot use {address}: {reason_of(info)}")
    version = info_in(info).get("redis_version", "")
    if tuple(int(one) for one in re.findall(r"\d+", version)[:2]) < OLDEST:
        raise ConfigurationError(f"cannot use {address}: it is version {version or 'unknown'}; the relay needs 6.2 or newer")
    return version


def _check_files(address: RedisAddress) -> None:
    """OpenSSL does not say which file it cannot read, and asks at the terminal for the passphrase of a key."""
    for parameter, name in address.files:
        try:
            Path(name).open("rb").close()
        except OSError as error:
            raise ConfigurationError(f"RELAY_REDIS_URL: {parameter}: {name}: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if address.ca_file:
        try:
            context.load_verify_locations(address.ca_file)
        except ssl.SSLError:
            raise ConfigurationError(
                f"RELAY_REDIS_URL: ssl_ca_certs: {address.ca_file} has no certificate in PEM format"
            ) from None
    if address.cert_file:
        try:
            context.load_cert_chain(address.cert_file, address.key_file or None, password="")
        except ssl.SSLError:
            key = address.key_file or "the same file"
            raise ConfigurationError(
                f"RELAY_REDIS_URL: ssl_certfile: {address.cert_file} has no certificate in PEM format, or {key} has no key of it "
                "without a passphrase (ssl_keyfile)"
            ) from None


async def _refusal(address: RedisAddress, deadline: float) -> ssl.SSLError | None:
    """Why TLS fails, after a command did.

    By TLS 1.3 a server looks at a client's certificate once the client has done its part of the handshake (RFC 8446 section 2).
    If it then says something at once, the refusal may arrive as a reset. So this says nothing, and listens.
    """
    if not address.tls:
        return None
    context = ssl.create_default_context(cafile=address.ca_file or None)
    if address.cert_file:
        context.load_cert_chain(address.cert_file, address.key_file or None)
    for host, port in address.servers:
        try:
            async with asyncio.timeout(deadline):
                reader, writer = await asyncio.open_connection(host, port, ssl=context)
                try:
                    await reader.read(1)
                finally:
                    writer.transport.abort()
        except ssl.SSLError as error:
            return error
        except (OSError, TimeoutError):
            continue
    return None


class _Quiet(RedisOutage):
    """Writes nothing in the log."""

    error: Exception | None = None

    def failed(self, error: Exception, began: float) -> None:
        self.error = error

    def succeeded(self) -> None: ...


def _is_lasting(error: Exception) -> bool:
    """Whether it fails the same way however often it is tried."""
    return "password" in reason_of(error) or reason_of(error).startswith("TLS fails")


def _client(address: RedisAddress, deadline: float) -> tuple[Sentinel | None, "Redis"]:
    options: dict[str, Any] = {
        "socket_connect_timeout": deadline,
        # `Link` has deadlines for these. The library's are `asyncio.wait_for`, in which Python 3.11 may lose a cancellation.
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "max_connections": 2,
    }
    if address.tls:
        options |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
        options |= {
            name: value
            for name, value in (
                ("ssl_ca_certs", address.ca_file),
                ("ssl_certfile", address.cert_file),
                ("ssl_keyfile", address.key_file),
            )
            if value
        }
    own = {
        **options,
        "db": address.number,
        "username": address.username or None,
        "password": address.password or None,
    }
    if not address.service:
        [(host, port)] = address.servers
        return None, Redis(host=host, port=port, **own)
    asked = {**options, "username": address.sentinel_username or None, "password": address.sentinel_password or None}
    sentinel = Sentinel(list(address.servers), sentinel_kwargs=asked, **own)  # type: ignore[no-untyped-call]  # redis-py's own
    return sentinel, sentinel.master_for(address.service)
