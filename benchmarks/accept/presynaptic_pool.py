"""Presynaptic pools: how often spikes coincide with a teacher's, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.accept.rows import Row, at_least, at_most
from learners.plastic.presynaptic_pool import PresynapticPool

INPUTS, CHANCE, TICKS, SWEEPS, WINDOW = 60, 0.03, 400, 300, 3
NAMES = tuple(f"i{i}" for i in range(INPUTS))


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the coincidence before and after, and how little weights say of the teacher's."""
    found = [_learned(seed) for seed in range(1, seeds + 1)]
    name = f"{INPUTS} inputs, {TICKS} ticks {SWEEPS} times: F1 within {WINDOW} ticks"
    yield at_most(f"{name}, untrained", 0.7, [first for first, _, _ in found])
    yield at_least(f"{name}, mean of the last ten sweeps", 0.85, [last for _, last, _ in found])
    said = "the same: correlation with the teacher's weights, which are not recovered"
    yield at_most(said, 0.6, [likeness for _, _, likeness in found])


def _learned(seed: int) -> tuple[float, float, float]:
    draw = np.random.default_rng(seed)
    spikes = draw.random((TICKS, INPUTS)) < CHANCE
    x = [dict(zip(NAMES, row, strict=True)) for row in spikes.astype(float).tolist()]
    teacher = PresynapticPool(INPUTS, seed=1_000 + seed)
    wanted = _fired(teacher, x)
    learner = PresynapticPool(INPUTS, seed=seed)
    f1 = [coincidence(_fired(PresynapticPool(INPUTS, seed=seed), x), wanted)]
    for _ in range(SWEEPS):
        fired = []
        for event, y in zip(x, wanted, strict=True):
            learner.learn_one(event, y)
            fired.append(float(learner.fired[-1]))
        f1.append(coincidence(fired, wanted))
    likeness = float(np.corrcoef(learner.synapses, teacher.synapses)[0, 1])
    return f1[0], float(np.mean(f1[-10:])), likeness


def _fired(learner: PresynapticPool, x: Sequence[dict[str, float]]) -> list[float]:
    out = []
    for event in x:
        learner.learn_one(event)
        out.append(float(learner.fired[-1]))
    return out


def coincidence(fired: Sequence[float], wanted: Sequence[float]) -> float:
    """Return F1 of spikes, each of which may be paired once, within the window."""
    ours, theirs = list(np.flatnonzero(fired)), list(np.flatnonzero(wanted))
    pairs = i = j = 0
    while i < len(ours) and j < len(theirs):
        if abs(ours[i] - theirs[j]) <= WINDOW:
            pairs, i, j = pairs + 1, i + 1, j + 1
        elif ours[i] < theirs[j]:
            i += 1
        else:
            j += 1
    return 2.0 * pairs / max(len(ours) + len(theirs), 1)
