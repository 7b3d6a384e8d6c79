"""Dynamic pruning: what is lost by working out a fifth to a third of the hidden units alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.accept.rows import Row, at_most, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import accuracy, learn, mnist_parts, network, pooled

EVENTS, TESTED = 6_000, 1_000
ARMS: dict[str, tuple[dict[str, Any], float]] = {
    "mass .95": ({}, 0.35),
    "mass .8": ({"mass": 0.8}, 0.205),
    "mass .95, masks in learning": ({"in_learning": True}, 0.35),
}


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield accuracy beside that of all units, and the share that was kept."""
    if not has(data, "mnist"):
        yield not_run("MNIST of 14 x 14 pixels", "needs --data with mnist")
        return
    every = range(1, seeds + 1)
    whole = [_run(seed, data, {})[0] for seed in every]
    base = statistics.fmean(whole)
    for name, (params, most) in ARMS.items():
        runs = [_run(seed, data, {"dynamic_pruning": params}) for seed in every]
        lost = [full - found for full, (found, _) in zip(whole, runs, strict=True)]
        title = f"MNIST of 14 x 14 pixels, 196-128-128-10, {name}"
        yield at_most(f"{title}: accuracy lost ({base:.3f} with all units)", 0.005, lost)
        yield at_most(f"{title}: share of units kept", most, [kept for _, kept in runs])


def _run(seed: int, data: Path | None, options: Any) -> tuple[float, float]:
    images, tested = (pooled(each) for each in mnist_parts(data, seed, EVENTS, TESTED))
    body = network(images, hidden=(128, 128), rate=0.02, options=options, seed=seed)
    learn(body, images, seed=seed)
    return accuracy(body, tested), body.signals().get("dynamic_pruning_kept_share", 1.0)
