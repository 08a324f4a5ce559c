"""docs/http.md says what there is."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from relay.app import create_app
from relay.http.admin.items import LISTS, item_of
from relay.settings.all import Settings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()

EXAMPLES = re.findall(r"```json\n(.*?)\n```", DOCUMENT, re.DOTALL)


def resources(app: web.Application) -> set[str]:
    """`METHOD /path/{name}` of everything below /api."""
    found = set()
    for route in app.router.routes():
        path = route.resource.canonical if route.resource else ""
        if path.startswith("/api/") and route.method != "HEAD":  # which aiohttp adds to each GET
            found.add(f"{route.method} {path}")
    return found


@pytest.fixture
def app(tmp_path: Path) -> web.Application:
    """With everything that a setting switches on."""
    database_url = f"sqlite+aiosqlite:///{tmp_path / 'relay.db'}"
    return create_app(Settings(dev=True, workers=0, service_token="x" * 32, database_url=database_url))


def test_every_resource_is_documented(app: web.Application) -> None:
    assert len(resources(app)) > 40
    assert {one for one in resources(app) if f"`{one}`" not in DOCUMENT} == set()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text[:30].replace("\n", ""))
def test_examples_are_json(example: str) -> None:
    json.loads(example)


def test_the_example_of_many_things_is_one() -> None:
    [example] = [found for text in EXAMPLES if (found := json.loads(text)).keys() >= set(LISTS)]
    for name in LISTS:
        assert example[name]
        for item in example[name]:
            item_of(name, msgspec.Raw(json.dumps(item).encode()))
