"""A real server on a real socket, in a thread of the test process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import uvicorn

from service.client import Client


@contextmanager
def _serving(data_dir: Path, **settings: Any) -> Iterator[str]:
    """Run a server with its data in a folder; yield its address."""
    from service.app import Server, create_app, listen
    from service.settings import Settings

    chosen = Settings(data_dir=data_dir, port=0, **settings)
    with listen(chosen) as listener:
        app = create_app(chosen)
        config = uvicorn.Config(app, log_config=None, ws_max_size=chosen.max_frame_bytes)
        server = Server(config, app.state.api)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            with Client(url) as client:
                client.wait_until_ready()
            yield url
        finally:
            server.handle_exit(2, None)
            thread.join(30)


class Serving(Protocol):
    """Runs a server with its data in a folder, as long as the block, and gives its address."""

    def __call__(self, data_dir: Path, **settings: Any) -> AbstractContextManager[str]:
        """Enter the block."""


@pytest.fixture(scope="session", autouse=True)
def log_stays_as_it_is() -> Iterator[None]:
    """Keep commands run in this process from sending its log to a stream that a test captured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.logs.configure", lambda level: None)
        yield


@pytest.fixture(scope="session")
def serving() -> Serving:
    """A way to run servers of one's own."""
    return _serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that all tests share: each takes stream names of its own."""
    with _serving(tmp_path_factory.mktemp("data")) as url:
        yield url
