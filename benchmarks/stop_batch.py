"""Early stopping in epochs: 300 samples with noisy labels, and where each rule stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.stop_network import Floats, fresh, judge, train_epoch
from learners.stopping import BlockLosses

RULES = ("none", "GL2", "GL5", "PQ0.5", "PQ1", "UP3", "patience 10", "COI", "min-val oracle")
PUBLISHED = {
    "none": (200.0, 21.70, 11.15),
    "GL2": (11.7, 16.45, 13.10),
    "GL5": (21.3, 14.76, 11.91),
    "PQ0.5": (37.8, 14.64, 11.15),
    "PQ1": (63.5, 17.19, 11.15),
    "UP3": (41.8, 13.81, 11.15),
    "patience 10": (29.2, 12.50, 11.15),
    "COI": (16.6, 12.91, 12.26),
    "min-val oracle": (19.2, 11.15, 11.15),
}
"""Stop epoch, error there and error of the best weights until there, of an earlier study."""
TRAIN, VALIDATION, CLASSES = 300, 400, 10
HIDDEN, RATE, BATCH = 64, 0.1, 16


@dataclass(slots=True)
class Stop:
    """Where a rule stopped, and the test errors in per cent there and of the best weights."""

    epoch: int
    error: float
    restored: float


def run(X: Floats, y: NDArray[np.int64], seed: int, epochs: int, noise: float) -> dict[str, Stop]:
    """Train once and say where each rule would have stopped."""
    rng = np.random.default_rng([seed, 4])
    order = rng.permutation(len(X))
    train, valid = order[:TRAIN], order[TRAIN : TRAIN + VALIDATION]
    test = order[TRAIN + VALIDATION :]
    noisy = with_noise(y, noise, rng)
    w = fresh(rng, X.shape[1], HIDDEN, CLASSES)
    losses, canary = BlockLosses(), np.empty(epochs)
    error, fires = np.empty(epochs), np.zeros((len(RULES), epochs), bool)
    for e in range(epochs):
        train_epoch(w, X[train], noisy[train], rng.permutation(TRAIN), RATE, BATCH)
        canary[e] = judge(w, X[valid], noisy[valid])[0]
        error[e] = 100 * judge(w, X[test], y[test])[1]
        losses.add(judge(w, X[train], noisy[train])[0], float(canary[e]))
        fires[:, e] = _fire(losses, canary[: e + 1])
    fires[0, -1] = True
    fires[-1, int(np.argmin(canary))] = True
    found = {}
    for rule, row in zip(RULES, fires, strict=True):
        at = int(np.argmax(row)) if row.any() else epochs - 1
        found[rule] = Stop(at + 1, float(error[at]), float(error[np.argmin(canary[: at + 1])]))
    return found


def _fire(losses: BlockLosses, canary: Floats) -> Sequence[bool]:
    gl, pq = losses.generalization_loss(), losses.quotient() or 0.0
    patience = len(canary) - 1 - int(np.argmin(canary))
    rules = (gl > 2, gl > 5, pq > 0.5, pq > 1, losses.rises(3), patience >= 10)
    return (False, *rules, losses.correlation() > 0.5, False)


def with_noise(y: NDArray[np.int64], share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return labels of which a share was replaced by any of the classes."""
    noisy = y.copy()
    flip = rng.random(len(y)) < share
    noisy[flip] = rng.integers(0, CLASSES, int(flip.sum()))
    return noisy


def table(runs: Sequence[dict[str, Stop]]) -> dict[str, Any]:
    """Return mean and standard deviation of each rule over the runs."""
    found = {}
    for rule in RULES:
        rows = np.array([(s[rule].epoch, s[rule].error, s[rule].restored) for s in runs], float)
        names = ("epoch", "error", "restored")
        found[rule] = {
            name: {"mean": round(float(c.mean()), 2), "sd": round(float(c.std()), 2)}
            for name, c in zip(names, rows.T, strict=True)
        }
    return found
