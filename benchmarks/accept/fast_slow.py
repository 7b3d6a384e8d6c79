"""Fast and slow memories: what each form is for, with SGD and nearest class means beside it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accept.rows import Row, at_least, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import (
    Continual,
    continual,
    digit_parts,
    drift,
    network,
    permuted_mnist,
    split_digits,
)

MOST_SEEDS = 2
NOISE = 0.02
VOTE: dict[str, Any] = {"form": "vote"}


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield new classes for the vote, changing labels for the readout, new inputs for the copy."""
    every = range(1, seeds + 1)
    for capacity, least in ((200, 0.93), (50, 0.849 - NOISE)):
        stored = {"rehearsal": {"capacity": capacity}}
        alone = statistics.fmean(_split(seed, stored) for seed in every)
        found = [_split(seed, stored | {"fast_slow": VOTE}) for seed in every]
        title = f"split digits, a vote of {capacity} stored"
        yield at_least(f"{title}: accuracy (rehearsal alone {alone:.3f})", least, found)
        if capacity == 200:
            means = nearest_class_mean()
            title = f"{title}: above nearest class means ({means:.3f})"
            yield at_least(title, 0.02, [each - means for each in found])
    yield from _drift(every)
    if not has(data, "mnist"):
        yield not_run("permuted MNIST, a slow copy", "needs --data with mnist")
        return
    few = every[:MOST_SEEDS]
    sgd = [_permuted(seed, data, {}) for seed in few]
    copy = [_permuted(seed, data, {"fast_slow": {"form": "copy"}}) for seed in few]
    base = statistics.fmean(each.final for each in sgd)
    gain = [a.final - b.final for a, b in zip(copy, sgd, strict=True)]
    title = "permuted MNIST, rate .02, a slow copy: accuracy on 4 tasks"
    yield at_least(f"{title}, above SGD ({base:.3f})", 0.026 - 0.01, gain)
    gain = [a.learned - b.learned for a, b in zip(copy, sgd, strict=True)]
    yield at_least("the same: accuracy on each task when learned, above SGD", 0.038 - 0.01, gain)


def nearest_class_mean() -> float:
    """Return the accuracy of the nearest mean of all digits of a class."""
    images, tested = digit_parts()
    means = np.array([images.x[images.y == each].mean(axis=0) for each in range(10)])
    said = ((tested.x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return float(np.mean(said == tested.y))


def _split(seed: int, options: Any) -> float:
    images, _ = digit_parts()
    return split_digits(network(images, hidden=(64,), rate=0.05, options=options, seed=seed), seed)


def _drift(every: range) -> Iterator[Row]:
    images, _ = digit_parts()
    found = {
        name: [
            drift(
                network(images, hidden=(64,), rate=0.05, options=options, seed=seed), images, seed
            )
            for seed in every
        ]
        for name, options in (
            ("SGD", {}),
            ("a fast readout", {"fast_slow": {}}),
            ("a fast readout and rehearsal", {"fast_slow": {}, "rehearsal": {}}),
            ("a vote of rehearsal's", {"fast_slow": VOTE, "rehearsal": {}}),
        )
    }
    sgd = [last for _, last in found["SGD"]]
    base = statistics.fmean(sgd)
    for name, runs in list(found.items())[1:]:
        gain = [last - plain for (_, last), plain in zip(runs, sgd, strict=True)]
        least = 0.03 if name == "a fast readout" else 0.02
        title = f"labels change every 500 events, {name}: last 3 of 12 segments"
        yield at_least(f"{title}, above SGD ({base:.3f})", least, gain)
    first = [first for first, _ in found["a fast readout"]]
    yield at_least("the same, a fast readout: first 3 segments", 0.718 - NOISE, first)


def _permuted(seed: int, data: Path | None, options: Any) -> Continual:
    tasks = permuted_mnist(data, seed)
    body = network(tasks[0][0], hidden=(128,), rate=0.02, options=options, seed=seed)
    return continual(body, tasks, seed)
