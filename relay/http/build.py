"""What runs here: the metric `relay_build_info`."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

_PACKAGES: Final = ("aiohttp", "aiortc", "sqlalchemy")
"""Whose versions a report of a fault needs first."""


class Build(Collector):
    """The version of the relay, of Python, and of what the relay stands on, as labels of a gauge that is always 1.

    Attributes:
        version: of the relay.
    """

    def __init__(self) -> None:
        # None of them changes while the process runs.
        self.version = _version("call-relay")
        self._versions = {
            "version": self.version,
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        }

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("relay_build", "versions of the relay and of what it stands on", value=self._versions)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


BUILD: Final = Build()
