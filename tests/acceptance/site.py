"""A primary and its replica, and a relay for each process that speaks to them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests import valkey
from tests.acceptance.relay import Relay

SPLIT_SECONDS = 0.15
OPTIONS = (
    *("--min-replicas-to-write", "1", "--appendonly", "no"),
    *("--repl-diskless-sync-delay", "0"),  # Else each replica is awaited for five seconds.
)


@dataclass
class Site:
    """Servers, of which the last two are the primary and its replica."""

    folder: Path
    stack: ExitStack
    careful: bool
    """Whether a primary that is cut off stops acknowledging (`min-replicas-to-write`)."""
    servers: list[valkey.Server] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)

    def begin(self) -> None:
        """Start a primary and its replica."""
        self._start()
        self._attach()

    @property
    def primary(self) -> valkey.Server:
        """The server that is written to now."""
        return self.servers[-2]

    def relay(self) -> Relay:
        """Return one more relay, which leads to whatever server is the primary."""
        made = Relay(self.primary.port)
        self.stack.callback(made.close)
        self.relays.append(made)
        return made

    def fail_over(self, split: bool) -> None:
        """Promote the replica; if `split`, half of the relays lead to the old primary a while."""
        old, new = self.servers[-2:]
        if not split:
            old.kill()
        elif not self.careful:
            old.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        new.ask("REPLICAOF", "NO", "ONE")
        new.ask("CONFIG", "SET", "min-replicas-to-write", 0)
        late = self.relays[::2] if split else []
        for relay in self.relays:
            if relay not in late:
                relay.switch(new.port)
        if split:
            time.sleep(SPLIT_SECONDS)
            for relay in late:
                relay.switch(new.port)
            old.kill()
        self._attach()

    def _start(self, *options: str) -> valkey.Server:
        server = valkey.Server(self.folder / f"valkey-{len(self.servers)}", *OPTIONS, *options)
        self.stack.callback(server.kill)
        server.start()
        self.servers.append(server)
        return server

    def _attach(self) -> None:
        """Give the primary a replica, and have it insist on one."""
        primary = self.servers[-1]
        replica = self._start("--replicaof", "127.0.0.1", str(primary.port))
        deadline = time.monotonic() + 30
        while replica.ask("INFO", "replication").get("master_link_status") != "up":
            assert time.monotonic() < deadline
            time.sleep(0.02)
        primary.ask("CONFIG", "SET", "min-replicas-to-write", 1)
