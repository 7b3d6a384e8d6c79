"""Counter-current learning: digits with one and with three hidden layers, and MNIST once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.accept.rows import Row, at_least, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import digits_learned, mnist_learned


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield what was measured of it before, at the default rate."""
    every = range(1, seeds + 1)
    for hidden, least in (((64,), 0.94), ((64, 64, 64), 0.93)):
        found = [digits_learned(seed, hidden, rule="counter_current") for seed in every]
        name = f"digits, {len(hidden)} hidden layers of 64, 3 passes: test accuracy"
        yield at_least(name, least, [said for _, said in found])
    name = "MNIST 14 x 14, 128 hidden, 5000 events once: test accuracy"
    if not has(data, "mnist"):
        yield not_run(name, "needs --data with mnist")
        return
    yield at_least(name, 0.847, [mnist_learned(data, s, rule="counter_current") for s in every])
