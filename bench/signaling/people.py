"""A database with pairs of people who share a conversation, and their credentials."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import jwt
from sqlalchemy import insert

from relay.db.engine import create_engine
from relay.db.models import ConversationRow, MemberRow, ProfileRow
from relay.db.schema.migrate import upgrade
from relay.ids import Profile

SECRET: Final = "the benchmark's own secret, 32 characters long"


class Pair(NamedTuple):
    caller: Profile
    callee: Profile
    conversation_id: int


async def make_pairs(url: str, count: int) -> list[Pair]:
    """Fill a new database with `count` students, as many tutors, and a conversation of each two."""
    pairs = [Pair(Profile("student", number), Profile("tutor", number), number) for number in range(1, count + 1)]
    engine = create_engine(url)
    try:
        await upgrade(engine)
        async with engine.begin() as connection:
            people = [profile for pair in pairs for profile in pair[:2]]
            await connection.execute(insert(ProfileRow), [{**one._asdict(), "name": one.key} for one in people])
            await connection.execute(insert(ConversationRow), [{"id": pair.conversation_id} for pair in pairs])
            members = [{"conversation_id": pair.conversation_id, **profile._asdict()} for pair in pairs for profile in pair[:2]]
            await connection.execute(insert(MemberRow), members)
    finally:
        await engine.dispose()
    return pairs


def token(profile: Profile) -> str:
    """A credential for an hour."""
    return jwt.encode({"sub": profile.key, "exp": datetime.now(UTC) + timedelta(hours=1)}, SECRET, algorithm="HS256")
