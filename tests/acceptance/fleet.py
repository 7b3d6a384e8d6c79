"""A fleet of real processes over one real server: what tests start, kill and stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from service.client import Client
from tests import valkey

ROOT = Path(__file__).parents[2]
PARTITIONS = 32
"""So many that none of three workers goes without: with 8, one in nine times one would."""
LEASE_SECONDS = 2.0


class Asked(Protocol):
    """What knows how a journal stands: a server, or one for a whole cluster."""

    url: str

    def ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands."""


class Member:
    """One process of the fleet."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait_until_ready(self) -> None:
        """Wait until it says that it is."""
        with Client(self.url, reconnect_seconds=120) as client:
            client.wait_until_ready()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self.send(signal.SIGTERM)
        assert self.process.wait(60) == 0


class Fleet:
    """Processes of both roles, and the server they share."""

    def __init__(
        self,
        folder: Path,
        stack: ExitStack,
        url: str,
        command: Sequence[str],
        partitions: int = PARTITIONS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.url = url
        self._lease_seconds = lease_seconds
        self._partitions = partitions
        self._folder = folder
        self._stack = stack
        self._command = list(command)
        self.logs: list[Path] = []

    def start(
        self,
        role: str,
        url: str | None = None,
        port: int | None = None,
        through: Sequence[str] = (),
        tree: Path = ROOT,
        **more: str,
    ) -> Member:
        """Start a process, maybe through another program, of the build in a folder.

        It is killed at the latest with the fleet.
        """
        port = valkey.free_port() if port is None else port
        log = self._folder / f"{role}-{len(self.logs)}.log"
        self.logs.append(log)
        command = [
            *through,
            *self._command,
            "--role",
            role,
            "--port",
            str(port),
            "--redis",
            url or self.url,
        ]
        settings = {
            "SYNAPTIDE_RESULTS_KEPT": "100000000",
            "SYNAPTIDE_LOG_KEPT_ENTRIES": "100000000000",
            "SYNAPTIDE_REDIS_PARTITIONS": str(self._partitions),
            "SYNAPTIDE_LEASE_SECONDS": str(self._lease_seconds),
            "FLEET_MEMBER": str(len(self.logs)),
            "PYTHONPATH": str(tree),
        }
        output = self._stack.enter_context(log.open("ab"))
        process = subprocess.Popen(
            command, cwd=tree, stdout=output, stderr=output, env=os.environ | settings | more
        )
        member = Member(process, port)
        self._stack.callback(member.end)
        return member

    def said(self) -> str:
        """Return what all have logged."""
        return "".join(log.read_text() for log in self.logs)


@contextmanager
def fleet(
    folder: Path,
    url: str,
    command: Sequence[str] = (),
    partitions: int = PARTITIONS,
    lease_seconds: float = LEASE_SECONDS,
) -> Iterator[Fleet]:
    """Run processes over a server as long as the block."""
    chosen = list(command) or [sys.executable, "-m", "service.cli", "serve"]
    with ExitStack() as stack:
        yield Fleet(folder, stack, url, chosen, partitions, lease_seconds)


def owners(server: valkey.Server, partitions: int = PARTITIONS) -> dict[int, tuple[str, int]]:
    """Return who owns each partition, by process id, and the epoch; 0 if nobody does."""
    own = [f"synaptide:{{{partition}}}:own" for partition in range(partitions)]
    found = {}
    replies = server.ask_all([("HMGET", key, "owner", "name", "epoch") for key in own])
    for partition, (owner, name, epoch) in enumerate(replies):
        process = name.decode().rsplit("-", 2)[1] if owner else "0"
        found[partition] = process, int(epoch or 0)
    return found


def takeover_seconds(server: valkey.Server, gone: Member, most: float = 60.0) -> float:
    """Wait until others own all that a process owned; return how long that took."""
    begun = time.monotonic()
    pid = str(gone.process.pid)
    while any(who in (pid, "0") for who, _ in owners(server).values()):
        assert time.monotonic() - begun < most
        time.sleep(0.01)
    return time.monotonic() - begun


def shared_out(
    server: valkey.Server,
    members: Sequence[Member],
    most: float = 60.0,
    partitions: int = PARTITIONS,
) -> None:
    """Wait until each of some processes owns something, and they all together everything."""
    deadline, wanted = time.monotonic() + most, {str(each.process.pid) for each in members}
    while {who for who, _ in owners(server, partitions).values()} != wanted:
        assert time.monotonic() < deadline, owners(server, partitions)
        time.sleep(0.02)


def formats(server: valkey.Server) -> set[int]:
    """Return which formats it takes to read the partitions."""
    heads = [f"synaptide:{{{partition}}}:head" for partition in range(PARTITIONS)]
    return {int(each or 0) for each in server.ask_all([("HGET", head, "format") for head in heads])}


def until_applied(server: Asked, most: float = 20.0) -> dict[int, int]:
    """Wait until no partition has entries that wait; return how many each has, at the latest."""
    deadline = time.monotonic() + most
    while True:
        heads = [f"synaptide:{{{partition}}}:head" for partition in range(PARTITIONS)]
        depths = server.ask_all([("HGET", head, "depth") for head in heads])
        found = {partition: int(depth or 0) for partition, depth in enumerate(depths)}
        if all(n <= 0 for n in found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)
