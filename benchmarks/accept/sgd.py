"""Plain gradient steps: the figures that every other rule is held against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.accept.rows import Row, at_most, near, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import (
    accuracy,
    continual,
    digit_parts,
    drift,
    learn,
    mnist_learned,
    mnist_parts,
    network,
    permuted_mnist,
    split_digits,
)


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield what was measured of it before, on each of the streams."""
    images, tested = digit_parts()
    every = range(1, seeds + 1)
    first, final = [], []
    for seed in every:
        body = network(images, hidden=(64,), rate=0.02, seed=seed)
        first.append(learn(body, images, 3, seed))
        final.append(accuracy(body, tested))
    yield near("digits, 64 hidden, 3 passes, rate .02: test accuracy", 0.962, 0.011, final)
    yield near("the same: accuracy before learning, first pass", 0.776, 0.02, first)
    last = [split_digits(network(images, hidden=(64,), rate=0.02, seed=s), s) for s in every]
    yield near("split digits, 5 x 2 classes, one head: test accuracy", 0.164, 0.03, last)
    moved = [drift(network(images, hidden=(64,), rate=0.05, seed=s), images, s) for s in every]
    yield near(
        "labels drift, rate .05: accuracy, first 3 of 12 segments",
        0.692,
        0.03,
        [a for a, _ in moved],
    )
    yield near(
        "labels drift, rate .05: accuracy, last 3 of 12 segments",
        0.830,
        0.03,
        [b for _, b in moved],
    )
    if not has(data, "mnist"):
        yield not_run("permuted MNIST", "needs --data with mnist")
        return
    once = [mnist_learned(data, seed, rate=0.05) for seed in every]
    yield near("MNIST 14 x 14, 128 hidden, 5000 events once, rate .05: test", 0.895, 0.02, once)
    yield at_most(
        "MNIST, 784-128-10: median microseconds to learn an event",
        150.0,
        [_microseconds(data, seed) for seed in every],
    )
    found = []
    for seed in every:
        tasks = permuted_mnist(data, seed)
        found.append(
            continual(network(tasks[0][0], hidden=(128,), rate=0.01, seed=seed), tasks, seed)
        )
    yield near(
        "permuted MNIST, 4 x 4000, rate .01: final accuracy", 0.821, 0.02, [f.final for f in found]
    )
    yield near("the same: accuracy of a task just learned", 0.865, 0.02, [f.learned for f in found])
    yield near("the same: forgotten", 0.058, 0.02, [f.forgotten for f in found])


def _microseconds(data: Path | None, seed: int) -> float:
    images, _ = mnist_parts(data, seed, 1_000, 1)
    body = network(images, hidden=(128,), seed=seed)
    taken = []
    for x, y in zip(images.x, images.y.tolist(), strict=True):
        begun = time.perf_counter()
        body.learn(x, y)
        taken.append(time.perf_counter() - begun)
    return 1e6 * statistics.median(taken)
