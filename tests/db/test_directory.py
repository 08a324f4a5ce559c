import asyncio

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.directory import SqlDirectory
from relay.db.platform import SqlPlatform
from relay.db.settings import SqlSettings
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import SessionCard
from relay.records.profiles import Privacy, ProfileCard
from relay.signaling.ports import Directory, Eligibility
from tests.db.calls import plans, scanned
from tests.db.people import PARENT, STRANGER, STUDENT, TUTOR


@pytest.fixture
async def directory(platform: SqlPlatform, engine: AsyncEngine) -> SqlDirectory:
    return SqlDirectory(engine)


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
    await directory.add_conversation([STUDENT.profile, TUTOR.profile, STUDENT.profile])
    [conversation] = await directory.conversations(TUTOR.profile)
    assert conversation.members == (STUDENT, TUTOR)


async def test_a_conversation_with_an_unknown_profile_is_refused_and_not_created(directory: SqlDirectory) -> None:
    with pytest.raises(ValueError, match="no such profile: student_1, tutor_2"):
        await directory.add_conversation([STUDENT.profile, Profile("tutor", 2), Profile("student", 1)])
    assert await directory.conversations(STUDENT.profile) == []


async def test_a_conversation_without_members_is_refused(directory: SqlDirectory) -> None:
    with pytest.raises(ValueError, match="needs members"):
        await directory.add_conversation([])


async def test_a_profile_sees_itself_and_those_it_shares_a_conversation_with_by_name(directory: SqlDirectory) -> None:
    await directory.add_conversation([STUDENT.profile, TUTOR.profile])
    await directory.add_conversation([PARENT.profile, TUTOR.profile])
    assert await directory.visible_profiles(STUDENT.profile) == [STUDENT, TUTOR]
    assert await directory.visible_profiles(TUTOR.profile) == [STUDENT, PARENT, TUTOR]


async def test_a_profile_that_shares_two_conversations_is_listed_once(directory: SqlDirectory) -> None:
    await directory.add_conversation([STUDENT.profile, TUTOR.profile])
    await directory.add_conversation([STUDENT.profile, TUTOR.profile, PARENT.profile])
    assert await directory.visible_profiles(STUDENT.profile) == [STUDENT, PARENT, TUTOR]


async def test_a_profile_without_conversations_sees_itself(directory: SqlDirectory) -> None:
    assert await directory.visible_profiles(STRANGER.profile) == [STRANGER]


async def test_an_unknown_profile_sees_no_profiles(directory: SqlDirectory) -> None:
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


async def test_whiteboard_sessions_come_by_id_with_all_their_members(directory: SqlDirectory, platform: SqlPlatform) -> None:
    for session_id, members in ((9, [STUDENT, TUTOR]), (8, [PARENT, TUTOR]), (7, [STUDENT, PARENT])):
        await platform.put_scope(Scope(ScopeKind.WHITEBOARD_SESSION, session_id), [card.profile for card in members])
    await platform.put_scope(Scope(ScopeKind.CONVERSATION, 1), [TUTOR.profile])
    assert await directory.whiteboard_sessions(TUTOR.profile) == [
        SessionCard(8, (PARENT, TUTOR)),
        SessionCard(9, (STUDENT, TUTOR)),
    ]
    assert await directory.whiteboard_sessions(STRANGER.profile) == []


# -- who may call whom ------------------------------------------------------------------------------------------------


async def test_the_eligibility_of_two_members_of_a_scope(directory: SqlDirectory, scope: Scope) -> None:
    assert await directory.eligibility(scope, STUDENT.profile, TUTOR.profile) == Eligibility(
        caller=STUDENT,
        callee=TUTOR,
        members=True,
        blocked=False,
        connected=False,
        privacy=Privacy.EVERYONE,
        do_not_disturb=False,
        keeps_chat=True,
    )


async def test_an_unknown_profile_is_a_card_without_a_name(directory: SqlDirectory, scope: Scope) -> None:
    unknown = Profile("tutor", 1)
    eligibility = await directory.eligibility(scope, unknown, STUDENT.profile)
    assert (eligibility.caller, eligibility.callee, eligibility.members) == (ProfileCard(unknown, "", ""), STUDENT, False)
    eligibility = await directory.eligibility(scope, STUDENT.profile, unknown)
    assert (eligibility.caller, eligibility.callee, eligibility.members) == (STUDENT, ProfileCard(unknown, "", ""), False)


async def test_both_must_be_members_of_that_very_scope(directory: SqlDirectory, scope: Scope) -> None:
    other_kind = next(kind for kind in ScopeKind if kind is not scope.kind)
    for caller, callee, where in (
        (STUDENT, STRANGER, scope),
        (STRANGER, STUDENT, scope),
        (STUDENT, TUTOR, Scope(scope.kind, 8)),
        (STUDENT, TUTOR, Scope(other_kind, scope.scope_id)),
    ):
        assert not (await directory.eligibility(where, caller.profile, callee.profile)).members


async def test_a_block_counts_both_ways_and_only_for_the_two(directory: SqlDirectory, scope: Scope, engine: AsyncEngine) -> None:
    await SqlSettings(engine).block(TUTOR.profile, STUDENT.profile)
    assert (await directory.eligibility(scope, STUDENT.profile, TUTOR.profile)).blocked
    assert (await directory.eligibility(scope, TUTOR.profile, STUDENT.profile)).blocked
    assert not (await directory.eligibility(scope, PARENT.profile, TUTOR.profile)).blocked
    assert not (await directory.eligibility(scope, STUDENT.profile, PARENT.profile)).blocked


async def test_a_connection_counts_both_ways_and_only_for_the_two(
    directory: SqlDirectory, scope: Scope, platform: SqlPlatform
) -> None:
    await platform.connect(TUTOR.profile, STUDENT.profile)
    assert (await directory.eligibility(scope, STUDENT.profile, TUTOR.profile)).connected
    assert (await directory.eligibility(scope, TUTOR.profile, STUDENT.profile)).connected
    assert not (await directory.eligibility(scope, PARENT.profile, TUTOR.profile)).connected


async def test_the_settings_that_count_are_those_of_the_callee(
    directory: SqlDirectory, scope: Scope, engine: AsyncEngine
) -> None:
    await SqlSettings(engine).change_settings(TUTOR.profile, privacy=Privacy.NOBODY, do_not_disturb=True)
    called = await directory.eligibility(scope, STUDENT.profile, TUTOR.profile)
    assert (called.privacy, called.do_not_disturb) == (Privacy.NOBODY, True)
    calling = await directory.eligibility(scope, TUTOR.profile, STUDENT.profile)
    assert (calling.privacy, calling.do_not_disturb) == (Privacy.EVERYONE, False)


async def test_two_share_the_conversation_with_the_lowest_id(directory: SqlDirectory, platform: SqlPlatform) -> None:
    for scope_id, members in ((9, [STUDENT, TUTOR]), (8, [STUDENT, TUTOR, PARENT]), (7, [STUDENT, PARENT])):
        await platform.put_scope(Scope(ScopeKind.CONVERSATION, scope_id), [card.profile for card in members])
    await platform.put_scope(Scope(ScopeKind.WHITEBOARD_SESSION, 1), [STUDENT.profile, TUTOR.profile])
    assert await directory.shared_conversation(STUDENT.profile, TUTOR.profile) == 8
    assert await directory.shared_conversation(PARENT.profile, STUDENT.profile) == 7
    assert await directory.shared_conversation(STUDENT.profile, STRANGER.profile) is None


async def test_every_question_is_one_query(directory: SqlDirectory, scope: Scope, engine: AsyncEngine) -> None:
    asked: Directory = directory
    questions = (
        lambda: asked.profile(TUTOR.profile),
        lambda: asked.eligibility(scope, STUDENT.profile, TUTOR.profile),
        lambda: asked.shared_conversation(STUDENT.profile, TUTOR.profile),
        lambda: asked.visible_profiles(TUTOR.profile),
        lambda: asked.conversations(TUTOR.profile),
    )
    for ask in questions:
        statements: list[str] = []
        event.listen(engine.sync_engine, "before_cursor_execute", lambda *args, seen=statements: seen.append(args[2]))
        await ask()
        assert len(statements) == 1


async def test_the_eligibility_of_a_call_is_read_by_index(directory: SqlDirectory, scope: Scope, engine: AsyncEngine) -> None:
    assert scanned(await plans(engine, directory.eligibility(scope, STUDENT.profile, TUTOR.profile))) == set()
