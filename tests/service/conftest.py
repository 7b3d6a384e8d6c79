"""A real server for the tests of what processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import valkey


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.Server]:
    """A server for all tests of a module."""
    with valkey.running(tmp_path_factory.mktemp("valkey")) as server:
        yield server
