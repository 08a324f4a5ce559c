"""A platform that embeds the relay authenticates its users, decides which calls are allowed, and gets the events of calls.

docs/extensions_example.py is run.
"""

import asyncio
import importlib.util
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from relay.app import create_app
from relay.extensions import CallFacts, CallRequest, Extensions, Identity, Profile, Verdict
from relay.settings.all import Settings
from tests.kit.wait import eventually
from tests.sdp.descriptions import VOICE_ANSWER, VOICE_OFFER

EXAMPLE = Path(__file__).parents[1] / "docs" / "extensions_example.py"
STUDENT, TUTOR = Profile("student", 456), Profile("tutor", 789)
PAIR = {"conversation_id": 123}
"""The demo's student and tutor share it."""


def settings(folder: Path) -> Settings:
    here, database = "127.0.0.1", f"sqlite+aiosqlite:///{folder / 'relay.db'}"
    return Settings(dev=True, host=here, port=0, media_host=here, media_port=0, turn_port=0, workers=0, database_url=database)


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("extensions_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Any]:
    """Runs an application; its URL."""
    runners = []

    async def start(app: web.Application) -> str:
        runner = web.AppRunner(app)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@dataclass
class Person:
    """One user of the platform, in a browser of its own."""

    http: aiohttp.ClientSession
    socket: aiohttp.ClientWebSocketResponse
    profile: Profile

    async def send(self, kind: str, to: Profile, **fields: Any) -> None:
        message = {"type": kind, **PAIR, "to_profile_id": to.profile_id, "to_profile_type": to.profile_type, **fields}
        await self.socket.send_json(message)

    async def invite(self, to: Profile) -> None:
        await self.send("call_invitation", to, call_type="voice", offer={"type": "offer", "sdp": VOICE_OFFER})

    async def next(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of those types."""
        while True:
            message: dict[str, Any] = await self.socket.receive_json(timeout=20)
            if message["type"] in kinds:
                return message


@pytest.fixture
async def sessions() -> AsyncIterator[Any]:
    """Opens browsers."""
    opened: list[aiohttp.ClientSession] = []

    def browser(**options: Any) -> aiohttp.ClientSession:
        opened.append(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), **options))
        return opened[-1]

    yield browser
    for one in opened:
        await one.close()


async def connected(http: aiohttp.ClientSession, url: str, profile: Profile, **options: Any) -> Person:
    socket = await http.ws_connect(f"{url}/ws/{profile.profile_id}/{profile.profile_type}?version=2", **options)
    person = Person(http, socket, profile)
    await person.next("welcome")
    return person


async def test_the_example_knows_its_users_by_their_session_decides_on_calls_and_hears_of_them(
    example: ModuleType, serve: Any, sessions: Any, tmp_path: Path, no_errors_logged: None
) -> None:
    platform = example.Platform()
    url = await serve(example.my_app(settings(tmp_path), platform))
    people = {}
    for profile in (STUDENT, TUTOR):
        http = sessions()
        async with http.get(f"{url}/calls/api/conversations") as response:
            assert response.status == 401
        async with http.post(f"{url}/login", data={"who": profile.key}) as response:
            assert response.status == 204
        async with http.get(f"{url}/calls/api/conversations") as response:
            assert 123 in {one["conversation_id"] for one in (await response.json())["conversations"]}
        people[profile] = await connected(http, f"{url}/calls", profile)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(f"{url}/calls/ws/654/advertiser")
    student, tutor = people[STUDENT], people[TUTOR]

    await student.invite(TUTOR)  # no minutes are left
    assert (await student.next("call_declined"))["reason"] == "rejected"
    assert platform.bills == []

    platform.minutes_left[STUDENT] = 10
    await student.invite(TUTOR)
    await tutor.next("call_invitation")
    await eventually(lambda: platform.in_a_call == {STUDENT, TUTOR}, "the platform hears that a call has started")
    await tutor.send("call_answer", STUDENT, answer={"type": "answer", "sdp": VOICE_ANSWER})
    await student.next("call_answer")
    await student.send("call_ended", TUTOR)
    await tutor.next("call_ended")
    await eventually(lambda: len(platform.bills) == 1 and not platform.in_a_call, "the platform hears that it has ended")
    assert platform.bills[0][0] == STUDENT

    async with tutor.http.get(f"{url}/calls/api/calls") as response:
        assert [one["status"] for one in (await response.json())["calls"]] == ["ended"]


# -- when it goes wrong -----------------------------------------------------------------------------------------------


@dataclass
class Faulty:
    """An embedder whose code does what it is told: works, fails, or hangs."""

    mood: str = "good"
    told: list[tuple[str, CallFacts]] = field(default_factory=list)
    judged: list[CallRequest] = field(default_factory=list)
    verdict: Verdict | None = None

    async def act(self) -> None:
        if self.mood == "fails":
            raise RuntimeError("the embedder's own mistake")
        if self.mood == "hangs":
            await asyncio.Event().wait()

    async def identify(self, request: web.Request) -> Identity | None:
        await self.act()
        name = request.cookies.get("who")
        return Identity(Profile.parse(name)) if name else None

    async def judge(self, request: CallRequest) -> Verdict:
        self.judged.append(request)
        await self.act()
        return self.verdict or request.built_in

    async def call_started(self, call: CallFacts) -> None:
        self.told.append(("started", call))
        await self.act()

    async def call_answered(self, call: CallFacts) -> None:
        self.told.append(("answered", call))
        await self.act()

    async def call_ended(self, call: CallFacts) -> None:
        self.told.append(("ended", call))
        await self.act()


async def two(sessions: Any, url: str) -> tuple[Person, Person]:
    """The demo's student and tutor, by development mode's log-in."""
    people = []
    for profile in (STUDENT, TUTOR):
        http = sessions()
        async with http.post(f"{url}/api/dev/login", json=profile._asdict()) as response:
            token = (await response.json())["token"]
        people.append(await connected(http, url, profile, headers={"Authorization": f"Bearer {token}"}))
    return people[0], people[1]


async def a_call(student: Person, tutor: Person) -> None:
    await student.invite(TUTOR)
    await tutor.next("call_invitation")
    await tutor.send("call_answer", STUDENT, answer={"type": "answer", "sdp": VOICE_ANSWER})
    await student.next("call_answer")
    await student.send("call_ended", TUTOR)
    await tutor.next("call_ended")


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if "of the embedding program" in one.getMessage()]


async def counted(sessions: Any, url: str, name: str) -> float:
    async with sessions().get(f"{url}/metrics") as response:
        [line] = [one for one in (await response.text()).splitlines() if one.startswith(f"relay_extension_{name}_total ")]
    return float(line.split()[1])


@pytest.mark.parametrize("mood", ["fails", "hangs"])
async def test_hooks_that_fail_or_hang_hold_up_no_call(
    serve: Any, sessions: Any, tmp_path: Path, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = Faulty(mood)
    url = await serve(create_app(settings(tmp_path), extensions=Extensions(hooks=hooks, hook_timeout=0.2)))
    student, tutor = await two(sessions, url)
    for _ in range(2):
        await a_call(student, tutor)

    async def all_failed() -> bool:
        return await counted(sessions, url, "hook_failed") == 6

    await eventually(all_failed, "every hook was run")
    for call_id in {facts.call_id for _, facts in hooks.told}:
        assert [name for name, facts in hooks.told if facts.call_id == call_id] == ["started", "answered", "ended"]
    assert len(failures(caplog)) == 3  # once for each hook


async def test_a_hook_gets_the_facts_of_the_call(serve: Any, sessions: Any, tmp_path: Path, no_errors_logged: None) -> None:
    hooks = Faulty()
    url = await serve(create_app(settings(tmp_path), extensions=Extensions(hooks=hooks)))
    student, tutor = await two(sessions, url)
    await a_call(student, tutor)
    await student.invite(Profile("advertiser", 654))  # refused: the two share nothing
    await student.next("call_declined")
    await student.invite(TUTOR)
    await tutor.next("call_invitation")
    await tutor.send("call_declined", STUDENT, reason="rejected")
    await student.next("call_declined")
    await eventually(lambda: len(hooks.told) == 5, "five events")
    [started, answered, ended, second, declined] = [facts for _, facts in hooks.told]
    assert (started.caller, started.callee, started.call_type, started.answered_at) == (STUDENT, TUTOR, "voice", None)
    assert started.call_id == answered.call_id == ended.call_id != second.call_id
    assert answered.answered_at is not None
    assert (ended.reason, ended.duration_seconds) == ("hangup", 0)
    assert (declined.reason, declined.duration_seconds, declined.answered_at) == ("rejected", None, None)
    assert declined.ended_at is not None
    assert declined.started_at <= declined.ended_at


@pytest.mark.parametrize("mood", ["fails", "hangs"])
async def test_a_policy_that_cannot_say_lets_no_call_be_made_until_it_can(
    serve: Any, sessions: Any, tmp_path: Path, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = Faulty(mood)
    url = await serve(create_app(settings(tmp_path), extensions=Extensions(policy=policy, policy_timeout=0.05)))
    student, tutor = await two(sessions, url)
    for _ in range(2):
        await student.invite(TUTOR)
        assert (await student.next("error"))["code"] == "unavailable"
    assert await counted(sessions, url, "policy_failed") == 2
    assert len(failures(caplog)) == 1
    policy.mood = "good"
    await a_call(student, tutor)


async def test_a_policy_overrides_the_built_in_rules_in_either_direction(serve: Any, sessions: Any, tmp_path: Path) -> None:
    policy = Faulty(verdict=Verdict.BUSY)
    url = await serve(create_app(settings(tmp_path), extensions=Extensions(policy=policy)))
    student, tutor = await two(sessions, url)
    await student.invite(TUTOR)
    assert (await student.next("call_declined"))["reason"] == "busy"
    assert (await tutor.next("call_missed"))["type"] == "call_missed"
    async with tutor.http.put(f"{url}/api/settings", json={"privacy": "nobody"}) as response:
        assert response.status == 200
    policy.verdict = Verdict.ALLOWED
    await a_call(student, tutor)
    assert [request.built_in for request in policy.judged] == [Verdict.ALLOWED, Verdict.REJECTED]


async def test_a_session_counts_after_a_token_and_before_the_relays_own_cookie(
    serve: Any, sessions: Any, tmp_path: Path, no_errors_logged: None
) -> None:
    url = await serve(create_app(settings(tmp_path), extensions=Extensions(identification=Faulty())))
    http = sessions(cookies={"who": "parent_321"})
    async with http.post(f"{url}/api/dev/login", json=STUDENT._asdict()) as response:
        token = (await response.json())["token"]

    async def who(**options: Any) -> str:
        async with http.get(f"{url}/api/me/export", **options) as response:
            return str((await response.json())["profile"]["profile_type"])

    assert await who() == "parent"
    assert await who(headers={"Authorization": f"Bearer {token}"}) == "student"
    http.cookie_jar.clear(lambda cookie: cookie.key == "who")
    assert await who() == "student"


@pytest.mark.parametrize("mood", ["fails", "hangs"])
async def test_an_identification_that_cannot_say_is_answered_with_503(
    serve: Any, sessions: Any, tmp_path: Path, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    users = Faulty(mood)
    url = await serve(create_app(settings(tmp_path), extensions=Extensions(identification=users, identification_timeout=0.05)))
    http = sessions(cookies={"who": "parent_321"})
    for _ in range(2):
        async with http.get(f"{url}/api/profiles") as response:
            assert (response.status, (await response.json())["error"]["code"]) == (503, "unavailable")
    assert len(failures(caplog)) == 1
    assert caplog.records[-1].levelno >= logging.WARNING
    users.mood = "good"
    async with http.get(f"{url}/api/profiles") as response:
        assert response.status == 200
