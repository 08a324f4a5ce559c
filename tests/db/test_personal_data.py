import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.directory import SqlDirectory
from relay.db.history import SqlHistory
from relay.db.models import OF_KIND, ChatRow
from relay.db.personal_data import BATCH, SqlPersonalData
from relay.db.platform import SqlPlatform
from relay.db.push import SqlPushSubscriptions
from relay.db.settings import SqlSettings
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import ScopeRecord
from relay.records.profiles import Privacy, ProfileCard
from tests.db.calls import call, columns, foreign, plans, row, say, scanned
from tests.db.people import PARENT, STUDENT, T0, TUTOR, after

CALLS = {ScopeKind.CONVERSATION: "calls", ScopeKind.WHITEBOARD_SESSION: "whiteboard_calls"}


@pytest.fixture
def personal(engine: AsyncEngine, platform: SqlPlatform) -> SqlPersonalData:
    return SqlPersonalData(engine)


async def exported(personal: SqlPersonalData, profile: Profile) -> dict[str, Any]:
    found = await personal.export(profile)
    assert found is not None
    return found


# -- export -----------------------------------------------------------------------------------------------------------


async def test_the_export_of_a_profile_without_data_has_the_profile(personal: SqlPersonalData) -> None:
    found = await exported(personal, STUDENT.profile)
    assert found["profile"].pop("created_at")
    assert found == {
        "profile": {
            "profile_type": "student",
            "profile_id": 456,
            "name": "Maya",
            "avatar": "/avatars/maya.png",
            "user_id": 1456,
        },
        "settings": {"privacy": "everyone", "do_not_disturb": False},
        "blocks": [],
        "connections": [],
        "conversations": [],
        "whiteboard_sessions": [],
        "calls": [],
        "whiteboard_calls": [],
        "chat": [],
        "push_subscriptions": [],
        "recordings": [],
        "recording_consents": [],
        "call_ratings": [],
    }


async def test_everything_about_a_profile_is_exported_as_json(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine, platform: SqlPlatform
) -> None:
    settings = SqlSettings(engine)
    await settings.change_settings(STUDENT.profile, privacy=Privacy.NOBODY)
    await settings.block(STUDENT.profile, PARENT.profile)
    await platform.connect(STUDENT.profile, TUTOR.profile)
    await SqlPushSubscriptions(engine).add(STUDENT.profile, "https://push.example/1", "the key", "the secret", T0)
    call_id = await call(engine, scope, answered=1, reason="hangup")
    await say(engine, scope, call_id, STUDENT.profile, "mine", at=5, message_id="1")
    await say(engine, scope, call_id, TUTOR.profile, "yours")

    found = json.loads(json.dumps(await exported(personal, STUDENT.profile)))
    assert found["settings"] == {"privacy": "nobody", "do_not_disturb": False}
    assert [one["blocked"]["name"] for one in found["blocks"]] == ["zoe"]
    assert [one["name"] for one in found["connections"]] == ["Émile"]
    scopes = {"conversations": "conversation_id", "whiteboard_sessions": "session_id"}
    assert [found[name] for name in scopes] == [[{key: 7}] if key == OF_KIND[scope.kind].key else [] for key in scopes.values()]
    assert [[one["id"] for one in found[name]] for name in CALLS.values()] == [
        [call_id] if kind is scope.kind else [] for kind in CALLS
    ]
    assert found["chat"] == [{"call_id": call_id, "message_id": "1", "text": "mine", "sent_at": after(5).isoformat()}]
    [subscription] = found["push_subscriptions"]
    assert subscription["endpoint"] == "https://push.example/1"
    assert not {"p256dh", "auth"} & set(subscription)
    assert "the key" not in json.dumps(found)


async def test_the_export_omits_what_the_profile_may_not_see(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine
) -> None:
    await SqlSettings(engine).block(TUTOR.profile, STUDENT.profile)
    await call(engine, scope, reason="blocked")
    assert "blocked" not in json.dumps((await exported(personal, STUDENT.profile))[CALLS[scope.kind]])
    assert (await exported(personal, STUDENT.profile))["blocks"] == []
    assert (await exported(personal, TUTOR.profile))[CALLS[scope.kind]] == []


async def test_all_calls_are_exported_however_many(personal: SqlPersonalData, scope: Scope, engine: AsyncEngine) -> None:
    found = await row(engine, await call(engine, scope))
    assert found is not None
    rows = [{**found, "id": number, "call_id": f"{number:032x}"} for number in range(1000, 1000 + BATCH)]
    async with engine.begin() as connection:
        await connection.execute(insert(OF_KIND[scope.kind].calls), rows)
    assert len((await exported(personal, STUDENT.profile))[CALLS[scope.kind]]) == BATCH + 1


async def test_the_export_of_an_unknown_profile_is_none(personal: SqlPersonalData) -> None:
    assert await personal.export(Profile("tutor", 1)) is None


async def test_the_export_of_a_deleted_profile_has_its_calls(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine, platform: SqlPlatform
) -> None:
    await call(engine, scope)
    await platform.delete_profile(STUDENT.profile)
    found = await exported(personal, STUDENT.profile)
    assert found["profile"] is None
    assert len(found[CALLS[scope.kind]]) == 1


# -- erasure ----------------------------------------------------------------------------------------------------------


async def test_erasing_leaves_the_other_partys_row_without_the_name(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine
) -> None:
    await SqlPlatform(engine).put_profiles([ProfileCard(TUTOR.profile, "Émile", "/e.png", 1789)])
    calling = await call(engine, scope, answered=1, reason="hangup")
    called = await call(engine, scope, caller=TUTOR, callee=STUDENT, started=1)
    before = [await row(engine, call_id) for call_id in (calling, called)]
    assert await personal.erase(STUDENT.profile, after(100))

    for call_id, was, role, other_role in zip((calling, called), before, ("caller", "callee"), ("callee", "caller"), strict=True):
        assert was is not None
        found = await row(engine, call_id)
        assert found is not None
        changed = {name for name in was if found[name] != was[name]}
        assert f"{role}_deleted_at" in changed
        assert changed <= {f"{role}_{part}" for part in ("deleted_at", "user_id", "name", "avatar")} | {"participants"}
        assert [found.get(f"{role}_{part}") for part in ("user_id", "name", "avatar")] == [None] * 3
        people = {one["role"]: one["name"] for one in found["participants"]}
        assert people == {role: "", other_role: "Émile"}

    records = (await SqlHistory(engine, scope.kind).calls(TUTOR.profile, limit=50)).calls
    assert [record.id for record in records] == [called, calling]
    assert [record.other for record in records] == [ProfileCard(STUDENT.profile, "", "")] * 2
    assert await personal.export(STUDENT.profile) is None


async def test_a_profile_that_returns_after_erasure_has_no_history_and_is_not_named_in_it(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine, platform: SqlPlatform
) -> None:
    call_id = await call(engine, scope)
    incoming = await call(engine, scope, caller=TUTOR, callee=STUDENT)
    await personal.erase(STUDENT.profile, after(100))
    await platform.put_profiles([STUDENT])
    await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile])
    history = SqlHistory(engine, scope.kind)
    assert (await history.calls(STUDENT.profile, limit=50)).calls == ()
    assert await history.call(STUDENT.profile, call_id) is None
    assert await history.mark_seen(STUDENT.profile, incoming, T0) is None
    assert await history.unseen_count(STUDENT.profile) == 0
    detail = await history.call(TUTOR.profile, call_id)
    assert detail is not None
    assert detail.call.other == ProfileCard(STUDENT.profile, "", "")


@pytest.mark.parametrize(("erased", "left"), [(TUTOR, None), (STUDENT, "In 10 minutes")])
async def test_what_a_callee_said_by_declining_goes_with_it(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine, erased: ProfileCard, left: str | None
) -> None:
    call_id = await call(engine, scope, reason="rejected", decline_message="In 10 minutes")
    await personal.erase(erased.profile, after(1))
    assert await columns(engine, call_id, "decline_message") == {"decline_message": left}


async def test_erasing_deletes_the_chat_messages_of_this_profile_only(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope)
    await say(engine, scope, call_id, TUTOR.profile, "yours", message_id="1")
    texts = [
        {
            "call_id": call_id,
            "author_profile_type": "student",
            "author_profile_id": 456,
            "message_id": str(number),
            "text": "mine",
            "sent_at": T0,
        }
        for number in range(BATCH + 1)
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(ChatRow), texts)
    await personal.erase(STUDENT.profile, after(100))
    async with engine.connect() as connection:
        assert (await connection.execute(select(ChatRow.text))).scalars().all() == ["yours"]


async def test_erasing_takes_settings_blocks_memberships_and_browsers_too(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine, platform: SqlPlatform
) -> None:
    settings = SqlSettings(engine)
    await settings.change_settings(STUDENT.profile, privacy=Privacy.NOBODY)
    await settings.block(STUDENT.profile, PARENT.profile)
    await settings.block(TUTOR.profile, STUDENT.profile)
    await platform.connect(STUDENT.profile, TUTOR.profile)
    await SqlPushSubscriptions(engine).add(STUDENT.profile, "https://push.example/1", "key", "secret", T0)
    assert await personal.erase(STUDENT.profile, T0)
    assert await personal.export(STUDENT.profile) is None
    assert await SqlDirectory(engine).profile(STUDENT.profile) is None
    assert await platform.scope(scope) == ScopeRecord(scope, (PARENT.profile, TUTOR.profile), keep_chat=True)
    # What others have settled about it is theirs.
    assert [block.blocked for block in await settings.blocks(TUTOR.profile)] == [ProfileCard(STUDENT.profile, "", "")]


async def test_erasing_twice_finds_nothing_the_second_time(personal: SqlPersonalData, scope: Scope, engine: AsyncEngine) -> None:
    await call(engine, scope)
    assert await personal.erase(STUDENT.profile, T0)
    assert not await personal.erase(STUDENT.profile, after(1))
    assert not await personal.erase(Profile("tutor", 1), T0)


async def test_both_parties_of_many_calls_may_be_erased_at_once(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine
) -> None:
    people = ((STUDENT, TUTOR), (TUTOR, STUDENT))
    made = [await call(engine, scope, caller=people[n % 2][0], callee=people[n % 2][1], started=n) for n in range(20)]
    await asyncio.gather(personal.erase(STUDENT.profile, T0), personal.erase(TUTOR.profile, T0))
    for call_id in made:
        found = await row(engine, call_id)
        assert found is not None
        assert [one["name"] for one in found["participants"]] == ["", ""]
        assert found["caller_deleted_at"] == found["callee_deleted_at"] == T0


async def test_more_calls_than_a_batch_are_all_erased(personal: SqlPersonalData, scope: Scope, engine: AsyncEngine) -> None:
    found = await row(engine, await call(engine, scope))
    assert found is not None
    rows = [{**found, "id": number, "call_id": f"{number:032x}"} for number in range(1000, 1000 + BATCH)]
    async with engine.begin() as connection:
        await connection.execute(insert(OF_KIND[scope.kind].calls), rows)
    await personal.erase(STUDENT.profile, T0)
    assert await personal.export(STUDENT.profile) is None


async def test_a_history_is_erased_without_its_profile_and_without_open_calls(
    personal: SqlPersonalData, scope: Scope, engine: AsyncEngine
) -> None:
    ended, talking = await call(engine, scope), await call(engine, scope, answered=1, reason=None)
    await say(engine, scope, talking, STUDENT.profile, "mine")
    open_before = await row(engine, talking)
    assert await personal.erase_history(STUDENT.profile, after(100))
    assert not await personal.erase_history(STUDENT.profile, after(200))
    found = await exported(personal, STUDENT.profile)
    assert found["profile"]["name"] == "Maya"
    assert found["chat"] == []
    assert [one["id"] for one in found[CALLS[scope.kind]]] == [talking]
    assert await row(engine, talking) == open_before
    detail = await SqlHistory(engine, scope.kind).call(TUTOR.profile, ended)
    assert detail is not None
    assert detail.call.other == ProfileCard(STUDENT.profile, "", "")


@pytest.mark.parametrize(
    ("participants", "left"),
    [
        (None, None),
        ("Maya", None),
        ([{"name": "Maya"}, "Maya"], None),
        ([{"profile_type": "student", "profile_id": 456, "name": "Maya"}, {"name": "Émile"}], ["", "Émile"]),
        ([{"role": "caller", "name": "Maya", "phone": "555"}, {"role": "callee", "name": "Émile"}], ["", "Émile"]),
    ],
)
async def test_erasure_removes_the_name_from_malformed_participants(
    personal: SqlPersonalData, kind: ScopeKind, engine: AsyncEngine, participants: Any, left: list[str] | None
) -> None:
    table: Any = OF_KIND[kind].calls
    await foreign(engine, kind, participants=participants)
    assert await personal.erase(STUDENT.profile, T0)
    async with engine.connect() as connection:
        found = (await connection.execute(select(table.participants))).scalar_one()
    assert (found and [one["name"] for one in found]) == left
    assert "555" not in str(found)


async def test_the_data_of_a_profile_are_found_by_index(personal: SqlPersonalData, scope: Scope, engine: AsyncEngine) -> None:
    await call(engine, scope)
    assert scanned(await plans(engine, personal.export(TUTOR.profile))) == set()
    assert scanned(await plans(engine, personal.erase(TUTOR.profile, T0))) == set()
