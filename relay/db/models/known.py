"""What the directory reads: profiles, members and blocks.

These are the relay's own tables of the same columns, or views that the platform defines over its own (`naming.Layout.views`).
Nothing is written through them.
"""

from typing import Any, Final, TypeVar, cast

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.orm import DeclarativeBase

from relay.db.models.base import Base
from relay.db.models.people import BlockRow, ConnectionRow, ProfileRow, SettingsRow
from relay.db.models.scopes import ConversationRow, MemberRow, WhiteboardMemberRow, WhiteboardSessionRow

KNOWN: Final = "known_"
"""What the names of these begin with in a statement, before they become those of the database."""

_Row = TypeVar("_Row", bound=Base)


class Known(DeclarativeBase):
    metadata = MetaData()


def _known(row: type[_Row], *names: str, key: tuple[str, ...] = ()) -> type[_Row]:
    """The same row, as it is read: its key and those columns."""
    own: Any = row.__table__
    keys = key or tuple(one.name for one in own.primary_key)
    columns = [Column(one.name, one.type, primary_key=one.name in keys) for one in own.columns if one.name in keys + names]
    table = Table(KNOWN + own.name, Known.metadata, *columns)
    return cast("type[_Row]", type(f"Known{row.__name__}", (Known,), {"__table__": table}))


KnownProfileRow = _known(ProfileRow, "name", "avatar", "user_id", key=("profile_type", "profile_id"))
KnownConversationRow = _known(ConversationRow, "keep_chat")
KnownMemberRow = _known(MemberRow)
KnownWhiteboardSessionRow = _known(WhiteboardSessionRow, "keep_chat")
KnownWhiteboardMemberRow = _known(WhiteboardMemberRow)
KnownConnectionRow = _known(ConnectionRow)
KnownSettingsRow = _known(SettingsRow, "privacy", "do_not_disturb")
KnownBlockRow = _known(BlockRow, "created_at")
