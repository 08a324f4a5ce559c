"""PostgreSQL on several hosts, of which one takes writes: that one is found, also after a failover."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

logger = logging.getLogger(__name__)


class Hosts:
    """Connects to the host that takes writes.

    asyncpg tries several hosts itself, but within one deadline: a first one that has vanished, and refuses nothing, uses it up.

    Args:
        connect: `asyncpg.connect`.
    """

    def __init__(self, connect: Callable[..., Awaitable[Any]]) -> None:
        self._connect = connect
        self._latest = 0
        """The host that was right the last time: first, so that one that has vanished costs time once."""

    async def connect(self, **arguments: Any) -> Any:
        """Connect to one of several hosts.

        Args:
            arguments: those of `asyncpg.connect`; `host` and `port` are lists. `timeout` is in seconds, for all hosts together.

        Raises:
            Exception: the reason of the last host, if none will do.
        """
        hosts, ports = arguments["host"], arguments["port"]
        usual = {"target_session_attrs": "primary", **arguments, "timeout": arguments["timeout"] / len(hosts)}
        failed: Exception | None = None
        for index in sorted(range(len(hosts)), key=lambda one: one != self._latest):
            try:
                connection = await self._connect(**{**usual, "host": hosts[index], "port": ports[index]})
            except Exception as error:  # it is refused, or gives no answer, or is a standby, or only starts: the next one may do
                failed = error
                continue
            if index != self._latest:
                logger.warning("the database is at %s now", hosts[index])
                self._latest = index
            return connection
        assert failed is not None, "there is a host"
        raise failed
