"""`POST /api/admin/sync`: many things at once, each with a result of its own."""

import logging
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.errors import ReadOnly, RelayError, Unavailable
from relay.http.access.service_token import guarded
from relay.http.admin.items import ITEMS, LISTS, Item, Stores, item_of, name_of
from relay.http.api import Operation, either, post
from relay.http.ports import Platform, ProfileSettings
from relay.http.responses import Problem, answer, large_body_of

logger = logging.getLogger(__name__)

PATH: Final = "/api/admin/sync"

MAX_ITEMS: Final = 500
"""In one request, of all lists together."""

MAX_BODY: Final = 4 * 1024 * 1024
"""Bytes of a request: 500 conversations of 150 members each. Only requests with the service token are read that far."""

BATCH: Final = 100
"""Items in one transaction. It locks the rows that it changes; with SQLite, the whole database."""

MAX_MESSAGE_LENGTH: Final = 300
"""Characters of an item's error."""


class SyncBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 500 items in all. An item with `"deleted": true` deletes, and needs only the fields that name it."""

    # Raw: an invalid item does not fail the others.
    profiles: list[Annotated[msgspec.Raw, either(*ITEMS["profiles"])]] = []
    connections: list[Annotated[msgspec.Raw, either(*ITEMS["connections"])]] = []
    conversations: list[Annotated[msgspec.Raw, either(*ITEMS["conversations"])]] = []
    whiteboard_sessions: list[Annotated[msgspec.Raw, either(*ITEMS["whiteboard_sessions"])]] = []
    settings: list[Annotated[msgspec.Raw, either(*ITEMS["settings"])]] = []
    blocks: list[Annotated[msgspec.Raw, either(*ITEMS["blocks"])]] = []


class ItemResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one item."""

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
    # Only neighbours of one kind share a batch: an item that is put and then deleted keeps that order.
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
        raise  # the items that follow would fail too: the platform sends the whole request again
    except Exception:
        if len(items) > 1:  # retry one by one, to find the item that fails
            return [found for one in items for found in await _batch_done(stores, name, kind, [one])]
        # One item's error, not the request's: the items before it are committed, and the platform must know which.
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
