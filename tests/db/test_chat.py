import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import SqlHistory
from relay.db.platform import SqlPlatform
from relay.ids import Place, PlaceKind, new_id
from tests.db.calls import call, say
from tests.db.people import STUDENT, TUTOR


async def texts(engine: AsyncEngine, place: Place, call_id: str) -> list[str]:
    detail = await SqlHistory(engine, place.kind).call(STUDENT.profile, call_id)
    assert detail is not None
    return [record.text for record in detail.chat]


async def test_a_chat_message_is_kept_at_a_place_that_keeps_chat(engine: AsyncEngine, place: Place) -> None:
    call_id = await call(engine, place)
    assert await say(engine, place, call_id, STUDENT.profile, "hello")
    assert await texts(engine, place, call_id) == ["hello"]


async def test_a_chat_message_is_not_kept_at_a_place_that_keeps_no_chat(
    engine: AsyncEngine, place: Place, platform: SqlPlatform
) -> None:
    call_id = await call(engine, place)
    await platform.put_place(place, [STUDENT.profile, TUTOR.profile], keep_chat=False)
    assert not await say(engine, place, call_id, STUDENT.profile, "hello")
    assert not await say(engine, Place(place.kind, 999), call_id, STUDENT.profile, "hello")
    other_kind = next(kind for kind in PlaceKind if kind is not place.kind)
    assert not await say(engine, Place(other_kind, place.place_id), call_id, STUDENT.profile, "hello")
    assert await texts(engine, place, call_id) == []


async def test_a_chat_message_of_a_former_member_is_not_kept(engine: AsyncEngine, place: Place, platform: SqlPlatform) -> None:
    """Another server may have erased the author a moment ago."""
    call_id = await call(engine, place)
    await platform.delete_profile(TUTOR.profile)
    assert not await say(engine, place, call_id, TUTOR.profile, "hello")
    assert await texts(engine, place, call_id) == []


async def test_a_chat_message_that_is_sent_again_is_kept_once(engine: AsyncEngine, place: Place) -> None:
    call_id = await call(engine, place)
    again = [say(engine, place, call_id, STUDENT.profile, "hello", message_id="1") for _ in range(4)]
    assert await asyncio.gather(*again) == [True] * 4
    assert await say(engine, place, call_id, STUDENT.profile, "changed", message_id="1")
    assert await texts(engine, place, call_id) == ["hello"]


async def test_message_ids_belong_to_their_author_and_call(engine: AsyncEngine, place: Place) -> None:
    call_id, other = await call(engine, place), await call(engine, place)
    await say(engine, place, call_id, STUDENT.profile, "mine", message_id="1")
    await say(engine, place, call_id, TUTOR.profile, "yours", message_id="1", at=1)
    await say(engine, place, other, STUDENT.profile, "later", message_id="1")
    assert await texts(engine, place, call_id) == ["mine", "yours"]
    assert await texts(engine, place, other) == ["later"]


async def test_every_valid_chat_message_can_be_kept(engine: AsyncEngine, place: Place) -> None:
    call_id = await call(engine, place)
    said = "a\0b 'quoted' \U0001f600\u202e\r\n" + "é" * 4000
    assert await say(engine, place, call_id, STUDENT.profile, said, message_id="\0" + "é" * 63)
    assert await texts(engine, place, call_id) == [said.replace("\0", "\ufffd")]


async def test_a_chat_message_of_an_unlogged_call_is_kept(engine: AsyncEngine, place: Place) -> None:
    assert await say(engine, place, new_id(), STUDENT.profile, "hello")
