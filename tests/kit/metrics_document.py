"""The tables of docs/metrics.md: name, type, labels and meaning as on `/metrics`, and beside them what a person wrote.

`python -m tests.kit.metrics_document` brings the first four columns up to date, and prints rows for what is missing.
"""

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from relay.app import create_app
from relay.http.operations import OBSERVED, by_route
from relay.media.api import Route
from relay.serving import serve
from relay.settings.all import Settings
from relay.signaling.calls.paths import RoundTrips
from tests.edge.kit import trusting, write_certificate

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "metrics.md"

_ROW: Final = re.compile(
    r"(?m)^\| `(?P<name>\w+)` \| (?P<type>\w*) \| (?P<labels>[^|]*) \| (?P<meaning>[^|]*) \| (?P<worry>[^|]*) \|$"
)


class Row(NamedTuple):
    """A metric. `labels` are in backticks, with commas."""

    type: str
    labels: str
    meaning: str


async def shown() -> Mapping[str, Row]:
    """What `/metrics` shows of a relay with workers and TLS, by the name of the metric. Every label has a value."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        certificate, key = write_certificate(folder, "relay")
        settings = Settings(
            dev=True,
            host="127.0.0.1",
            port=0,
            media_host="127.0.0.1",
            media_port=0,
            turn_port=0,
            workers=1,
            tls_cert=certificate,
            tls_key=key,
            journal="off",
            database_url=f"sqlite+aiosqlite:///{folder / 'relay.db'}",
        )
        app = create_app(settings)
        observed = app[OBSERVED]
        counters: list[Counter[str]] = [observed.calls.ended, observed.calls.refused, observed.limits.refused]
        counters += [observed.calls.recordings.captures.ended_by_reason, observed.rated.scores, observed.rated.problems]
        for counter in (*counters, observed.origins.refused, observed.pushed):
            counter["something"] += 1
        async with (
            serve(app) as port,
            aiohttp.ClientSession() as http,
            http.get(f"https://127.0.0.1:{port}/metrics", ssl=trusting()) as response,
        ):
            families = {one.name: one for one in text_string_to_metric_families(await response.text())}
    udp = Route("udp", "ipv4")
    families |= {one.name: one for one in by_route({udp: 1}, {udp: 1}, {udp: RoundTrips()})}
    rows = {}
    for family in families.values():
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows[name] = Row(family.type, ", ".join(f"`{one}`" for one in labels), family.documentation.removesuffix("."))
    rows["relay_build_info"] = rows["relay_build_info"]._replace(type="info")
    return rows


def documented() -> Mapping[str, tuple[Row, str]]:
    """What the document has, and when to worry, by the name of the metric."""
    found = {}
    for row in _ROW.finditer(DOCUMENT.read_text()):
        assert row["name"] not in found, f"{row['name']} is there twice"
        found[row["name"]] = Row(row["type"], row["labels"].strip(), row["meaning"].strip()), row["worry"].strip()
    return found


def row_of(name: str, row: Row, worry: str) -> str:
    return f"| `{name}` | {row.type} | {row.labels} | {row.meaning} | {worry} |"


def main() -> None:
    rows = asyncio.run(shown())
    text = DOCUMENT.read_text()
    DOCUMENT.write_text(
        _ROW.sub(lambda one: row_of(one["name"], rows[one["name"]], one["worry"]) if one["name"] in rows else "", text)
    )
    for name in rows.keys() - documented().keys():
        print(row_of(name, rows[name], ""))  # noqa: T201 - this is what it is for


if __name__ == "__main__":
    main()
