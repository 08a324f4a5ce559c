"""Identities."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.ids import MAX_PROFILE_ID, PROFILE_TYPES, Profile, new_id

profiles = st.builds(Profile, st.sampled_from(PROFILE_TYPES), st.integers(1, MAX_PROFILE_ID))


@given(profiles)
def test_a_key_names_its_profile(profile: Profile) -> None:
    assert Profile.parse(profile.key) == profile


def test_a_key_is_type_and_number() -> None:
    assert Profile("student", 456).key == "student_456"
    assert Profile.parse("advertiser_1") == ("advertiser", 1)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "student",
        "student_",
        "_456",
        "student_0",
        "student_-1",
        "student_0456",
        "student_4.5",
        "student_456\n",
        " student_456",
        "student_456 ",
        "Student_456",
        "teacher_456",
        "student__456",
        "student_٤٥٦",
        "student_2147483648",
        "student_99999999999",
        "xstudent_456",
    ],
)
def test_a_malformed_profile_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not a profile key"):
        Profile.parse(key)


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    try:
        assert Profile.parse(text).key == text
    except ValueError as error:
        assert len(str(error)) < 700


def test_fresh_names_are_different_and_fit_into_a_line() -> None:
    names = {new_id() for _ in range(1000)}
    assert len(names) == 1000
    assert all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in names)
