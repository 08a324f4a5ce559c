"""Errors, split by blame.

`RelayError` and its subclasses are caused from outside: a peer's bytes, an operator's setting. They carry a text that may
be shown to their sender and end at the edge. A broken invariant of ours is an `AssertionError`.

    RelayError
    ├── ConfigurationError     a setting is wrong: the process does not start
    ├── ReadOnly               the data come from views of the platform
    ├── Unauthorized           the credential is missing or not valid
    │   └── Expired            (relay.http.access.auth) the token was valid, and has expired
    ├── TooMany                (relay.http.limits) a rate limit is reached
    ├── SignalingError         a client's message; has a `code` and is answered with `{type: "error"}`
    ├── Unavailable            the database is away or busy; answered to the client, and logged once
    │   └── Unanswered         another server has not answered in time: it may have done what it was asked for
    ├── LostRace               a conditional update found that another writer was first
    │   └── TakenOver          another server owns the call now: this one has nothing more to say about it
    └── WorkerLost             (relay.media.api) the process that had the call's media has died
"""


class RelayError(Exception):
    """Base of every error whose cause lies outside the relay."""


class ConfigurationError(RelayError):
    """A setting is missing or invalid. One line per problem."""


class ReadOnly(RelayError):
    """The data come from views of the platform's database, so the relay cannot change them."""


class Unauthorized(RelayError):
    """The credential is missing, malformed, expired or signed by another issuer."""


class SignalingError(RelayError):
    """A client's message that is refused.

    Attributes:
        code: stable, machine-readable; listed in docs/protocol.md.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unavailable(RelayError):
    """The database is away, or busy. The client may retry a little later."""


class Unanswered(Unavailable):
    """Another server has not answered in time. It may have done what it was asked for, or do it yet."""


class LostRace(RelayError):
    """A conditional update matched no row: another writer changed it first."""


class TakenOver(LostRace):
    """The row of a call belongs to another incarnation: another process has taken the call over."""
