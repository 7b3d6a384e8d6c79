"""What the service costs: events per second and latencies, beside what they could be at best.

A server in a process of its own, with its journal on disk and fsync on, is fed by this process.
Each measure stands in every round, and bodies take turns with the plain loops they are held
against, so that both see the same machine.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from rich.console import Console
from rich.table import Table
from websockets.sync.client import ClientConnection, connect

from benchmarks import load
from service.client import Client
from service.rows import EventFile
from service.schemas import Event, StreamSpec, parse_event
from service.stream import Stream

CHEAP: dict[str, Any] = {"learner": {"kind": "rolling_zscore"}}
MEMORY: dict[str, Any] = {"learner": {"kind": "sequence_memory"}}
TARGETS = {
    "ndjson_rolling_zscore": "above 50 000 events/s",
    "ndjson_sequence_memory": "at least 0.8 of the learner alone",
    "post_applied_32": "at least 0.6 of the echo",
}
_LINES = "application/x-ndjson"


def main(data: Path | None, seeds: int, quick: bool) -> dict[str, Any]:
    """Measure in rounds, three for each seed; return medians with their spread.

    `data` may hold `taxi/nyc_taxi.csv.gz` or `nyc_taxi.csv` for the sequence memory, which is fed
    with River's water flow otherwise.
    """
    console = Console(stderr=True)
    rounds = 1 if quick else 3 * seeds
    measured: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synaptide-bench-")))
        served = [sys.executable, "-m", "service.cli", "serve", "--port", "0"]
        url = stack.enter_context(running([*served, "--data-dir", str(folder / "data")], folder))
        echo = stack.enter_context(running([sys.executable, "-m", "benchmarks.echo"], folder))
        with Client(url) as client:
            client.wait_until_ready()
            for i in range(rounds):
                bench = Round(client, echo, i, quick, _values(data))
                for name, measure in bench.measures().items():
                    console.print(f"round {i + 1} of {rounds}: {name}", style="dim")
                    for key, value in measure().items():
                        measured.setdefault(key, []).append(value)
        fsync = _fsync_milliseconds(folder)
    summary = {name: _spread(values) for name, values in measured.items()}
    ratios = _ratios(measured)
    _print(console, summary, ratios)
    return {
        "benchmark": "serve",
        "rounds": rounds,
        "durability": "applied, synchronous=FULL",
        "fsync_milliseconds": fsync,
        "cores": os.cpu_count(),
        "processes": "server, echo and load generator, each its own, on the same cores",
        "measures": summary,
        "ratios": ratios,
        "targets": TARGETS,
    }


class Round:
    """One round of all measures, with streams of its own."""

    def __init__(
        self, client: Client, echo: str, number: int, quick: bool, values: Sequence[float]
    ) -> None:
        self.client, self.url, self.echo = client, client.url, echo
        self.number = number
        self.seconds = 0.7 if quick else 3.0
        rng = np.random.default_rng(number)
        walk = np.cumsum(rng.normal(size=20_000 if quick else 50_000)).round(3)
        self.walk = list(event_lines(walk.tolist()))
        self.bare = [_without_time(line) for line in self.walk]
        self.real = list(event_lines(values[: 1_000 if quick else 4_000]))

    def measures(self) -> dict[str, Callable[[], dict[str, float]]]:
        """The measures, baselines first."""
        return {
            "NDJSON, rolling z-score": self.cheap,
            "NDJSON, sequence memory": self.memory,
            "echo": self.echoes,
            "single posts": self.posts,
            "WebSocket": self.socket,
        }

    def cheap(self) -> dict[str, float]:
        """A cheap learner, over one connection and over two with a stream each."""
        found = self._beside("rolling_zscore", CHEAP, self.walk, 5_000)
        bare = load.send(self.url, self._bodies("bare", CHEAP, self.bare, 5_000))
        two = load.send(
            self.url,
            self._bodies("cheap-1", CHEAP, self.walk, 5_000),
            self._bodies("cheap-2", CHEAP, self.walk, 5_000),
        )
        return found | {
            "ndjson_rolling_zscore_without_ts": len(self.bare) / bare.seconds,
            "ndjson_rolling_zscore_two_streams": 2 * len(self.walk) / two.seconds,
        }

    def memory(self) -> dict[str, float]:
        """The sequence memory, over one connection."""
        return self._beside("sequence_memory", MEMORY, self.real, 1_000)

    def _beside(
        self, kind: str, spec: dict[str, Any], lines: Sequence[bytes], size: int
    ) -> dict[str, float]:
        """The same events by each way, a body at a time in turns: in plain loops, and posted.

        What is built with the first event is built before any clock runs.
        """
        alone, stepped, read = (Stream(StreamSpec.model_validate(spec)) for _ in range(3))
        for stream in (alone, stepped, read):
            stream.step(parse_event(lines[0]), 0.0)
        bodies = self._bodies(kind, spec, lines, size)
        parts = [lines[i : i + size] for i in range(1, len(lines), size)]

        def learner(i: int) -> float:
            events = list(map(parse_event, parts[i]))
            begun = time.perf_counter()
            for event in events:
                alone.learner.step_one(event.x, None, _time(event))
            return time.perf_counter() - begun

        def stream_only(i: int) -> float:
            events = list(map(parse_event, parts[i]))
            begun = time.perf_counter()
            for event in events:
                stepped.step(event, 0.0)
            return time.perf_counter() - begun

        def parse_and_stream(i: int) -> float:
            begun = time.perf_counter()
            for line in parts[i]:
                read.step(parse_event(line), 0.0)
            return time.perf_counter() - begun

        def post(i: int) -> float:
            return load.send(self.url, [bodies[i]]).seconds

        ways = [
            (f"loop_learner_{kind}", learner),
            (f"loop_stream_{kind}", stream_only),
            (f"loop_parse_and_stream_{kind}", parse_and_stream),
            (f"ndjson_{kind}", post),
        ]
        seconds = {name: 0.0 for name, _ in ways}
        for i in range(len(parts)):
            # Each goes first as often as any other: whoever does finds the caches cold.
            for name, way in ways[i % len(ways) :] + ways[: i % len(ways)]:
                seconds[name] += way(i)
        return {name: (len(lines) - 1) / each for name, each in seconds.items()}

    def echoes(self) -> dict[str, float]:
        """Events echoed by a service that does nothing else."""
        requests = [load.request(self.echo, "/events", line) for line in self.walk[:1_000]]
        return self._closed_loop("echo", self.echo, requests)

    def posts(self) -> dict[str, float]:
        """Single events, posted with each kind of acknowledgement."""
        found: dict[str, float] = {}
        for ack in ("received", "logged", "applied"):
            path = f"{self._stream(f'post-{ack}', CHEAP)}/events"
            path += "" if ack == "applied" else f"?ack={ack}"
            requests = [load.request(self.url, path, line) for line in self.walk]
            found |= self._closed_loop(f"post_{ack}", self.url, requests)
            self._drain()
        return found

    def socket(self) -> dict[str, float]:
        """Events over a WebSocket, as many in flight as it gives credit for."""
        found = {}
        for size in (1, 64, 512):
            name = self._stream(f"socket-{size}", CHEAP)
            count = min(len(self.walk), 10_000 * size)
            frames = [
                b'{"type":"events","seq":%d,"events":[%b]}'
                % (i // size + 1, b",".join(self.walk[i : i + size]))
                for i in range(0, count, size)
            ]
            with connect(f"ws{self.url[4:]}{name}/ws", compression=None, max_size=None) as opened:
                found[f"socket_frames_of_{size}"] = count / _converse(opened, frames, size)
        return found

    def _closed_loop(self, name: str, url: str, requests: list[bytes]) -> dict[str, float]:
        found = {}
        for connections in (1, 32):
            done = load.repeat(url, requests, connections, self.seconds)
            found[f"{name}_{connections}"] = done.requests / done.seconds
            found[f"{name}_{connections}_p50_ms"] = done.quantile(0.5)
            found[f"{name}_{connections}_p99_ms"] = done.quantile(0.99)
        return found

    def _stream(self, name: str, spec: dict[str, Any]) -> str:
        full = f"{name}-{self.number}"
        self.client.create_stream(full, spec)
        return f"/v1/streams/{full}"

    def _bodies(
        self, name: str, spec: dict[str, Any], lines: Sequence[bytes], size: int
    ) -> list[bytes]:
        """Return bodies for a new stream, which has been built with the first of the events."""
        path = f"{self._stream(name, spec)}/events"
        load.send(self.url, [load.request(self.url, path, lines[0])])
        parts = (lines[i : i + size] for i in range(1, len(lines), size))
        return [load.request(self.url, path, b"\n".join(part), _LINES) for part in parts]

    def _drain(self) -> None:
        """Wait until what was only received is applied, so that the next measure has no part."""
        while b'\nsynaptide_partition_lag_events{partition="0"} 0.0\n' not in self._metrics():
            time.sleep(0.05)

    def _metrics(self) -> bytes:
        with urlopen(f"{self.url}/metrics") as reply:
            return bytes(reply.read())


def _converse(opened: ClientConnection, frames: Sequence[bytes], size: int) -> float:
    """Send frames within the credits; return the seconds until the last is answered."""
    room = json.loads(opened.recv())["credits"] // size
    begun = time.perf_counter()
    for i, frame in enumerate(frames):
        if i >= room:
            _answered(opened)
        opened.send(frame, text=True)
    for _ in frames[-room:]:
        _answered(opened)
    return time.perf_counter() - begun


def _answered(opened: ClientConnection) -> None:
    answer = opened.recv(decode=False)
    if not answer.startswith(b'{"type":"results"'):
        raise RuntimeError(f"got {answer[:300]!r}, expected results")


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[str]:
    """Run a server in a process of its own; yield its address."""
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        with process:
            assert process.stdout is not None
            said = process.stdout.readline().decode()
            found = re.search(r"http://\S+", said)
            if found is None:
                process.kill()
                raise RuntimeError(f"{command}: got {said!r}, expected an address")
            try:
                yield found[0]
            finally:
                process.terminate()
                process.stdout.read()


def _values(data: Path | None) -> list[float]:
    """The values of a real stream."""
    if data is not None:
        for name in ("taxi/nyc_taxi.csv.gz", "nyc_taxi.csv.gz", "nyc_taxi.csv"):
            if (data / name).exists():
                return _column(data / name)
        raise FileNotFoundError(f"{data}: expected nyc_taxi.csv or taxi/nyc_taxi.csv.gz in it")
    import river.datasets

    return _column(Path(river.datasets.__path__[0], "water-flow.csv"))


def _column(path: Path) -> list[float]:
    with EventFile(path) as rows:
        return [value for row in rows for value in row.event["x"].values() if value is not None]


def event_lines(values: Sequence[float]) -> Iterator[bytes]:
    """Events as an application would send them, half an hour apart."""
    for i, value in enumerate(values):
        ts = datetime.fromtimestamp(1_700_000_000 + 1_800 * i, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield json.dumps({"ts": ts, "x": {"value": float(value)}}).encode()


def _without_time(line: bytes) -> bytes:
    event = json.loads(line)
    del event["ts"]
    return json.dumps(event).encode()


def _time(event: Event) -> float:
    assert event.ts is not None
    return event.ts.timestamp()


def _fsync_milliseconds(folder: Path) -> float:
    """The median time of one fsync of a small write, where the journal stood."""
    taken = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(50):
            begun = time.perf_counter()
            file.write(bytes(4_096))
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return round(1e3 * statistics.median(taken), 3)


def _spread(values: Sequence[float]) -> dict[str, float]:
    low, high = min(values), max(values)
    digits = 3 if high < 1_000 else 0
    return {
        "median": round(statistics.median(values), digits),
        "min": round(low, digits),
        "max": round(high, digits),
    }


def _ratios(measured: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Each measure over its baseline of the same round."""
    pairs = [
        (f"ndjson_{kind}", f"loop_{way}_{kind}")
        for kind in ("rolling_zscore", "sequence_memory")
        for way in ("learner", "stream", "parse_and_stream")
    ]
    pairs += [
        (f"post_{ack}_{connections}", f"echo_{connections}")
        for ack in ("received", "logged", "applied")
        for connections in (1, 32)
    ]
    return {
        f"{name} / {base}": _spread(
            [a / b for a, b in zip(measured[name], measured[base], strict=True)]
        )
        for name, base in pairs
    }


def _print(
    console: Console, summary: dict[str, dict[str, float]], ratios: dict[str, dict[str, float]]
) -> None:
    table = Table("measure", title="events per second, or milliseconds where it says ms")
    for column in ("median", "min", "max"):
        table.add_column(column, justify="right")
    for name, spread in summary.items():
        table.add_row(name, *(f"{spread[each]:,}" for each in ("median", "min", "max")))
    table.add_section()
    for name, spread in ratios.items():
        table.add_row(name, *(f"{spread[each]:.2f}" for each in ("median", "min", "max")))
    console.print(table)
