"""The tables, as `relay.db.migrations` creates them."""

from dataclasses import dataclass
from typing import Any, Final

from relay.db.models.base import Base
from relay.db.models.calls import CallRow, ChatRow, WhiteboardCallRow
from relay.db.models.known import (
    KnownBlockRow,
    KnownConnectionRow,
    KnownConversationRow,
    KnownMemberRow,
    KnownProfileRow,
    KnownSettingsRow,
    KnownWhiteboardMemberRow,
    KnownWhiteboardSessionRow,
)
from relay.db.models.nodes import IncarnationRow
from relay.db.models.people import BlockRow, ConnectionRow, ProfileRow, PushSubscriptionRow, RevocationRow, SettingsRow
from relay.db.models.ratings import CallRatingRow
from relay.db.models.recordings import RecordingAccessRow, RecordingConsentRow, RecordingPolicyRow, RecordingRow
from relay.db.models.scopes import ConversationRow, MemberRow, WhiteboardMemberRow, WhiteboardSessionRow
from relay.ids import ScopeKind

__all__ = [
    "OF_KIND",
    "Base",
    "BlockRow",
    "CallRatingRow",
    "CallRow",
    "ChatRow",
    "ConnectionRow",
    "ConversationRow",
    "IncarnationRow",
    "KindTables",
    "KnownBlockRow",
    "KnownConnectionRow",
    "KnownMemberRow",
    "KnownProfileRow",
    "KnownSettingsRow",
    "MemberRow",
    "ProfileRow",
    "PushSubscriptionRow",
    "RecordingAccessRow",
    "RecordingConsentRow",
    "RecordingPolicyRow",
    "RecordingRow",
    "RevocationRow",
    "SettingsRow",
    "WhiteboardCallRow",
    "WhiteboardMemberRow",
    "WhiteboardSessionRow",
]


@dataclass(frozen=True, slots=True)
class KindTables:
    """The tables of one kind of scope. Those of the other kind have the same columns, but for one name."""

    scopes: type[ConversationRow | WhiteboardSessionRow]
    members: type[MemberRow | WhiteboardMemberRow]
    calls: type[CallRow | WhiteboardCallRow]
    known_scopes: type[ConversationRow | WhiteboardSessionRow]
    """Those that there are, and who is in them: to be read only."""
    known_members: type[MemberRow | WhiteboardMemberRow]
    key: str
    """What members and calls call the column with the scope's id."""

    def scope_id(self, row: Any) -> Any:
        """That column of `members` or `calls`, or of an alias of theirs."""
        return getattr(row, self.key)


OF_KIND: Final = {
    ScopeKind.CONVERSATION: KindTables(
        ConversationRow, MemberRow, CallRow, KnownConversationRow, KnownMemberRow, "conversation_id"
    ),
    ScopeKind.WHITEBOARD_SESSION: KindTables(
        WhiteboardSessionRow,
        WhiteboardMemberRow,
        WhiteboardCallRow,
        KnownWhiteboardSessionRow,
        KnownWhiteboardMemberRow,
        "session_id",
    ),
}
