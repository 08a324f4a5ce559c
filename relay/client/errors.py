"""Why something that a program asked of the client did not happen.

RelayError
└── ClientError
    ├── SignInFailed     the relay cannot be reached, or does not accept the credential
    ├── Refused          the relay refuses a message; has its `code`
    ├── CallOver         the call has ended, or was not taken; has the `reason`
    ├── Disconnected     the WebSocket is lost, and the device cannot come back
    └── UnusableMedia    a media file cannot be sent
"""

from relay.errors import RelayError

_SENTENCES = {
    "name": "there is no such host",
    "refused": "connections are refused",
    "silent": "it does not answer",
    "certificate": "its TLS certificate is not valid",
    "not_relay": "it is no relay",
    "unauthorized": "the relay does not accept the credential",
    "broken": "the relay answers with an error",
    "upgrade": "the WebSocket is refused",
}


class ClientError(RelayError):
    """Base of the client's errors."""


class SignInFailed(ClientError):
    """The relay does not answer as one, or does not accept the credential.

    Attributes:
        reason: `name` (no such host), `refused`, `silent`, `certificate`, `not_relay`, `unauthorized`, `upgrade` (a proxy lets no
            WebSocket through) or `broken`.
        detail: more about it, to be shown to people; may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        sentence = _SENTENCES.get(reason, reason)
        super().__init__(f"{sentence}: {detail}" if detail else sentence)
        self.reason = reason
        self.detail = detail


class Refused(ClientError):
    """The relay has refused a message.

    Attributes:
        code: as in the table of docs/protocol.md.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code


class CallOver(ClientError):
    """The call has ended, or was never taken.

    Attributes:
        reason: of `call_ended` or `call_declined`: `hangup`, `rejected`, `no_answer`…
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the call is over: {reason}")
        self.reason = reason


class Disconnected(ClientError):
    """The connection to the relay is lost, and the time to come back is over; or the client was closed."""


class UnusableMedia(ClientError):
    """A media file cannot be sent: unreadable, empty, or too large."""
