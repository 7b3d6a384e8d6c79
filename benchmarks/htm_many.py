"""Thousands of streams in a server that has memory for a few: the others wait on disk."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from rich.console import Console

from benchmarks.serve import running
from service.client import Client

ROUNDS = 2
IN_MEMORY = 0.05
"""Part of the streams that the server may hold."""

Events = Sequence[Mapping[str, Any]]


def serve_many(
    folder: Path,
    spec: Mapping[str, Any],
    events: Events,
    streams: int,
    each: int,
    console: Console,
) -> dict[str, Any]:
    """Feed every stream `each` events in turn, twice, and compare their digests.

    A stream's second turn comes when it has long been written out. All streams get the same
    events, so each must end as one does that a server with plenty of memory kept all along.
    """
    with _server(folder / "plenty", spec, 1 << 34) as (client, _):
        for begin in range(0, ROUNDS * each, each):
            client.post("taxi-kept", events[begin : begin + each])
        want = client.stream("taxi-kept")["digest"]
        held = _sample(client, "synaptide_learners_memory_bytes")
    limit = round(IN_MEMORY * streams * held)
    seconds = []
    with _server(folder / "little", spec, limit) as (client, process_bytes):
        before = process_bytes()
        most = 0.0
        for begin in range(0, ROUNDS * each, each):
            begun = time.perf_counter()
            for i in range(streams):
                client.post(f"taxi-{i:05}", events[begin : begin + each])
                if i % 1_000 == 999:
                    console.print(f"{i + 1:,} streams", style="dim")
            seconds.append(time.perf_counter() - begun)
            most = max(most, _sample(client, "synaptide_streams_in_memory"))
        resident = process_bytes() - before
        digests = [each["digest"] for each in client.streams()]
    disk = sum(path.stat().st_size for path in (folder / "little").rglob("*") if path.is_file())
    return {
        "streams": len(digests),
        "events_each": ROUNDS * each,
        "limit_bytes": limit,
        "most_in_memory_after_a_round": round(most),
        "process_grew_by_bytes": round(resident),
        "disk_bytes_each": disk // streams,
        "milliseconds_a_new_stream": round(1e3 * seconds[0] / streams, 2),
        "milliseconds_a_cold_stream": round(1e3 * seconds[1] / streams, 2),
        "digests_as_if_never_written_out": sum(digest == want for digest in digests),
    }


@contextmanager
def _server(folder: Path, spec: Mapping[str, Any], limit: int) -> Iterator[tuple[Client, Any]]:
    folder.mkdir()
    os.environ["SYNAPTIDE_MAX_LEARNERS_BYTES"] = str(limit)
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
    with running([*command, "--data-dir", str(folder)], folder) as url, Client(url) as client:
        client.wait_until_ready()
        client.put_template("taxi", "taxi-*", spec)
        yield client, lambda: _sample(client, "process_resident_memory_bytes")


def _sample(client: Client, name: str) -> float:
    with urlopen(f"{client.url}/metrics") as reply:
        found = re.search(rf"^{name} (\S+)$", reply.read().decode(), re.MULTILINE)
    return float(found[1]) if found else float("nan")
