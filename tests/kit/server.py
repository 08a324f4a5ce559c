"""The real relay, run inside the test's own event loop, and what other software can see of it from outside."""

import asyncio
import contextlib
import re
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import sqlalchemy as sa
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import create_async_engine

from relay.app import MEDIA_PORTS, create_app
from relay.composition.limits import USUAL
from relay.db.engine import create_engine
from relay.db.schema.migrate import upgrade
from relay.http.operations import ENGINE
from relay.ids import Profile
from relay.serving import serve
from relay.settings.all import Settings
from relay.workers.pool import WorkerPool, WorkerStatus
from tests.kit.contract import Contract
from tests.kit.wait import eventually

CALL_LOGS = sa.Table(
    "call_logs",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("conversation_id", sa.Integer),
    sa.Column("caller_profile_id", sa.Integer),
    sa.Column("caller_profile_type", sa.String(50)),
    sa.Column("caller_user_id", sa.Integer),
    sa.Column("call_type", sa.String(20)),
    sa.Column("status", sa.String(20)),
    sa.Column("started_at", sa.DateTime),
    sa.Column("answered_at", sa.DateTime),
    sa.Column("ended_at", sa.DateTime),
    sa.Column("duration_seconds", sa.Integer),
    sa.Column("participants", sa.JSON),
    sa.Column("created_at", sa.DateTime),
    sa.Column("end_reason", sa.String(50)),
    sa.Column("heartbeat_at", sa.DateTime),
)
"""The table as other software knows it: written down here again on purpose, not imported from the relay."""

LOSS = re.compile(r"relay_media_(dropped_|srtp_|rtp_malformed|unknown_|datagrams_too_long|dtls_(failed|overflow))")
"""The counters that stay at zero while nothing goes wrong."""

CLOSES = 5.0
"""Seconds that the end of a query may take."""

_FOLDER = tempfile.TemporaryDirectory(prefix="relay-tests-")


@dataclass(frozen=True)
class RunningRelay:
    """A relay that serves until its context ends."""

    url: str
    """`http://127.0.0.1:PORT`, without a slash at the end."""
    database_url: str
    media_ports: tuple[int, ...] = ()
    """The UDP port of each worker, at first."""
    pool: WorkerPool | None = None
    """None without workers, and when the relay is another process."""
    contract: Contract | None = None
    """How the answers fit their description; None when the relay is another process."""

    @property
    def workers(self) -> tuple[WorkerStatus, ...]:
        """How the workers are, in the order of `media_ports`."""
        assert self.pool is not None, "this relay has no workers"
        return self.pool.workers

    @property
    def websocket_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    async def call_logs(self) -> list[dict[str, Any]]:
        """Every row, oldest first, read through a connection of our own."""
        engine = create_async_engine(self.database_url)
        try:
            async with engine.connect() as connection:
                rows = await connection.execute(sa.select(CALL_LOGS).order_by(CALL_LOGS.c.id))
                return [dict(row) for row in rows.mappings()]
        finally:
            await engine.dispose()

    async def finished_calls(self, number: int) -> list[dict[str, Any]]:
        """The rows of `call_logs`, once that many calls are over.

        Raises:
            AssertionError: there are more, or they do not end.
        """

        async def all_over() -> list[dict[str, Any]]:
            rows = await self.call_logs()
            assert len(rows) <= number, f"{len(rows)} rows in call_logs instead of {number}: {rows}"
            return rows if len(rows) == number and all(row["status"] in {"missed", "ended"} for row in rows) else []

        return await eventually(all_over, f"{number} finished call(s) in call_logs")

    async def finished_call(self) -> dict[str, Any]:
        """The only row of `call_logs`, once its call is over."""
        [row] = await self.finished_calls(1)
        return row

    async def new_conversation(self, *keys: str) -> int:
        """The id of a new conversation between profiles that exist: `student_456`…"""
        members = [Profile.parse(key)._asdict() for key in keys]
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.post(f"{self.url}/api/dev/conversations", json={"members": members}) as response,
        ):
            return int((await response.json())["conversation_id"])

    async def counters(self) -> Mapping[str, float]:
        """What `/metrics` says: the value of each sample, the samples of one name added up."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as response:
            response.raise_for_status()
            text = await response.text()
        values: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
        return values

    async def losses(self) -> Mapping[str, float]:
        """The counters of packets that arrived and did not leave, as far as they are not zero."""
        return {name: value for name, value in (await self.counters()).items() if value and LOSS.match(name)}

    async def nothing_is_left_of_a_connection_test(self) -> None:
        """Wait until every transport is closed; no call was logged."""

        async def freed() -> bool:
            counters = await self.counters()
            return counters["relay_media_transports_opened_total"] == counters["relay_media_transports_closed_total"]

        await eventually(freed, "the relay has closed every transport")
        assert await self.call_logs() == []


@contextlib.asynccontextmanager
async def running_relay(folder: Path, **settings: Any) -> AsyncIterator[RunningRelay]:
    """`serving_relay`, for an event loop that is closed behind it. Others must not start in this process meanwhile."""
    before = {*threading.enumerate()}
    try:
        async with serving_relay(folder, **settings) as running:
            yield running
    finally:
        await databases_closed(before)


@contextlib.asynccontextmanager
async def serving_relay(folder: Path, **settings: Any) -> AsyncIterator[RunningRelay]:
    """Run the relay in development mode on free ports of this machine, its database in `folder`, with the given settings.

    `limits` among them are `AppLimits`.
    """
    limits = settings.pop("limits", USUAL)
    own, recordings = folder / "relay.db", folder / "recordings"
    recordings.mkdir(mode=0o700, exist_ok=True)
    chosen = Settings(
        **{
            "dev": True,
            "host": "127.0.0.1",
            "port": 0,
            "media_port": 0,
            "turn_port": 0,
            "workers": 0,
            "database_url": f"sqlite+aiosqlite:///{own}",
            "journal": f"{folder / 'calls.journal'}",
            "recording_directory": f"{recordings}",
            **settings,
        }
    )
    if not own.exists() and not any(name.startswith("database_") for name in settings):
        shutil.copy(await migrated(), own)
    app = create_app(chosen, app_limits=limits)
    contract = Contract(app)
    # Chromium lets no page that Playwright itself makes up connect to this machine, so the old page is really served; and nothing
    # but a server gives it the script of a worklet.
    for file in ("version_1.html", "version_1.js", "recorder.js"):
        app.router.add_get(f"/{file}", _serving(Path(__file__).with_name(file)))
    async with serve(app) as port:
        engine = app[ENGINE]
        yield RunningRelay(
            url=f"http{'s' if chosen.tls_cert else ''}://{chosen.host}:{port}",
            database_url=chosen.database_url,
            media_ports=(*app[MEDIA_PORTS],),
            pool=engine if isinstance(engine, WorkerPool) else None,
            contract=contract,
        )


async def databases_closed(before: set[threading.Thread]) -> None:
    """aiosqlite's threads have ended, but those of `before`. One whose query was cancelled would else give its result to an event
    loop that is closed by then, which fails whatever test runs.
    """
    theirs = [one for one in {*threading.enumerate()} - before if "_connection_worker_thread" in one.name]
    await asyncio.gather(*(asyncio.to_thread(one.join, CLOSES) for one in theirs))


async def migrated() -> Path:
    """An SQLite file with the newest schema and no rows, made once: bringing it up to date takes longer than most tests."""
    file = Path(_FOLDER.name) / "relay.db"
    if not file.exists():
        made = file.with_suffix(".new")
        engine = create_engine(f"sqlite+aiosqlite:///{made}")
        await upgrade(engine)
        await engine.dispose()
        made.rename(file)
    return file


def _serving(file: Path) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(file)

    return serve
