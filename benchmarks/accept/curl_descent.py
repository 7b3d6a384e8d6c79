"""Curl descent: a circle that can be derived, and how many wrong signs digits bear."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.accept.rows import Row, at_least, at_most, near
from benchmarks.plastic_streams import digits_learned

STEP, STEPS = 1e-4, 250_000
STARTS = ((1.5, 0.2), (1.2, -1.0), (2.0, -0.5))
"""Starts whose circle meets w1 w2 = 1, and the loss is then 0."""


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield the law of the smallest network there is, then digits."""
    ends = [flow(*start) for start in STARTS]
    yield at_most("1-1-1, R^2 >= 2|a|: largest loss in the end", 1e-20, [max(e[0] for e in ends)])
    stuck, radius = flow(0.65, 0.65)
    yield near(
        "the same, R^2 = .845 |a|: least loss there is, (R^2 / 2 - a)^2 / 2",
        (0.4225 - 1) ** 2 / 2,
        0.003,
        [stuck],
    )
    off = [abs(e[1] - 1.0) for e in (*ends, (stuck, radius))]
    yield at_most("the same: relative change of R^2", 0.003, [max(off)])
    every = range(1, seeds + 1)
    borne: tuple[tuple[str, dict[str, Any], float], ...] = (
        ("20 % of the readout flipped", {"flipped": 0.2}, 0.94),
        ("50 % of the readout flipped, norms kept", {"flipped": 0.5, "keep_norm": True}, 0.9),
    )
    for name, params, least in borne:
        yield at_least(f"digits, 3 passes, {name}: test accuracy", least, _digits(every, params))
    for kept in (False, True):
        params = {"flipped": 0.05, "where": "hidden", "keep_norm": kept}
        name = "5 % of hidden units flipped" + (", norms kept: no rescue" if kept else "")
        yield at_most(f"digits, 3 passes, {name}", 0.2, _digits(every, params))


def _digits(seeds: range, params: dict[str, Any]) -> list[float]:
    spec: dict[str, Any] = {"rule": "curl_descent", "rate": 0.05, "rule_params": params}
    return [digits_learned(seed, **spec)[1] for seed in seeds]


def flow(w1: float, w2: float, a: float = 1.0) -> tuple[float, float]:
    """Follow w1' = r w2, w2' = -r w1, r = w1 w2 - a; return the loss, and R^2 over its start."""
    begun = w1 * w1 + w2 * w2
    least = math.inf
    for _ in range(STEPS):
        r = w1 * w2 - a
        least = min(least, 0.5 * r * r)
        w1, w2 = w1 + STEP * r * w2, w2 - STEP * r * w1
    return least, (w1 * w1 + w2 * w2) / begun
