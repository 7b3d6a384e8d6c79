"""A cluster whose replicas vote: a primary dies, another takes its place, and the fleet goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from redis.cluster import RedisCluster

from service.journal.redis_keys import partition_of
from tests import valkey
from tests.acceptance.fleet import PARTITIONS, fleet
from tests.acceptance.load import settled, under_load

PRIMARIES = 3
NODE_TIMEOUT_MS = 2_000
AWAY_SECONDS = 8.0


class Cluster:
    """Primaries, and after them a replica of each."""

    def __init__(self, nodes: Sequence[valkey.Server]) -> None:
        self.nodes = nodes
        self.url = nodes[0].url.replace("redis://", "redis+cluster://")

    def ask_all(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Run commands, each where its key is."""
        with RedisCluster(host="127.0.0.1", port=self.nodes[0].port, protocol=2) as client:
            return [client.execute_command(*command) for command in commands]

    def begin(self) -> None:
        """Share out the slots and give each primary its replica."""
        first = self.nodes[0]
        for i, node in enumerate(self.nodes):
            if i < PRIMARIES:
                slots = 16_384 * i // PRIMARIES, 16_384 * (i + 1) // PRIMARIES - 1
                node.ask("CLUSTER", "ADDSLOTSRANGE", *slots)
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus_port)
        self.until(lambda node: said(node)["cluster_known_nodes"] == str(len(self.nodes)))
        for primary, replica in zip(self.nodes, self.nodes[PRIMARIES:], strict=False):
            replica.ask("CLUSTER", "REPLICATE", primary.ask("CLUSTER", "MYID"))
        self.until(lambda node: said(node)["cluster_state"] == "ok")
        for primary in self.nodes[:PRIMARIES]:
            while primary.ask("INFO", "replication").get("min_slaves_good_slaves") != 1:
                time.sleep(0.05)

    def until(self, condition: Any) -> None:
        """Wait until something holds of every node."""
        deadline = time.monotonic() + 60
        while not all(condition(node) for node in self.nodes):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def want_replicas(self, count: int) -> None:
        """Have primaries take no writes without so many replicas."""
        for node in self.nodes:
            node.ask("CONFIG", "SET", "min-replicas-to-write", count)

    def primary_of(self, stream: str) -> int:
        """Return which node had a stream's slot in the beginning."""
        key = f"synaptide:{{{partition_of(stream, PARTITIONS)}}}:log"
        return int(self.nodes[0].ask("CLUSTER", "KEYSLOT", key)) * PRIMARIES // 16_384


def said(node: valkey.Server) -> dict[str, str]:
    """Return what a node says of its cluster."""
    return dict(line.split(":") for line in node.ask("CLUSTER", "INFO").decode().split())


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Run a cluster as long as the block."""
    options = (
        *("--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS)),
        *("--min-replicas-to-write", "1", "--repl-diskless-sync-delay", "0"),
    )
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(valkey.running(folder / f"valkey-{i}", *options))
            for i in range(2 * PRIMARIES)
        ]
        made = Cluster(nodes)
        made.begin()
        yield made


@pytest.mark.long
@pytest.mark.parametrize("careful", [False, True])
def test_the_fleet_goes_on_when_replicas_have_voted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], careful: bool
) -> None:
    """With `min-replicas-to-write` the one that was voted for waits for a replica of its own."""
    with cluster(tmp_path) as servers, fleet(tmp_path, servers.url) as ours:
        members = [ours.start(role) for role in ("api", "worker", "worker", "worker")]
        for member in members:
            member.wait_until_ready()
        servers.want_replicas(int(careful))
        with under_load([members[0].url], "applied") as posters:
            time.sleep(5)
            before = max(each.longest_seconds for each in posters)
            victim = servers.primary_of("memory")
            servers.nodes[victim].kill()
            time.sleep(AWAY_SECONDS)
            if careful:
                servers.nodes[victim].start()
            time.sleep(AWAY_SECONDS)
        if not careful:
            servers.nodes[victim].start()
        servers.want_replicas(1)
        hit = {each.stream for each in posters if servers.primary_of(each.stream) == victim}
        outcome = settled(servers, posters, ours, members[1:])
        servers.until(lambda node: said(node)["cluster_state"] == "ok")
        role = servers.nodes[victim].ask("ROLE")[0]
    pauses = {each.stream: round(each.longest_seconds, 2) for each in posters}
    measured = {
        "min_replicas_to_write": int(careful),
        "longest_pause_before": round(before, 2),
        "longest_pause": max(pauses[stream] for stream in hit),
        "longest_pause_elsewhere": max((pauses[s] for s in pauses.keys() - hit), default=0.0),
    }
    with capsys.disabled():
        print(f"\n{json.dumps(measured | asdict(outcome))}")
    assert outcome.violations == []
    assert role == b"slave"  # It was voted out.
    assert outcome.events > 500
    assert max(pauses.values()) < 2 * AWAY_SECONDS
    if careful:
        assert outcome.acknowledged_and_lost == 0
