import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.directory import SqlDirectory
from relay.db.models import OF_KIND
from relay.db.platform import SqlPlatform
from relay.db.push import SqlPushSubscriptions
from relay.db.settings import SqlSettings
from relay.ids import Profile, Scope, ScopeKind
from relay.records.calls import ScopeRecord, SettingsRecord
from relay.records.profiles import Privacy, ProfileCard
from tests.db.calls import call, plans, row, scanned
from tests.db.people import PARENT, STRANGER, STUDENT, T0, TUTOR

NOBODY = Profile("tutor", 1)


# -- profiles ---------------------------------------------------------------------------------------------------------


async def test_profiles_are_added_or_brought_up_to_date(platform: SqlPlatform, engine: AsyncEngine) -> None:
    renamed, new = ProfileCard(STUDENT.profile, "Maya L.", "", None), ProfileCard(NOBODY, "Ada", "/ada.png", 7)
    await platform.put_profiles([renamed, new])
    directory = SqlDirectory(engine)
    assert [await directory.profile(card.profile) for card in (renamed, new, TUTOR)] == [renamed, new, TUTOR]


async def test_of_several_cards_of_a_profile_the_last_counts(platform: SqlPlatform, engine: AsyncEngine) -> None:
    await platform.put_profiles([ProfileCard(NOBODY, "First", ""), ProfileCard(NOBODY, "Last", "")])
    assert await SqlDirectory(engine).profile(NOBODY) == ProfileCard(NOBODY, "Last", "")


async def test_no_profiles_are_nothing(platform: SqlPlatform) -> None:
    await platform.put_profiles([])


async def test_profiles_written_by_many_at_once_in_any_order_do_not_block_each_other(
    platform: SqlPlatform, engine: AsyncEngine
) -> None:
    cards = [ProfileCard(Profile("tutor", number), f"Tutor {number}", "") for number in range(1, 30)]
    await asyncio.gather(*(platform.put_profiles(cards[:: (-1) ** number]) for number in range(8)))
    found = [await SqlDirectory(engine).profile(card.profile) for card in cards]
    assert found == cards


async def test_nul_in_a_name_is_stored_as_a_replacement_character(platform: SqlPlatform, engine: AsyncEngine) -> None:
    await platform.put_profiles([ProfileCard(NOBODY, "A\0da", "")])
    assert await SqlDirectory(engine).profile(NOBODY) == ProfileCard(NOBODY, "A\ufffdda", "")


async def test_a_deleted_profile_goes_with_all_that_hangs_on_it_but_its_calls(
    platform: SqlPlatform, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope)
    settings, push = SqlSettings(engine), SqlPushSubscriptions(engine)
    await settings.change_settings(STUDENT.profile, privacy=Privacy.NOBODY)
    await platform.connect(STUDENT.profile, TUTOR.profile)
    await push.add(STUDENT.profile, "https://push.example/1", "key", "auth", T0)
    before = await row(engine, call_id)
    assert await platform.delete_profile(STUDENT.profile)
    assert not await platform.delete_profile(STUDENT.profile)

    assert await SqlDirectory(engine).profile(STUDENT.profile) is None
    assert await settings.settings(STUDENT.profile) == SettingsRecord()
    assert await platform.connections(TUTOR.profile) == []
    assert await push.of(STUDENT.profile) == []
    assert await platform.scope(scope) == ScopeRecord(scope, (PARENT.profile, TUTOR.profile), keep_chat=True)
    assert await row(engine, call_id) == before


# -- scopes -----------------------------------------------------------------------------------------------------------


async def test_a_scope_has_the_members_that_were_last_said(platform: SqlPlatform, kind: ScopeKind) -> None:
    scope = Scope(kind, 42)
    assert await platform.scope(scope) is None
    assert await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile, STUDENT.profile])
    assert await platform.scope(scope) == ScopeRecord(scope, (STUDENT.profile, TUTOR.profile), keep_chat=False)
    assert not await platform.put_scope(scope, [TUTOR.profile, PARENT.profile], keep_chat=True)
    assert await platform.scope(scope) == ScopeRecord(scope, (PARENT.profile, TUTOR.profile), keep_chat=True)
    assert not await platform.put_scope(scope, [])
    assert await platform.scope(scope) == ScopeRecord(scope, (), keep_chat=False)


async def test_a_scope_with_an_unknown_member_changes_nothing(platform: SqlPlatform, scope: Scope) -> None:
    before = await platform.scope(scope)
    with pytest.raises(ValueError, match="no such profile: student_2, tutor_1"):
        await platform.put_scope(scope, [TUTOR.profile, NOBODY, Profile("student", 2)])
    assert await platform.scope(scope) == before
    new = Scope(scope.kind, 8)
    with pytest.raises(ValueError, match="no such profile: tutor_1"):
        await platform.put_scope(new, [NOBODY])
    assert await platform.scope(new) is None


async def test_concurrent_puts_of_a_scope_create_it_once_and_the_last_counts(platform: SqlPlatform, kind: ScopeKind) -> None:
    scope, groups = Scope(kind, 42), [[STUDENT.profile, TUTOR.profile], [PARENT.profile, TUTOR.profile]]
    outcomes = await asyncio.gather(*(platform.put_scope(scope, groups[number % 2]) for number in range(8)))
    assert sorted(outcomes) == [False] * 7 + [True]
    found = await platform.scope(scope)
    assert found is not None
    assert sorted(found.members) in [sorted(group) for group in groups]


async def test_a_deleted_scope_goes_with_its_members_and_leaves_its_calls(
    platform: SqlPlatform, scope: Scope, engine: AsyncEngine
) -> None:
    call_id = await call(engine, scope)
    assert await platform.delete_scope(scope)
    assert not await platform.delete_scope(scope)
    assert await platform.scope(scope) is None
    kept = await row(engine, call_id)
    assert kept is not None
    assert (kept[OF_KIND[scope.kind].key], kept["end_reason"]) == (None, "no_answer")


async def test_the_two_kinds_of_scopes_do_not_share_their_numbers(platform: SqlPlatform) -> None:
    conversation, whiteboard = (Scope(kind, 42) for kind in ScopeKind)
    await platform.put_scope(conversation, [STUDENT.profile])
    await platform.put_scope(whiteboard, [TUTOR.profile])
    await platform.delete_scope(conversation)
    assert await platform.scope(whiteboard) == ScopeRecord(whiteboard, (TUTOR.profile,), keep_chat=False)


async def test_a_conversation_that_the_relay_adds_gets_a_number_that_the_platform_has_not_used(
    platform: SqlPlatform, engine: AsyncEngine
) -> None:
    await platform.put_scope(Scope(ScopeKind.CONVERSATION, 42), [STUDENT.profile])
    assert await SqlDirectory(engine).add_conversation([STUDENT.profile, TUTOR.profile]) == 43


async def test_a_member_joins_and_leaves_once(platform: SqlPlatform, scope: Scope) -> None:
    joined = await asyncio.gather(*(platform.add_member(scope, STRANGER.profile) for _ in range(4)))
    assert sorted(joined) == [False, False, False, True]
    found = await platform.scope(scope)
    assert found is not None
    assert STRANGER.profile in found.members
    assert await platform.remove_member(scope, STRANGER.profile)
    assert not await platform.remove_member(scope, STRANGER.profile)
    found = await platform.scope(scope)
    assert found is not None
    assert found.members == (PARENT.profile, STUDENT.profile, TUTOR.profile)


async def test_a_profile_cannot_join_an_unknown_scope(platform: SqlPlatform, scope: Scope) -> None:
    with pytest.raises(ValueError, match="no such profile: tutor_1"):
        await platform.add_member(scope, NOBODY)
    with pytest.raises(ValueError, match=f"no such {scope.kind.replace('_', ' ')}: 8"):
        await platform.add_member(Scope(scope.kind, 8), TUTOR.profile)
    assert not await platform.remove_member(Scope(scope.kind, 8), TUTOR.profile)


async def test_members_and_profiles_may_come_and_go_at_the_same_time(platform: SqlPlatform, scope: Scope) -> None:
    async def forget_and_remember() -> None:
        await platform.delete_profile(STRANGER.profile)
        await platform.put_profiles([STRANGER])

    async def join() -> None:
        try:
            await platform.add_member(scope, STRANGER.profile)
            await platform.put_scope(scope, [STRANGER.profile, TUTOR.profile])
        except ValueError as error:
            assert str(error) == "no such profile: advertiser_654"

    await asyncio.gather(*(task for _ in range(5) for task in (forget_and_remember(), join())))


# -- connections ------------------------------------------------------------------------------------------------------


async def test_connections_hold_both_ways_and_are_listed_by_name(platform: SqlPlatform) -> None:
    assert await platform.connect(TUTOR.profile, STUDENT.profile)
    assert not await platform.connect(STUDENT.profile, TUTOR.profile)
    assert await platform.connect(PARENT.profile, TUTOR.profile)
    assert await platform.connections(TUTOR.profile) == [STUDENT, PARENT]
    assert await platform.connections(STUDENT.profile) == [TUTOR]
    assert await platform.disconnect(STUDENT.profile, TUTOR.profile)
    assert not await platform.disconnect(TUTOR.profile, STUDENT.profile)
    assert await platform.connections(TUTOR.profile) == [PARENT]


async def test_connecting_at_once_from_both_ends_connects_once(platform: SqlPlatform) -> None:
    ends = [(TUTOR.profile, STUDENT.profile), (STUDENT.profile, TUTOR.profile)]
    outcomes = await asyncio.gather(*(platform.connect(*ends[number % 2]) for number in range(6)))
    assert sorted(outcomes) == [False] * 5 + [True]


async def test_a_profile_cannot_be_connected_with_itself_or_an_unknown_profile(platform: SqlPlatform) -> None:
    with pytest.raises(ValueError, match="no such profile: tutor_1"):
        await platform.connect(STUDENT.profile, NOBODY)
    with pytest.raises(ValueError, match="student_456 cannot be connected with itself"):
        await platform.connect(STUDENT.profile, STUDENT.profile)


async def test_the_rows_of_a_profile_or_a_scope_are_found_by_index(
    platform: SqlPlatform, scope: Scope, engine: AsyncEngine
) -> None:
    assert scanned(await plans(engine, platform.connections(TUTOR.profile))) == set()
    assert scanned(await plans(engine, platform.scope(scope))) == set()
    assert scanned(await plans(engine, SqlSettings(engine).blocks(TUTOR.profile))) == set()
    assert scanned(await plans(engine, SqlSettings(engine).block(TUTOR.profile, STUDENT.profile))) == set()
