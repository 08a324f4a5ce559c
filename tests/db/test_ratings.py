import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.personal_data import SqlPersonalData
from relay.db.ratings import SqlRatings
from relay.db.retention import SqlRetention
from relay.ids import Scope, ScopeKind
from relay.records.ratings import CallProblem, CallRating, RatedCall
from relay.settings.retention import RetentionSettings
from tests.db.calls import call, plans, scanned
from tests.db.people import PARENT, STUDENT, T0, TUTOR, after

GOOD = CallRating(5)
BAD = CallRating(2, (CallProblem.ECHO, CallProblem.DELAY), "I heard\0myself.")


@pytest.fixture
def ratings(engine: AsyncEngine) -> SqlRatings:
    return SqlRatings(engine)


async def test_each_party_rates_a_call_and_may_change_its_mind(ratings: SqlRatings, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope, answered=1, reason="hangup")
    assert await ratings.rate(STUDENT.profile, scope.kind, call_id, GOOD, T0) is None
    assert await ratings.rate(TUTOR.profile, scope.kind, call_id, GOOD, T0) is None
    assert await ratings.rate(STUDENT.profile, scope.kind, call_id, BAD, after(1)) == GOOD
    kept = CallRating(2, BAD.problems, "I heard\ufffdmyself.")
    assert await ratings.rating(STUDENT.profile, call_id) == kept
    assert await ratings.rating(TUTOR.profile, call_id) == GOOD
    assert list(await ratings.of(STUDENT.profile)) == [RatedCall(call_id, kept, after(1))]
    assert await ratings.take_back(STUDENT.profile, call_id)
    assert not await ratings.take_back(STUDENT.profile, call_id)
    assert await ratings.rating(TUTOR.profile, call_id) == GOOD


async def test_only_a_party_of_a_call_that_is_over_rates_it(ratings: SqlRatings, scope: Scope, engine: AsyncEngine) -> None:
    over = await call(engine, scope, answered=1, reason="hangup")
    going_on = await call(engine, scope, answered=1, reason=None)
    hidden = await call(engine, scope, hidden_from_callee=True)
    other_kind = next(kind for kind in ScopeKind if kind is not scope.kind)
    refused = [
        (PARENT, scope.kind, over),
        (STUDENT, other_kind, over),
        (STUDENT, scope.kind, going_on),
        (TUTOR, scope.kind, hidden),
        (STUDENT, scope.kind, "f" * 32),
        (STUDENT, scope.kind, "1"),
    ]
    for card, kind, call_id in refused:
        with pytest.raises(LookupError, match="no such call"):
            await ratings.rate(card.profile, kind, call_id, GOOD, T0)
    assert await ratings.rate(STUDENT.profile, scope.kind, hidden, GOOD, T0) is None, "its caller saw it"


async def test_ratings_go_with_their_call_and_with_the_history_of_their_author(
    ratings: SqlRatings, scope: Scope, engine: AsyncEngine
) -> None:
    old, young = await call(engine, scope, reason="hangup", answered=1), await call(engine, scope, started=10 * 86_400)
    for card in (STUDENT, TUTOR):
        for call_id in (old, young):
            await ratings.rate(card.profile, scope.kind, call_id, GOOD, T0)
    settings = RetentionSettings(retain_calls_days=5, retain_whiteboard_calls_days=5)
    await SqlRetention(engine).apply(settings, after(11 * 86_400))
    assert [one.call_id for one in await ratings.of(STUDENT.profile)] == [young]
    assert await SqlPersonalData(engine).erase_history(STUDENT.profile, after(11 * 86_400))
    assert await ratings.of(STUDENT.profile) == []
    assert [one.call_id for one in await ratings.of(TUTOR.profile)] == [young]


async def test_a_profile_exports_what_it_has_said(ratings: SqlRatings, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope, answered=1, reason="hangup")
    await ratings.rate(STUDENT.profile, scope.kind, call_id, CallRating(2, (CallProblem.ECHO,), "Oh"), T0)
    exported = await SqlPersonalData(engine).export(STUDENT.profile)
    assert exported is not None
    assert exported["call_ratings"] == [
        {"call_id": call_id, "score": 2, "problems": ["echo"], "comment": "Oh", "rated_at": T0.isoformat()}
    ]


async def test_nothing_reads_all_ratings(ratings: SqlRatings, scope: Scope, engine: AsyncEngine) -> None:
    call_id = await call(engine, scope, answered=1, reason="hangup")
    for asking in (
        ratings.rate(STUDENT.profile, scope.kind, call_id, GOOD, T0),
        ratings.rating(STUDENT.profile, call_id),
        ratings.of(STUDENT.profile),
        ratings.erase(STUDENT.profile),
    ):
        assert scanned(await plans(engine, asking)) == set()
