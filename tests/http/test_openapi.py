"""`/api/openapi.json`: what it says is so, and nothing is missing in it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import validate

from relay.app import create_app
from relay.http import pages
from relay.http.api import Operation, get
from relay.http.openapi import DOCUMENT, PATH, Document
from relay.http.operations import Health
from relay.http.responses import answer
from relay.settings.all import Settings
from tests.http.admin.conftest import PLATFORM, SERVICE_TOKEN
from tests.http.conftest import SECRET, bearer
from tests.http.live import talking
from tests.http.recordings.recorded import recordings_of
from tests.http.records import LESSONS, MAYA, WHITEBOARD, asked, calls_of
from tests.kit.contract import Contract, resolved
from tests.kit.server import RunningRelay
from tests.push.service import PRIVATE_KEY, SUBJECT

everything = pytest.mark.settings(
    service_token=SERVICE_TOKEN,
    limit_failed_logins="off",
    vapid_private_key=PRIVATE_KEY,
    vapid_subject=SUBJECT,
)


def app_of(folder: Path, **settings: Any) -> web.Application:
    return create_app(Settings(workers=0, database_url=f"sqlite+aiosqlite:///{folder / 'relay.db'}", **settings))


@pytest.fixture
def app(tmp_path: Path) -> web.Application:
    """With everything that a setting switches on."""
    return app_of(tmp_path, dev=True, service_token=SERVICE_TOKEN, jwt_secret=SECRET)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and description of each operation."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_document_is_one_by_the_rules_of_openapi(app: web.Application) -> None:
    document = app[DOCUMENT].content
    validate(document)
    assert document["openapi"].startswith("3.1.")
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names)) > 50
    assert all(operation["summary"].endswith(".") for _, _, operation in operations(document))


def test_every_route_is_described_and_every_description_is_of_a_route(app: web.Application) -> None:
    page = web.Application()
    page.add_routes(pages.Pages(watched=False, frame_ancestors=()).routes())
    described = {(method, path) for method, path, _ in operations(app[DOCUMENT].content)}
    assert served(app) - served(page) == described


def served(app: web.Application) -> set[tuple[str, str]]:
    """Method and path of each route; HEAD comes with each GET."""
    return {(one.method, one.resource.canonical) for one in app.router.routes() if one.resource and one.method != "HEAD"}


def test_every_variable_of_a_path_is_described(app: web.Application) -> None:
    for method, path, operation in operations(app[DOCUMENT].content):
        described = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert described == set(re.findall(r"\{(\w+)\}", path)), (method, path)


def test_a_variable_that_is_not_described_has_no_document() -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    with pytest.raises(KeyError, match="strange"):
        _ = Document([get("/api/calls/{strange}", handler, Operation("Strange."))]).content


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"jwt_secret": SECRET}, ("/api/admin", "/api/dev")),
        ({"jwt_secret": SECRET, "service_token": SERVICE_TOKEN}, ("/api/dev",)),
        ({"dev": True}, ("/api/admin",)),
    ],
    ids=("neither", "the platform's", "development"),
)
def test_disabled_endpoints_are_not_described(tmp_path: Path, settings: dict[str, Any], missing: tuple[str, ...]) -> None:
    paths = app_of(tmp_path, **settings)[DOCUMENT].content["paths"]
    below = {start for start in ("/api/admin", "/api/dev") if any(path.startswith(start) for path in paths)}
    assert below == {"/api/admin", "/api/dev"} - {*missing}


@pytest.mark.changes_nothing
async def test_the_document_needs_no_credential_and_is_asked_for_again_only_when_it_changed(http: aiohttp.ClientSession) -> None:
    async with http.get(PATH) as response:
        assert (response.status, response.content_type) == (200, "application/json")
        assert (await response.json())["info"]["title"] == "Call relay"
        tag = response.headers["ETag"]
        assert response.headers["Cache-Control"] == "no-cache"
    for known in (tag, f'"old", W/{tag}', "*"):
        async with http.get(PATH, headers={"If-None-Match": known}) as response:
            assert (response.status, response.headers["ETag"], await response.read()) == (304, tag, b"")
    async with http.get(PATH, headers={"If-None-Match": '"old"'}) as response:
        assert response.status == 200


def test_below_a_prefix_the_document_says_so(app: web.Application) -> None:
    body, tag = app[DOCUMENT].encoded("/relay")
    assert b'"servers":[{"url":"/relay"}]' in body
    assert app[DOCUMENT].encoded("/relay") == (body, tag) != app[DOCUMENT].encoded("")


@everything
async def test_each_operation_says_whether_it_needs_a_credential(http: aiohttp.ClientSession) -> None:
    async with http.get(PATH) as response:
        document = await response.json()
    schemes = document["components"]["securitySchemes"]
    for method, path, operation in operations(document):
        assert all(name in schemes for choice in operation["security"] for name in choice)
        async with http.request(method, filled(path, document, operation), json={}) as response:
            assert (response.status == 401) is bool(operation["security"]), (method, path)
    for path in ("/api/profiles", "/api/admin/profiles"):
        names = {name for choice in document["paths"][path]["get"]["security"] for name in choice}
        for headers, scheme in (({}, ""), (bearer(MAYA), "token"), (PLATFORM, "serviceToken")):
            status, _ = await asked(http, "GET", path, headers)
            assert (status == 200) is (scheme in names), (path, scheme)


def filled(path: str, document: Mapping[str, Any], operation: Mapping[str, Any], **values: str) -> str:
    """The path with a value for each variable: the given one, or one that its schema allows."""
    for one in operation.get("parameters", []):
        if one["in"] == "path":
            schema = resolved(document, one["schema"])
            value = values.get(one["name"]) or str((schema.get("enum") or schema.get("examples") or ["1"])[0])
            path = path.replace(f"{{{one['name']}}}", value)
    return path


@everything
async def test_everything_that_can_be_read_is_answered_as_described(
    relay: RunningRelay, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with recordings_of(relay, tmp_path) as recorded:
        recording = await recorded.add()
    async with calls_of(relay) as calls:
        lesson, drawing = await calls.add(0, reason="hangup"), await calls.add(1, scope=WHITEBOARD)
        await calls.say(lesson, MAYA, "Page 12?", 0.5)
    async with talking(http):
        [live] = (await asked(http, "GET", "/api/admin/calls", PLATFORM))[1]["calls"]
        assert (await asked(http, "GET", f"/api/admin/calls/{live['call_id']}", PLATFORM))[0] == 200
    await asked(http, "PUT", "/api/blocks/tutor/789", MAYA)
    await asked(http, "PUT", "/api/admin/profiles/student/456/connections/tutor/789", PLATFORM)
    await asked(http, "PUT", "/api/admin/profiles/student/457/revocation", PLATFORM, json={})
    document = (await asked(http, "GET", PATH, {}))[1]
    read = {("GET", "/api/admin/calls/{call_id}", 200)}
    for method, path, operation in operations(document):
        if method != "GET" or path.startswith("/ws/") or path in ("/metrics", "/api/admin/calls/{call_id}"):
            continue
        values = {"profile_type": "student", "profile_id": "456", "other_type": "tutor", "other_id": "789"}
        values["scope_id"] = str((WHITEBOARD if "whiteboard" in path else LESSONS).scope_id)
        values["call_id"] = drawing if "whiteboard" in path else lesson
        values |= {"recording_id": recording, "file_name": "A.webm"}
        who = PLATFORM if operation["security"] == [{"serviceToken": []}] else bearer(MAYA)
        async with http.request(method, filled(path, document, operation, **values), headers=who) as response:
            assert response.status == 200, path
        read.add((method, path, response.status))
    assert relay.contract is not None
    assert read <= relay.contract.kept
    assert not relay.contract.breaches


@pytest.mark.parametrize(
    ("given", "status", "breach"),
    [
        ({"status": "ok"}, 200, ""),
        ({"status": "ok", "more": 1}, 200, "Additional properties are not allowed"),
        ({"status": "well"}, 200, "'well' is not one of"),
        ({}, 200, "'status' is a required property"),
        ({"status": "ok"}, 201, "no such status is described"),
        ({"code": "not_found"}, 404, "'error' is a required property"),
    ],
    ids=("as described", "another field", "another value", "nothing", "another status", "another error"),
)
async def test_an_answer_that_is_not_as_described_is_seen(given: dict[str, Any], status: int, breach: str) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return answer(given, status)

    routes = [get("/healthz", handler, Operation("Lies at times.", Health))]
    app = web.Application()
    app.add_routes(routes)
    app[DOCUMENT] = Document(routes)
    contract = Contract(app)
    async with TestClient(TestServer(app)) as client, client.get("/healthz") as response:
        assert response.status == status
    assert any(breach in one for one in contract.breaches) is bool(breach), contract.breaches
