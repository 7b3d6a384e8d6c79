"""Symmetric STDP: digits, and that sums stay and answers change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.accept.rows import Row, at_least, at_most, never
from benchmarks.plastic_streams import accuracy, digit_parts, learn, network


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the invariants after a pass over digits, and what it tells then and after another."""
    images, tested = digit_parts()
    off, moved, once, twice = [], [], [], []
    for seed in range(1, seeds + 1):
        body = network(images, hidden=(200,), rule="symmetric_stdp", seed=seed)
        learn(body, images, 1, seed)
        sums = body.rule.arrays["inward"].sum(axis=0)
        off.append(float(np.abs(sums - 0.1 * body.shape.inputs).max()))
        before = body.get_state()
        once.append(accuracy(body, tested))
        after = body.get_state()
        moved.append(float(sum((before[n] != after[n]).sum() for n in before)))
        body = network(
            images, hidden=(400,), rule="symmetric_stdp", rule_params={"rise": 0.2}, seed=seed
        )
        learn(body, images, 2, seed)
        twice.append(accuracy(body, tested))
    yield at_most("digits, 200 units: how far sums of weights are off", 1e-9, off)
    yield never("the same: numbers of the state that answers change", moved)
    yield at_least("digits, 200 units, once: test accuracy", 0.78, once)
    yield at_least("digits, 400 units, twice: test accuracy", 0.82, twice)
