"""Answers of a running relay, held against its own OpenAPI document."""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from functools import cached_property
from typing import Any, Final

import msgspec
from aiohttp import web
from jsonschema import Draft202012Validator

from relay.http.openapi import DOCUMENT

_DOCUMENTS: Final[dict[frozenset[tuple[str, str]], Mapping[str, Any]]] = {}


class Contract:
    """Watches what an application answers, and what it takes.

    Attributes:
        breaches: what was not as the document says: the request, and why.
        kept: operations that were answered as the document says, as `(METHOD, path, status)`.
    """

    def __init__(self, app: web.Application) -> None:
        self.breaches: list[str] = []
        self.kept: set[tuple[str, str, int]] = set()
        self._app = app
        app.on_response_prepare.append(self._watch)

    @cached_property
    def _document(self) -> Mapping[str, Any]:
        # Applications with the same routes have the same document, which takes long to make.
        key = frozenset(
            (route.method, route.resource.canonical) for route in self._app.router.routes() if route.resource is not None
        )
        if key not in _DOCUMENTS:
            _DOCUMENTS[key] = strict(self._app[DOCUMENT].content)
        return _DOCUMENTS[key]

    async def _watch(self, request: web.Request, response: web.StreamResponse) -> None:
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else ""
        operation = self._document["paths"].get(path, {}).get(request.method.lower())
        if operation is None:
            return
        named = f"{request.method} {path}: {response.status}"
        found = [*_breaches_of(self._document, operation, response)]
        if response.status < 300 and "requestBody" in operation and request.can_read_body:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            found += [f"a body that was taken: {one}" for one in errors(self._document, schema, json.loads(await request.read()))]
        self.breaches += [f"{named}: {one}" for one in found]
        if not found:
            self.kept.add((request.method, path, response.status))


def _breaches_of(document: Mapping[str, Any], operation: Mapping[str, Any], response: web.StreamResponse) -> Iterator[str]:
    described = operation["responses"].get(str(response.status))
    if described is None:
        if response.status < 400:
            yield "no such status is described"
            return
        described = operation["responses"]["default"]
    described = resolved(document, described)
    if "content" not in described:
        if isinstance(response, web.Response) and response.body:
            yield "a body, where none is described"
        return
    if not any(fnmatch(response.content_type, kind) for kind in described["content"]):
        yield f"{response.content_type} is not described"
    elif response.content_type == "application/json" and isinstance(response, web.Response):
        assert isinstance(response.body, bytes)
        yield from errors(document, described["content"]["application/json"]["schema"], json.loads(response.body))


def resolved(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    """`part`, or what its `$ref` leads to."""
    if "$ref" not in part:
        return part
    found: Any = document
    for name in re.sub("^#/", "", part["$ref"]).split("/"):
        found = found[name]
    assert isinstance(found, dict)
    return found


def errors(document: Mapping[str, Any], schema: Mapping[str, Any], value: object) -> list[str]:
    """Where a value is not what a schema of the document says."""
    validator = Draft202012Validator({"components": document["components"], **schema})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def strict(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with objects that may have no other fields than those that are described: an answer must not have more."""
    copied = json.loads(msgspec.json.encode(document))
    for schema in copied["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    assert isinstance(copied, dict)
    return copied
