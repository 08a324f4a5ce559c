"""Web Push (RFC 8030), signed by VAPID (RFC 8292)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from relay.settings.base import PREFIX, Group, Secret


@dataclass(frozen=True, kw_only=True)
class PushSettings(Group):
    vapid_private_key: Secret = ""
    """Private key that Web Push is signed with (`python -m relay vapid-keys` makes one); empty: there is no Web Push."""
    vapid_subject: str = ""
    """Contact address for push services: `mailto:operator@relay.example` or an https URL. Required with the key."""

    def _problems(self) -> Iterator[str]:
        if not self.vapid_private_key and not self.vapid_subject:
            return
        # RFC 8292 section 3.2 has the public half; the private one is 32 bytes.
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", self.vapid_private_key):
            yield f"{PREFIX}VAPID_PRIVATE_KEY: needs 43 characters of base64url; try: python -m relay vapid-keys"
        if not self.vapid_subject.startswith(("mailto:", "https://")):
            yield f"{PREFIX}VAPID_SUBJECT: is neither mailto:ADDRESS nor an https URL"
