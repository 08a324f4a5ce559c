"""The chat messages of calls, for scopes that keep them."""

from sqlalchemy import literal, select
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.models import OF_KIND, ChatRow
from relay.db.profiles import names, upsert, values
from relay.ids import Scope
from relay.signaling.ports import ChatMessage


class SqlChatLog:
    """`relay.signaling.ports.ChatLog`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, call_id: str, scope: Scope, message: ChatMessage) -> bool:
        """Keep a chat message, if the scope exists and says so (`keep_chat`), and its author belongs there: not one that was
        erased by another server a moment ago. The same author's `message_id` counts once per call.

        Returns:
            Whether it is kept, be it since an earlier time.
        """
        tables = OF_KIND[scope.kind]
        scopes, members = tables.known_scopes, tables.known_members
        belongs = select(members.profile_id).where(tables.scope_id(members) == scopes.id, names(members, message.author)).exists()
        row = {
            "call_id": call_id,
            **values(message.author, "author_"),
            "message_id": message.message_id,
            "text": message.text,
            "sent_at": message.sent_at,
        }
        columns = ChatRow.__table__.columns
        texts = [literal(value, columns[name].type) for name, value in row.items()]
        keeping = select(*texts).where(scopes.id == scope.scope_id, scopes.keep_chat, belongs)
        async with self._engine.begin() as connection:
            insert = upsert(connection, ChatRow).from_select(list(row), keeping)
            key = [column.name for column in ChatRow.__table__.primary_key]
            # Nothing is changed if it is there, but counted.
            again = insert.on_conflict_do_update(index_elements=key, set_={"message_id": insert.excluded.message_id})
            return bool((await connection.execute(again)).rowcount)
