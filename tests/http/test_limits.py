"""How often something may be done."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from relay.http.limits import MAX_KEYS, HttpLimits, Limit, TooMany
from relay.settings.limits import LimitSettings
from relay.signaling.ports import Action, Limiter
from tests.http.conftest import STUDENT, TUTOR, bearer, socket_of


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_limit_counts_for_each_by_itself() -> None:
    limit = Limit("2/minute", Clock())
    assert [limit.admits("a") for _ in range(3)] == [True, True, False]
    assert limit.admits("b")


def test_a_window_begins_with_the_first_count_and_ends_after_its_time() -> None:
    clock = Clock()
    limit = Limit("2/minute", clock)
    limit.admits("a")
    clock.now += 30.5
    assert (limit.admits("a"), limit.reached("a"), limit.admits("a")) == (True, True, False)
    assert limit.retry_after("a") == 30
    clock.now += 29.5
    assert not limit.reached("a")
    assert limit.admits("a")


def test_several_windows_count_together() -> None:
    clock = Clock()
    limit = Limit("2/second; 3/minute", clock)
    assert [limit.admits("a") for _ in range(3)] == [True, True, False]
    assert limit.retry_after("a") == 60, "what was refused has counted too"
    clock.now += 1
    assert not limit.admits("a")
    clock.now += 59
    assert limit.admits("a")


def test_a_limit_that_is_off_is_never_reached() -> None:
    limit = Limit("off")
    assert all(limit.admits("a") for _ in range(1000))
    assert not limit.reached("a")


def test_peeking_at_a_limit_counts_nothing() -> None:
    limit = Limit("1/minute", Clock())
    assert not any(limit.reached("a") for _ in range(10))
    assert limit.admits("a")


def test_clients_with_ever_new_keys_take_bounded_memory() -> None:
    clock = Clock()
    limit = Limit("1/minute", clock)
    [(_, window)] = limit._windows
    for number in range(MAX_KEYS + 500):
        limit.admits(f"{number}")
    assert len(window.storage._open) == MAX_KEYS  # type: ignore[attr-defined]
    assert not limit.admits(f"{MAX_KEYS}"), "the latest are still known"
    clock.now += 60
    for number in range(MAX_KEYS):
        limit.admits("only one" if number % 2 else f"later {number}")
    assert len(window.storage._open) < MAX_KEYS  # type: ignore[attr-defined]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 40))))
def test_no_more_than_the_limit_is_admitted_in_any_window(steps: list[tuple[str, float]]) -> None:
    clock = Clock()
    limit = Limit("3/minute", clock)
    windows: dict[str, tuple[float, int]] = {}
    for key, pause in steps:
        clock.now += pause
        ends, count = windows.get(key, (0.0, 0))
        windows[key] = (ends, count + 1) if clock.now < ends else (clock.now + 60, 1)
        assert limit.reached(key) == (ends > clock.now and count >= 3)
        assert limit.admits(key) == (windows[key][1] <= 3)


# -- messages -------------------------------------------------------------------------------------------------------------


def test_messages_and_invitations_are_counted_apart() -> None:
    limits: Limiter = HttpLimits(LimitSettings(limit_messages="2/minute", limit_invitations="1/minute"), Clock())
    assert limits.admits(Action.MESSAGE, STUDENT, "192.0.2.1")
    assert limits.admits(Action.INVITATION, STUDENT, "192.0.2.1")
    assert not limits.admits(Action.INVITATION, STUDENT, "192.0.2.1")
    assert limits.admits(Action.MESSAGE, STUDENT, None)
    assert not limits.admits(Action.MESSAGE, STUDENT, None)
    assert limits.admits(Action.MESSAGE, TUTOR, None)


def test_many_profiles_of_one_address_have_one_limit_together() -> None:
    limits = HttpLimits(LimitSettings(limit_messages_per_address="2/minute"), Clock())
    assert limits.admits(Action.MESSAGE, STUDENT, "192.0.2.1")
    assert limits.admits(Action.MESSAGE, TUTOR, "192.0.2.1")
    assert not limits.admits(Action.MESSAGE, STUDENT, "192.0.2.1")
    assert limits.admits(Action.MESSAGE, STUDENT, "192.0.2.2")
    assert limits.refused == {"messages_per_address": 1}


def test_a_host_has_one_limit_however_many_ipv6_addresses_it_takes() -> None:
    limits = HttpLimits(LimitSettings(limit_messages_per_address="1/minute"), Clock())
    assert limits.admits(Action.MESSAGE, STUDENT, "2001:db8:0:1::1")
    assert not limits.admits(Action.MESSAGE, STUDENT, "2001:db8:0:1:ffff::2")
    assert limits.admits(Action.MESSAGE, STUDENT, "2001:db8:0:2::1")


def test_a_profile_over_its_limit_does_not_count_for_its_address() -> None:
    limits = HttpLimits(LimitSettings(limit_messages="1/minute", limit_messages_per_address="3/minute"), Clock())
    assert [limits.admits(Action.MESSAGE, STUDENT, "192.0.2.1") for _ in range(50)].count(True) == 1
    assert limits.admits(Action.MESSAGE, TUTOR, "192.0.2.1")
    assert limits.refused == {"messages": 49}


# -- requests -------------------------------------------------------------------------------------------------------------


@pytest.mark.settings(limit_requests="3/minute")
async def test_too_many_requests_get_a_retry_after(http: aiohttp.ClientSession) -> None:
    for path in ("/", "/nothing", "/healthz"):
        async with http.get(path) as response:
            assert response.status != 429
    for path in ("/", "/api/profiles", "/nothing"):
        async with http.get(path, headers={"Authorization": "Bearer guess"}) as response:
            assert (response.status, response.content_type) == (429, "application/json")
            assert (await response.json())["error"]["code"] == "too_many_requests"
            assert 1 <= int(response.headers["Retry-After"]) <= 60
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.settings(limit_requests="2/minute", trusted_proxies=("127.0.0.1",))
async def test_each_client_behind_a_proxy_has_its_own_limit(http: aiohttp.ClientSession) -> None:
    for last in range(10):
        for _ in range(2):
            async with http.get("/healthz", headers={"X-Forwarded-For": f"192.0.2.{last}"}) as response:
                assert response.status == 200
    async with http.get("/healthz", headers={"X-Forwarded-For": "192.0.2.9"}) as response:
        assert response.status == 429


@pytest.mark.settings(limit_connections="2/minute")
async def test_connections_are_limited_before_their_credential_is_checked(http: aiohttp.ClientSession) -> None:
    statuses = []
    for _ in range(3):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect("/ws/456/student")
        statuses.append(refused.value.status)
    assert statuses == [401, 401, 429]
    async with http.get("/healthz") as response:
        assert response.status == 200


@pytest.mark.settings(limit_requests="5/minute", limit_connections="2/minute")
async def test_too_many_requests_do_not_limit_signed_in_clients_at_the_same_address(http: aiohttp.ClientSession) -> None:
    """Many people have one address: a school, an office, a whole provider."""
    for _ in range(8):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect("/ws/456/student")
    async with http.get("/api/profiles", headers=bearer("student_456")) as response:
        assert response.status == 200
    async with socket_of(http, "student_456"), socket_of(http, "tutor_789"):
        pass


@pytest.mark.settings(limit_requests="2/minute", limit_requests_per_profile="3/minute")
async def test_a_profile_beyond_the_limit_of_its_address_has_one_of_its_own(http: aiohttp.ClientSession) -> None:
    async def status(key: str) -> int:
        async with http.get("/api/profiles", headers=bearer(key)) as response:
            return response.status

    assert [await status("student_456") for _ in range(6)] == [200] * 5 + [429]
    assert await status("tutor_789") == 200


def test_failed_logins_are_counted_by_address() -> None:
    limits, request = HttpLimits(LimitSettings(limit_failed_logins="1/minute"), Clock()), make_mocked_request("GET", "/")
    limits.count_failed_login(request)
    for number in range(1, 4):
        with pytest.raises(TooMany) as refused:
            limits.count_failed_login(request)
        assert refused.value.retry_after == 60
        assert limits.refused == {"failed_logins": number}


# -- several nodes ----------------------------------------------------------------------------------------------------


class Engine:
    """A `Tally` in memory, as the nodes of a test share one."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.counts: dict[str, tuple[float, int]] = {}
        self.away = False

    def __call__(self, windows: Mapping[str, int], tell: Callable[[Sequence[tuple[int, float]]], None]) -> None:
        if self.away:
            return
        for name, seconds in windows.items():
            ends, count = self.counts.get(name, (0.0, 0))
            self.counts[name] = (ends, count + 1) if ends > self.clock.now else (self.clock.now + seconds, 1)
        tell([(self.counts[name][1], self.counts[name][0] - self.clock.now) for name in windows])


@pytest.fixture
def engine() -> Engine:
    return Engine(Clock())


def nodes(engine: Engine, **settings: str) -> tuple[HttpLimits, HttpLimits]:
    limits = LimitSettings(**settings)
    return HttpLimits(limits, engine.clock, tally=engine), HttpLimits(limits, engine.clock, tally=engine)


def invites(limits: HttpLimits) -> bool:
    return limits.admits(Action.INVITATION, TUTOR, None)


def test_invitations_of_a_profile_count_at_all_nodes_together(engine: Engine) -> None:
    one, other = nodes(engine, limit_invitations="3/minute")
    assert [invites(one), invites(other), invites(one), invites(one)] == [True, True, True, False]
    assert invites(other), "it knows of two, and learns of this one that it was the fourth"
    assert not invites(other)
    engine.clock.now += 60
    assert [invites(other), invites(one)] == [True, True]


def test_a_window_ends_at_all_nodes_at_the_same_time(engine: Engine) -> None:
    one, other = nodes(engine, limit_invitations="2/minute")
    invites(one)
    engine.clock.now += 40
    assert [invites(other), invites(other)] == [True, False], "the window began at the first node"
    engine.clock.now += 21
    assert [invites(other), invites(other), invites(other)] == [True, True, False]


def test_each_node_goes_by_its_own_windows_while_the_engine_is_away(engine: Engine) -> None:
    one, other = nodes(engine, limit_invitations="2/minute")
    engine.away = True
    for limits in (one, other):
        assert [invites(limits) for _ in range(3)] == [True, True, False]


def test_what_the_engine_says_late_takes_nothing_back_that_was_counted_meanwhile(engine: Engine) -> None:
    late: list[Callable[[], None]] = []

    def slow(windows: Mapping[str, int], tell: Callable[[Sequence[tuple[int, float]]], None]) -> None:
        engine(windows, lambda found: late.append(partial(tell, found)))

    limits = HttpLimits(LimitSettings(limit_invitations="3/minute"), engine.clock, tally=slow)
    assert [invites(limits) for _ in range(2)] == [True, True]
    late[0]()
    assert [invites(limits) for _ in range(2)] == [True, False]


def test_what_is_refused_and_what_is_frequent_is_not_told_to_other_nodes(engine: Engine) -> None:
    limits, _ = nodes(engine, limit_invitations="1/minute;5/hour")
    for _ in range(3):
        invites(limits)
        limits.admits(Action.MESSAGE, TUTOR, "192.0.2.1")
        limits.exceeded(make_mocked_request("GET", "/"))
    assert [count for _, count in engine.counts.values()] == [1, 1]
    assert {name.split(":")[0] for name in engine.counts} == {"invitations"}


def test_failed_logins_of_an_address_count_at_all_nodes_together(engine: Engine) -> None:
    one, other = nodes(engine, limit_failed_logins="2/minute")
    request = make_mocked_request("GET", "/")
    one.count_failed_login(request)
    one.count_failed_login(request)
    other.count_failed_login(request)
    with pytest.raises(TooMany):
        other.count_failed_login(request)


def test_a_limit_that_is_off_is_not_counted_for_all_nodes() -> None:
    told: list[Mapping[str, int]] = []
    limits = HttpLimits(LimitSettings(limit_invitations="off"), tally=lambda windows, _tell: told.append(windows))
    assert limits.admits(Action.INVITATION, STUDENT, None)
    assert told == []
