"""What a program gets with the library that it does not use."""

import subprocess
import sys

SERVER = ("aiohttp.web", "sqlalchemy", "alembic", "jwt", "jinja2", "numpy", "relay.media", "relay.signaling", "relay.settings")


def test_the_client_comes_without_the_server_and_the_database() -> None:
    program = f"import sys, relay.client; print([name for name in {SERVER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
