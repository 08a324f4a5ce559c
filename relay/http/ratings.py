"""`/api/calls/{call_id}/rating`: what the signed-in profile says of a call of its own."""

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final, Self

import msgspec
from aiohttp import web
from msgspec import Meta

from relay.http.access.auth import HttpAuthenticator
from relay.http.api import DescribedRoute, Operation, delete, put
from relay.http.parameters import CALL
from relay.http.ports import CallRatings
from relay.http.responses import body_of
from relay.ids import ScopeKind
from relay.records.ratings import HIGHEST_SCORE, LOWEST_SCORE, MAX_COMMENT_LENGTH, CallProblem, CallRating
from relay.signaling.calls.service import Calls

Score = Annotated[int, Meta(ge=LOWEST_SCORE, le=HIGHEST_SCORE, description="1 (bad) to 5 (excellent).")]


class RatingBody(msgspec.Struct, frozen=True):
    """What a party says of a call."""

    score: Score
    problems: Annotated[list[CallProblem], Meta(max_length=len(CallProblem))] = msgspec.field(default_factory=list)
    comment: Annotated[str, Meta(max_length=MAX_COMMENT_LENGTH)] = ""

    @property
    def rating(self) -> CallRating:
        said = set(self.problems)
        return CallRating(self.score, tuple(one for one in CallProblem if one in said), self.comment.strip())


class RatingView(msgspec.Struct, frozen=True):
    """`relay.records.ratings.CallRating`, as the API shows it."""

    score: Score
    problems: list[CallProblem]
    comment: str

    @classmethod
    def of(cls, rating: CallRating) -> Self:
        return cls(rating.score, list(rating.problems), rating.comment)


class RatingCounters:
    """What parties have said of calls since the server started.

    Attributes:
        scores: ratings by score.
        problems: how often each problem was named.
    """

    def __init__(self) -> None:
        self.scores: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()

    def add(self, rating: CallRating, before: CallRating | None) -> None:
        """Count a rating that takes the place of another one. A party that changes its mind counts once, with its first score."""
        if before is None:
            self.scores[str(rating.score)] += 1
        known = () if before is None else before.problems
        for problem in rating.problems:
            if problem not in known:
                self.problems[problem.value] += 1


def routes(path: str, kind: ScopeKind) -> list[DescribedRoute]:
    """The resource of one kind of calls, below `path`."""
    return [
        put(
            f"{path}/{CALL}/rating",
            partial(_rate, kind=kind),
            Operation(
                "Says how good a call of the profile's own was, once it is over; in place of what the profile said before.",
                body=RatingBody,
                errors={404: "The profile has no such call, or it is not over."},
            ),
        ),
        delete(f"{path}/{CALL}/rating", _take_back, Operation("Takes back what the profile said of a call.")),
    ]


async def _rate(
    request: web.Request,
    *,
    kind: ScopeKind,
    who: HttpAuthenticator,
    calls: Calls,
    ratings: CallRatings,
    counters: RatingCounters,
) -> web.Response:
    profile = (await who.signed_in(request)).profile
    rating = (await body_of(request, RatingBody)).rating
    await calls.written()  # a party may be asked in the moment in which its call ends
    try:
        before = await ratings.rate(profile, kind, request.match_info["call_id"], rating, datetime.now(UTC))
    except LookupError as error:
        raise web.HTTPNotFound(text=str(error)) from None
    counters.add(rating, before)
    return web.Response(status=204)


async def _take_back(request: web.Request, *, who: HttpAuthenticator, ratings: CallRatings) -> web.Response:
    await ratings.take_back((await who.signed_in(request)).profile, request.match_info["call_id"])
    return web.Response(status=204)


ROUTES: Final = [
    *routes("/api/calls", ScopeKind.CONVERSATION),
    *routes("/api/whiteboard/calls", ScopeKind.WHITEBOARD_SESSION),
]
