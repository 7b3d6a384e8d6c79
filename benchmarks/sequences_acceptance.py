"""What the runs on discrete sequences must show: the acceptance lines, each with its verdict."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks import sequences_published as published
from benchmarks.sequences_models import accuracy
from benchmarks.sequences_report import Results, spread
from benchmarks.sequences_runs import Plan

Json = dict[str, Any]


def acceptance(r: Results) -> list[Json]:
    """Return the lines that decide, of experiments 1, 2 and 5; none for a shortened plan."""
    if r.plan != Plan():
        return []
    at = {e: [accuracy(p.memory, [e])[0] for p in r.high_order[0]] for e in published.AT_E1}
    two = [accuracy(pair.memory, [8_000])[0] for pair in r.several_ends[2]]
    four = [accuracy(pair.memory, [11_900])[0] for pair in r.several_ends[4]]
    dead = dict(zip(r.plan.killed, np.transpose(r.killed), strict=True))
    lines = [
        _judge("E1 accuracy at 9990, every seed", "1.00", at[9990], lambda v: min(v) == 1.0),
        _judge("E1 accuracy at 10 500, mean", "at most 0.60", at[10_500], _at_most(0.6)),
        _judge("E1 accuracy at 11 000, mean", "at most 0.60", at[11_000], _at_most(0.6)),
        _judge("E1 accuracy at 13 500, mean", "at least 0.95", at[13_500], _at_least(0.95)),
        _judge("E1 accuracy at 19 900, every seed", "1.00", at[19_900], lambda v: min(v) == 1.0),
        _judge("E2 two ends, accuracy at 8000, mean", "at least 0.97", two, _at_least(0.97)),
        _judge("E2 four ends, accuracy at 11 900, mean", "at least 0.95", four, _at_least(0.95)),
    ]
    for share in (0.0, 0.1, 0.2, 0.3):
        name = f"E5 {share:.0%} of cells dead, mean"
        lines.append(_judge(name, "at least 0.99", dead[share], _at_least(0.99)))
    lines.append(_judge("E5 40% of cells dead, mean", "at least 0.70", dead[0.4], _at_least(0.7)))
    fall = dead[0.4] - dead[0.6]
    name = "E5 fall of accuracy from 40% to 60% dead, mean"
    return [*lines, _judge(name, "at least 0.40", fall, _at_least(0.4))]


def _judge(
    name: str, expected: str, values: Sequence[float], good: Callable[[Sequence[float]], bool]
) -> Json:
    found = spread(values)
    return {
        "line": name,
        "expected": expected,
        "measured": found["mean"],
        "spread": [found["min"], found["max"]],
        "verdict": "met" if good(values) else "missed",
    }


def _at_least(least: float) -> Callable[[Sequence[float]], bool]:
    return lambda values: statistics.fmean(values) >= least


def _at_most(most: float) -> Callable[[Sequence[float]], bool]:
    return lambda values: statistics.fmean(values) <= most
