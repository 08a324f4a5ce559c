import asyncio

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from db.directory import SqlDirectory
from relay.ids import Profile
from relay.signaling.ports import Directory, ProfileCard
from tests.db.people import PARENT, STRANGER, STUDENT, TUTOR


@pytest.fixture
async def directory(engine: AsyncEngine) -> SqlDirectory:
    directory = SqlDirectory(engine)
    for card in (STUDENT, TUTOR, PARENT, STRANGER):
        await directory.add_profile(card)
    return directory


async def test_a_profile_comes_back_as_it_was_added(directory: SqlDirectory) -> None:
    assert await directory.profile(STUDENT.profile) == STUDENT
    assert await directory.profile(TUTOR.profile) == TUTOR


async def test_an_unknown_profile_is_none(directory: SqlDirectory) -> None:
    assert await directory.profile(Profile("student", 789)) is None


async def test_a_profile_that_is_there_stays_as_it_is(directory: SqlDirectory) -> None:
    renamed = ProfileCard(STUDENT.profile, "Mallory", "")
    assert await directory.add_profile(renamed) == STUDENT
    assert await directory.profile(STUDENT.profile) == STUDENT


async def test_a_profile_added_by_many_at_once_is_there_once(directory: SqlDirectory) -> None:
    profile = Profile("tutor", 1)
    stored = await asyncio.gather(*(directory.add_profile(ProfileCard(profile, f"Name {number}", "")) for number in range(8)))
    assert len(set(stored)) == 1
    assert await directory.visible_profiles(profile) == [stored[0]]


async def test_a_conversation_has_its_members_each_once(directory: SqlDirectory) -> None:
    members = [STUDENT.profile, TUTOR.profile, STUDENT.profile]
    conversation = await directory.add_conversation(members)
    assert await directory.members(conversation) == {STUDENT.profile, TUTOR.profile}


async def test_a_conversation_that_does_not_exist_has_no_members(directory: SqlDirectory) -> None:
    assert await directory.members(999) == frozenset()


async def test_a_conversation_with_somebody_unknown_is_refused_and_not_created(directory: SqlDirectory) -> None:
    with pytest.raises(ValueError, match="no such profile: student_1, tutor_2"):
        await directory.add_conversation([STUDENT.profile, Profile("tutor", 2), Profile("student", 1)])
    assert await directory.conversations(STUDENT.profile) == []


async def test_a_conversation_of_nobody_is_refused(directory: SqlDirectory) -> None:
    with pytest.raises(ValueError, match="needs members"):
        await directory.add_conversation([])


async def test_a_profile_sees_itself_and_those_it_shares_a_conversation_with_by_name(directory: SqlDirectory) -> None:
    await directory.add_conversation([STUDENT.profile, TUTOR.profile])
    await directory.add_conversation([PARENT.profile, TUTOR.profile])
    assert await directory.visible_profiles(STUDENT.profile) == [STUDENT, TUTOR]
    assert await directory.visible_profiles(TUTOR.profile) == [STUDENT, PARENT, TUTOR]


async def test_sharing_two_conversations_shows_nobody_twice(directory: SqlDirectory) -> None:
    await directory.add_conversation([STUDENT.profile, TUTOR.profile])
    await directory.add_conversation([STUDENT.profile, TUTOR.profile, PARENT.profile])
    assert await directory.visible_profiles(STUDENT.profile) == [STUDENT, PARENT, TUTOR]


async def test_a_profile_without_conversations_sees_itself(directory: SqlDirectory) -> None:
    assert await directory.visible_profiles(STRANGER.profile) == [STRANGER]


async def test_an_unknown_profile_sees_nobody(directory: SqlDirectory) -> None:
    assert await directory.visible_profiles(Profile("student", 1)) == []


async def test_conversations_come_by_id_with_all_their_members(directory: SqlDirectory) -> None:
    first = await directory.add_conversation([STUDENT.profile, TUTOR.profile])
    await directory.add_conversation([PARENT.profile, STRANGER.profile])
    third = await directory.add_conversation([PARENT.profile, TUTOR.profile])
    found = await directory.conversations(TUTOR.profile)
    assert [(card.conversation_id, card.members) for card in found] == [
        (first, (STUDENT, TUTOR)),
        (third, (PARENT, TUTOR)),
    ]


async def test_every_question_is_one_query(directory: SqlDirectory, engine: AsyncEngine) -> None:
    conversation = await directory.add_conversation([STUDENT.profile, TUTOR.profile])
    asked: Directory = directory
    questions = (
        lambda: asked.profile(TUTOR.profile),
        lambda: asked.members(conversation),
        lambda: asked.visible_profiles(TUTOR.profile),
        lambda: asked.conversations(TUTOR.profile),
    )
    for ask in questions:
        statements: list[str] = []
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *args, seen=statements: seen.append(args[2]))
        await ask()
        assert len(statements) == 1
