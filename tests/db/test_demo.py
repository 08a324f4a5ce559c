import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.demo import ADVERTISER, LESSONS, PARENT, PROFILES, STUDENT, TUTOR, load_demo
from relay.db.directory import SqlDirectory
from relay.db.platform import SqlPlatform
from relay.ids import Profile, Scope, ScopeKind
from relay.records.profiles import ProfileCard


@pytest.mark.parametrize(
    ("scope", "members", "keep_chat"),
    [
        (Scope(ScopeKind.CONVERSATION, 123), (Profile("student", 456), Profile("tutor", 789)), True),
        (Scope(ScopeKind.CONVERSATION, 124), (Profile("parent", 321), Profile("tutor", 789)), False),
        (Scope(ScopeKind.CONVERSATION, 125), (Profile("parent", 321), Profile("student", 456)), False),
        (Scope(ScopeKind.WHITEBOARD_SESSION, 900), (Profile("student", 456), Profile("tutor", 789)), False),
    ],
)
async def test_the_demo_has_the_student_the_parent_and_their_tutor(
    engine: AsyncEngine, scope: Scope, members: tuple[Profile, ...], keep_chat: bool
) -> None:
    await load_demo(engine)
    found = await SqlPlatform(engine).scope(scope)
    assert found is not None
    assert (found.members, found.keep_chat) == (members, keep_chat)
    assert all(card.name for card in await SqlDirectory(engine).visible_profiles(TUTOR))


async def test_all_profiles_of_the_demo_are_connected(engine: AsyncEngine) -> None:
    await load_demo(engine)
    everybody = {card.profile for card in PROFILES}
    for profile in everybody:
        connections = await SqlPlatform(engine).connections(profile)
        assert {card.profile for card in connections} == everybody - {profile}


async def test_the_advertiser_of_the_demo_has_no_conversation(engine: AsyncEngine) -> None:
    await load_demo(engine)
    directory = SqlDirectory(engine)
    assert await directory.profile(ADVERTISER) is not None
    assert await directory.conversations(ADVERTISER) == []


async def test_loading_the_demo_again_changes_nothing(engine: AsyncEngine) -> None:
    directory = SqlDirectory(engine)
    await load_demo(engine)
    before = await directory.conversations(TUTOR)
    await asyncio.gather(load_demo(engine), load_demo(engine))
    assert await directory.conversations(TUTOR) == before


async def test_loading_the_demo_keeps_existing_rows(engine: AsyncEngine) -> None:
    directory = SqlDirectory(engine)
    real = await directory.add_profile(ProfileCard(STUDENT, "A real student", ""))
    await load_demo(engine)
    await SqlPlatform(engine).put_scope(LESSONS, [])
    await load_demo(engine)
    assert [one.conversation_id for one in await directory.conversations(STUDENT)] == [125], (
        "the one of the lessons is left as it was"
    )
    assert await directory.profile(STUDENT) == real


async def test_a_conversation_added_after_the_demo_gets_an_id_of_its_own(engine: AsyncEngine) -> None:
    await load_demo(engine)
    directory = SqlDirectory(engine)
    assert await directory.add_conversation([STUDENT, PARENT]) == 126
    await load_demo(engine)
    assert await directory.add_conversation([STUDENT, PARENT]) == 127
