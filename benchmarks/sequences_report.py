"""What the runs on discrete sequences come to, each figure beside the published one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import sequences_published as published
from benchmarks.sequences_data import NEVER
from benchmarks.sequences_models import Trace, accuracy, trailing
from benchmarks.sequences_runs import MOST_SEQUENCES, Pair, Plan

Json = dict[str, Any]

LEARNED_SHARE = 0.95
END_CHANCE = 0.5
"""Of an end known but for its start; .1 before anything is known."""


@dataclass
class Results:
    """The runs of every seed."""

    plan: Plan
    high_order: list[Pair] = field(default_factory=list)
    several_ends: dict[int, list[Pair]] = field(default_factory=lambda: {2: [], 4: []})
    lengths: dict[int, list[tuple[int | None, int | None]]] = field(default_factory=dict)
    noise_throughout: list[Pair] = field(default_factory=list)
    noise_later: list[Pair] = field(default_factory=list)
    killed: list[list[float]] = field(default_factory=list)


def report(r: Results) -> Json:
    """Return each experiment's figures, by name."""
    return {
        "E1_high_order": high_order(r),
        "E2_two_ends": several_ends(r, 2),
        "E2_four_ends": several_ends(r, 4),
        "E3_length": lengths(r),
        "E4_noise_from_the_start": noise(r.noise_throughout, published.E4_START, r, 10_500),
        "E4_noise_later": noise(r.noise_later, published.E4_LATER, r, r.plan.noise_at + 1_000),
        "E5_killed_cells": killed(r),
    }


def spread(values: Iterable[float]) -> Json:
    """Return mean, standard deviation, least and most."""
    v = [float(value) for value in values]
    most = {"mean": statistics.fmean(v), "sd": statistics.pstdev(v), "min": min(v), "max": max(v)}
    return {name: round(value, 4) for name, value in most.items()}


def over_seeds(runs: Sequence[Pair], which: str, elements: Sequence[int]) -> list[Json]:
    """Return the spread of the trailing accuracy at each element."""
    table = [accuracy(getattr(pair, which), elements) for pair in runs]
    return [spread(column) for column in np.transpose(table)]


def high_order(r: Results) -> Json:
    """E1, where the plan's change is the paper's; only what stood before it otherwise."""
    whole = r.plan.change_at == Plan().change_at
    kept = [i for i, e in enumerate(published.AT_E1) if whole or e < r.plan.change_at]
    elements = [published.AT_E1[i] for i in kept]
    rows = {name: [row[i] for i in kept] for name, row in published.E1.items()}
    return {
        "metric": "share of the last 100 ends expected",
        "change_at": r.plan.change_at,
        "chance": END_CHANCE,
        **_beside(r.high_order, elements, rows, [published.E1_SPREAD[i] for i in kept]),
        "elements_to_95_percent": {
            "measured": {
                "before": spread(learned(p.memory, 0, r.plan.change_at) for p in r.high_order),
                "after": spread(learned(p.memory, r.plan.change_at) for p in r.high_order),
            },
            "published": published.E1_LEARNED,
        },
        "segments": spread(pair.segments for pair in r.high_order),
    }


def several_ends(r: Results, ends: int) -> Json:
    """E2, as far as the plan goes."""
    kept = [i for i, e in enumerate(published.AT_E2) if e <= r.plan.several_ends]
    elements = [published.AT_E2[i] for i in kept]
    rows = {name: [row[i] for i in kept] for name, row in published.E2[ends].items()}
    return {
        "metric": f"share of the last 100 ends among the {ends} expected",
        "chance": END_CHANCE,
        **_beside(
            r.several_ends[ends], elements, rows, [published.E2_SPREAD[ends][i] for i in kept]
        ),
    }


def lengths(r: Results) -> Json:
    """E3: sequences seen by length, and the line through their means."""
    memory = {n: [m for m, _ in runs if m is not None] for n, runs in r.lengths.items()}
    table = {n: [t for _, t in runs if t is not None] for n, runs in r.lengths.items()}
    means = {n: statistics.fmean(seen) for n, seen in memory.items() if seen}
    return {
        "metric": "sequences seen until the last 100 ends were expected",
        "length": list(r.lengths),
        "measured": [spread(seen) if seen else None for seen in memory.values()],
        "never_within": {"sequences": MOST_SEQUENCES, "runs": _missing(memory, r)},
        "published": {"HTM": [published.E3[n] for n in r.lengths]},
        "table": [spread(seen) if seen else None for seen in table.values()],
        "line": {"measured": line(means), "published": line(published.E3)},
    }


def noise(runs: Sequence[Pair], ranges: Json, r: Results, start: int) -> Json:
    """E4: the accuracy over the noisy end of the stream, from `start`, and before noise set in."""
    last = max(int(pair.memory.at[-1]) for pair in runs)
    start = min(start, last * 3 // 4)
    clean = [] if runs is r.noise_throughout else [r.plan.noise_at]
    elements = [*clean, *np.linspace(start, last, 5, dtype=int).tolist()]
    return {
        "metric": "share of the last 100 ends expected",
        "chance": END_CHANCE,
        "elements": elements,
        "measured": over_seeds(runs, "memory", elements),
        "table": over_seeds(runs, "table", elements),
        "from_element": start,
        "mean_from_there": {
            which: spread(tail_mean(getattr(pair, which), start) for pair in runs)
            for which in ("memory", "table")
        },
        "published_range": ranges,
    }


def killed(r: Results) -> Json:
    """E5: the accuracy by share of cells killed."""
    kept = [i for i, share in enumerate(published.AT_E5) if share in r.plan.killed]
    known = {published.AT_E5[i] for i in kept}
    rows = {name: [row[i] for i in kept] for name, row in published.E5.items()}
    return {
        "metric": "share of ends expected after learning has ended",
        "chance": END_CHANCE,
        "killed": list(r.plan.killed),
        "measured": [spread(column) for column in np.transpose(r.killed)],
        "published_killed": sorted(known),
        "published": {"HTM": {"mean": rows.pop("HTM"), "sd": _at(published.E5_SPREAD, kept)}},
        "quoted": rows,
    }


def learned(trace: Trace, start: int, stop: int = NEVER) -> int:
    """Return the elements from `start` after which accuracy stays at 95 % of that at `stop`."""
    inside = (trace.at >= start) & (trace.at < stop)
    curve, at = trailing(trace.hits)[inside], trace.at[inside]
    below = np.flatnonzero(curve < LEARNED_SHARE * curve[-1])
    return int(at[below[-1] + 1] if len(below) else at[0]) - start


def tail_mean(trace: Trace, start: int) -> float:
    """Return the share of hits from element `start` on."""
    return float(trace.hits[trace.at >= start].mean())


def line(points: dict[int, float] | dict[int, int]) -> Json | None:
    """Return the least-squares line through (length, sequences), None through less than two."""
    if len(points) < 2:
        return None
    x, y = np.array(list(points)), np.array(list(points.values()), float)
    slope, intercept = np.polyfit(x, y, 1)
    left = ((y - slope * x - intercept) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    named = {"slope": slope, "intercept": intercept, "r_squared": 1.0 - left}
    return {name: round(float(value), 3) for name, value in named.items()}


def acceptance(r: Results) -> list[Json]:
    """Return the lines that decide, of experiments 1, 2 and 5; none for a shortened plan."""
    if r.plan != Plan():
        return []
    at = {e: [accuracy(p.memory, [e])[0] for p in r.high_order] for e in published.AT_E1}
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


def _beside(
    runs: Sequence[Pair], elements: Sequence[int], rows: dict[str, list[float]], sd: list[float]
) -> Json:
    others = dict(rows)
    return {
        "elements": list(elements),
        "measured": over_seeds(runs, "memory", elements),
        "published": {"HTM": {"mean": others.pop("HTM"), "sd": sd}},
        "table": over_seeds(runs, "table", elements),
        "quoted": others,
    }


def _missing(found: dict[int, list[int]], r: Results) -> int:
    return sum(len(r.lengths[n]) - len(seen) for n, seen in found.items())


def _at(row: Sequence[float], places: Sequence[int]) -> list[float]:
    return [row[i] for i in places]


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
