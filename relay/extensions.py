"""Extensions by the program that embeds the relay: `create_app(settings, extensions=Extensions(…))`.

See docs/embedding.md.
"""

from dataclasses import dataclass

from relay.http.access import identity
from relay.http.access.identity import Identification, Identity
from relay.ids import Profile, Scope, ScopeKind
from relay.records.profiles import Privacy, ProfileCard
from relay.signaling.calls import hooks as call_hooks
from relay.signaling.calls import judge
from relay.signaling.calls.extensions import CallFacts, CallHooks, CallPolicy, CallRequest, Verdict
from relay.signaling.ports import Eligibility

__all__ = [
    "CallFacts",
    "CallHooks",
    "CallPolicy",
    "CallRequest",
    "Eligibility",
    "Extensions",
    "Identification",
    "Identity",
    "Privacy",
    "Profile",
    "ProfileCard",
    "Scope",
    "ScopeKind",
    "Verdict",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extensions:
    """Each extension is optional."""

    policy: CallPolicy | None = None
    """Rules for calls, in addition to the built-in ones."""
    identification: Identification | None = None
    """Authentication of users, in addition to the relay's tokens."""
    hooks: CallHooks | None = None
    """Hooks for the events of calls."""
    policy_timeout: float = judge.PATIENCE
    """Seconds that a caller waits for the policy; then it counts as failed."""
    identification_timeout: float = identity.PATIENCE
    """Seconds that a request waits for the identification; then it counts as failed."""
    hook_timeout: float = call_hooks.PATIENCE
    """Seconds until a hook is given up."""
