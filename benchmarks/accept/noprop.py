"""Noprop: digits and MNIST, and what the blocks behind the first one add."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.accept.rows import Row, at_least, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import (
    accuracy,
    digit_parts,
    digits_learned,
    learn,
    mnist_learned,
    network,
)

BLOCKS = 5


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield what was measured of it before, with the first block alone and SGD beside it."""
    every = range(1, seeds + 1)
    images, tested = digit_parts()
    said, added = [], []
    for seed in every:
        body = network(images, hidden=(64,), rule="noprop", seed=seed)
        learn(body, images, 3, seed)
        said.append(accuracy(body, tested))
        alone = []
        for x in tested.x:
            body.look(x)
            alone.append(int(body.rule.work["said"][0].argmax()))
        added.append(said[-1] - float(np.mean(np.array(alone) == tested.y)))
    yield at_least("digits, 5 blocks of 64, 3 passes: test accuracy", 0.955, said)
    yield at_least("the same: above its first block alone", 0.0, added)
    plain = [digits_learned(seed, (64 * BLOCKS,))[1] for seed in every]
    above = [a - b for a, b in zip(said, plain, strict=True)]
    yield at_least("the same: above SGD with as many weights, within noise", -0.01, above)
    name = "MNIST 14 x 14, 5 blocks of 128, 5000 events once: test accuracy"
    if not has(data, "mnist"):
        yield not_run(name, "needs --data with mnist")
        return
    yield at_least(name, 0.871, [mnist_learned(data, seed, rule="noprop") for seed in every])
