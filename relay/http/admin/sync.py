"""`POST /api/admin/sync`: many things at once, each with a result of its own."""

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from aiohttp import web

from relay.errors import ReadOnly, RelayError, Unavailable
from relay.http.admin.access import guarded
from relay.http.admin.items import LISTS, Item, Stores, item_of, name_of
from relay.http.responses import answer, large_body_of

logger = logging.getLogger(__name__)

PATH: Final = "/api/admin/sync"

MAX_ITEMS: Final = 500
"""In one request, of all lists together."""

MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request: 500 conversations of 150 members each. Nobody but the platform gets this far."""

BATCH: Final = 100
"""Items in one transaction. While it lasts, nobody else can change the same rows, nor, with SQLite, anything."""

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
    item: dict[str, Any] | None = None
    """What the item said that it was about."""


async def sync(request: web.Request) -> web.Response:
    lists = await large_body_of(request, _Lists, MAX_BODY)
    if (number := sum(len(getattr(lists, name)) for name in LISTS)) > MAX_ITEMS:
        raise RelayError(f"at most {MAX_ITEMS} items at a time, and these are {number}")
    stores = Stores.of(request.app)
    results = {name: await _list_done(stores, name, getattr(lists, name)) for name in LISTS}
    failed = sum(not result.ok for of_list in results.values() for result in of_list)
    return answer({"failed": failed, "results": results})


async def _list_done(stores: Stores, name: str, raws: Sequence[msgspec.Raw]) -> list[Result]:
    errors: list[ItemError | None] = [None] * len(raws)
    items: list[tuple[int, Item]] = []
    for index, raw in enumerate(raws):
        try:
            items.append((index, item_of(name, raw)))
        except (ValueError, RecursionError) as error:
            errors[index] = ItemError("invalid_item", str(error)[:MAX_MESSAGE_LENGTH])
    # Neighbours of a kind together: what is put and then deleted again is so in this order.
    for kind, group in groupby(items, key=lambda one: type(one[1])):
        same = list(group)
        for start in range(0, len(same), BATCH):
            batch = same[start : start + BATCH]
            done = await _batch_done(stores, name, kind, [item for _, item in batch])
            for (index, _), found in zip(batch, done, strict=True):
                errors[index] = found
    return [_result(raw, error) for raw, error in zip(raws, errors, strict=True)]


async def _batch_done(stores: Stores, name: str, kind: type[Item], items: Sequence[Item]) -> list[ItemError | None]:
    try:
        faults = await kind.do_all(stores, items)
    except ReadOnly as error:
        return [ItemError("read_only", str(error))] * len(items)
    except Unavailable:
        raise  # nothing that comes after this item could be done either: all are to be sent again
    except Exception:
        if len(items) > 1:  # one of them is to blame: each by itself
            return [found for one in items for found in await _batch_done(stores, name, kind, [one])]
        # Said item by item: what came before it is done, and whoever asks must know.
        logger.exception("an item of %s could not be written", name)
        return [ItemError("internal", "the server could not do this")]
    return [None if fault is None else ItemError("invalid_item", fault[:MAX_MESSAGE_LENGTH]) for fault in faults]


def _result(raw: msgspec.Raw, error: ItemError | None) -> Result:
    return Result(True) if error is None else Result(False, error, name_of(raw))


ROUTES: Final = guarded([web.post(PATH, sync)])
