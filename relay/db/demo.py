"""The people of development mode: the profiles to sign in as, and which of them may call each other."""

from itertools import combinations

from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.directory import insert_profile
from relay.db.models import OF_KIND, ConnectionRow
from relay.db.profiles import insert_new, values
from relay.db.scopes import advance_sequence, insert_members
from relay.ids import Profile, Scope, ScopeKind
from relay.records.profiles import ProfileCard

STUDENT = Profile("student", 456)
TUTOR = Profile("tutor", 789)
PARENT = Profile("parent", 321)
ADVERTISER = Profile("advertiser", 654)

PROFILES = (
    ProfileCard(STUDENT, "Maya Lindgren", "", 1456),
    ProfileCard(TUTOR, "Daniel Okafor", "", 1789),
    ProfileCard(PARENT, "Elena Lindgren", "", 1321),
    ProfileCard(ADVERTISER, "Victor Hale", "", 1654),
)

LESSONS = Scope(ScopeKind.CONVERSATION, 123)
WHITEBOARD = Scope(ScopeKind.WHITEBOARD_SESSION, 900)

# The advertiser shares no conversation, so that a refused call can be demonstrated.
SCOPES = {
    LESSONS: (STUDENT, TUTOR),
    Scope(ScopeKind.CONVERSATION, 124): (PARENT, TUTOR),
    # So that each of the three can transfer a call to the third.
    Scope(ScopeKind.CONVERSATION, 125): (STUDENT, PARENT),
    WHITEBOARD: (STUDENT, TUTOR),
}

KEEPING_CHAT = {LESSONS}
"""Keeps the chat messages of its calls."""


async def load_demo(engine: AsyncEngine) -> None:
    """Add the demo's profiles, connections, conversations and whiteboard where they are missing. What is there stays as it is."""
    async with engine.begin() as connection:
        for card in PROFILES:
            await insert_profile(connection, card)
        for first, second in combinations(sorted(card.profile for card in PROFILES), 2):
            await insert_new(connection, ConnectionRow, **values(first, "first_"), **values(second, "second_"))
        for scope, members in SCOPES.items():
            if await insert_new(connection, OF_KIND[scope.kind].scopes, id=scope.scope_id, keep_chat=scope in KEEPING_CHAT):
                await insert_members(connection, scope, members)
        for kind in ScopeKind:
            await advance_sequence(connection, kind)
