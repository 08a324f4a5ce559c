"""`python -m relay vapid-keys`: what Web Push needs. It reads no settings: there may be none yet."""

import argparse
from typing import Final

from relay.cli.command import Command
from relay.push.vapid import generate


def _run(_: argparse.Namespace) -> int:
    private, public = generate()
    print(f"RELAY_VAPID_PRIVATE_KEY={private}")
    print("RELAY_VAPID_SUBJECT=mailto:operator@relay.example")
    print(f"# The public half, as GET /api/push/key shows it: {public}")
    return 0


VAPID_KEYS: Final = Command(_run)
