import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.platform import SqlPlatform
from relay.db.settings import SqlSettings
from relay.ids import Profile, Scope
from relay.records.calls import SettingsRecord
from relay.records.profiles import Privacy, ProfileCard
from tests.db.people import PARENT, STRANGER, STUDENT, TUTOR


@pytest.fixture
def settings(engine: AsyncEngine, platform: SqlPlatform) -> SqlSettings:
    return SqlSettings(engine)


async def test_by_default_everyone_can_call_a_profile(settings: SqlSettings) -> None:
    assert await settings.settings(TUTOR.profile) == SettingsRecord(Privacy.EVERYONE, do_not_disturb=False)
    assert await settings.settings(Profile("tutor", 1)) == SettingsRecord(Privacy.EVERYONE, do_not_disturb=False)


async def test_an_omitted_setting_is_kept(settings: SqlSettings) -> None:
    assert await settings.change_settings(TUTOR.profile, privacy=Privacy.CONNECTIONS) == SettingsRecord(Privacy.CONNECTIONS)
    both = SettingsRecord(Privacy.CONNECTIONS, do_not_disturb=True)
    assert await settings.change_settings(TUTOR.profile, do_not_disturb=True) == both
    assert await settings.change_settings(TUTOR.profile) == both
    assert await settings.settings(TUTOR.profile) == both
    assert await settings.settings(STUDENT.profile) == SettingsRecord()


async def test_settings_changed_by_many_at_once_keep_what_each_changed(settings: SqlSettings) -> None:
    await asyncio.gather(
        *(settings.change_settings(TUTOR.profile, privacy=Privacy.NOBODY) for _ in range(5)),
        *(settings.change_settings(TUTOR.profile, do_not_disturb=True) for _ in range(5)),
    )
    assert await settings.settings(TUTOR.profile) == SettingsRecord(Privacy.NOBODY, do_not_disturb=True)


async def test_settings_of_an_unknown_profile_cannot_be_changed(settings: SqlSettings) -> None:
    with pytest.raises(ValueError, match="no such profile: tutor_1"):
        await settings.change_settings(Profile("tutor", 1), do_not_disturb=True)


# -- blocks -----------------------------------------------------------------------------------------------------------


async def test_blocks_are_listed_with_cards_for_the_one_who_made_them(settings: SqlSettings, scope: Scope) -> None:
    assert await settings.block(TUTOR.profile, STUDENT.profile)
    assert await settings.block(TUTOR.profile, PARENT.profile)
    found = await settings.blocks(TUTOR.profile)
    assert {block.blocked for block in found} == {ProfileCard(STUDENT.profile, "Maya", STUDENT.avatar), PARENT}
    assert await settings.blocks(STUDENT.profile) == []


async def test_a_block_made_twice_is_there_once(settings: SqlSettings, scope: Scope) -> None:
    outcomes = await asyncio.gather(*(settings.block(TUTOR.profile, STUDENT.profile) for _ in range(5)))
    assert sorted(outcomes) == [False] * 4 + [True]
    assert len(await settings.blocks(TUTOR.profile)) == 1


async def test_a_block_is_lifted_by_the_one_who_made_it_only(settings: SqlSettings, scope: Scope) -> None:
    await settings.block(TUTOR.profile, STUDENT.profile)
    assert not await settings.unblock(STUDENT.profile, TUTOR.profile)
    assert len(await settings.blocks(TUTOR.profile)) == 1
    assert await settings.unblock(TUTOR.profile, STUDENT.profile)
    assert not await settings.unblock(TUTOR.profile, STUDENT.profile)
    assert await settings.blocks(TUTOR.profile) == []


@pytest.mark.parametrize("stranger", [STRANGER.profile, Profile("advertiser", 1)], ids=["exists", "does not exist"])
async def test_blocking_does_not_tell_whether_a_stranger_exists(settings: SqlSettings, scope: Scope, stranger: Profile) -> None:
    with pytest.raises(ValueError, match=f"^no such profile: {stranger.key}$"):
        await settings.block(STUDENT.profile, stranger)
    assert await settings.blocks(STUDENT.profile) == []


async def test_a_connection_can_be_blocked_without_sharing_a_scope(settings: SqlSettings, platform: SqlPlatform) -> None:
    await platform.connect(STRANGER.profile, STUDENT.profile)
    assert await settings.block(STUDENT.profile, STRANGER.profile)


async def test_a_block_outlives_the_scope_and_the_blocked_profile(
    settings: SqlSettings, scope: Scope, platform: SqlPlatform
) -> None:
    await settings.block(TUTOR.profile, STUDENT.profile)
    await platform.delete_scope(scope)
    assert not await settings.block(TUTOR.profile, STUDENT.profile)
    await platform.delete_profile(STUDENT.profile)
    [block] = await settings.blocks(TUTOR.profile)
    assert block.blocked == ProfileCard(STUDENT.profile, "", "")


async def test_blocks_go_with_the_profile_that_made_them(settings: SqlSettings, scope: Scope, platform: SqlPlatform) -> None:
    await settings.block(TUTOR.profile, STUDENT.profile)
    await platform.delete_profile(TUTOR.profile)
    await platform.put_profiles([TUTOR])
    assert await settings.blocks(TUTOR.profile) == []
