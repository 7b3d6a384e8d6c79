"""Adaptive threshold features: misses and shares by their law, bars, and a changed harmonic."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, near, never
from benchmarks.images import digits
from learners.adaptive_threshold_features import AdaptiveThresholdFeatures
from learners.base import Features

Floats = NDArray[np.float64]
SIDE = 7
EVENTS = 60_000
CHANGE, QUIET_FROM, AFTER = 20_000, 8_000, 200


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the law of misses, then bars, then a changed harmonic, then digits."""
    chosen = range(1, seeds + 1)
    for n in (1, 2, 4, 9, 16):
        law = 0.001 / (0.001 + n * 0.01)
        # The rarer misses are, the longer it takes to count them.
        events = 20_000 if n < 9 else 40_000
        found = [bars_run(seed, n, 0.001, 0.01, events, first=1.0).missed for seed in chosen]
        yield near(f"{n} units, rise .001, fall .01: missed", law, 0.05 * law, found)
    yield from _bars(chosen)
    yield from _drift()
    found = [_digits(seed) for seed in chosen]
    yield at_least("digits, prequential, 64 units and a softmax read-out", 0.8, found)


@dataclass
class Run:
    """What came of a run over bars, in its second half."""

    missed: float
    least: float
    """Share of wins of the unit with the fewest."""
    most: float
    cosine: float
    """Of the bar that is represented worst, with the unit nearest to it."""
    purity: float
    """Share of wins that were of the bar the unit wins most."""
    spread: float
    """Deviation of the thresholds."""
    converged: float


def bars() -> Floats:
    """Return four bars (float64[4, 49]) across a square, two of them diagonal."""
    found = np.zeros((4, SIDE, SIDE))
    middle = SIDE // 2
    found[0, middle], found[1, :, middle] = 1.0, 1.0
    found[2], found[3] = np.eye(SIDE), np.eye(SIDE)[::-1]
    return found.reshape(4, -1)


def bar_events(seed: int, count: int, noise: float = 0.0) -> Iterator[tuple[int, Features]]:
    """Yield bars as time surfaces, each pixel decayed by a random time; -1 is noise."""
    draw = np.random.default_rng((seed, 17))
    names, shapes = [f"p{i}" for i in range(SIDE * SIDE)], bars()
    for which in draw.integers(0, 4, count).tolist():
        strange = draw.random() < noise
        shape = draw.random(SIDE * SIDE) if strange else shapes[which]
        surface = shape * np.exp(-0.5 * draw.random(SIDE * SIDE))
        yield (-1 if strange else which), dict(zip(names, surface.tolist(), strict=True))


def bars_run(
    seed: int,
    n: int,
    rise: float,
    fall: float,
    events: int,
    first: float = 0.0,
    noise: float = 0.0,
) -> Run:
    """Return what came of n units over so many events."""
    learner = AdaptiveThresholdFeatures(
        n, rise=rise, fall=fall, first_threshold=first, scaling="none", max_features=49, seed=seed
    )
    won = np.zeros((n, 5))
    missed = 0
    for i, (which, x) in enumerate(bar_events(seed, events, noise)):
        if i >= events // 2:
            winner = learner.winner_one(x)
            missed += winner < 0
            won[winner, which] += winner >= 0
        learner.learn_one(x)
    W, shapes = learner.get_state()["W"][:, 0, :], bars()
    cosines = W @ shapes.T / np.linalg.norm(shapes, axis=1)
    shares = won.sum(1) / (events - events // 2)
    return Run(
        missed / (events - events // 2),
        float(shares.min()),
        float(shares.max()),
        float(cosines.max(0).min()),
        float(won.max(1).sum() / won.sum()),
        learner.signals()["features_threshold_deviation"],
        learner.signals()["features_converged"],
    )


def _bars(seeds: range) -> Iterator[Row]:
    for rise, fall in ((0.001, 0.003), (0.003, 0.001), (0.02, 0.2)):
        runs = [bars_run(seed, 8, rise, fall, EVENTS) for seed in seeds]
        law = rise / (rise + 8 * fall)
        name = f"8 units, 4 bars, rise {rise:g}, fall {fall:g}"
        yield near(f"{name}: missed", law, 0.05 * law, [run.missed for run in runs])
        if rise == 0.001:
            share = (1.0 - law) / 8
            off = [max(run.most / share - 1.0, 1.0 - run.least / share) for run in runs]
            yield at_most(f"{name}: shares of wins off (1 - missed) / 8, relatively", 0.08, off)
            yield at_least(f"{name}: cosine of each bar and a unit", 0.98, [r.cosine for r in runs])
            yield at_least(f"{name}: wins of the unit's own bar", 0.99, [r.purity for r in runs])
            yield at_least(f"{name}: says that it has converged", 1.0, [r.converged for r in runs])
            calm = [run.spread for run in runs]
    runs = [bars_run(seed, 8, 0.001, 0.003, EVENTS, noise=0.2) for seed in seeds]
    more = [run.spread - before for run, before in zip(runs, calm, strict=True)]
    yield at_least("a fifth is noise: deviation of thresholds above that without", 0.02, more)


def changing(seed: int) -> Iterator[float]:
    """Yield a first and a third harmonic and noise; the third is replaced by the fifth."""
    draw = np.random.default_rng((seed, 19))
    for t in itertools.count():
        phase, harmonic = 2 * math.pi * t / 24, 3 if t < CHANGE else 5
        wave = math.sin(phase) + 0.7 * math.sin(harmonic * phase)
        yield wave + 0.1 * float(draw.normal())


def change_found(seed: int) -> tuple[int, int]:
    """Return after how many events novelty is beyond 6, and how often it was before the change."""
    learner = AdaptiveThresholdFeatures(8, lags=12, max_features=1, scaling="none", seed=seed)
    false = 0
    for t, value in enumerate(changing(seed)):
        learner.learn_one({"v": value})
        beyond = learner.signals()["features_novelty"] > 6.0
        if QUIET_FROM <= t < CHANGE:
            false += beyond
        elif t >= CHANGE and (beyond or t > CHANGE + AFTER):
            return t - CHANGE + 1, false
    raise AssertionError


def _drift() -> Iterator[Row]:
    found = [change_found(seed) for seed in range(1, 9)]
    name = "series, a harmonic is replaced, 8 seeds"
    yield at_most(f"{name}: events until similarity tells (all within)", 20, [max(found)[0]])
    yield never(f"{name}: false alarms in 12,000 events", [each[1] for each in found])


def _digits(seed: int) -> float:
    images = digits().shuffled(seed)
    learner = AdaptiveThresholdFeatures(64, classes=10, seed=seed)
    names = [f"p{i}" for i in range(images.x.shape[1])]
    right = 0
    for row, y in zip(images.x.tolist(), images.y.tolist(), strict=True):
        right += learner.step_one(dict(zip(names, row, strict=True)), str(y)).label == str(y)
    return right / len(images)
