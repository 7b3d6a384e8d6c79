"""Records a second of sequence memory, where the time goes, and how it grows with segments.

Every round runs all loops once, one after another, so that a ratio compares moments that lie close
together; figures are medians over the rounds, with the range. Time is that of the thread on its
core, so that the turns of other programs are not counted; what they push out of the caches is.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from river.anomaly import HalfSpaceTrees

from benchmarks.htm_growth import growth
from benchmarks.htm_stages import STAGES, Series, split
from benchmarks.plots import BLUE, Canvas, band, panel
from service.rows import EventFile, InputError
from service.warm import warm

HTM_CORE = {
    "realKnownCause/nyc_taxi": 2_317,
    "realKnownCause/machine_temperature_system_failure": 4_090,
    "realAWSCloudwatch/ec2_cpu_utilization_24ae8d": 4_320,
    "realTweets/Twitter_volume_AAPL": 5_030,
}
"""Records a second of htm.core's C++ with the same pipeline, on such a machine, unloaded."""
YARDSTICK = "realKnownCause/nyc_taxi"
SHINGLE = 8


def main(data: Path | None, seeds: int, quick: bool, plot: Path | None = None) -> dict[str, Any]:
    """Measure in rounds, one for each seed and at least three; return medians and ranges.

    `data` is a folder with the files of the Numenta Anomaly Benchmark. `quick` makes two rounds
    over the first 2,000 records of each.
    """
    if data is None:
        raise InputError("--data: expected the folder of the Numenta Anomaly Benchmark's files")
    console = Console(stderr=True)
    canvas = Canvas(plot, rows=1, columns=2) if plot else None
    files = [_read(data / f"{name}.csv", name, 2_000 if quick else None) for name in HTM_CORE]
    rounds = 2 if quick else max(3, seeds)
    warm()
    for series in files:
        split(Series(series.name, series.values[:300], series.times[:300]), seed=0)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in HTM_CORE}
    trees: list[float] = []
    for seed in range(1, rounds + 1):
        console.print(f"round {seed} of {rounds}", style="dim")
        for series in files:
            runs[series.name].append(split(series, seed))
            if series.name == YARDSTICK:
                trees.append(_half_space_trees(series))
    grown = growth(quick)
    found = {
        "benchmark": "htm-speed",
        "rounds": rounds,
        "quick": quick,
        "half_space_trees_records_per_second": _spread([1.0 / each for each in trees]),
        "files": {name: _summary(name, each) for name, each in runs.items()},
        "of_half_space_trees": _spread(
            [tree / run["whole"] for run, tree in zip(runs[YARDSTICK], trees, strict=True)], 3
        ),
        "memory_step": grown,
    }
    _print(console, found)
    if canvas:
        _draw(canvas, runs, grown)
    return found


def _read(path: Path, name: str, most: int | None) -> Series:
    with EventFile(path, ("value",), "timestamp") as file:
        events = [row.event for row, _ in zip(file, range(most or 10**9), strict=False)]
    times = np.array([datetime.fromisoformat(event["ts"]).timestamp() for event in events])
    return Series(name, np.array([event["x"]["value"] for event in events]), times)


def _half_space_trees(series: Series) -> float:
    """Return River's seconds an event for ten trees over the last eight values, scaled to 0..1.

    Scaling by the whole series' range, and making the dictionaries, are not counted.
    """
    low, high = series.values.min(), series.values.max()
    scaled = ((series.values - low) / (high - low)).tolist()
    last: deque[float] = deque(scaled[:1] * SHINGLE, SHINGLE)
    rows = []
    for value in scaled:
        last.append(value)
        rows.append(dict(enumerate(last)))
    trees = HalfSpaceTrees(n_trees=10, seed=1)
    begun = time.thread_time()
    for row in rows:
        trees.score_one(row)
        trees.learn_one(row)
    return (time.thread_time() - begun) / len(rows)


def _summary(name: str, runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    rates = [1.0 / run["whole"] for run in runs]
    return {
        "records_per_second": _spread(rates),
        "htm_core_records_per_second": HTM_CORE[name],
        "times_htm_core": _spread([rate / HTM_CORE[name] for rate in rates], 2),
        "microseconds": {
            stage: _spread([1e6 * run[stage] for run in runs], 1) for stage in ("whole", *STAGES)
        },
    }


def _spread(values: Sequence[float], digits: int | None = None) -> dict[str, float]:
    spread = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in spread.items()}


def _print(console: Console, found: Mapping[str, Any]) -> None:
    trees = found["half_space_trees_records_per_second"]["median"]
    table = Table("file", "records/s", "htm.core", "times", *STAGES, title="microseconds a stage")
    for name, each in found["files"].items():
        table.add_row(
            name.rpartition("/")[2],
            f"{each['records_per_second']['median']:,.0f}",
            f"{each['htm_core_records_per_second']:,}",
            f"{each['times_htm_core']['median']:.1f}",
            *(f"{each['microseconds'][stage]['median']:.1f}" for stage in STAGES),
        )
    console.print(table)
    console.print(f"HalfSpaceTrees on nyc_taxi: {trees:,.0f} records/s")
    table = Table("segments", "synapses", "microseconds a step", "range", "columns bursting")
    for row in found["memory_step"]:
        step = row["microseconds"]
        table.add_row(
            f"{row['segments']:,}",
            f"{row['synapses']:,}",
            f"{step['median']:.1f}",
            f"{step['min']:.1f} to {step['max']:.1f}",
            f"{100 * row['bursting']:.0f} %",
        )
    console.print(table)


def _draw(canvas: Canvas, runs: Mapping[str, Any], grown: Sequence[Mapping[str, Any]]) -> None:
    left, right = canvas.axes
    names = [name.rpartition("/")[2] for name in runs]
    below = np.zeros(len(names))
    for stage in STAGES:
        height = np.array(
            [statistics.median(1e6 * run[stage] for run in each) for each in runs.values()]
        )
        left.barh(names, height, left=below, label=stage)
        below += height
    panel(left, "where a record's time goes", "microseconds", "")
    left.legend(fontsize=7)
    steps = [[row["microseconds"][end] for row in grown] for end in ("min", "median", "max")]
    band(right, [row["segments"] for row in grown], steps, "memory step", BLUE)
    panel(right, "a step of the memory", "segments", "microseconds")
    canvas.save("Sequence memory's speed")
