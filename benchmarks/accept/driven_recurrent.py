"""Driven recurrent network: what runs on by itself after FORCE, and what pinned units are good for.

A sum of four sines with a period of 60 time constants, 40 periods of it, then 10 periods of free
run. And a teacher of 200 units, driven by a sine and a cosine: the network learns its output, with
and without some of the teacher's currents, for 1,000 time constants, then runs for 400.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most
from learners.reservoirs.driven_recurrent import DrivenRecurrent

Floats = NDArray[np.float64]

PACE = 0.1
PERIOD = 600
EARLY = 2_000


def sines(first: int, last: int) -> Floats:
    """Return the pattern from an event to another."""
    at = 2.0 * math.pi * np.arange(first, last) / PERIOD
    parts = np.sin(at) + np.sin(2 * at) / 2 + np.sin(3 * at) / 6 + np.sin(4 * at) / 3
    return np.asarray(1.3 / 1.5 * parts)


class FreeRun(NamedTuple):
    """Error of a free run over the variance, and the mean size of weight changes."""

    error: float
    change_early: float
    change_late: float


@cache
def free_run(
    seed: int, teacher: float = 0.0, units: int = 300, periods: int = 40, free: int = 10
) -> FreeRun:
    """Learn some periods, then run freely for some more."""
    learner = DrivenRecurrent(
        units=units,
        pace=PACE,
        teacher=teacher,
        forgetting=1.0,
        standardize=False,
        max_features=1,
        seed=seed,
    )
    events, early = periods * PERIOD, 0.0
    for i, value in enumerate(sines(0, events).tolist()):
        learner.learn_one({"v": value})
        if i == min(EARLY, events // 3):
            early = learner.signals()["recurrent_change"]
    got = np.array([each.value for each in learner.forecast(free * PERIOD)])
    want = sines(events, events + free * PERIOD)
    error = float(np.mean((got - want) ** 2) / want.var())
    return FreeRun(error, early, learner.signals()["recurrent_change"])


class Twin(NamedTuple):
    """Error of the output over its variance; squared correlation of units with the teacher's."""

    error: float
    likeness: float


@cache
def twin(
    seed: int, pinned: int, units: int = 200, training: int = 10_000, tested: int = 4_000
) -> Twin:
    """Learn a teacher's output, and the currents of its first units, if any are pinned."""
    u, currents, rates, output = _teacher(seed, units, training + tested)
    names = tuple(f"h{i}" for i in range(pinned))
    learner = DrivenRecurrent(
        units=units,
        gain=0.9,
        pace=PACE,
        driven_by=("sin", "cos"),
        pinned=names,
        forgetting=1.0,
        standardize=False,
        max_features=2,
        seed=1_000 + seed,
    )
    said, states = [], []
    for i in range(training + tested):
        drive = dict(zip(("sin", "cos"), u[i].tolist(), strict=True))
        if i < training:
            pins = dict(zip(names, currents[i, :pinned].tolist(), strict=True))
            learner.learn_one({"f": float(output[i]), **drive, **pins})
            continue
        said.append((learner.predict({"f": 0.0, **drive}).expected or {})["f"])
        learner.follow_one(drive)
        states.append(learner.rates_one())
    want = output[training:]
    error = float(np.mean((np.array(said) - want) ** 2) / want.var())
    first = pinned or 40
    return Twin(error, _likeness(np.array(states)[:, :first], rates[training:, :first]))


def _teacher(seed: int, units: int, steps: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return what drives a random network, its currents, rates and an output, event by event."""
    draw = np.random.default_rng((seed, 21))
    J = draw.standard_normal((units, units)) * 0.9 / math.sqrt(units)
    B = draw.uniform(-1.0, 1.0, (units, 2))
    weights = draw.standard_normal(units) / math.sqrt(units)
    at = 2.0 * math.pi * np.arange(steps) / 300
    u = np.stack([np.sin(at), np.cos(at)], 1)
    x, current = np.zeros(units), np.zeros(units)
    currents, rates = np.zeros((steps, units)), np.zeros((steps, units))
    for i in range(steps):
        x += PACE * (current - x)
        rates[i] = np.tanh(x)
        current = J @ rates[i] + B @ u[i]
        currents[i] = current
    return u, currents, rates, rates @ weights


def _likeness(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(0), b - b.mean(0)
    both = (a * b).sum(0) ** 2 / ((a * a).sum(0) * (b * b).sum(0) + 1e-300)
    return float(both.mean())


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield each statement."""
    over = range(1, seeds + 1)
    runs = [free_run(seed) for seed in over]
    yield at_most("free run of four sines, error over variance", 1e-2, [run.error for run in runs])
    yield at_most("the same, worst seed", 1e-2, [max(run.error for run in runs)])
    falls = [run.change_early / max(run.change_late, 1e-300) for run in runs]
    yield at_least("by how much the change of weights falls from event 2,000 on", 100.0, falls)
    forced = [free_run(seed, 1.0).error for seed in over]
    yield at_least("the same free run after teacher forcing, worst seed", 0.5, [max(forced)])
    for pinned in (10, 40):
        likeness = [twin(seed, pinned).likeness for seed in over]
        yield at_least(f"{pinned} pinned units, squared correlation with theirs", 0.99, likeness)
        errors = [twin(seed, pinned).error for seed in over]
        yield at_most(f"{pinned} pinned units, error of the output over variance", 1e-5, errors)
    alone = [twin(seed, 0) for seed in over]
    yield at_most("the same without pinned units", 1e-5, [each.error for each in alone])
    likeness = [each.likeness for each in alone]
    yield at_most("squared correlation of 40 units, none pinned", 0.7, likeness)
