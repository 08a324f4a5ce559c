"""`POST /api/admin/sync`: many things at once, each with a result of its own."""

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import ReadOnly, RelayError, Unavailable
from relay.http.admin.access import guarded
from relay.http.admin.items import ITEMS, LISTS, Item, Stores, item_of, name_of
from relay.http.api import Operation, either, post
from relay.http.ports import Platform, ProfileSettings
from relay.http.responses import Problem, answer, large_body_of

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


class SyncBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 500 items in all. One with `"deleted": true` is to go, and needs no more than what names it."""

    # Raw: one item that makes no sense is no reason to refuse the others.
    profiles: list[Annotated[msgspec.Raw, either(*ITEMS["profiles"])]] = []
    connections: list[Annotated[msgspec.Raw, either(*ITEMS["connections"])]] = []
    conversations: list[Annotated[msgspec.Raw, either(*ITEMS["conversations"])]] = []
    whiteboard_sessions: list[Annotated[msgspec.Raw, either(*ITEMS["whiteboard_sessions"])]] = []
    settings: list[Annotated[msgspec.Raw, either(*ITEMS["settings"])]] = []
    blocks: list[Annotated[msgspec.Raw, either(*ITEMS["blocks"])]] = []


class ItemResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item."""

    ok: bool
    error: Problem | None = None
    item: Annotated[dict[str, Any], Meta(description="The fields that name the item.")] | None = None


class Results(msgspec.Struct, frozen=True):
    """The result of each item, in the order of the items."""

    profiles: list[ItemResult]
    connections: list[ItemResult]
    conversations: list[ItemResult]
    whiteboard_sessions: list[ItemResult]
    settings: list[ItemResult]
    blocks: list[ItemResult]


class SyncAnswer(msgspec.Struct, frozen=True):
    failed: Annotated[int, Meta(description="Items that failed.")]
    results: Results


async def sync(request: web.Request, *, platform: Platform, settings: ProfileSettings) -> web.Response:
    lists = await large_body_of(request, SyncBody, MAX_BODY)
    if (number := sum(len(getattr(lists, name)) for name in LISTS)) > MAX_ITEMS:
        raise RelayError(f"at most {MAX_ITEMS} items at a time, and these are {number}")
    stores = Stores(platform, settings)
    results = {name: await _list_done(stores, name, getattr(lists, name)) for name in LISTS}
    failed = sum(not result.ok for of_list in results.values() for result in of_list)
    return answer(SyncAnswer(failed, Results(**results)))


async def _list_done(stores: Stores, name: str, raws: Sequence[msgspec.Raw]) -> list[ItemResult]:
    errors: list[Problem | None] = [None] * len(raws)
    items: list[tuple[int, Item]] = []
    for index, raw in enumerate(raws):
        try:
            items.append((index, item_of(name, raw)))
        except (ValueError, RecursionError) as error:
            errors[index] = Problem("invalid_item", str(error)[:MAX_MESSAGE_LENGTH])
    # Neighbours of a kind together: what is put and then deleted again is so in this order.
    for kind, group in groupby(items, key=lambda one: type(one[1])):
        same = list(group)
        for start in range(0, len(same), BATCH):
            batch = same[start : start + BATCH]
            done = await _batch_done(stores, name, kind, [item for _, item in batch])
            for (index, _), found in zip(batch, done, strict=True):
                errors[index] = found
    return [_result(raw, error) for raw, error in zip(raws, errors, strict=True)]


async def _batch_done(stores: Stores, name: str, kind: type[Item], items: Sequence[Item]) -> list[Problem | None]:
    try:
        faults = await kind.do_all(stores, items)
    except ReadOnly as error:
        return [Problem("read_only", str(error))] * len(items)
    except Unavailable:
        raise  # nothing that comes after this item could be done either: all are to be sent again
    except Exception:
        if len(items) > 1:  # one of them is to blame: each by itself
            return [found for one in items for found in await _batch_done(stores, name, kind, [one])]
        # Said item by item: what came before it is done, and whoever asks must know.
        logger.exception("an item of %s could not be written", name)
        return [Problem("internal", "the server could not do this")]
    return [None if fault is None else Problem("invalid_item", fault[:MAX_MESSAGE_LENGTH]) for fault in faults]


def _result(raw: msgspec.Raw, error: Problem | None) -> ItemResult:
    return ItemResult(True) if error is None else ItemResult(False, error, name_of(raw))


ROUTES: Final = guarded(
    [
        post(
            PATH,
            sync,
            Operation(
                "Adds, changes and deletes many things. Each item is done altogether or not at all, and has a result of its own; "
                "the request is answered with 200 also when some failed.",
                SyncAnswer,
                body=SyncBody,
                parts=tuple(dict.fromkeys(kind for pair in ITEMS.values() for kind in pair)),
            ),
        ),
    ]
)
