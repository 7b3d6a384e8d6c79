"""Soft Hebbian features: what a majority vote over its units tells of images it was shown once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.accept.rows import Row, at_least, not_run
from benchmarks.images import has
from benchmarks.soft_hebbian import mnist_vote


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the one statement there is of this system alone; `bench adapt` has those of streams."""
    statement = "majority vote of 500 units, 20,000 MNIST images one by one, 10,000 others tested"
    if not has(data, "mnist"):
        yield not_run(statement, "needs --data with mnist")
        return
    yield at_least(statement, 0.9, [mnist_vote(data, seed) for seed in range(1, seeds + 1)])
