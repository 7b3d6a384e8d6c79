"""Autonomous units on bars: images of 5 x 5 in which each of ten bars is there or not.

Bars lie over each other, so an image is no sum of them (Foldiak 1990). A bar counts as found if the
row of some unit has a correlation above .8 with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.accept.rows import Row, at_least, near
from learners.reservoirs.autonomous_recurrent import AutonomousRecurrent

SIDE, SHARE, IMAGES, UNITS = 5, 0.2, 20_000, 14
FOUND = 0.8
NAMES = [f"p{i}" for i in range(SIDE * SIDE)]


class Found(NamedTuple):
    """How many bars were found, the mean of their best correlations, and what was learned."""

    bars: int
    correlation: float
    learned: float


@cache
def bars(seed: int, depletion: float = 0.25, gated: bool = True, images: int = IMAGES) -> Found:
    """Show images, and look for bars among the rows."""
    shapes = np.zeros((2 * SIDE, SIDE, SIDE))
    for i in range(SIDE):
        shapes[i, i, :] = shapes[SIDE + i, :, i] = 1.0
    flat = shapes.reshape(2 * SIDE, -1)
    learner = AutonomousRecurrent(
        units=UNITS,
        depletion=depletion,
        gated=gated,
        standardize=False,
        max_features=len(NAMES),
        seed=seed,
    )
    draw = np.random.default_rng((seed, 41))
    there = draw.random((images, 2 * SIDE)) < SHARE
    for row in np.minimum(there @ flat, 1.0).tolist():
        learner.learn_one(dict(zip(NAMES, row, strict=True)))
    rows = learner.get_state()["W"]
    best = np.corrcoef(flat, rows)[: 2 * SIDE, 2 * SIDE :].max(1)
    learned = learner.signals()["autonomous_learned_share"]
    return Found(int((best > FOUND).sum()), float(best.mean()), learned)


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield each statement."""
    over = range(1, seeds + 1)
    found = [bars(seed) for seed in over]
    yield at_least("seeds with all 10 bars found", 0.75, [each.bars == 10 for each in found])
    yield at_least("mean best correlation of bars", 0.9, [each.correlation for each in found])
    yield near("share of events that are learned", 0.79, 0.1, [each.learned for each in found])
    tireless = [bars(seed, depletion=0.0) for seed in over]
    more = [a.correlation - b.correlation for a, b in zip(found, tireless, strict=True)]
    yield at_least("mean best correlation, less that without depletion", 0.09, more)
    yield at_least(
        "bars found, less those without depletion",
        0.5,
        [a.bars - b.bars for a, b in zip(found, tireless, strict=True)],
    )
    open_gate = [bars(seed, gated=False) for seed in over]
    less = [a.correlation - b.correlation for a, b in zip(found, open_gate, strict=True)]
    yield near("mean best correlation, less that without a gate", 0.0, 0.05, less)
