"""Errors, split by blame.

`RelayError` and its subclasses are caused from outside: a peer's bytes, an operator's setting. They carry a text that may
be shown to their sender and end at the edge. A broken invariant of ours is an `AssertionError`.

    RelayError
    ├── ConfigurationError     the operator's: the process does not start
    ├── ReadOnly               what the platform's views tell cannot be changed here
    ├── Unauthorized           no credential, or one that is not good
    │   └── Expired            (relay.http.auth) one that was good once
    ├── TooMany                (relay.http.limits) a limit of rate is reached
    ├── SignalingError         a client's message; has a `code` and is answered with `{type: "error"}`
    ├── Unavailable            what the relay stands on is away: its database; said to the requester, and in the log once
    ├── LostRace               a conditional update found that another writer was first
    └── WorkerLost             (relay.media.api) the process that had the call's media has died
"""


class RelayError(Exception):
    """Base of every error whose cause lies outside the relay."""


class ConfigurationError(RelayError):
    """A setting is missing or makes no sense. One line per problem."""


class ReadOnly(RelayError):
    """The data belongs to the platform, which provides it by views of its database."""


class Unauthorized(RelayError):
    """The credential is missing, malformed, expired or signed by another issuer."""


class SignalingError(RelayError):
    """A message that cannot be taken.

    Attributes:
        code: stable, machine-readable; listed in docs/protocol.md.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unavailable(RelayError):
    """Something that the relay stands on, its database, cannot do its part at the moment. To be tried again a little later."""


class LostRace(RelayError):
    """A row was not in the state that the update asked for: another writer changed it first."""
