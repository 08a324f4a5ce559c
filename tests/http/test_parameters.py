"""What requests name."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from relay.errors import RelayError
from relay.http.parameters import DEFAULT_LIMIT, MAX_LIMIT, cursor_in, flag_in, limit_in, profile_in, scope_in
from relay.ids import Profile, Scope, ScopeKind


def request(query: str = "", **names: str) -> web.Request:
    return make_mocked_request("GET", f"/{query}", match_info=names)


def test_a_page_has_as_many_entries_as_were_asked_for() -> None:
    assert [limit_in(request(query)) for query in ("", "?limit=1", "?limit=007", f"?limit={MAX_LIMIT}")] == [
        DEFAULT_LIMIT,
        1,
        7,
        MAX_LIMIT,
    ]


@pytest.mark.parametrize("limit", ["", "0", "-1", "+1", "1.5", "201", "1_0", "\u0663", "9" * 5000])
def test_a_limit_that_is_out_of_range_or_no_number_is_refused(limit: str) -> None:
    with pytest.raises(RelayError):
        limit_in(request(f"?limit={limit}".replace("+", "%2B")))


def test_a_cursor_is_passed_on_as_it_is() -> None:
    assert (cursor_in(request()), cursor_in(request("?cursor=")), cursor_in(request("?cursor=abc"))) == (None, None, "abc")
    with pytest.raises(RelayError):
        cursor_in(request("?cursor=" + "a" * 257))


def test_a_flag_is_yes_or_no() -> None:
    assert [flag_in(request(query), "missed") for query in ("", "?missed=", "?missed=0", "?missed=False")] == [False] * 4
    assert [flag_in(request(query), "missed") for query in ("?missed=1", "?missed=true")] == [True] * 2
    with pytest.raises(RelayError):
        flag_in(request("?missed=2"), "missed")


def test_a_path_names_a_profile_and_a_scope() -> None:
    assert profile_in(request(profile_type="tutor", profile_id="7")) == Profile("tutor", 7)
    assert scope_in(request(scope_id="7"), ScopeKind.CONVERSATION) == Scope(ScopeKind.CONVERSATION, 7)


@pytest.mark.parametrize("number", ["0", "2147483648", "9" * 5000, "\u0663"])
def test_an_impossible_id_is_not_found(number: str) -> None:
    with pytest.raises(web.HTTPNotFound):
        profile_in(request(profile_type="tutor", profile_id=number))
    with pytest.raises(web.HTTPNotFound):
        scope_in(request(scope_id=number), ScopeKind.CONVERSATION)
