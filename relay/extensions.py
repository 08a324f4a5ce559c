"""What a program that embeds the relay may bring along: `create_app(settings, extensions=Extensions(…))`.

docs/embedding.md says what each is for.
"""

from dataclasses import dataclass

from relay.http.identity import Identification, Identity
from relay.ids import Place, PlaceKind, Profile
from relay.signaling.calls.extensions import CallFacts, CallHooks, CallPolicy, CallRequest, Verdict
from relay.signaling.ports import Eligibility, Privacy, ProfileCard

__all__ = [
    "CallFacts",
    "CallHooks",
    "CallPolicy",
    "CallRequest",
    "Eligibility",
    "Extensions",
    "Identification",
    "Identity",
    "Place",
    "PlaceKind",
    "Privacy",
    "Profile",
    "ProfileCard",
    "Verdict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """Each of them may be left out."""

    policy: CallPolicy | None = None
    """Who may call whom, beside the built-in rules."""
    identification: Identification | None = None
    """Authentication of users, beside the relay's tokens."""
    hooks: CallHooks | None = None
    """Hooks for what happens to calls."""
