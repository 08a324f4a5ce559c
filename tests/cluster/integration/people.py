"""The people who use a cluster, each device with a transcript of all that it was told, and what must hold of the transcripts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiortc import MediaStreamTrack

from relay.client import CallClient, ClientCall, Refused, connect
from tests.kit.cuttable import CuttablePath
from tests.kit.peer import Ear, ToneTrack
from tests.kit.served_cluster import ServedCluster, ServedNode, url_of
from tests.kit.wait import PATIENCE, eventually

OVER = frozenset({"call_ended", "call_declined"})

ATTEMPTS = 10
"""To say something, 2 s apart."""

LESSONS = 123
"""The conversation of student_456 and tutor_789."""


@dataclass(frozen=True)
class Listener:
    """A device."""

    client: CallClient
    heard: list[Mapping[str, Any]]
    """Everything that it was told, a `welcome` for each connection."""

    def types(self) -> Sequence[str]:
        return [str(one["type"]) for one in self.heard]


@dataclass(frozen=True)
class Person(Listener):
    """A device, and its way to the nodes."""

    path: CuttablePath


@dataclass
class People:
    """All of a test, and the watcher that judges their transcripts at the end."""

    cluster: ServedCluster
    stack: contextlib.AsyncExitStack
    all: list[Person] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, cluster: ServedCluster) -> AsyncIterator["People"]:
        async with contextlib.AsyncExitStack() as stack:
            people = cls(cluster, stack)
            yield people
        await judge(people.all, cluster.rows)

    async def join(self, key: str, *nodes: ServedNode, **options: Any) -> Person:
        """Connect a device to the first of these nodes that is there."""
        path = await self.stack.enter_async_context(self.cluster.near(*nodes))
        heard: list[Mapping[str, Any]] = []
        client = await self.stack.enter_async_context(connect(url_of(path), key, on_message=heard.append, **options))
        person = Person(client, heard, path)
        self.all.append(person)
        return person


async def judge(people: Sequence[Listener], rows: Callable[[], Awaitable[list[dict[str, Any]]]]) -> None:
    """What holds whatever happens to nodes and engines.

    Raises:
        AssertionError: a device was told something twice, out of order or after the end; or a call has another number of rows
            than one, or one that is open.
    """
    for person in people:
        judge_transcript(person)
    told = {str(one["call_id"]) for person in people for one in person.heard if one.get("call_id")}

    found: list[dict[str, Any]] = []

    async def closed() -> bool:
        found[:] = await rows()
        over = {row["call_id"] for row in found if row["status"] in {"ended", "missed"}}
        return over >= told | {row["call_id"] for row in found}

    # A device may hear of a call, and of its end, before either is written.
    await eventually(closed, lambda: f"calls have rows, which are closed: {sorted(told)}, {found}")
    ids = [row["call_id"] for row in found]
    assert len(ids) == len({*ids}), f"a call has more than one row: {ids}"
    epochs = [row["owner_epoch"] for row in found]
    assert all(epochs), f"rows of which it is not known who owned them: {epochs}"


def judge_transcript(person: Listener) -> None:
    """
    Raises:
        AssertionError: the device was told something twice, out of order or after the end.
    """
    _judge_numbers(person)
    _judge_order(person)


def _judge_numbers(person: Listener) -> None:
    latest = 0
    for message in person.heard:
        if message["type"] == "welcome":
            latest = latest if message["resumed"] else 0
        elif (seq := message.get("seq")) is not None:
            assert seq == latest + 1, f"{person.client.profile.key} got {seq} after {latest}: {person.types()}"
            latest = seq


def _judge_order(person: Listener) -> None:
    over: set[str] = set()
    for message in person.heard:
        call_id = str(message.get("call_id"))
        if message["type"] in OVER or (message["type"] == "call_state" and message["state"] == "ended"):
            over.add(call_id)
        assert not (message["type"] == "call_invitation" and call_id in over), (
            f"{person.client.profile.key} was invited to a call that is over: {person.types()}"
        )


async def move(person: Person, *nodes: ServedNode) -> None:
    """Have a device come back to the first of these nodes that is there."""
    welcomes = person.types().count("welcome")
    person.path.lead_to(*(one.port for one in nodes))
    await person.client.lose_connection()
    await came_back(person, welcomes)


async def came_back(person: Listener, welcomes: int) -> None:
    """Wait until a device was welcomed more often than that."""
    await eventually(lambda: person.types().count("welcome") > welcomes, f"{person.client.profile.key} is back")


# -- calls ------------------------------------------------------------------------------------------------------------


async def taken(person: Listener, media: list[MediaStreamTrack] | None = None) -> ClientCall:
    """The next call of a device, answered."""
    call = await rung(person)
    await call.answer(media)
    return call


async def rung(person: Listener) -> ClientCall:
    """The next call of a device, which rings."""
    async with contextlib.aclosing(person.client.incoming()) as calls:
        async for call in calls:
            return call
    raise AssertionError("the client is gone")


async def talk(
    caller: Person, callee: Person, tones: tuple[float, float] = (440, 880), scope: int | None = LESSONS
) -> tuple[ClientCall, ClientCall]:
    """A call in which both hear each other."""
    call = await caller.client.call(callee.client.profile, "voice", scope, media=[ToneTrack(tones[0])])
    other = await taken(callee, [ToneTrack(tones[1])])
    await call.connected()
    await hear_each_other(call, other, tones)
    return call, other


async def hear_each_other(call: ClientCall, other: ClientCall, tones: tuple[float, float] = (440, 880)) -> None:
    """Wait until each party has heard what the other one sends."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(hears(call, tones[1]), hears(other, tones[0]))


async def hears(call: ClientCall, hertz: float) -> None:
    """Wait until a party has heard that tone."""
    ear = Ear()
    async for frame in call.audio:
        ear.hear(frame)
        if ear.hears(hertz):
            return
    raise AssertionError(f"the call ended ({call.reason}) before {hertz} Hz was heard")


async def goes_on(*parties: ClientCall) -> None:
    """Wait until each party has got half a second of audio more."""
    before = [one.audio.decoded for one in parties]
    await eventually(
        lambda: all(one.audio.decoded > was + 25 for one, was in zip(parties, before, strict=True)),
        lambda: f"audio goes on: {[(one.state, one.reason, one.audio.decoded) for one in parties]}, {before} before",
    )


async def chat_crosses(call: ClientCall, other: ClientCall, caller: Person, callee: Person, about: str) -> None:
    """Wait until each party has got a chat message of the other one."""
    await _says(call, callee, f"{about}?")
    await _says(other, caller, f"{about}!")


async def _says(call: ClientCall, to: Listener, text: str) -> None:
    """Say something again and again, until it arrives: a message that was under way when a node or Redis died is lost, and
    the device that it was for begins anew."""
    for number in count():
        with contextlib.suppress(Refused):
            await call.send_chat(f"{text} {number}")
        with contextlib.suppress(AssertionError):
            await eventually(lambda: any(one.startswith(text) for one in _chat(to)), "it arrives", within=2)
            return
        assert number < ATTEMPTS, f"{to.client.profile.key} got no chat message: {to.types()}"


def _chat(person: Listener) -> list[str]:
    return [str(one["text"]) for one in person.heard if one["type"] == "call_chat" and not one["own"]]


def lost(*parties: ClientCall) -> int:
    """Audio packets that never came to these parties: of a call that was never interrupted, none."""
    figures = [one.figures("audio") for one in parties]
    assert all(figures), "audio has come"
    return sum(one.lost for one in figures if one)
