"""Who sends the push messages."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from py_vapid import Vapid02

from relay.__main__ import main
from relay.push.vapid import LIFETIME, VapidKey, generate
from relay.settings.all import Settings

SUBJECT = "mailto:operator@relay.test"
T0 = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_key_pair_belongs_together_and_is_new_each_time() -> None:
    (private, public), other = generate(), generate()
    assert VapidKey.parse(private, SUBJECT).public == public
    assert (private, public) != other
    assert (len(private), len(public)) == (43, 87)


@pytest.mark.parametrize("audience", ["https://push.example", "https://push.example:8443"])
def test_a_push_service_can_verify_the_sender_and_its_contact(audience: str) -> None:
    private, public = generate()
    authorization = VapidKey.parse(private, SUBJECT).headers(audience, T0)["Authorization"]
    assert Vapid02.verify(authorization)
    scheme, _, parameters = authorization.partition(" ")
    given = dict(one.split("=", 1) for one in parameters.split(","))
    claims = jwt.decode(given["t"], options={"verify_signature": False})
    assert (scheme, given["k"]) == ("vapid", public)
    assert (claims["aud"], claims["sub"]) == (audience, SUBJECT)
    assert claims["exp"] == (T0 + LIFETIME).timestamp()
    assert claims["exp"] <= (T0 + timedelta(hours=24)).timestamp(), "RFC 8292 section 2"


@pytest.mark.parametrize("subject", ["", "operator@relay.test", "mailto:", "http://relay.test"])
def test_a_subject_that_is_no_contact_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        VapidKey.parse(generate()[0], subject)


@pytest.mark.parametrize(
    "private", ["", "A" * 43, "_" * 43, "A" * 42, "A" * 300, "not base64url, but quite long enough to be it"]
)
def test_an_invalid_key_is_refused_and_not_repeated(private: str) -> None:
    with pytest.raises(ValueError, match="the private key has 32 bytes") as refused:
        VapidKey.parse(private, SUBJECT)
    assert not private or private not in str(refused.value)


def test_the_command_line_makes_settings_that_are_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vapid-keys"]) == 0
    lines = capsys.readouterr().out.splitlines()
    given = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    settings = Settings.from_environment({"RELAY_DEV": "true", **given})
    assert VapidKey.parse(settings.vapid_private_key, settings.vapid_subject).public in lines[-1]
