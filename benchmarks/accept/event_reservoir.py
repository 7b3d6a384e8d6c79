"""Event reservoir: a delay and a probability that change without notice, and events that stay out.

Each trial is a cue, then A or B after 300 ms (standard deviation 15), A in three of four; from
trial 150 on after 420 ms, and A in one of four. The control is recursive least squares over the
same cells, which without forgetting is the rule that the paper says does not learn anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.accept.rows import Row, at_least, at_most, near
from learners.kernels import time_cells as kernels
from learners.reservoirs.event_reservoir import EventReservoir

TRIALS = 150
DELAYS, SHARES = (0.3, 0.42), (0.75, 0.25)
JITTER = 0.015
PULSE = 0.025
LOWEST, HIGHEST, CELLS = 0.03, 1.5, 32
STEP = math.log(HIGHEST / LOWEST) / (kernels.A_CELL * (CELLS - 1))


class Peaks(NamedTuple):
    """What is expected at a cue."""

    a: float
    b: float
    seconds: float

    @property
    def total(self) -> float:
        """Of a whole pulse."""
        return self.a + self.b

    @property
    def share(self) -> float:
        """Of A."""
        return self.a / self.total if self.total else 0.5


@dataclass(frozen=True)
class Run:
    """One run: what was expected before each trial, and what came."""

    peaks: list[Peaks]
    was_a: list[bool]

    @property
    def before(self) -> Peaks:
        """What was expected just before the change."""
        return self.peaks[TRIALS]

    @property
    def after(self) -> Peaks:
        """What was expected in the end."""
        return self.peaks[-1]

    def share_error(self, upto: int) -> float:
        """How far the share of A is from how often A came in the 25 trials before one."""
        return abs(self.peaks[upto].share - float(np.mean(self.was_a[upto - 25 : upto])))

    @property
    def trials_to_adapt(self) -> int:
        """After how many trials the peak is where it has moved to; all if it never is."""
        for i, peaks in enumerate(self.peaks[TRIALS:]):
            if abs(peaks.seconds - DELAYS[1]) <= JITTER:
                return i
        return TRIALS


def trials(seed: int, omitted: float = 0.0) -> Iterator[tuple[bool, float | None]]:
    """Yield whether it is A, and after which delay it comes, if it does."""
    draw = np.random.default_rng((seed, 11))
    for part in (0, 1):
        for _ in range(TRIALS):
            is_a = bool(draw.random() < SHARES[part])
            delay = DELAYS[part] + JITTER * float(draw.standard_normal())
            yield is_a, None if draw.random() < omitted else delay


@cache
def reversal(seed: int, rate: float, omitted: float = 0.0) -> Run:
    """Run the learner."""
    learner = EventReservoir(
        symbols=3,
        shortest_seconds=LOWEST,
        longest_seconds=HIGHEST,
        cells=CELLS,
        learning_rate=rate,
    )
    draw = np.random.default_rng((seed, 12))
    t, run = 0.0, Run([], [])
    for name in "AB":
        learner.learn_one({"s": name}, None, t := t + 3.0)
    for is_a, delay in trials(seed, omitted):
        t += draw.uniform(2.0, 3.0)
        a, b = (learner.expect_one({"s": "cue"}, t)[name] for name in "AB")
        run.peaks.append(Peaks(a.peak, b.peak, max(a, b, key=lambda each: each.peak).seconds))
        run.was_a.append(is_a)
        learner.learn_one({"s": "cue"}, None, t)
        if delay is not None:
            learner.learn_one({"s": "A" if is_a else "B"}, None, t + delay)
    return run


@cache
def recursive(seed: int, forgetting: float) -> Run:
    """Run recursive least squares over the same cells and pulses, with a ridge of 1."""
    points = np.arange(kernels.A_CELL * (CELLS - 1) + 1)
    off = (points[:, None] - kernels.A_CELL * np.arange(CELLS)) / kernels.CELL_DEVIATION
    phi = np.exp(-0.5 * off * off)
    P, R, run = np.eye(CELLS), np.zeros((2, CELLS)), Run([], [])
    for is_a, delay in trials(seed):
        z = R @ phi.T
        point = int(np.argmax(z.max(0)))
        a, b = np.maximum(z.max(1), 0.0).tolist()
        run.peaks.append(Peaks(a, b, LOWEST * math.exp(STEP * point)))
        run.was_a.append(is_a)
        assert delay is not None
        away = (points - math.log(delay / LOWEST) / STEP) / kernels.PULSE_DEVIATION
        T = np.zeros((2, len(points)))
        T[0 if is_a else 1] = np.exp(-0.5 * away * away)
        _least_squares(P, R, phi, T, forgetting)
    return run


def _least_squares(
    P: NDArray[np.float64],  # [K, K]
    R: NDArray[np.float64],  # [2, K]
    phi: NDArray[np.float64],  # [G, K]
    T: NDArray[np.float64],  # [2, G]
    forgetting: float,
) -> None:
    for i, row in enumerate(phi):
        k = P @ row
        k /= forgetting + row @ k
        R += np.outer(T[:, i] - R @ row, k)
        P -= np.outer(k, row @ P)
        P /= forgetting


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield each statement; a seed is one run of 300 trials."""
    over = range(1, seeds + 1)
    runs = [reversal(seed, 0.02) for seed in over]
    law = PULSE / math.hypot(PULSE, JITTER)
    yield near("height of all peaks: sd / sqrt(sd^2 + jitter^2)", law, 0.08, _totals(0.02, seeds))
    yield near("the same with learning_rate 0.1", law, 0.08, _totals(0.1, seeds))
    totals = [recursive(seed, 1.0).before.total for seed in over]
    yield near("the same by least squares that forget nothing", law, 0.08, totals)
    yield near(
        "of the default, with 30 % omitted, mean of the last 50 trials",
        0.7 * law,
        0.08,
        [
            float(np.mean([each.total for each in reversal(seed, 0.02, 0.3).peaks[-50:]]))
            for seed in over
        ],
    )
    for name, true, found in (
        ("before the change", DELAYS[0], [run.before for run in runs]),
        ("after it", DELAYS[1], [run.after for run in runs]),
    ):
        off = [abs(each.seconds - true) * 1e3 for each in found]
        yield at_most(f"peak off the delay {name}, ms", 15.0, off)
    for name, upto in (("before the change", TRIALS), ("in the end", 2 * TRIALS - 1)):
        errors = [run.share_error(upto) for run in runs]
        yield at_most(f"share of A off its frequency in 25 trials, {name}", 0.08, errors)
    yield at_most(
        "trials until the changed delay is learned", 20, [run.trials_to_adapt for run in runs]
    )
    for rate in (0.01, 0.03, 0.1):
        adapted = [reversal(seed, rate).trials_to_adapt for seed in over]
        yield at_most(f"the same with learning_rate {rate}", 20, adapted)
    stuck = [recursive(seed, 1.0) for seed in over]
    adapted = [run.trials_to_adapt for run in stuck]
    yield at_least("the same by least squares that forget nothing", 21, adapted)
    yield at_least("the same, never in 150 trials", 150, adapted)
    adapted = [recursive(seed, 0.9995).trials_to_adapt for seed in over]
    yield at_most("the same by least squares that forget, lambda .9995", 20, adapted)
    upto = TRIALS + 25
    more = [a.share_error(upto) - b.share_error(upto) for a, b in zip(stuck, runs, strict=True)]
    yield at_least("error of the share 25 trials after the change, theirs less ours", 0.0, more)


def _totals(rate: float, seeds: int) -> list[float]:
    return [reversal(seed, rate).before.total for seed in range(1, seeds + 1)]
