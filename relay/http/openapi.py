"""`GET /api/openapi.json`: what this server serves, as an OpenAPI 3.1 document.

It is made of the descriptions that stand beside the handlers (`relay.http.api`) and of the types of their bodies and answers. It
has exactly the routes of this server: those of the platform with a service token, those of development in development mode.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.helpers import ETAG_ANY

from relay.http.access.auth import COOKIE, SECURE_COOKIE, SUBPROTOCOL
from relay.http.api import JSON, SCHEMAS, Access, DescribedRoute, Operation, Parameter, get
from relay.http.build import BUILD
from relay.http.parameters import PATH_PARAMETERS
from relay.http.responses import ProblemBody

PATH: Final = "/api/openapi.json"

_DESCRIPTION: Final = """\
Everything of the relay that is not a call. The calls themselves are on a WebSocket. This document has the request that opens it,
`GET /ws/{profile_id}/{profile_type}`; its messages are those of `docs/protocol.md`.

- What is *own* belongs to the profile that the credential names. What belongs to another profile is answered with 404, as if it
  did not exist.
- Times are milliseconds since 1970 UTC. Exports have ISO 8601.
- `PUT` and `DELETE` may be repeated, with the same answer.
- An error is `{"error": {"code": "…", "message": "…"}}`. Decide by the status and the code; the message is for people.
- Clients ignore fields that they do not know: new ones may come.
"""

_SECURITY: Final[Mapping[Access, Sequence[Mapping[str, Sequence[str]]]]] = {
    Access.ANYONE: [],
    Access.PROFILE: [{"token": []}, {"cookie": []}, {"plainCookie": []}, {"queryToken": []}],
    Access.SOCKET: [{"token": []}, {"cookie": []}, {"plainCookie": []}, {"queryToken": []}, {"subprotocol": []}],
    Access.PLATFORM: [{"serviceToken": []}],
}
"""Alternatives, each the name of a scheme."""

_SCHEMES: Final = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A JSON Web Token that names a profile (RFC 7519).",
    },
    "cookie": {"type": "apiKey", "in": "cookie", "name": SECURE_COOKIE, "description": "The same token, set at log-in by https."},
    "plainCookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "The same token, set at log-in by http."},
    "queryToken": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "The same token. URLs end up in logs: avoid it.",
    },
    "subprotocol": {
        "type": "apiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": f'`{SUBPROTOCOL}, TOKEN`, which is what `new WebSocket(url, ["{SUBPROTOCOL}", token])` sends.',
    },
    "serviceToken": {"type": "http", "scheme": "bearer", "description": "`RELAY_SERVICE_TOKEN`: the platform's own credential."},
}

_ERRORS: Final = {
    400: "`invalid_request`: a parameter or the body is not valid; the message says which.",
    401: "`unauthorized`: there is no credential, or it is not valid (any more).",
    403: "`foreign_origin`: a page of another site; `https_required`: the relay has a certificate, and this came without TLS; "
    "`foreign_host`: in development mode, a name that is not this machine's own.",
    404: "`not_found`: it does not exist, belongs to another profile, or is not switched on.",
    408: "`request_timeout`: the body did not arrive in time.",
    409: "`busy`, `legal_hold`: of recordings; `read_only`: views of the platform's tables have this; it is changed there.",
    413: "`request_entity_too_large`: the body is too large.",
    416: "`range_not_satisfiable`: the file has no such bytes.",
    429: "`too_many_requests`: a limit is reached.",
    500: "`internal`: a fault of the server; its log says more.",
    503: "`unavailable`: the database is away. Calls in progress go on.",
}
"""Status → its codes, and what they mean."""

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}},
}

_TAGS: Final = {
    "admin": "For the platform, with the service token.",
    "blocks": "Blocked profiles.",
    "calls": "Calls in conversations.",
    "connectivity": "The connection test.",
    "conversations": "Conversations.",
    "dev": "Development mode only.",
    "ice-servers": "How a browser reaches the relay.",
    "me": "A profile's own data.",
    "openapi": "This document.",
    "operators": "For operators.",
    "profiles": "Profiles.",
    "push": "Web Push.",
    "recordings": "Recordings of calls.",
    "session": "Signing a browser in and out.",
    "settings": "Settings of a profile.",
    "websocket": "The WebSocket of the calls.",
    "whiteboard": "Whiteboard sessions, and the calls in them.",
}


class Document:
    """The description of some routes.

    Raises:
        KeyError: a path has a variable that `PATH_PARAMETERS` does not describe, or belongs to no tag.
    """

    def __init__(self, routes: Sequence[DescribedRoute]) -> None:
        self._routes = routes
        self._encoded: dict[str, tuple[bytes, str]] = {}
        """By prefix. The routes of a server do not change while it runs."""

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """The document as an object, in values that JSON has."""
        kinds = _Kinds([kind for route in self._routes for kind in _kinds_of(route.operation)])
        paths: dict[str, dict[str, Any]] = {}
        for route in self._routes:
            paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, kinds)
        named = {_tag(path) for path in paths}
        content = {
            "openapi": "3.1.0",
            "info": {
                "title": "Call relay",
                "version": BUILD.version,
                "description": _DESCRIPTION,
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if name in named],
            "paths": paths,
            "components": {"schemas": kinds.schemas, "responses": _responses(kinds), "securitySchemes": _SCHEMES},
        }
        decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(content))
        return decoded

    def encoded(self, prefix: str) -> tuple[bytes, str]:
        """As JSON, and its entity tag.

        Args:
            prefix: below which the relay is mounted; may be empty.
        """
        if prefix not in self._encoded:
            content = {**self.content, "servers": [{"url": prefix}]} if prefix else self.content
            body = msgspec.json.encode(content)
            self._encoded[prefix] = body, hashlib.sha256(body).hexdigest()[:32]
        return self._encoded[prefix]


class _Kinds:
    """The JSON Schemas of types."""

    def __init__(self, kinds: Sequence[object]) -> None:
        parameters = [parameter.kind for parameter in PATH_PARAMETERS.values()]
        # By identity: not every annotation is hashable, and equal ones have equal schemas anyway.
        self._kinds = [*{id(kind): kind for kind in (*kinds, *parameters, ProblemBody)}.values()]
        schemas, self.schemas = msgspec.json.schema_components(self._kinds, ref_template=SCHEMAS)
        self._by_kind = {id(kind): schema for kind, schema in zip(self._kinds, schemas, strict=True)}

    def of(self, kind: object) -> Mapping[str, Any]:
        return self._by_kind[id(kind)]

    def body(self, kind: object, media_type: str = JSON) -> Mapping[str, Any]:
        """The `content` of a request or a response."""
        return {media_type: {"schema": self.of(kind)}}


def _kinds_of(operation: Operation) -> Sequence[object]:
    kinds = (operation.answer, operation.body, *operation.replies.values())
    parameters = [parameter.kind for parameter in operation.query]
    return [*(kind for kind in kinds if kind is not None), *operation.parts, *parameters]


def _operation(route: DescribedRoute, kinds: _Kinds) -> Mapping[str, Any]:
    operation = route.operation
    path = [PATH_PARAMETERS[name] for name in re.findall(r"\{(\w+)\}", route.template)]
    parameters = [_parameter(one, "path", kinds) for one in path] + [_parameter(one, "query", kinds) for one in operation.query]
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.template}").strip("_"),
        "summary": operation.summary,
        "tags": [_tag(route.template)],
        "security": _SECURITY[operation.access],
    }
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": kinds.body(operation.body)}
    answers = _answers(route, kinds)
    described["responses"] = {str(status): answers[status] for status in sorted(answers)}
    described["responses"]["default"] = {"$ref": "#/components/responses/Error"}
    return described


def _parameter(parameter: Parameter, place: str, kinds: _Kinds) -> Mapping[str, Any]:
    return {
        "name": parameter.name,
        "in": place,
        "required": place == "path",
        "description": parameter.description,
        "schema": kinds.of(parameter.kind),
    }


def _answers(route: DescribedRoute, kinds: _Kinds) -> Mapping[int, Mapping[str, Any]]:
    operation = route.operation
    answers: dict[int, Mapping[str, Any]] = {
        status: {"$ref": f"#/components/responses/Error{status}"} for status in _errors_of_any(route)
    }
    answers |= {status: _problem(text, status, kinds) for status, text in operation.errors.items()}
    for status, kind in operation.replies.items():
        # Another success has what this one has, such as a range of a file; an error is JSON.
        answers[status] = _answer(kind, kinds, operation.media_type if status < 300 else JSON)
    return answers | {operation.success: _answer(operation.answer, kinds, operation.media_type)}


def _answer(kind: object, kinds: _Kinds, media_type: str = JSON) -> Mapping[str, Any]:
    if kind is None:
        return {"description": "No body."}
    return {"description": "The answer.", "content": kinds.body(kind, media_type)}


def _errors_of_any(route: DescribedRoute) -> set[int]:
    """The errors that an operation of this kind may have, whatever it does."""
    operation = route.operation
    errors = {403, 429, 500}
    if operation.access is not Access.ANYONE:
        errors |= {401, 503}
    if operation.body is not None:
        errors |= {400, 408, 413}
    if operation.query:
        errors.add(400)
    if "{" in route.template:
        errors.add(404)
    if operation.access is Access.PLATFORM and route.method != "GET":
        errors.add(409)
    return errors


def _responses(kinds: _Kinds) -> Mapping[str, Any]:
    named = {f"Error{status}": _problem(text, status, kinds) for status, text in _ERRORS.items()}
    return named | {"Error": _problem("Any other error.", 0, kinds)}


def _problem(text: str, status: int, kinds: _Kinds) -> Mapping[str, Any]:
    headers = {"headers": _RETRY_AFTER} if status in (429, 503) else {}
    return {"description": text, **headers, "content": kinds.body(ProblemBody)}


def _tag(path: str) -> str:
    """The group that a path belongs to: the first part of it that says what it is about."""
    first, *others = path.strip("/").split("/")
    name = {"api": others[0] if others else "", "ws": "connectivity" if others == ["connectivity"] else "websocket"}.get(
        first, "operators"
    )
    name = name.removesuffix(".json")
    _TAGS[name]
    return name


DOCUMENT: Final = web.AppKey("openapi", Document)


async def read(request: web.Request, *, document: Document) -> web.Response:
    body, tag = document.encoded(request.path.removesuffix(PATH))
    # RFC 9110 section 13.1.2: the comparison is weak, and `*` fits whatever there is.
    unchanged = any(known.value in (tag, ETAG_ANY) for known in request.if_none_match or ())
    response = web.Response(status=304) if unchanged else web.Response(body=body, content_type=JSON)
    response.etag = tag
    return response


ROUTES: Final = [
    get(PATH, read, Operation("This document.", dict[str, Any], replies={304: None}, access=Access.ANYONE)),
]
