"""What the runs on discrete sequences come to, each figure beside the published one."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks import sequences_published as published
from benchmarks.sequences_data import CORRUPTIONS, NEVER
from benchmarks.sequences_models import Trace, accuracy, trailing
from benchmarks.sequences_runs import BRIDGED, MOST_SEQUENCES, Pair, Plan

Json = dict[str, Any]

LEARNED_SHARE = 0.95
END_CHANCE = 0.5
"""Of an end known but for its start; .1 before anything is known."""


@dataclass
class Results:
    """The runs of every seed; those by an integer, by how much is bridged."""

    plan: Plan
    high_order: dict[int, list[Pair]] = field(default_factory=dict)
    several_ends: dict[int, list[Pair]] = field(default_factory=dict)  # by ends
    lengths: dict[int, list[tuple[int | None, int | None]]] = field(default_factory=dict)
    noise_throughout: dict[int, list[Pair]] = field(default_factory=dict)
    noise_later: dict[int, list[Pair]] = field(default_factory=dict)
    corruptions: list[list[list[float]]] = field(default_factory=list)
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
        "E4_other_corruptions": corruptions(r),
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
    change = r.plan.change_at
    whole = change == Plan().change_at
    kept = [i for i, e in enumerate(published.AT_E1) if whole or e < change]
    elements = [published.AT_E1[i] for i in kept]
    rows = {name: [row[i] for i in kept] for name, row in published.E1.items()}
    return {
        "metric": "share of the last 100 ends expected",
        "change_at": change,
        "chance": END_CHANCE,
        **_beside(r.high_order[0], elements, rows, [published.E1_SPREAD[i] for i in kept]),
        "bridging_1": over_seeds(r.high_order[1], "memory", elements),
        "elements_to_95_percent": {
            "measured": {
                "before": spread(learned(p.memory, 0, change) for p in r.high_order[0]),
                "after": spread(learned(p.memory, change) for p in r.high_order[0]),
            },
            "published": published.E1_LEARNED,
        },
        "segments": spread(pair.segments for pair in r.high_order[0]),
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


def noise(by_bridging: Mapping[int, list[Pair]], ranges: Json, r: Results, start: int) -> Json:
    """E4: the accuracy over the noisy end of the stream, from `start`, and before noise set in."""
    runs, bridged = by_bridging[0], by_bridging[1]
    last = max(int(pair.memory.at[-1]) for pair in runs)
    start = min(start, last * 3 // 4)
    clean = [] if by_bridging is r.noise_throughout else [r.plan.noise_at]
    elements = [*clean, *np.linspace(start, last, 5, dtype=int).tolist()]
    return {
        "metric": "share of the last 100 ends expected",
        "chance": END_CHANCE,
        "elements": elements,
        "measured": over_seeds(runs, "memory", elements),
        "bridging_1": over_seeds(bridged, "memory", elements),
        "table": over_seeds(runs, "table", elements),
        "from_element": start,
        "mean_from_there": {
            "measured": spread(tail_mean(pair.memory, start) for pair in runs),
            "bridging_1": spread(tail_mean(pair.memory, start) for pair in bridged),
            "table": spread(tail_mean(pair.table, start) for pair in runs),
        },
        "segments": {
            "measured": spread(pair.segments for pair in runs),
            "bridging_1": spread(pair.segments for pair in bridged),
        },
        "published_range": ranges,
    }


def corruptions(r: Results) -> Json:
    """Beyond the paper: what else may befall a sequence, and how much of it is bridged."""
    found = np.array(r.corruptions)  # [seeds, corruptions, bridged]
    return {
        "metric": "share of ends expected, learning on",
        "chance": END_CHANCE,
        "corruption": list(CORRUPTIONS),
        "measured": [spread(column) for column in found[:, :, 0].T],
        **{
            f"bridging_{n}": [spread(column) for column in found[:, :, i].T]
            for i, n in enumerate(BRIDGED)
            if n > 0
        },
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
