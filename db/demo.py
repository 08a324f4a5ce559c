"""The people of development mode: who can be logged in as, and who may call whom."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.directory import insert_members, insert_new, insert_profile
from db.models import ConversationRow
from relay.ids import Profile
from relay.signaling.ports import ProfileCard

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

# Nobody shares a conversation with the advertiser: to see a call refused.
CONVERSATIONS = {123: (STUDENT, TUTOR), 124: (PARENT, TUTOR)}


async def load_demo(engine: AsyncEngine) -> None:
    """Add the demo's profiles and conversations where they are missing. What is there stays as it is."""
    async with engine.begin() as connection:
        for card in PROFILES:
            await insert_profile(connection, card)
        for conversation_id, members in CONVERSATIONS.items():
            if await insert_new(connection, ConversationRow, id=conversation_id):
                await insert_members(connection, conversation_id, members)
        if engine.dialect.name == "postgresql":
            # An explicit id does not advance the sequence, which would run into it one day.
            await connection.execute(
                text(
                    "SELECT setval('conversations_id_seq', GREATEST(last_value, (SELECT max(id) FROM conversations)))"
                    " FROM conversations_id_seq"
                )
            )
