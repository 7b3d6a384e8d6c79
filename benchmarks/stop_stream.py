"""Learning that pauses on a stream: a pool that recurs, canaries that do not, and a drift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.stop_batch import CLASSES, HIDDEN, with_noise
from benchmarks.stop_network import Floats, Weights, forward, fresh, train_batch
from learners.governor import Act, Governor
from learners.stopping import BlockLosses

RATE = 0.05
BLOCK, CANARY_EVERY = 1_000, 10
LAST = 5 * BLOCK // CANARY_EVERY
"""Canaries in the accuracy before a drift and at the end."""


@dataclass(frozen=True)
class Setting:
    """A stream: samples that recur, share of wrong labels, and where all labels are permuted."""

    pool: int
    noise: float
    drift: int | None
    events: int = 40_000


class Gate(Protocol):
    """Decides whether events are learned from."""

    @property
    def paused(self) -> bool:
        """Whether they are not."""

    def take(self, loss: float) -> Act:
        """Take in the loss of one event."""


class AlwaysLearn:
    """The baseline: it learns from all but the canaries."""

    paused = False

    def take(self, loss: float) -> Act:
        """Do nothing."""
        return Act.NOTHING


class PlainRule:
    """The rules alone, without a guard: pause when two correlate, resume on a rise of 4 sd."""

    def __init__(self) -> None:
        self.paused = False
        self._losses = BlockLosses()
        self._base: list[float] = []
        self._sums = np.zeros((2, 2))
        self._seen = 0

    def take(self, loss: float) -> Act:
        """Take in a loss, and decide at the end of a block."""
        canary = self._seen % CANARY_EVERY == CANARY_EVERY - 1
        self._sums[int(canary)] += (1.0, loss)
        self._seen += 1
        if self._seen % BLOCK:
            return Act.NOTHING
        training, mean = self._sums[:, 1] / self._sums[:, 0]
        self._sums[:] = 0.0
        return self._paused_block(mean) if self.paused else self._learning_block(training, mean)

    def _learning_block(self, training: float, canary: float) -> Act:
        best = self._losses.best[0]
        self._losses.add(training, canary)
        if self._losses.blocks >= 5 and self._losses.correlation() > 0.5:
            self.paused, self._base = True, []
            return Act.RESTORE
        return Act.KEEP if canary < best else Act.NOTHING

    def _paused_block(self, canary: float) -> Act:
        self._base.append(canary)
        mean = float(np.mean(self._base[:3]))
        deviation = max(float(np.std(self._base[:3])), 0.1 * mean)
        if len(self._base) > 3 and canary > mean + 4 * deviation:
            self.paused = False
            self._losses.clear()
        return Act.NOTHING


ARMS: dict[str, Callable[[], Gate]] = {
    "always learn": AlwaysLearn,
    "plain rule": PlainRule,
    "governor": Governor,
}


@dataclass(slots=True)
class Run:
    """What became of one stream."""

    trained: float
    before: float
    end: float
    overall: float
    pauses: int
    resumed_after: int | None
    """Events from the drift to when it learned, 0 if it never paused, `None` if it never did."""
    changes: list[tuple[int, bool]] = field(default_factory=list)


def run(X: Floats, y: NDArray[np.int64], seed: int, setting: Setting, arm: str) -> Run:
    """Run one stream; every arm meets the same events."""
    s, n = setting, setting.events
    split, events = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    order = split.permutation(len(X))
    pool, rest = order[: s.pool], order[s.pool :]
    noisy = with_noise(y, s.noise, split)
    shuffled = split.permutation(CLASSES)
    picked, canaries = pool[events.integers(0, s.pool, n)], rest[events.integers(0, len(rest), n)]
    w: Weights = fresh(np.random.default_rng([seed, 3]), X.shape[1], HIDDEN, CLASSES)
    gate, best = ARMS[arm](), w
    h, p = np.empty(HIDDEN), np.empty(CLASSES)
    right, trained, was = np.zeros(n // CANARY_EVERY, bool), 0, False
    changes: list[tuple[int, bool]] = []
    for t in range(n):
        canary = t % CANARY_EVERY == CANARY_EVERY - 1
        i = canaries[t] if canary else picked[t]
        drifted = s.drift is not None and t >= s.drift
        label, truth = (shuffled[noisy[i]], shuffled[y[i]]) if drifted else (noisy[i], y[i])
        forward(w, X[i], h, p)
        loss = 1.0 - 2.0 * p[label] + p @ p
        if canary:
            right[t // CANARY_EVERY] = np.argmax(p) == truth
        elif not gate.paused:
            train_batch(w, X[i : i + 1], np.array([label]), RATE)
            trained += 1
        act = gate.take(float(loss))
        if act is Act.KEEP:
            best = _copy(w)
        elif act is Act.RESTORE:
            w = _copy(best)
        if gate.paused != was:
            was = gate.paused
            changes.append((t, was))
    return _judged(s, right, trained / n, changes)


def _copy(w: Weights) -> Weights:
    return (w[0].copy(), w[1].copy(), w[2].copy(), w[3].copy())


def _judged(
    s: Setting, right: NDArray[np.bool_], trained: float, changes: list[tuple[int, bool]]
) -> Run:
    middle = (s.drift or s.events // 2) // CANARY_EVERY
    last = min(LAST, middle)
    return Run(
        trained,
        float(right[middle - last : middle].mean()),
        float(right[-last:].mean()),
        float(right.mean()),
        sum(paused for _, paused in changes),
        _resumed_after(s.drift, changes),
        changes,
    )


def _resumed_after(drift: int | None, changes: list[tuple[int, bool]]) -> int | None:
    if drift is None:
        return None
    earlier = [paused for t, paused in changes if t < drift]
    if not earlier or not earlier[-1]:
        return 0
    return next((t - drift for t, paused in changes if t >= drift and not paused), None)
