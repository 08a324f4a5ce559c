import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.history import SqlHistory
from relay.db.platform import SqlPlatform
from relay.ids import Scope, ScopeKind, new_id
from tests.db.calls import call, say
from tests.db.people import STUDENT, TUTOR


async def texts(engine: AsyncEngine, scope: Scope, call_id: str) -> list[str]:
    detail = await SqlHistory(engine, scope.kind).call(STUDENT.profile, call_id)
    assert detail is not None
    return [record.text for record in detail.chat]


async def test_a_chat_message_is_kept_at_a_scope_that_keeps_chat(engine: AsyncEngine, scope: Scope) -> None:
    call_id = await call(engine, scope)
    assert await say(engine, scope, call_id, STUDENT.profile, "hello")
    assert await texts(engine, scope, call_id) == ["hello"]


async def test_a_chat_message_is_not_kept_at_a_scope_that_keeps_no_chat(
    engine: AsyncEngine, scope: Scope, platform: SqlPlatform
) -> None:
    call_id = await call(engine, scope)
    await platform.put_scope(scope, [STUDENT.profile, TUTOR.profile], keep_chat=False)
    assert not await say(engine, scope, call_id, STUDENT.profile, "hello")
    assert not await say(engine, Scope(scope.kind, 999), call_id, STUDENT.profile, "hello")
    other_kind = next(kind for kind in ScopeKind if kind is not scope.kind)
    assert not await say(engine, Scope(other_kind, scope.scope_id), call_id, STUDENT.profile, "hello")
    assert await texts(engine, scope, call_id) == []


async def test_a_chat_message_of_a_former_member_is_not_kept(engine: AsyncEngine, scope: Scope, platform: SqlPlatform) -> None:
    """Another server may have erased the author a moment ago."""
    call_id = await call(engine, scope)
    await platform.delete_profile(TUTOR.profile)
    assert not await say(engine, scope, call_id, TUTOR.profile, "hello")
    assert await texts(engine, scope, call_id) == []


async def test_a_chat_message_that_is_sent_again_is_kept_once(engine: AsyncEngine, scope: Scope) -> None:
    call_id = await call(engine, scope)
    again = [say(engine, scope, call_id, STUDENT.profile, "hello", message_id="1") for _ in range(4)]
    assert await asyncio.gather(*again) == [True] * 4
    assert await say(engine, scope, call_id, STUDENT.profile, "changed", message_id="1")
    assert await texts(engine, scope, call_id) == ["hello"]


async def test_message_ids_belong_to_their_author_and_call(engine: AsyncEngine, scope: Scope) -> None:
    call_id, other = await call(engine, scope), await call(engine, scope)
    await say(engine, scope, call_id, STUDENT.profile, "mine", message_id="1")
    await say(engine, scope, call_id, TUTOR.profile, "yours", message_id="1", at=1)
    await say(engine, scope, other, STUDENT.profile, "later", message_id="1")
    assert await texts(engine, scope, call_id) == ["mine", "yours"]
    assert await texts(engine, scope, other) == ["later"]


async def test_every_valid_chat_message_can_be_kept(engine: AsyncEngine, scope: Scope) -> None:
    call_id = await call(engine, scope)
    said = "a\0b 'quoted' \U0001f600\u202e\r\n" + "é" * 4000
    assert await say(engine, scope, call_id, STUDENT.profile, said, message_id="\0" + "é" * 63)
    assert await texts(engine, scope, call_id) == [said.replace("\0", "\ufffd")]


async def test_a_chat_message_of_an_unlogged_call_is_kept(engine: AsyncEngine, scope: Scope) -> None:
    assert await say(engine, scope, new_id(), STUDENT.profile, "hello")
