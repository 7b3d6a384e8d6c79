"""Rehearsal: new classes, inputs that change, and an environment in which things come back."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accept.rows import Row, at_least, at_most, near, not_run
from benchmarks.images import has
from benchmarks.plastic_drift import learned, parts
from benchmarks.plastic_streams import (
    continual,
    digit_parts,
    drift,
    network,
    permuted_mnist,
    split_digits,
)
from benchmarks.streams_power_law import recurring

NOISE = 0.02
MOST_SEEDS = 2
"""Of the long streams of permuted MNIST."""
SPLIT: dict[str, tuple[dict[str, Any], float]] = {
    "200 stored, uniform": ({}, 0.88),
    "200 stored, decay .5": ({"decay": 0.5}, 0.88),
    "200 stored, decay 1": ({"decay": 1.0}, 0.882 - NOISE),
    "50 stored": ({"capacity": 50}, 0.815 - NOISE),
}
PERMUTED: dict[str, tuple[dict[str, Any], float]] = {
    "200 stored": ({"capacity": 200}, 0.864),
    "500 stored": ({"capacity": 500}, 0.866),
    "2000 stored": ({"capacity": 2_000}, 0.878),
    "500 stored, decay .5": ({"capacity": 500, "decay": 0.5}, 0.873),
    "500 stored, decay 1": ({"capacity": 500, "decay": 1.0}, 0.869),
}
CURRICULA = {"uniform": 0.9038, "cycle": 0.8955, "hard": 0.9085}
RECURRING = {
    ("power", 0.0): 0.185,
    ("power", 0.1): 0.707,
    ("power", 0.2): 0.791,
    ("power", 0.5): 0.906,
    ("exponential", 0.5): 0.827,
    ("uniform", 0.5): 0.906,
}


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield what is claimed of each kind of change, with SGD beside it."""
    every = range(1, seeds + 1)
    yield from _recurrence(every)
    sgd = statistics.fmean(_split(seed, {}) for seed in every)
    for name, (params, least) in SPLIT.items():
        found = [_split(seed, {"rehearsal": params}) for seed in every]
        yield at_least(f"split digits, {name}: accuracy (SGD {sgd:.3f})", least, found)
    yield from _drift(every)
    if not has(data, "mnist"):
        yield not_run("permuted MNIST", "needs --data with mnist")
        return
    yield from _permuted(every[:MOST_SEEDS], data)
    yield from _curricula(every, data)


def _recurrence(every: Sequence[int]) -> Iterator[Row]:
    images, tested = digit_parts()
    for (fall, share), before in RECURRING.items():
        found = [
            learned(
                network(images, hidden=(64,), rate=0.05, seed=seed),
                recurring(images, seed, share, fall),
                tested,
            )[0]
            for seed in every
        ]
        title = f"SGD, nothing stored, {share:.0%} of events are old ones, {fall}: accuracy"
        if (fall, share) == ("power", 0.5):
            yield at_least(title, 0.88, found)
        else:
            yield near(title, before, 2 * NOISE, found)


def _split(seed: int, options: Any) -> float:
    images, _ = digit_parts()
    return split_digits(network(images, hidden=(64,), rate=0.05, options=options, seed=seed), seed)


def _drift(every: Sequence[int]) -> Iterator[Row]:
    images, _ = digit_parts()
    last: dict[str, list[float]] = {}
    for name, options in (
        ("sgd", {}),
        ("keep", {"rehearsal": {"on_contradiction": "keep"}}),
        ("flush", {"rehearsal": {}}),
    ):
        last[name] = [
            drift(
                network(images, hidden=(64,), rate=0.05, options=options, seed=seed), images, seed
            )[1]
            for seed in every
        ]
    base = statistics.fmean(last["sgd"])
    title = "labels change every 500 events, last 3 of 12 segments"
    lost = [a - b for a, b in zip(last["sgd"], last["keep"], strict=True)]
    yield at_least(f"{title}: how much worse than SGD ({base:.3f}) without a gate", 0.05, lost)
    lost = [a - b for a, b in zip(last["sgd"], last["flush"], strict=True)]
    yield at_most(f"{title}: how much worse than SGD with the gate", 0.0, lost)


def _permuted(every: Sequence[int], data: Path | None) -> Iterator[Row]:
    def final(seed: int, rate: float, options: Any) -> float:
        tasks = permuted_mnist(data, seed)
        body = network(tasks[0][0], hidden=(128,), rate=rate, options=options, seed=seed)
        return continual(body, tasks, seed).final

    sgd = statistics.fmean(final(seed, 0.01, {}) for seed in every)
    for name, (params, before) in PERMUTED.items():
        kept: dict[str, Any] = {"on_contradiction": "keep", **params}
        found = [final(seed, 0.01, {"rehearsal": kept}) for seed in every]
        title = f"permuted MNIST, {name}: accuracy on 4 tasks (SGD {sgd:.3f})"
        yield at_least(title, before - NOISE, found)
    alone = statistics.fmean(final(seed, 0.02, {"classp": {}}) for seed in every)
    options = {"classp": {}, "rehearsal": {"capacity": 500, "on_contradiction": "keep"}}
    found = [final(seed, 0.02, options) for seed in every]
    title = f"permuted MNIST, 500 stored, kept, and classp: accuracy (classp alone {alone:.3f})"
    yield at_least(title, 0.877, found)


def _curricula(every: Sequence[int], data: Path | None) -> Iterator[Row]:
    images, tested = parts("mnist", data)
    images = images.at(np.arange(5_000))
    for priority, before in CURRICULA.items():
        found = []
        for seed in every:
            options = {"rehearsal": {"priority": priority}}
            body = network(images, hidden=(128,), rate=0.05, options=options, seed=seed)
            found.append(learned(body, zip(images.x, images.y.tolist(), strict=True), tested)[0])
        title = f"MNIST of 14 x 14 pixels, 5000 events, priority {priority}: accuracy"
        yield near(title, before, NOISE, found)
