import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from db.demo import ADVERTISER, PARENT, STUDENT, TUTOR, load_demo
from db.directory import SqlDirectory
from relay.ids import Profile
from relay.signaling.ports import ProfileCard


async def test_the_demo_has_the_student_the_parent_and_their_tutor(engine: AsyncEngine) -> None:
    await load_demo(engine)
    directory = SqlDirectory(engine)
    assert await directory.members(123) == {Profile("student", 456), Profile("tutor", 789)}
    assert await directory.members(124) == {Profile("parent", 321), Profile("tutor", 789)}
    assert all(card.name for card in await directory.visible_profiles(TUTOR))


async def test_nobody_in_the_demo_shares_a_conversation_with_the_advertiser(engine: AsyncEngine) -> None:
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


async def test_loading_the_demo_leaves_what_is_there_as_it_is(engine: AsyncEngine) -> None:
    directory = SqlDirectory(engine)
    real = await directory.add_profile(ProfileCard(STUDENT, "Somebody real", ""))
    await load_demo(engine)
    assert await directory.profile(STUDENT) == real


async def test_a_conversation_added_after_the_demo_gets_an_id_of_its_own(engine: AsyncEngine) -> None:
    await load_demo(engine)
    directory = SqlDirectory(engine)
    assert await directory.add_conversation([STUDENT, PARENT]) == 125
    await load_demo(engine)
    assert await directory.add_conversation([STUDENT, PARENT]) == 126
