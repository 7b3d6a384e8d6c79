"""What a stream of sequence memory takes: in memory, on disk, and thousands of them in a server."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.htm_many import serve_many
from service.rows import EventFile, InputError
from service.schemas import Event, StreamSpec
from service.snapshots import revived, snapshot
from service.stream import Stream
from service.warm import warm

SPEC = {"learner": {"kind": "sequence_memory"}}
FILE = Path("realKnownCause") / "nyc_taxi.csv"
LARGEST = 1 << 30
STREAMS, EVENTS = 10_000, 20
TIMES = 5

Step = tuple[float, float]


def main(data: Path | None, seeds: int, quick: bool) -> dict[str, Any]:
    """Measure one stream of taxi demand at growing ages, and many in a server; `seeds` is unused.

    Past its end the series begins again, its times going on. `quick` measures at 1,000 records
    and serves 200 streams.
    """
    if data is None:
        raise InputError("--data: expected the folder of the Numenta Anomaly Benchmark's files")
    console = Console(stderr=True)
    ages = [1_000] if quick else [1_000, 10_000, 100_000]
    copies = [8] if quick else [100, 20, 3]
    warm()
    rows = read(data / FILE)
    found: dict[str, Any] = {"benchmark": "htm-memory", "quick": quick, "stream": []}
    for stream, age, n in zip(_ages(rows, ages), ages, copies, strict=True):
        console.print(f"{age:,} records", style="dim")
        found["stream"].append(
            _measure(stream) | {"resident_bytes": resident(data, age, n), "resident_of": n}
        )
    with tempfile.TemporaryDirectory() as folder:
        console.print("a server with many streams", style="dim")
        streams = 200 if quick else STREAMS
        found["server"] = serve_many(Path(folder), SPEC, events(rows), streams, EVENTS, console)
    _print(console, found)
    return found


def read(path: Path) -> list[Step]:
    """Return times and values of a file."""
    with EventFile(path, ("value",), "timestamp") as file:
        return [
            (datetime.fromisoformat(row.event["ts"]).timestamp(), row.event["x"]["value"])
            for row in file
        ]


def repeated(rows: Sequence[Step], n: int) -> list[Step]:
    """Return the first `n` of the rows repeated for ever, each time a whole length later."""
    length = rows[-1][0] - rows[0][0] + rows[1][0] - rows[0][0]
    steps = []
    for i in range(n):
        t, value = rows[i % len(rows)]
        steps.append((t + i // len(rows) * length, value))
    return steps


def events(rows: Sequence[Step]) -> list[dict[str, Any]]:
    """Return rows as events of the API."""
    return [{"ts": t, "x": {"value": value}} for t, value in rows]


def _ages(rows: Sequence[Step], ages: Sequence[int]) -> Any:
    """Yield one stream at each age."""
    stream, steps = Stream(StreamSpec.model_validate(SPEC)), repeated(rows, max(ages))
    for i, (t, value) in zip(count(1), steps, strict=False):
        stream.step(Event.model_validate({"ts": t, "x": {"value": value}}), t)
        if i in ages:
            yield stream


def _measure(stream: Stream) -> dict[str, Any]:
    blobs, writing, loading = [], [], []
    for _ in range(TIMES):
        begun = time.perf_counter()
        blobs.append(snapshot(stream))
        written = time.perf_counter()
        twin = revived(blobs[-1], LARGEST)
        loading.append(1e3 * (time.perf_counter() - written))
        writing.append(1e3 * (written - begun))
    if twin.digest != stream.digest or snapshot(twin) != blobs[0]:
        raise RuntimeError("the revived stream differs from the one that was written")
    signals = stream.learner.signals()
    return {
        "records": stream.offset,
        "segments": round(signals["segments"]),
        "synapses": round(signals["synapses"]),
        "evictions": round(signals["evictions"]),
        "held_bytes": stream.learner.held_bytes(),
        "stream_held_bytes": stream.held_bytes(),
        "snapshot_bytes": len(blobs[0]),
        "write_milliseconds": round(statistics.median(writing), 1),
        "load_milliseconds": round(statistics.median(loading), 1),
    }


def resident(data: Path, age: int, learners: int) -> int:
    """Return how much a fresh process grows by a learner, over so many of that age."""
    command = [sys.executable, "-m", "benchmarks.htm_resident", str(data), str(age), str(learners)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def _print(console: Console, found: Mapping[str, Any]) -> None:
    names = [name for name in found["stream"][0] if name != "resident_of"]
    table = Table("one stream", *(f"{each['records']:,}" for each in found["stream"]))
    for name in names[1:]:
        table.add_row(name.replace("_", " "), *(f"{each[name]:,}" for each in found["stream"]))
    console.print(table)
    table = Table("many streams in a server", "")
    for name, value in found["server"].items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    console.print(table)
