"""The people in these tests."""

from datetime import UTC, datetime, timedelta

from relay.ids import Profile
from relay.records.profiles import ProfileCard

STUDENT = ProfileCard(Profile("student", 456), "Maya", "/avatars/maya.png", 1456)
TUTOR = ProfileCard(Profile("tutor", 789), "Émile", "")
PARENT = ProfileCard(Profile("parent", 321), "zoe", "")
STRANGER = ProfileCard(Profile("advertiser", 654), "Victor", "")

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """The instant that many seconds after `T0`."""
    return T0 + timedelta(seconds=seconds)
