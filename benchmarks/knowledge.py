"""Structured knowledge: the published batch run anew, and what it does to class information.

1,000 images, 100 of each class; where the flow of each layer peaks, whether time is rate times
steps, and what read-outs of the layers find after 0, 20 and 50 steps, with the images as they are
and with their mean taken off. Source: arXiv 2503.13942 and 2504.03214.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.images import Images, digits, has, read
from benchmarks.knowledge_batch import LAYERS, Chain, centroids, flow_peaks, read_out

RATE, STEPS = 0.01, 50
LOOKS = (0, 20, 50)
PUBLISHED = {"flow_peaks": [28, 16, 24, None]}
"""Layer 4 had no peak of its own."""
ORDER, NEAR, SLACK = (1, 2, 0), (31, 17, 27), 5

Json = dict[str, Any]


def main(data: Path | None, seeds: int, quick: bool) -> Json:
    """Run on MNIST if `data` holds it, else, and if `quick`, on scikit-learn's digits.

    Only MNIST is held to what was published; the digits take twice as many steps.
    """
    console = Console(stderr=True)
    full = has(data, "mnist") and not quick
    train, test = _mnist(data) if full else _digits()
    steps, seeds = (STEPS, seeds) if full else (3 * STEPS, 1)
    begun = time.perf_counter()
    peaks, finer, looks = [], [], []
    for seed in range(seeds):
        console.print(f"{train.name}, seed {seed + 1} of {seeds}", style="dim")
        peaks.append(flow_peaks(train.x, RATE, steps, seed))
        finer.append(flow_peaks(train.x, RATE / 2, 2 * steps, seed))
        looks.append({name: _looks(train, test, seed, off) for name, off in _MEANS.items()})
    found = {
        "benchmark": "knowledge",
        "data": train.name,
        "seeds": seeds,
        "quick": quick,
        "seconds": round(time.perf_counter() - begun, 1),
        "parameters": {"layers": LAYERS, "learning_rate": RATE, "steps": steps},
        "flow_peaks": peaks,
        "flow_peaks_at_half_the_rate": finer,
        "published": PUBLISHED,
        "accuracy": {name: _mean([each[name] for each in looks]) for name in _MEANS},
        "acceptance": _acceptance(peaks, finer, looks) if full else [],
    }
    _print(console, found)
    return found


_MEANS = {"as they are": 0.0, "mean taken off": 1.0}


def _mnist(data: Path | None) -> tuple[Images, Images]:
    test = read(data, "mnist", "test")
    return read(data, "mnist").of_each_class(100), test.at(np.arange(2_000))


def _digits() -> tuple[Images, Images]:
    images = digits()
    return images.at(np.arange(300)), images.at(np.arange(300, 900))


def _looks(train: Images, test: Images, seed: int, off: float) -> list[Json]:
    """Return what read-outs find in each layer on the way, `off` times the mean taken off."""
    mean = off * train.x.mean(0)
    x, unseen = train.x - mean, test.x - mean
    chain, found = Chain(x, LAYERS, RATE, seed), []
    for steps in LOOKS:
        # The first step only looks.
        while chain.steps < steps + (steps > 0):
            chain.step()
        pairs = list(zip(chain.decisions(x), chain.decisions(unseen), strict=True))
        found.append(
            {
                "steps": steps,
                "read_out": [read_out(a, train.y, b, test.y) for a, b in pairs],
                "centroids": [centroids(a, train.y, b, test.y) for a, b in pairs],
            }
        )
    return found


def _mean(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[Json]:
    found = []
    for rows in zip(*runs, strict=True):
        means = {
            name: np.mean([row[name] for row in rows], axis=0).round(3).tolist()
            for name in ("read_out", "centroids")
        }
        found.append({"steps": rows[0]["steps"], **means})
    return found


def _acceptance(
    peaks: Sequence[Sequence[int]], finer: Sequence[Sequence[int]], looks: Sequence[Json]
) -> list[Json]:
    rows: NDArray[np.int64] = np.array(peaks)[:, :3]
    halved = np.array(finer)[:, :3]
    ordered = [bool(np.all(np.diff(row[list(ORDER)]) > 0)) for row in rows]
    off = int(np.abs(rows - NEAR).max())
    moved = float(np.abs(halved / (2.0 * rows) - 1.0).max())
    third = [look["as they are"][-1]["read_out"][2] for look in looks]
    return [
        _line(
            "flow peaks in the order of layers 2, 3, 1", "every seed", sum(ordered), all(ordered)
        ),
        _line("flow peaks off 17, 27, 31 by", f"at most {SLACK}", off, off <= SLACK),
        _line("flow-peak time moved by half the rate", "under 0.10", round(moved, 3), moved < 0.1),
        _line(
            "linear read-out of layer 3 after 50 steps, mean",
            "under 0.40",
            round(statistics.fmean(third), 3),
            max(third) < 0.4,
        ),
    ]


def _line(name: str, expected: str, measured: float, good: bool) -> Json:
    return {"line": name, "expected": expected, "measured": measured, "met": good}


def _print(console: Console, found: Json) -> None:
    table = Table("flow peaks at step", *(f"layer {i + 1}" for i in range(len(LAYERS))))
    table.add_row("published", *(str(each or "") for each in PUBLISHED["flow_peaks"]))
    for title, key in (("", "flow_peaks"), (", half the rate", "flow_peaks_at_half_the_rate")):
        for seed, row in enumerate(found[key]):
            table.add_row(f"seed {seed}{title}", *map(str, row))
    console.print(table)
    table = Table("images", "steps", "measure", *(f"layer {i + 1}" for i in range(len(LAYERS))))
    for name, rows in found["accuracy"].items():
        for row in rows:
            for measure in ("read_out", "centroids"):
                cells = (f"{value:.3f}" for value in row[measure])
                table.add_row(name, str(row["steps"]), measure, *cells)
    console.print(table)
    for line in found["acceptance"]:
        verdict = "met" if line["met"] else "NOT MET"
        console.print(f"{verdict}: {line['line']}: {line['measured']} ({line['expected']})")
