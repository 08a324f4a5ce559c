"""`POST /api/admin/sync`: many things at once, each with a result of its own."""

import logging
from typing import Final

import msgspec
from aiohttp import web

from relay.errors import ReadOnly, RelayError, Unavailable
from relay.http.admin.access import guarded
from relay.http.admin.items import LISTS, Stores, item_of
from relay.http.responses import answer, body_of

logger = logging.getLogger(__name__)

MAX_ITEMS: Final = 500
"""In one request, of all lists together."""

MAX_MESSAGE_LENGTH: Final = 300
"""Characters of an item's error."""


class _Lists(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Raw: one item that makes no sense is no reason to refuse the others.
    profiles: list[msgspec.Raw] = []
    connections: list[msgspec.Raw] = []
    conversations: list[msgspec.Raw] = []
    whiteboard_sessions: list[msgspec.Raw] = []
    settings: list[msgspec.Raw] = []
    blocks: list[msgspec.Raw] = []


class ItemError(msgspec.Struct, frozen=True):
    code: str
    message: str


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item."""

    ok: bool
    error: ItemError | None = None


async def sync(request: web.Request) -> web.Response:
    lists = await body_of(request, _Lists)
    if sum(len(getattr(lists, name)) for name in LISTS) > MAX_ITEMS:
        raise RelayError(f"at most {MAX_ITEMS} items at a time")
    stores = Stores.of(request.app)
    results = {name: [await _done(stores, name, raw) for raw in getattr(lists, name)] for name in LISTS}
    failed = sum(not result.ok for of_list in results.values() for result in of_list)
    return answer({"failed": failed, "results": results})


async def _done(stores: Stores, name: str, raw: msgspec.Raw) -> Result:
    try:
        await item_of(name, raw).do(stores)
    except (ValueError, RecursionError) as error:
        return Result(False, ItemError("invalid_item", str(error)[:MAX_MESSAGE_LENGTH]))
    except ReadOnly as error:
        return Result(False, ItemError("read_only", str(error)))
    except Unavailable:
        raise  # nothing that comes after this item could be done either: all are to be sent again
    except Exception:
        # Said item by item: what came before it is done, and whoever asks must know.
        logger.exception("an item of %s could not be written", name)
        return Result(False, ItemError("internal", "the server could not do this"))
    return Result(True)


ROUTES: Final = guarded([web.post("/api/admin/sync", sync)])
