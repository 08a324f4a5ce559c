"""Handlers get what they need by the types of their keyword-only parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from relay.errors import Unauthorized
from relay.http.api import Access, Operation, get
from relay.http.needs import by_type
from relay.http.responses import errors_in_words


class Names:
    def __init__(self, *names: str) -> None:
        self.names = names


@dataclass
class Needs:
    names: Names
    ages: Mapping[str, int] | None


PROVIDED = by_type(Needs(Names("maya", "daniel"), {"maya": 12}))

TOLD = Operation("Tells.", str)


async def told(
    request: web.Request, *, greeting: str, names: Names, ages: Mapping[str, int] | None, end: str = "."
) -> web.Response:
    return web.Response(text=f"{greeting} {' '.join(names.names)} {ages}{end}")


async def only_maya(request: web.Request, *, names: Names) -> None:
    if request.query.get("name") != names.names[0]:
        raise Unauthorized("only the first")


async def answer_to(route: web.AbstractRouteDef, path: str) -> tuple[int, str]:
    app = web.Application(middlewares=[errors_in_words])
    app.add_routes([route])
    async with TestClient(TestServer(app)) as client, client.get(path) as response:
        return response.status, await response.text()


async def test_a_handler_gets_what_it_needs_by_type_and_keeps_what_it_has() -> None:
    route = get("/", partial(told, greeting="hello"), TOLD).bound(PROVIDED)
    assert await answer_to(route, "/") == (200, "hello maya daniel {'maya': 12}.")


async def test_a_guard_gets_what_it_needs_and_stands_before_the_handler() -> None:
    route = get("/", partial(told, greeting="hello"), TOLD).guarded(only_maya, Access.PLATFORM).bound(PROVIDED)
    assert (await answer_to(route, "/?name=maya"))[0] == 200
    assert (await answer_to(route, "/?name=daniel"))[0] == 401


def test_a_need_that_nothing_provides_is_named_before_the_server_starts() -> None:
    route = get("/", partial(told, greeting="hello"), TOLD)
    with pytest.raises(LookupError, match=r"test_needs\.told needs what is not provided: names: Names$"):
        route.bound({Mapping[str, int] | None: None})


def test_a_need_of_a_guard_is_one_too() -> None:
    route = get("/", partial(told, greeting="hello", names=Names(), ages={}), TOLD).guarded(only_maya, Access.PLATFORM)
    with pytest.raises(LookupError, match=r"test_needs\.only_maya needs what is not provided: names: Names$"):
        route.bound({})


def test_a_route_that_is_not_bound_is_not_taken() -> None:
    with pytest.raises(LookupError, match="greeting: str, names: Names, ages: "):
        web.Application().add_routes([get("/", told, TOLD)])


def test_two_needs_of_one_type_are_refused() -> None:
    @dataclass
    class Twice:
        one: Names
        other: Names

    with pytest.raises(ValueError, match="other is of the same type as another field: Names"):
        by_type(Twice(Names(), Names()))
