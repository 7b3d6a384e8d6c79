"""STDP detector: when it fires is exact, and how often by chance is a hypergeometric tail."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, near, never
from learners.plastic.stdp_detector import StdpDetector

INPUTS, ACTIVE = 64, 16
NEURONS, CHANCES, SWAPS = 10, 2_000, 500
NAMES = tuple(f"bit{i}" for i in range(INPUTS))


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the laws of one neuron a pattern, then what becomes of a neuron that shares."""
    every = range(1, seeds + 1)
    found = [_alone(seed, 0.9) for seed in every]
    name = f"{ACTIVE} of {INPUTS} active, fires at .9 of them"
    yield at_least(f"{name}: share of taught patterns told", 1.0, [told for told, _, _ in found])
    said = f"{name}: {CHANCES} patterns by chance that fire it, law {tail(15):.2g}"
    yield never(said, [chance for _, chance, _ in found])
    yield never(f"{name}: patterns with 2 bits swapped that fire it", [s for _, _, s in found])
    found = [_alone(seed, 0.7) for seed in every]
    said = f"the same at .7: {CHANCES} patterns by chance, law {tail(12):.2g}"
    yield never(said, [chance for _, chance, _ in found])
    yield at_least(
        "the same at .7: share of swapped patterns that fire it",
        1.0,
        [s / SWAPS / NEURONS for _, _, s in found],
    )
    law = tail(math.ceil(0.4 * ACTIVE))
    chances = [_alone(seed, 0.4)[1] / CHANCES / NEURONS for seed in every]
    yield near(
        "the same at .4: share of patterns by chance that fire it", round(law, 4), 0.005, chances
    )
    for shared, share, by in ((2, 0.001, 0.02), (4, 0.194, 0.05), (8, 0.757, 0.05)):
        rates = [_shared(seed, shared) for seed in every]
        yield near(f"{shared} patterns share a neuron, .9: share by chance", share, by, rates)


def tail(least: int) -> float:
    """Return how probably a pattern by chance has `least` or more of the taught active."""
    ways = math.comb(INPUTS, ACTIVE)
    rest = INPUTS - ACTIVE
    return sum(
        math.comb(ACTIVE, m) * math.comb(rest, ACTIVE - m) / ways for m in range(least, ACTIVE + 1)
    )


def _event(active: NDArray[np.int64]) -> dict[str, float]:
    said = np.zeros(INPUTS)
    said[active] = 1.0
    return dict(zip(NAMES, said.tolist(), strict=True))


def _alone(seed: int, overlap: float) -> tuple[float, float, float]:
    """Return the share told, and how often chance and swapped patterns fire a neuron."""
    draw = np.random.default_rng(seed)
    learner = StdpDetector(INPUTS, NEURONS, overlap)
    patterns = [draw.permutation(INPUTS)[:ACTIVE] for _ in range(NEURONS)]
    for number, pattern in enumerate(patterns):
        learner.learn_one(_event(pattern), f"p{number}")
    told = [learner.predict(_event(p)).label == f"p{i}" for i, p in enumerate(patterns)]
    fires = 0
    for _ in range(CHANCES):
        fires += _fired(learner, _event(draw.permutation(INPUTS)[:ACTIVE]))
    swapped = 0
    for number, pattern in enumerate(patterns):
        others = np.setdiff1d(np.arange(INPUTS), pattern)
        for _ in range(SWAPS):
            near_miss = draw.permutation(pattern)
            near_miss[:2] = draw.permutation(others)[:2]
            shares = learner.shares(_event(near_miss))
            swapped += shares[f"p{number}"] >= overlap
    return float(np.mean(told)), float(fires), float(swapped)


def _fired(learner: StdpDetector, x: dict[str, float]) -> int:
    """Return how many neurons fire."""
    return sum(share >= learner.overlap - 1e-9 for share in learner.shares(x).values())


def _shared(seed: int, patterns: int) -> float:
    """Return how often chance fires a neuron that was taught several patterns, 50 times each."""
    draw = np.random.default_rng(seed)
    learner = StdpDetector(INPUTS, 2, 0.9, rate=0.05)
    taught = [_event(draw.permutation(INPUTS)[:ACTIVE]) for _ in range(patterns)]
    for _ in range(50):
        for x in taught:
            learner.learn_one(x, "any of them")
    chances = (_event(draw.permutation(INPUTS)[:ACTIVE]) for _ in range(CHANCES))
    return sum(_fired(learner, x) for x in chances) / CHANCES
