"""Routes of the HTTP API, each with its description beside its handler: `/api/openapi.json` is made from them.

`ROUTES = [get("/api/settings", read, Operation("The settings of the profile.", SettingsRecord))]`
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from msgspec import Meta

from relay.http.needs import Provided, bound

Handler = Callable[..., Awaitable[web.StreamResponse]]
"""Takes the request, and as keyword-only parameters what else it needs: each is found by its annotation (`relay.http.needs`)."""

Guard = Callable[..., Awaitable[None]]
"""Raises what a request is refused with; takes what a handler takes."""

JSON: Final = "application/json"

SCHEMAS: Final = "#/components/schemas/{name}"
"""Where the document has the schema of a class."""


class Access(Enum):
    """Which credential an operation takes."""

    ANYONE = "anyone"
    """None."""
    PROFILE = "profile"
    """A profile's token, or a session of the embedding program."""
    SOCKET = "socket"
    """The same, also as a subprotocol: a browser cannot set headers on a WebSocket."""
    PLATFORM = "platform"
    """The service token."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query, or of the path.

    Args:
        kind: a type that msgspec has a JSON Schema for.
    """

    name: str
    kind: object
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """What an operation does, takes and answers. Types are those that msgspec has a JSON Schema for: structs above all.

    Args:
        summary: one sentence, or a few.
        answer: type of the body of a successful answer; None: it has none (204).
        status: of a successful answer; None: 200 with a body and 204 without.
        body: type of the request's body; None: it takes none.
        query: the parameters of the query.
        errors: status of an error → what it means here. Those that any such operation may have need not be named.
        replies: further statuses → type of the body that they come with, or None.
        media_type: of the answer, where that is not JSON.
        parts: types that `answer` or `body` refer to by `either`.
    """

    summary: str
    answer: object = None
    _: KW_ONLY
    status: int | None = None
    body: object = None
    query: tuple[Parameter, ...] = ()
    errors: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    replies: Mapping[int, object] = field(default_factory=lambda: MappingProxyType({}))
    media_type: str = JSON
    access: Access = Access.PROFILE
    parts: tuple[type, ...] = ()

    @property
    def success(self) -> int:
        """Status of a successful answer."""
        if self.status is not None:
            return self.status
        return 204 if self.answer is None else 200


@dataclass(frozen=True, slots=True)
class DescribedRoute(web.AbstractRouteDef):
    """A route that an application takes as one of aiohttp's own."""

    method: str
    path: str
    handler: Handler
    operation: Operation
    guard: Guard | None = None
    """Called before the handler."""

    def register(self, router: web.UrlDispatcher) -> list[web.AbstractRoute]:
        """
        Raises:
            LookupError: the handler or the guard needs something, and the route is not `bound`.
        """
        route = self.bound({})
        handler = route.handler if route.guard is None else _behind(route.guard, route.handler)
        return web.RouteDef(self.method, self.path, handler, {}).register(router)

    def bound(self, provided: Provided) -> "DescribedRoute":
        """The same route, whose handler and guard have what they need.

        Raises:
            LookupError: something that one of them needs is not provided.
        """
        guard = None if self.guard is None else bound(self.guard, provided)
        return replace(self, handler=bound(self.handler, provided), guard=guard)

    @property
    def template(self) -> str:
        """The path as RFC 6570 has it: `{name}` for each variable, without the expression that it is matched by."""
        return web.UrlDispatcher().add_resource(self.path).canonical

    def guarded(self, guard: Guard, access: Access) -> "DescribedRoute":
        """The same route behind a guard, which asks for another credential."""
        return replace(self, guard=guard, operation=replace(self.operation, access=access))


def _behind(guard: Guard, handler: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        await guard(request)
        return await handler(request)

    return guarded


get: Final = partial(DescribedRoute, "GET")
post: Final = partial(DescribedRoute, "POST")
put: Final = partial(DescribedRoute, "PUT")
delete: Final = partial(DescribedRoute, "DELETE")


def either(*kinds: type) -> Meta:
    """For a value that is decoded later, as one of several types: `Annotated[msgspec.Raw, either(One, Other)]`."""
    choices: list[dict[str, Any]] = [{"$ref": SCHEMAS.format(name=kind.__name__)} for kind in kinds]
    return Meta(extra_json_schema={"anyOf": choices} if len(choices) > 1 else choices[0])
