"""PostgreSQL fails over to a standby in the middle of calls: its primary is killed, or vanishes, and the standby is promoted."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from sqlalchemy import insert

from relay.db.engine import create_engine
from relay.db.models import ConversationRow, MemberRow, ProfileRow
from relay.ids import Profile
from tests.cluster.integration.people import People, chat_crosses, goes_on, lost, talk
from tests.kit.caller import Caller
from tests.kit.redis_server import RedisServer
from tests.kit.served_cluster import ServedCluster
from tests.kit.standby import ReplicatedPostgres, replicated_postgresql
from tests.kit.wait import eventually
from tests.sdp.descriptions import VOICE_ANSWER, VOICE_OFFER

__all__ = ["replicated_postgresql"]

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]

OFFER = {"type": "offer", "sdp": VOICE_OFFER}
ANSWER = {"type": "answer", "sdp": VOICE_ANSWER}

PAIRS: Final = 4
"""Who call each other again and again: some 50 calls a second between them."""

FIRST: Final = 5_000
"""Id of their first conversation, and of its members."""

AGAIN: Final = 60.0
"""Seconds: a vanished primary holds what is under way for 3 s, and the connections in the pool one after the other."""


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(
    tmp_path: Path, replicated_postgresql: ReplicatedPostgres, shared_redis: RedisServer
) -> AsyncIterator[ServedCluster]:
    async with ServedCluster.running(tmp_path, replicated_postgresql, shared_redis) as running:
        yield running


@dataclass
class Pair:
    """Two devices at different nodes, of which one calls the other without a pause, and hangs up at once."""

    caller: Caller
    callee: Caller
    conversation: int
    calls: int = 0
    """That rang, and were hung up."""
    refused: Counter[str] = field(default_factory=Counter)
    """Invitations that were answered with an error, by code."""

    async def call(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            rung, refusals = self._invitations(), self._refusals()
            await self.caller.invite(self.callee.profile.key, self.conversation, "voice", OFFER)
            await eventually(
                lambda rung=rung, refusals=refusals: self._invitations() > rung or self._refusals() > refusals,  # type: ignore[misc]
                "the call rings, or is refused",
            )
            if self._refusals() > refusals:
                self.refused[(await self.caller.expect("error"))["code"]] += 1
                continue
            await self.callee.ring()
            if self.calls % 2:
                await self.callee.send("call_answer", answer=ANSWER)
                await self.caller.expect("call_answer")
            await self.caller.hang_up()
            while (await self.caller.expect("call_state"))["state"] != "ended":
                pass
            self.calls += 1

    def _invitations(self) -> int:
        return sum(one["type"] == "call_invitation" for one in self.callee.received)

    def _refusals(self) -> int:
        return sum(one["type"] == "error" for one in self.caller.received)

    def call_ids(self) -> set[str]:
        return {one["call_id"] for one in self.callee.received if one["type"] == "call_invitation"}


async def new_conversations(url: str) -> list[tuple[Profile, Profile, int]]:
    """A student, a tutor, and their conversation, for each pair."""
    found = [(Profile("student", number), Profile("tutor", number), number) for number in range(FIRST, FIRST + PAIRS)]
    engine = create_engine(url)
    async with engine.begin() as connection:
        people = [profile for *both, _ in found for profile in both]
        await connection.execute(insert(ProfileRow), [{**one._asdict(), "name": one.key} for one in people])
        await connection.execute(insert(ConversationRow), [{"id": number} for *_, number in found])
        members = [{"conversation_id": number, **profile._asdict()} for *both, number in found for profile in both]
        await connection.execute(insert(MemberRow), members)
    await engine.dispose()
    return found


@contextlib.asynccontextmanager
async def calling(cluster: ServedCluster) -> AsyncIterator[list[Pair]]:
    """Pairs that call each other, each across two nodes, until the end."""
    stop, nodes = asyncio.Event(), cluster.nodes
    async with contextlib.AsyncExitStack() as stack:
        pairs = []
        for index, (student, tutor, conversation) in enumerate(await new_conversations(cluster.database_url)):
            one, two = nodes[index % len(nodes)], nodes[(index + 1) % len(nodes)]
            caller = await stack.enter_async_context(Caller.connected(one.url, student.key))
            callee = await stack.enter_async_context(Caller.connected(two.url, tutor.key))
            pairs.append(Pair(caller, callee, conversation))
        async with asyncio.TaskGroup() as tasks:
            for pair in pairs:
                tasks.create_task(pair.call(stop))
            yield pairs
            stop.set()


@contextlib.contextmanager
def killed(database: ReplicatedPostgres) -> Iterator[None]:
    """No process of the primary is left: connections break, and new ones are refused."""
    database.kill_primary()
    yield


@contextlib.contextmanager
def vanished(database: ReplicatedPostgres) -> Iterator[None]:
    """The primary's machine is off the network: nothing is answered, and nothing refused. It does not come back."""
    database.stop_primary()
    yield
    database.kill_primary()


async def further_calls(pairs: list[Pair]) -> None:
    """Wait until each pair has had three calls more."""
    before = [pair.calls for pair in pairs]
    await eventually(
        lambda: all(pair.calls >= was + 3 for pair, was in zip(pairs, before, strict=True)),
        lambda: f"calls are taken: {[(pair.calls, pair.refused) for pair in pairs]}, {before} before",
        within=AGAIN,
    )


@pytest.mark.parametrize("outage", [killed, vanished])
async def test_calls_outlive_a_failover_of_postgresql_and_each_has_one_row_with_its_end(
    cluster: ServedCluster,
    people: People,
    replicated_postgresql: ReplicatedPostgres,
    outage: Callable[[ReplicatedPostgres], contextlib.AbstractContextManager[None]],
    record_property: Callable[[str, object], None],
) -> None:
    loop = asyncio.get_running_loop()
    caller, callee = await people.join("student_456", cluster.a), await people.join("tutor_789", cluster.b)
    call, other = await talk(caller, callee)
    async with calling(cluster) as pairs:
        began, before = loop.time(), sum(pair.calls for pair in pairs)
        await further_calls(pairs)
        rate = (sum(pair.calls for pair in pairs) - before) / (loop.time() - began)
        with outage(replicated_postgresql):
            await eventually(lambda: all(pair.refused for pair in pairs), "no new calls are taken")
            await goes_on(call, other)
            await asyncio.to_thread(replicated_postgresql.promote)
            cluster.database_url = replicated_postgresql.promoted(cluster.database_url)
            promoted_at = loop.time()
            await further_calls(pairs)
            record_property(f"seconds until calls are taken after a failover, {rate:.0f}/s", round(loop.time() - promoted_at, 1))
            await chat_crosses(call, other, caller, callee, "still there")
            await goes_on(call, other)
            assert lost(call, other) == 0
            await call.hang_up()
            assert await other.ended() == "hangup"
            row = await cluster.finished(call.call_id)
            assert (row["status"], row["end_reason"]) == ("ended", "hangup")
    assert {code for pair in pairs for code in pair.refused} == {"unavailable"}
    rung = set[str]().union(*(pair.call_ids() for pair in pairs))

    async def ends() -> Counter[str] | None:
        rows = [one for one in await cluster.rows() if one["call_id"] in rung]
        return Counter(str(one["end_reason"]) for one in rows) if all(one["ended_at"] for one in rows) else None

    assert sum((found := await eventually(ends, "each call that rang has its end", within=AGAIN)).values()) == len(rung)
    assert found.keys() == {"hangup", "cancelled"}, f"an end was lost: {found}"
