"""Revocations by other servers, in virtual time."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

import pytest

from relay.errors import Unavailable
from relay.http.access.revocations import INTERVAL, Revocations
from relay.ids import Profile
from relay.records.calls import Revocation, RevocationCause
from tests.kit.clock import in_virtual_time
from tests.signaling.people import STUDENT

AT = datetime(2026, 3, 1, tzinfo=UTC)


class Store:
    """What other servers have written, unless it `fails`."""

    def __init__(self) -> None:
        self.found: list[Revocation] = []
        self.failure: Exception | None = None

    async def put(self, revocation: Revocation) -> None:
        raise AssertionError("the test revokes nothing")

    async def changed_since(self, since: datetime | None) -> Sequence[Revocation]:
        if self.failure:
            raise self.failure
        return self.found

    async def restore(self, profiles: Collection[Profile], at: datetime) -> None:
        raise AssertionError("the test adds no profile")


@pytest.mark.parametrize(("failure", "lines"), [(Unavailable("away"), 0), (RuntimeError("ours"), 1)])
@in_virtual_time
async def test_polling_continues_after_a_failure_and_does_not_log_an_outage_again(
    caplog: pytest.LogCaptureFixture, failure: Exception, lines: int
) -> None:
    store, told = Store(), list[Revocation]()

    async def tell(revocation: Revocation, _: float) -> None:
        told.append(revocation)

    revocations = Revocations(store, tell)
    await revocations.start()
    store.failure = failure
    await asyncio.sleep(10 * INTERVAL)
    assert len(caplog.records) == lines
    store.failure = None
    store.found = [Revocation(STUDENT, RevocationCause.REVOKED, AT, AT)]
    await asyncio.sleep(INTERVAL)
    assert told == store.found
    assert revocations.revokes(STUDENT, AT.timestamp() - 1)
    await revocations.close()


@in_virtual_time
async def test_what_another_server_says_that_it_has_revoked_is_found_at_once() -> None:
    store, told = Store(), list[Revocation]()

    async def tell(revocation: Revocation, _: float) -> None:
        told.append(revocation)

    revocations = Revocations(store, tell)
    await revocations.start()
    store.found = [Revocation(STUDENT, RevocationCause.REVOKED, AT, AT)]
    revocations.look()
    await asyncio.sleep(INTERVAL / 10)
    assert told == store.found
    await revocations.close()
