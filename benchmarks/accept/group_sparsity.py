"""Group sparsity: what groups are worth beside a dense network and as many weights at random."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accept.rows import Row, at_least, near, not_run
from benchmarks.images import has
from benchmarks.plastic_streams import accuracy, learn, mnist_parts, network, pooled
from learners.plastic.network import MOST_CLASSES

EVENTS, TESTED = 6_000, 1_000
AT_RANDOM = MOST_CLASSES
"""So many groups that next to no weight lies within one."""


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield groups with and without rewiring at two densities."""
    if not has(data, "mnist"):
        yield not_run("MNIST of 14 x 14 pixels", "needs --data with mnist")
        return
    every = range(1, seeds + 1)
    dense = statistics.fmean(_runs(every, data, {}))
    for groups, between, density in ((4, 0.03, 0.27), (8, 0.01, 0.135)):
        still = {"groups": groups, "between": between, "rewire_every": 0}
        at_random = {"groups": AT_RANDOM, "between": density, "rewire_every": 0}
        found, rewired, drawn = (
            _runs(every, data, {"group_sparsity": params})
            for params in (still, still | {"rewire_every": 500}, at_random)
        )
        base = statistics.fmean(drawn)
        title = f"MNIST of 14 x 14 pixels, density {density:g}"
        beside = f"accuracy above as many weights at random ({base:.3f}, dense {dense:.3f})"
        gain = [a - b for a, b in zip(found, drawn, strict=True)]
        yield at_least(f"{title}: {beside}", 0.01, gain)
        gain = [a - b for a, b in zip(rewired, found, strict=True)]
        yield near(f"{title}: what rewiring adds, for no gain was seen", 0.0, 0.01, gain)


def _runs(every: Sequence[int], data: Path | None, options: Any) -> list[float]:
    found = []
    for seed in every:
        images, tested = (pooled(each) for each in mnist_parts(data, seed, EVENTS, TESTED))
        body = network(images, hidden=(128, 128), rate=0.02, options=options, seed=seed)
        learn(body, images, seed=seed)
        found.append(accuracy(body, tested))
    return found
