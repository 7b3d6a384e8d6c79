"""Hopfield memory: recall of flipped bits by its law, the energy, digits and a change of labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, near, never
from benchmarks.images import digits
from learners.base import Features
from learners.kernels import hopfield_memory as kernels
from learners.memories.hopfield_memory import HopfieldMemory

Floats = NDArray[np.float64]
D = 64
RECALLS = ((256, 19, 2_000), (1_024, 13, 600), (1_024, 19, 600), (4_096, 13, 200), (4_096, 19, 200))
"""Patterns, flipped bits, cues."""


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield laws, then what was measured of random patterns, then of digits."""
    draws = [np.random.default_rng((seed, 7)) for seed in range(1, seeds + 1)]
    for n, k, cues in RECALLS:
        statement = f"{n} patterns of 64 random bits, {k} flipped, one step: P(B > {k})^{n - 1}"
        found = [recalled(draw, n, k, 1.0, cues) for draw in draws]
        yield near(statement, law(n, k), 0.04, found)
    found = [recalled(draw, 4_096, 6, 1.0, 200) for draw in draws]
    yield at_least("4,096 patterns of 64 random bits, 6 flipped, one step", 0.999, found)
    yield never("the energy rises in a step, of 1,200", [rises(draw, 1_200) for draw in draws])
    found = [beyond_bound(draw, 300) for draw in draws]
    yield never("the error of one step exceeds its bound, of 300", found)
    yield from _sharpness(draws)
    yield from _classic(draws)
    yield from _digits(seeds)


def law(n: int, k: int) -> float:
    """Return the probability that no other of n patterns is as near to a cue of k flipped bits."""
    above = sum(math.comb(D, b) for b in range(k + 1, D + 1)) / 2.0**D
    return float(above ** (n - 1))


def bits(draw: np.random.Generator, n: int) -> Floats:
    """Return n patterns (float64[n, D]) of random signs."""
    return np.where(draw.random((n, D)) < 0.5, -1.0, 1.0)


def cued(draw: np.random.Generator, patterns: Floats, k: int) -> tuple[Floats, Floats]:
    """Return a pattern, and it with k bits flipped."""
    meant = patterns[draw.integers(len(patterns))]
    cue = meant.copy()
    cue[draw.permutation(D)[:k]] *= -1.0
    return meant, cue


def named(row: Floats) -> Features:
    """Return a row as an event."""
    return {f"b{i}": value for i, value in enumerate(row.tolist())}


def holding(patterns: Floats, beta: float) -> HopfieldMemory:
    """Return a memory of patterns; `beta` is for patterns as they are, not with length 1."""
    learner = HopfieldMemory(
        len(patterns), beta * D, write="all", merge_at=2.0, scaling="none", max_features=D
    )
    for row in patterns:
        learner.learn_one(named(row))
    return learner


def brought_back(learner: HopfieldMemory, cue: Floats) -> Floats:
    """Return what one step makes of a cue."""
    said = learner.predict(named(cue)).expected or {}
    return np.array(list(said.values()))


def recalled(draw: np.random.Generator, n: int, k: int, beta: float, cues: int) -> float:
    """Return the share of cues whose every sign one step puts right."""
    patterns = bits(draw, n)
    learner = holding(patterns, beta)
    right = 0
    for _ in range(cues):
        meant, cue = cued(draw, patterns, k)
        right += bool(np.array_equal(np.sign(brought_back(learner, cue)), meant))
    return right / cues


def _sharpness(draws: list[np.random.Generator]) -> Iterator[Row]:
    found = [recalled(draw, 256, 13, 0.05, 100) for draw in draws]
    yield never("256 patterns, beta 0.05: the mean of all comes back, and no pattern", found)
    found = [recalled(draw, 1_024, 13, 0.1, 100) for draw in draws]
    yield never("1,024 patterns, 13 flipped, beta 0.1: a pattern comes back", found)
    for beta, error in ((0.25, 0.51), (0.5, 0.025), (1.0, 0.008)):
        found = [_error(draw, beta) for draw in draws]
        yield at_most(
            f"1,024 patterns, 13 flipped, beta {beta}: largest error of an entry", error, found
        )


def _error(draw: np.random.Generator, beta: float) -> float:
    patterns = bits(draw, 1_024)
    learner = holding(patterns, beta)
    found = []
    for _ in range(200):
        meant, cue = cued(draw, patterns, 13)
        found.append(float(np.abs(brought_back(learner, cue) - meant).max()))
    return float(np.mean(found))


def energy(X: Floats, s: Floats, beta: float) -> tuple[float, Floats]:
    """Return the energy of a state, and the state after one step."""
    n, a, p, after = len(X), np.zeros(len(X)), np.zeros(len(X)), np.zeros(D)
    top = kernels.overlaps(X, n, D, s, a)
    soft = kernels.attend(a, n, beta, a[top], p)
    kernels.bring_back(X, n, D, p, after)
    longest = float(np.square(X).sum(1).max())
    return -soft + 0.5 * float(s @ s) + 0.5 * longest, after


def rises(draw: np.random.Generator, steps: int) -> int:
    """Return how many of so many steps raise the energy, from random states of random memories."""
    found = 0
    for _ in range(steps // 6):
        X = draw.normal(size=(int(draw.integers(2, 60)), D)) * draw.uniform(0.1, 2.0)
        beta, s = float(draw.uniform(0.02, 4.0)), draw.normal(size=D)
        before, s = energy(X, s, beta)
        for _ in range(6):
            after, s = energy(X, s, beta)
            found += after > before + 1e-9 * abs(before)
            before = after
    return found


def beyond_bound(draw: np.random.Generator, cases: int) -> int:
    """Return how often a step errs by more than 2 (N - 1) exp(-beta (Delta - 2 |s - x| M)) M."""
    found = 0
    for _ in range(cases):
        X = draw.normal(size=(int(draw.integers(2, 40)), D))
        beta, meant = float(draw.uniform(0.05, 2.0)), X[0]
        s = meant + draw.normal(size=D) * draw.uniform(0.0, 0.3)
        longest = float(np.linalg.norm(X, axis=1).max())
        apart = float((meant @ meant - X[1:] @ meant).min())
        off = float(np.linalg.norm(s - meant))
        exponent = -beta * (apart - 2.0 * off * longest)
        bound = 2.0 * (len(X) - 1) * math.exp(min(exponent, 300.0)) * longest
        _, after = energy(X, s, beta)
        found += float(np.linalg.norm(after - meant)) > bound + 1e-9
    return found


def _classic(draws: list[np.random.Generator]) -> Iterator[Row]:
    """Yield the network of 1982 beside it: Hebb's couplings, and one unit at a time."""
    for n, expected in ((4, 1.0), (8, 0.870), (16, 0.175)):
        found = [_classic_recalled(draw, n) for draw in draws]
        yield near(f"classic Hopfield network, {n} patterns, 6 flipped", expected, 0.07, found)


def _classic_recalled(draw: np.random.Generator, n: int) -> float:
    right = 0
    for _ in range(200):
        patterns = bits(draw, n)
        J = patterns.T @ patterns / D
        np.fill_diagonal(J, 0.0)
        meant, s = cued(draw, patterns, 6)
        for _ in range(10):
            before = s.copy()
            for i in range(D):
                field = float(J[i] @ s)
                s[i] = math.copysign(1.0, field) if field else s[i]
            if np.array_equal(s, before):
                break
        right += bool(np.array_equal(s, meant))
    return right / 200


def _digits(seeds: int) -> Iterator[Row]:
    runs = [digits_run(seed, {"repair": 0.0}) for seed in range(1, seeds + 1)]
    yield at_least("digits, prequential, 300 patterns", 0.94, [run[0] for run in runs])
    yield at_least("digits, last 500, 300 patterns", 0.975, [run[1] for run in runs])
    gated = [run[2] for run in runs]
    yield at_most("digits, 300 patterns: evictions", 67, gated)
    runs = [digits_run(seed, {"repair": 0.0, "write": "all"}) for seed in range(1, seeds + 1)]
    yield near("digits, all written: prequential", 0.938, 0.01, [run[0] for run in runs])
    shares = [few / run[2] for few, run in zip(gated, runs, strict=True)]
    yield at_most("digits: evictions, as a share of those when all is written", 0.05, shares)
    for patterns, least in ((100, 0.915), (50, 0.867)):
        params = {"repair": 0.0, "patterns": patterns}
        found = [digits_run(seed, params)[0] for seed in range(1, seeds + 1)]
        yield at_least(f"digits, prequential, {patterns} patterns", least, found)
    runs = [digits_run(seed, {}, switch=True) for seed in range(1, seeds + 1)]
    yield near("labels change at half time: first 200 after it", 0.465, 0.05, [r[3] for r in runs])
    yield at_least("labels change at half time: last 500", 0.954, [run[1] for run in runs])


def digits_run(
    seed: int, params: dict[str, Any], switch: bool = False
) -> tuple[float, float, float, float]:
    """Return accuracy over all, over the last 500, evictions, and accuracy of 200 after half."""
    images = digits().shuffled(seed)
    learner = HopfieldMemory(classes=10, scaling="center", **params)
    half, right = len(images) // 2, []
    for i, (row, y) in enumerate(zip(images.x, images.y.tolist(), strict=True)):
        label = str((y + 3) % 10 if switch and i >= half else y)
        right.append(learner.step_one(named(row), label).label == label)
    means = [float(np.mean(part)) for part in (right, right[-500:], right[half : half + 200])]
    return means[0], means[1], learner.signals()["hopfield_evictions"], means[2]
