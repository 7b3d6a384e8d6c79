"""Failovers under load: what is left is consistent, and what was lost is counted."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from service.client import Client
from service.transport import ClientError
from tests import valkey
from tests.acceptance.fleet import LEASE_SECONDS, Fleet, Member, fleet, until_applied
from tests.acceptance.refold import refold
from tests.acceptance.relay import Relay
from tests.acceptance.test_kill import MEMORY, ZSCORE

STREAMS = {
    "one": {"learner": ZSCORE, "snapshot_every_events": 200},
    "two": {"learner": ZSCORE, "snapshot_every_events": 5_000},
    "memory": {"learner": MEMORY, "snapshot_every_events": 300},
}
SPLIT_SECONDS = 0.15
GUARDED = ("--min-replicas-to-write", "1", "--appendonly", "no")


class Poster(threading.Thread):
    """Posts a stream's events, each with an id, and notes which were acknowledged."""

    def __init__(self, url: str, stream: str, ack: Literal["logged", "replicated"]) -> None:
        super().__init__(name=stream)
        self.url, self.stream, self.ack = url, stream, ack
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self._random = random.Random(stream)

    def run(self) -> None:
        """Post until told to stop."""
        try:
            self._run()
        except BaseException as error:
            self.error = error

    def _run(self) -> None:
        first = 1
        with Client(self.url, max_retries=0, reconnect_seconds=0) as client:
            while not self.stopping.is_set():
                n = self._random.randint(1, 20)
                events = [
                    {"id": f"e{i}", "ts": f"{1_700_000_000 + 60 * i}", "x": {"value": i * 7 % 24}}
                    for i in range(first, first + n)
                ]
                try:
                    client.post(self.stream, events, self.ack)
                except ClientError:
                    self.refused += 1
                    time.sleep(0.05)
                    continue  # The same events once more.
                self.acknowledged |= {str(event["id"]) for event in events}
                first += n


@dataclass
class Site:
    """A primary with one replica, and a relay for each process that speaks to it."""

    folder: Path
    stack: ExitStack
    careful: bool
    """Whether a primary that is cut off stops acknowledging (`min-replicas-to-write`)."""
    servers: list[valkey.Server] = field(default_factory=list)
    relays: list[Relay] = field(default_factory=list)

    def begin(self) -> None:
        """Start a primary and its replica."""
        self._start()
        self.attach()

    def _start(self, *options: str) -> valkey.Server:
        folder = self.folder / f"valkey-{len(self.servers)}"
        server = valkey.Server(folder, *GUARDED, *options)
        self.stack.callback(server.kill)
        server.start()
        self.servers.append(server)
        return server

    def attach(self) -> None:
        """Give the primary a replica, and have it insist on one."""
        primary = self.servers[-1]
        replica = self._start("--replicaof", "127.0.0.1", str(primary.port))
        deadline = time.monotonic() + 30
        while b"master_link_status:up" not in str(replica.ask("INFO", "replication")).encode():
            if replica.ask("INFO", "replication").get("master_link_status") == "up":
                break
            assert time.monotonic() < deadline
            time.sleep(0.02)
        primary.ask("CONFIG", "SET", "min-replicas-to-write", 1)

    def relay(self) -> Relay:
        """Return a relay to the primary."""
        made = Relay(self.servers[0].port)
        self.stack.callback(made.close)
        self.relays.append(made)
        return made

    def fail_over(self, split: bool) -> None:
        """Promote the replica; if `split`, half of the processes go on with the old primary."""
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
        self.attach()


def start(site: Site, ours: Fleet, role: str) -> Member:
    ours.url = site.relay().url
    return ours.start(role)


def fail_over_again_and_again(
    folder: Path,
    ack: Literal["logged", "replicated"],
    careful: bool,
    seconds: float,
    failovers: int,
) -> dict[str, Any]:
    """Kill workers and promote replicas under load; return what was found."""
    rng = random.Random(int(os.environ.get("SEED", "1")))
    with ExitStack() as stack:
        site = Site(folder, stack, careful)
        site.begin()
        ours = stack.enter_context(fleet(folder, site.servers[0].url))
        apis = [start(site, ours, "api") for _ in range(2)]
        workers = [start(site, ours, "worker") for _ in range(3)]
        for member in (*workers, *apis):
            member.wait_until_ready()
        with Client(apis[0].url) as client:
            for name, spec in STREAMS.items():
                client.create_stream(name, spec)
        posters = [Poster(apis[i % 2].url, name, ack) for i, name in enumerate(sorted(STREAMS))]
        for poster in posters:
            poster.start()
        kills, stops = _disturb(site, ours, workers, rng, seconds, failovers)
        for poster in posters:
            poster.stopping.set()
        for poster in posters:
            poster.join(60)
            assert poster.error is None, poster.error
        url = site.servers[-2].url
        waiting = until_applied(site.servers[-2], 60)
        assert not any(waiting.values()), waiting
        for member in workers:
            member.send(signal.SIGTERM)
        for member in workers:
            member.process.wait(60)
        refolded = [refold(url, poster.stream) for poster in posters]
        said = ours.said()
    lost = [
        len(each.acknowledged - found.ids) for each, found in zip(posters, refolded, strict=True)
    ]
    return {
        "ack": ack,
        "min_replicas_to_write": int(careful),
        "seconds": seconds,
        "events": sum(each.events for each in refolded),
        "acknowledged": sum(len(each.acknowledged) for each in posters),
        "acknowledged_and_lost": sum(lost),
        "refused": sum(each.refused for each in posters),
        "failovers": failovers,
        "kills": kills,
        "stops": stops,
        "commits_refused": {
            reason: said.count(f'"reason":"{reason}"') + said.count(f'"reason": "{reason}"')
            for reason in ("fenced", "stale", "phantom")
        },
        "violations": [each for found in refolded for each in found.violations],
    }


def _disturb(
    site: Site,
    ours: Fleet,
    workers: list[Member],
    rng: random.Random,
    seconds: float,
    failovers: int,
) -> tuple[int, int]:
    """Let some time pass in which nothing is sure; return how many were killed and stopped."""
    kills = stops = 0
    for turn in range(failovers):
        end = time.monotonic() + seconds / failovers
        time.sleep(seconds / failovers / 4)
        site.fail_over(split=turn == 0)
        victim = rng.randrange(len(workers))
        if turn % 2 == 0:
            workers[victim].send(signal.SIGKILL)
            kills += 1
            workers[victim] = start_at(site, ours, "worker")
        else:
            workers[victim].send(signal.SIGSTOP)
            time.sleep(LEASE_SECONDS + 0.5)
            workers[victim].send(signal.SIGCONT)
            stops += 1
        time.sleep(max(0.0, end - time.monotonic()))
    return kills, stops


def start_at(site: Site, ours: Fleet, role: str) -> Member:
    """Start one more process, with the primary there is now."""
    relay = site.relay()
    relay.switch(site.servers[-2].port)
    ours.url = relay.url
    return ours.start(role)


@pytest.mark.long
@pytest.mark.parametrize(
    ("ack", "careful"), [("logged", False), ("replicated", False), ("logged", True)]
)
def test_what_failovers_leave_is_consistent(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ack: Literal["logged", "replicated"],
    careful: bool,
) -> None:
    seconds = float(os.environ.get("SECONDS_UNDER_LOAD", "60"))
    found = fail_over_again_and_again(tmp_path, ack, careful, seconds, failovers=3)
    with capsys.disabled():
        print(f"\n{json.dumps(found)}")
    assert found["violations"] == []
    if ack == "replicated":
        assert found["acknowledged_and_lost"] == 0
    assert found["events"] > 500
