from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.revocations import SqlRevocations
from relay.records.calls import Revocation, RevocationCause
from tests.db.people import STUDENT, TUTOR, after

REVOKED, DELETED = RevocationCause


async def test_the_latest_revocation_of_a_profile_and_cause_counts(engine: AsyncEngine) -> None:
    revocations = SqlRevocations(engine)
    first = Revocation(STUDENT.profile, REVOKED, after(0), after(1))
    deleted = Revocation(STUDENT.profile, DELETED, after(2), after(2))
    everybody = Revocation(None, REVOKED, after(-9), after(3))
    later = Revocation(STUDENT.profile, REVOKED, after(3), after(4))
    for one in (first, deleted, everybody):
        await revocations.put(one)
    assert await revocations.changed_since(None) == [first, deleted, everybody]
    await revocations.put(later)
    assert await revocations.changed_since(None) == [deleted, everybody, later]
    assert await revocations.changed_since(after(3)) == [everybody, later]


async def test_a_profile_that_is_added_again_gets_back_what_its_deletion_took(engine: AsyncEngine) -> None:
    revocations = SqlRevocations(engine)
    revoked = Revocation(STUDENT.profile, REVOKED, after(0), after(0))
    others = Revocation(TUTOR.profile, DELETED, after(0), after(0.5))
    for one in (revoked, others, Revocation(STUDENT.profile, DELETED, after(1), after(1))):
        await revocations.put(one)
    for at in (5, 6):
        await revocations.restore([STUDENT.profile], after(at))
    lifted = Revocation(STUDENT.profile, DELETED, None, after(5))
    assert await revocations.changed_since(None) == [revoked, others, lifted]
