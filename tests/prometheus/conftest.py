"""A service under load, and a Prometheus that scrapes it: as long as these tests run, no longer.

What other tests replace in this process, a scrape would meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from service.client import Client
from tests.conftest import Serving
from tests.prometheus.tools import Prometheus, scraping

STREAM, OTHER = "boiler", "pump"
SPECS: dict[str, dict[str, Any]] = {
    STREAM: {
        "learner": {"kind": "rolling_zscore"},
        "indicators": [{"kind": "page_hinkley", "watch": "x.temperature"}, {"kind": "silence"}],
        "threshold": 0.9,
    },
    OTHER: {"learner": {"kind": "sequence_memory"}},
}
UNFIT: list[dict[str, Any]] = [{"x": {"temperature": "warm"}}, {"z": 1}]


@dataclass
class World:
    """What the tests look at."""

    url: str
    prometheus: Prometheus
    posted: int = 0

    def load(self) -> None:
        """Send some of everything: what is learned from, what is an anomaly, what is refused."""
        with Client(self.url) as client:
            events = [self._event() for _ in range(50)]
            client.post(STREAM, [*events, events[0], *UNFIT])
            client.post(STREAM, self._event())
            with client.socket(OTHER) as socket:
                list(socket.post_all([{"x": {"pressure": float(self.posted)}}]))

    def _event(self) -> dict[str, Any]:
        self.posted += 1
        odd = self.posted % 40 == 0
        value = math.sin(self.posted / 3) + 1_000.0 * odd
        return {"id": f"reading-{self.posted}", "x": {"temperature": value}, "y": float(odd)}


@pytest.fixture(scope="package")
def loaded(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that has seen some of everything."""
    with serving(tmp_path_factory.mktemp("watched")) as url:
        with Client(url) as client:
            for name, spec in SPECS.items():
                client.create_stream(name, spec)
        yield url


@pytest.fixture(scope="package")
def world(loaded: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """That service, and a Prometheus that scrapes it."""
    folder = tmp_path_factory.mktemp("prometheus")
    with scraping(urlsplit(loaded).netloc, folder) as prometheus:
        world = World(loaded, prometheus)
        world.load()
        yield world
