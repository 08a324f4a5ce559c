import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from relay.db.platform import SqlPlatform
from relay.db.push import MAX_FAILURES, MAX_SUBSCRIPTIONS, SqlPushSubscriptions
from relay.ids import Profile
from relay.records.calls import MAX_ENDPOINT_LENGTH, MAX_PUSH_KEY_LENGTH, PushSubscription
from tests.db.calls import plans, scanned
from tests.db.people import STUDENT, T0, TUTOR, after

HERE = "https://push.example/here"


@pytest.fixture
def push(engine: AsyncEngine, platform: SqlPlatform) -> SqlPushSubscriptions:
    return SqlPushSubscriptions(engine)


async def endpoints(push: SqlPushSubscriptions, profile: Profile) -> list[str]:
    return [subscription.endpoint for subscription in await push.of(profile)]


async def test_a_browser_is_registered_with_its_keys(push: SqlPushSubscriptions) -> None:
    assert await push.add(TUTOR.profile, HERE, "key", "secret", T0)
    assert await push.of(TUTOR.profile) == [PushSubscription(HERE, "key", "secret", T0, T0, 0)]
    assert await push.of(STUDENT.profile) == []


async def test_a_browser_that_registers_again_brings_its_keys_up_to_date(push: SqlPushSubscriptions) -> None:
    await push.add(TUTOR.profile, HERE, "key", "secret", T0)
    await push.failed(HERE)
    assert not await push.add(TUTOR.profile, HERE, "new key", "new secret", after(10))
    assert await push.of(TUTOR.profile) == [PushSubscription(HERE, "new key", "new secret", T0, after(10), 0)]


async def test_a_browser_belongs_to_the_profile_that_registered_it_last(push: SqlPushSubscriptions) -> None:
    await push.add(TUTOR.profile, HERE, "key", "secret", T0)
    assert await push.add(STUDENT.profile, HERE, "new key", "new secret", after(10))
    assert await push.of(TUTOR.profile) == []
    assert await push.of(STUDENT.profile) == [PushSubscription(HERE, "new key", "new secret", after(10), after(10), 0)]
    assert not await push.remove(TUTOR.profile, HERE)
    assert await endpoints(push, STUDENT.profile) == [HERE]


async def test_the_longest_that_fits_is_registered(push: SqlPushSubscriptions) -> None:
    endpoint = "https://push.example/".ljust(MAX_ENDPOINT_LENGTH, "x")
    await push.add(TUTOR.profile, endpoint, "k" * MAX_PUSH_KEY_LENGTH, "s" * MAX_PUSH_KEY_LENGTH, T0)
    assert await endpoints(push, TUTOR.profile) == [endpoint]


async def test_a_subscription_for_an_unknown_profile_is_refused(push: SqlPushSubscriptions) -> None:
    with pytest.raises(ValueError, match="no such profile: tutor_1"):
        await push.add(Profile("tutor", 1), HERE, "key", "secret", T0)


async def test_a_new_browser_takes_the_place_of_the_one_that_was_silent_for_longest(push: SqlPushSubscriptions) -> None:
    for number in range(MAX_SUBSCRIPTIONS):
        await push.add(TUTOR.profile, f"{HERE}/{number}", "key", "secret", after(number))
    await push.add(STUDENT.profile, HERE, "key", "secret", T0)
    await push.delivered(f"{HERE}/0", after(50))
    await push.add(TUTOR.profile, f"{HERE}/new", "key", "secret", after(60))
    remaining = [f"{HERE}/{number}" for number in range(MAX_SUBSCRIPTIONS - 1, 1, -1)]
    assert await endpoints(push, TUTOR.profile) == [f"{HERE}/new", f"{HERE}/0", *remaining]
    assert await endpoints(push, STUDENT.profile) == [HERE]


async def test_many_browsers_that_register_at_once_are_no_more_than_may_be(push: SqlPushSubscriptions) -> None:
    adding = (push.add(TUTOR.profile, f"{HERE}/{number}", "key", "secret", T0) for number in range(MAX_SUBSCRIPTIONS + 8))
    await asyncio.gather(*adding)
    assert len(await push.of(TUTOR.profile)) == MAX_SUBSCRIPTIONS


async def test_a_browser_registered_many_times_at_once_is_there_once(push: SqlPushSubscriptions) -> None:
    owners = (TUTOR.profile, STUDENT.profile)
    await asyncio.gather(*(push.add(owners[number % 2], HERE, "key", "secret", T0) for number in range(8)))
    assert len([*await push.of(TUTOR.profile), *await push.of(STUDENT.profile)]) == 1


async def test_a_profile_removes_a_browser(push: SqlPushSubscriptions) -> None:
    await push.add(TUTOR.profile, HERE, "key", "secret", T0)
    assert await push.remove(TUTOR.profile, HERE)
    assert not await push.remove(TUTOR.profile, HERE)
    assert await push.of(TUTOR.profile) == []


async def test_a_browser_that_is_gone_at_the_push_service_is_removed(push: SqlPushSubscriptions) -> None:
    await push.add(TUTOR.profile, HERE, "key", "secret", T0)
    await push.add(TUTOR.profile, f"{HERE}/other", "key", "secret", T0)
    await push.gone(HERE)
    await push.gone(HERE)
    assert await endpoints(push, TUTOR.profile) == [f"{HERE}/other"]


async def test_failures_count_until_a_message_is_accepted(push: SqlPushSubscriptions) -> None:
    await push.add(TUTOR.profile, HERE, "key", "secret", T0)
    assert not await push.failed(HERE)
    assert not await push.failed(HERE)
    assert [one.failures for one in await push.of(TUTOR.profile)] == [2]
    await push.delivered(HERE, after(10))
    assert await push.of(TUTOR.profile) == [PushSubscription(HERE, "key", "secret", T0, after(10), 0)]


async def test_a_browser_that_always_fails_is_removed(push: SqlPushSubscriptions) -> None:
    await push.add(TUTOR.profile, HERE, "key", "secret", T0)
    assert [await push.failed(HERE) for _ in range(MAX_FAILURES)] == [False] * (MAX_FAILURES - 1) + [True]
    assert await push.of(TUTOR.profile) == []
    assert not await push.failed(HERE)


async def test_subscriptions_are_found_by_keys(push: SqlPushSubscriptions, engine: AsyncEngine) -> None:
    for asking in (push.of(TUTOR.profile), push.gone(HERE), push.delivered(HERE, T0), push.failed(HERE)):
        assert scanned(await plans(engine, asking)) == set()
    assert scanned(await plans(engine, push.add(TUTOR.profile, HERE, "key", "secret", T0))) == set()
