"""Liquid state: how much it remembers, and what it mixes that no sum of its inputs tells.

Memory capacity is the sum over delays of the share of variance of a past input that can be read
from the state, which for independent inputs never exceeds the number of units (Jaeger 2001). The
other task: each of two segments of 100 ms is one of two templates of spikes on 40 channels, and the
label is whether they differ, which no sum over filtered spikes can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, near, never
from learners.reservoirs.liquid_state import LiquidState
from learners.reservoirs.readout import Readout

Floats = NDArray[np.float64]

STEPS, WASHED_OUT, TRAINED = 8_000, 500, 6_000
CHANNELS, SEGMENT, SPIKES_A_STEP = 40, 100, 0.03
TRIALS, LAST = 600, 150
REPEATS = 200


@cache
def memory_capacity(seed: int, units: int, radius: float, scale: float = 0.1) -> float:
    """Return the memory capacity, out of sample; a `scale` near 0 makes units linear."""
    learner = LiquidState(
        units=units,
        radius=radius,
        density=1.0,
        least_leak=1.0,
        input_scale=scale,
        forecasts="none",
        standardize=False,
        max_features=1,
        remembered=0,
        seed=seed,
    )
    u = np.random.default_rng((seed, 31)).uniform(-1.0, 1.0, STEPS)
    states = np.zeros((STEPS, units))
    for i, value in enumerate(u.tolist()):
        learner.learn_one({"u": value})
        states[i] = learner.features_now()[:units]
    states -= states.mean(0)
    delays = np.arange(1, 2 * units + 1)
    past = np.stack([u[WASHED_OUT - k : STEPS - k] for k in delays], 1)
    X = states[WASHED_OUT:]
    X, X_test = X[:TRAINED], X[TRAINED:]
    Y, Y_test = past[:TRAINED], past[TRAINED:]
    A = X.T @ X
    W = np.linalg.solve(A + 1e-9 * np.trace(A) / units * np.eye(units), X.T @ Y)
    missed = ((Y_test - X_test @ W) ** 2).sum(0) / (Y_test**2).sum(0)
    return float(np.maximum(1.0 - missed, 0.0).sum())


class Told(NamedTuple):
    """Share of the last trials told right, by the liquid and by its filtered inputs."""

    liquid: float
    raw: float


@cache
def different(seed: int, units: int, jitter: float, trials: int = TRIALS) -> Told:
    """Tell whether two segments are of different templates."""
    draw = np.random.default_rng((seed, 32))
    templates = [np.argwhere(draw.random((SEGMENT, CHANNELS)) < SPIKES_A_STEP) for _ in range(2)]
    learner = LiquidState(
        units=units,
        form="spikes",
        steps=1,
        readout="rls",
        ridge=1.0,
        forecasts="none",
        standardize=False,
        classes=2,
        max_features=CHANNELS,
        remembered=0,
        seed=seed,
    )
    plain = Readout("rls", 2 * CHANNELS + 1, 2, ridge=1.0)
    learner.learn_one(dict.fromkeys(NAMES, 0.0))
    right, raw_right = [], []
    for _ in range(trials):
        first, second = draw.integers(0, 2, 2).tolist()
        spikes = np.zeros((2 * SEGMENT, CHANNELS))
        for begin, template in ((0, templates[first]), (SEGMENT, templates[second])):
            moved = np.rint(template[:, 0] + jitter * draw.standard_normal(len(template)))
            spikes[begin + np.clip(moved, 0, SEGMENT - 1).astype(int), template[:, 1]] = 1.0
        y = int(first != second)
        right.append(_present(learner, spikes, y))
        raw_right.append(_read_raw(plain, spikes, y))
    return Told(float(np.mean(right[-LAST:])), float(np.mean(raw_right[-LAST:])))


NAMES = [f"c{i}" for i in range(CHANNELS)]


def _present(learner: LiquidState, spikes: Floats, y: int) -> bool:
    """Let a trial pass, an event a step; return whether its label was told."""
    learner.reset()
    steps = [{NAMES[c]: 1.0 for c in np.flatnonzero(row).tolist()} for row in spikes]
    for x in steps[:-1]:
        learner.learn_one(x)
    said = learner.predict(steps[-1]).label
    learner.learn_one(steps[-1], y)
    return said == y


def _read_raw(readout: Readout, spikes: Floats, y: int) -> bool:
    """Read the label of a trial off its inputs, filtered as the liquid's spikes are."""
    back = np.arange(len(spikes))[::-1, None]
    filtered = [(spikes * np.exp(-back / steps)).sum(0) for steps in (30.0, 120.0)]
    f = np.concatenate([*filtered, [1.0]])
    z = readout.read(f, len(f), 2).copy()
    errors = -z
    errors[y] += 1.0
    readout.teach(f, len(f), errors)
    return int(z.argmax()) == y


@cache
def excess(seed: int, events: tuple[int, ...], ridge: float, repeats: int = REPEATS) -> list[float]:
    """Return the excess error of recursive least squares after so many events, 50 features."""
    N = 50
    draw = np.random.default_rng((seed, 33))
    found = np.zeros(len(events))
    for _ in range(repeats):
        true = draw.standard_normal(N)
        true /= math.sqrt(float(true @ true))
        readout = Readout("rls", N, 1, ridge=ridge, forgetting=1.0)
        for i in range(1, max(events) + 1):
            f = draw.standard_normal(N)
            y = float(f @ true) + float(draw.standard_normal())
            readout.teach(f, N, np.array([y]) - readout.read(f, N, 1))
            if i in events:
                off = readout.W[:, 0] - true
                found[events.index(i)] += float(off @ off) / repeats
    return [float(each) for each in found]


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield each statement."""
    over = range(1, seeds + 1)
    laws = {52: 50.0, 75: 50 / 24, 100: 50 / 49, 200: 50 / 149}
    plain = [excess(seed, (50, *laws), 1e-6) for seed in over]
    for i, (events, law) in enumerate(laws.items(), 1):
        statement = f"excess error of least squares, N = 50, {events} events: N / (P - N - 1)"
        yield near(statement, law, 0.06 * law, [each[i] for each in plain])
    yield at_least("the same at its peak, 50 events, ridge 0.001", 10.0, _at_peak(1e-3, over))
    for ridge, least in ((10.0, 0.93), (50.0, 0.58)):
        statement = f"the same with a ridge of {ridge:g}, {least:g} published"
        yield near(statement, least, 0.06, _at_peak(ridge, over))
    bounds = []
    for units in (50, 100):
        for radius in (0.9, 0.99):
            found = [memory_capacity(seed, units, radius) for seed in over]
            bounds += [each - units for each in found]
            linear = [memory_capacity(seed, units, radius, 1e-4) for seed in over]
            bounds += [each - units for each in linear]
            of = f"memory capacity of {units} units, radius {radius:g}"
            if units == 50:
                yield near(f"{of}, tanh: 15 to 50", 32.5, 17.5, found)
            else:
                yield at_most(f"{of}, tanh", units, found)
            yield at_most(f"{of}, linear", units, linear)
    yield never("memory capacity above the number of units", [each > 0.0 for each in bounds])
    for units in (135, 300):
        told = [different(seed, units, 2.0) for seed in over]
        yield at_least(
            f"different templates told, {units} units, spikes moved by 2 ms",
            0.8,
            [each.liquid for each in told],
        )
    yield at_most("the same from filtered inputs", 0.6, [each.raw for each in told])
    for units, published in ((135, 0.687), (300, 0.673)):
        told = [different(seed, units, 6.0) for seed in over]
        statement = f"the same, {units} units, moved by 6 ms"
        yield at_least(statement, published, [each.liquid for each in told])


def _at_peak(ridge: float, over: range) -> list[float]:
    return [excess(seed, (50,), ridge)[0] for seed in over]
