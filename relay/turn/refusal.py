"""Why a request is not granted: the error codes of RFC 8489 section 14.8 and RFC 8656 section 19."""

from typing import Any, Final

from relay.errors import RelayError

REASONS: Final = {
    400: "Bad Request",
    401: "Unauthenticated",
    403: "Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    440: "Address Family not Supported",
    441: "Wrong Credentials",
    442: "Unsupported Transport Protocol",
    443: "Peer Address Family Mismatch",
    486: "Allocation Quota Reached",
    508: "Insufficient Capacity",
}


class Refusal(RelayError):
    """A request that is answered with an error.

    Attributes:
        code: the STUN error code; one of `REASONS`.
        counter: what counts it, of `relay.turn.counters.NAMES`.
        attributes: what the answer carries beside ERROR-CODE, by name.
    """

    def __init__(self, code: int, counter: str, **attributes: Any) -> None:
        super().__init__(f"{code} {REASONS[code]}")
        self.code = code
        self.counter = counter
        self.attributes = {name.replace("_", "-").upper(): value for name, value in attributes.items()}
