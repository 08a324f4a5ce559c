"""What the tests of foreign clients share with those of the browser: Chromium, and a relay for each test."""

from pathlib import Path

import pytest

from tests.browser.conftest import browser, driver, open_page, pytest_asyncio_loop_factories, relay
from tests.foreign.media import write_media

__all__ = ["browser", "driver", "media", "open_page", "pytest_asyncio_loop_factories", "relay"]


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What clients send that encode nothing themselves."""
    file = tmp_path_factory.mktemp("media") / "loops.json"
    write_media(file)
    return file
