"""Opening a WebSocket of the relay, and the JSON objects on it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from yarl import URL

from relay.client.errors import SignInFailed

HEARTBEAT: Final = 6.0
"""Seconds without a message until a ping, which is to be answered within half of that: without pings, only the server notices a
connection that a NAT has dropped. When the power of a server fails, nothing tells its clients. So they have noticed after 9 s,
when another one takes its calls (`relay.cluster.lease`)."""

MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes of a message that are taken."""


async def open_websocket(
    http: aiohttp.ClientSession, url: URL, token: str, *, within: float, heartbeat: float | None = HEARTBEAT
) -> aiohttp.ClientWebSocketResponse:
    """
    Args:
        within: seconds for the server to accept it.
        heartbeat: seconds between pings; None: none.

    Raises:
        SignInFailed: `unauthorized`, `upgrade` (another answer than 101), `silent` or `broken`.
    """
    try:
        async with asyncio.timeout(within):
            return await http.ws_connect(
                url, headers={"Authorization": f"Bearer {token}"}, heartbeat=heartbeat, max_msg_size=MAX_MESSAGE
            )
    except aiohttp.WSServerHandshakeError as error:
        reason = "unauthorized" if error.status in {401, 403} else "upgrade"
        raise SignInFailed(reason, f"HTTP status {error.status} instead of 101") from error
    except TimeoutError as error:
        raise SignInFailed("silent") from error
    except (aiohttp.ClientError, OSError) as error:
        raise SignInFailed("broken", str(error)[:200]) from error


def decoded(frame: aiohttp.WSMessage) -> Mapping[str, Any] | None:
    """The JSON object of a frame; None: it is something else."""
    if frame.type is not aiohttp.WSMsgType.TEXT:
        return None
    try:
        message = json.loads(frame.data)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
