"""The figure of the discrete experiments: measured bands over seeds, published curves dashed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import plots
from benchmarks import sequences_published as published
from benchmarks.sequences_models import accuracy
from benchmarks.sequences_report import END_CHANCE, Results
from benchmarks.sequences_runs import Pair, Plan

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[Sequence[float], Sequence[float]]
POINTS = 200
FEWEST = 20
"""Ends before a curve begins, or it would show chance."""


def draw(canvas: plots.Canvas, r: Results, curves: dict[str, Any]) -> None:
    """Draw a panel an experiment; `curves` holds the published ones, or nothing."""
    high, others, ends, length, noise, killed = canvas.axes
    for axes in canvas.axes:
        axes.locator_params(axis="x", nbins=5)
    stored = curves.get("fig4_continuous_learning", {})
    rows: dict[str, Curve] = {name: (published.AT_E1, row) for name, row in published.E1.items()}
    rows |= {name: (c["x"], c["meanAccuracy"]) for name, c in stored.items()}
    if r.plan.change_at != Plan().change_at:
        rows = {name: _until(row, r.plan.change_at) for name, row in rows.items()}
    _high_order(high, r, rows)
    _others(others, r, rows)
    _several_ends(ends, r, curves.get("fig6_multiple_predictions", {}))
    _lengths(length, r)
    _noise(noise, r)
    _killed(killed, r)


def _high_order(axes: Axes, r: Results, rows: dict[str, Curve]) -> None:
    plots.panel(axes, "E1  ends swapped", "elements", "accuracy, last 100 ends")
    _accuracy(axes, r.high_order[0], "memory", "measured", plots.BLUE)
    plots.published(axes, *rows["HTM"], "published HTM")
    _frame(axes, (r.plan.change_at, "ends swapped"))


def _others(axes: Axes, r: Results, rows: dict[str, Curve]) -> None:
    plots.panel(axes, "E1  beside other models", "elements", "accuracy, last 100 ends")
    _accuracy(axes, r.high_order[0], "memory", "temporal memory", plots.BLUE)
    _accuracy(axes, r.high_order[0], "table", "table of successors", plots.GRAY)
    colors = (plots.GREEN, plots.RED, plots.ORANGE, plots.PURPLE)
    names = ("LSTM-online100", "LSTM-3000", "TDNN", "ELM")
    for name, color in zip(names, colors, strict=True):
        plots.published(axes, *_until(rows[name], r.plan.high_order), f"{name} (published)", color)
    _frame(axes, (r.plan.change_at, "ends swapped"))


def _several_ends(axes: Axes, r: Results, stored: dict[str, Any]) -> None:
    plots.panel(axes, "E2  several possible ends", "elements", "accuracy, last 100 ends")
    for ends, color in ((2, plots.BLUE), (4, plots.GREEN)):
        _accuracy(axes, r.several_ends[ends], "memory", f"{ends} ends, measured", color)
        row: Curve = (published.AT_E2, published.E2[ends]["HTM"])
        if stored:
            curve = stored[f"HTMNumPrediction{ends}"]
            row = (curve["x"], curve["meanAccuracy"])
        row = _until(row, r.plan.several_ends)
        plots.published(axes, *row, f"{ends} ends, published HTM", color)
    _frame(axes)


def _lengths(axes: Axes, r: Results) -> None:
    plots.panel(axes, "E3  length of the sequences", "length", "sequences until all known")
    at = list(r.lengths)
    runs = [[np.nan if m is None else m for m, _ in seen] for seen in r.lengths.values()]
    plots.band(axes, at, np.transpose(np.array(runs, float)), "measured")
    plots.published(axes, at, [published.E3[n] for n in at], "published HTM", marker="o")
    axes.set_ylim(bottom=0)
    plots.legend(axes, "upper left")


def _noise(axes: Axes, r: Results) -> None:
    plots.panel(axes, "E4  one element in each sequence replaced", "elements", "accuracy")
    for runs, label, colors in (
        (r.noise_throughout, "from the start", (plots.GREEN, plots.PURPLE)),
        (r.noise_later, "later", (plots.BLUE, plots.ORANGE)),
    ):
        _accuracy(axes, runs[0], "memory", f"{label}, measured", colors[0])
        _accuracy(axes, runs[1], "memory", f"{label}, bridging 1", colors[1])
    _range(axes, published.E4_START["HTM"], r.plan.noisy_throughout, plots.GREEN, "from the start")
    _range(axes, published.E4_LATER["HTM"], r.plan.noisy_after, plots.BLUE, "later")
    _frame(axes, (r.plan.noise_at, "noise sets in"))


def _killed(axes: Axes, r: Results) -> None:
    plots.panel(axes, "E5  cells killed", "share of all cells", "accuracy")
    plots.band(axes, r.plan.killed, r.killed, "measured")
    colors = (plots.ORANGE, plots.GREEN, plots.PURPLE)
    for (name, row), color in zip(published.E5.items(), colors, strict=True):
        plots.published(axes, published.AT_E5, row, f"{name} (published)", color, marker="o")
    _frame(axes, legend="lower left")


def _accuracy(axes: Axes, runs: Sequence[Pair], which: str, label: str, color: str) -> None:
    last = min(int(getattr(pair, which).at[-1]) for pair in runs)
    first = max(int(getattr(pair, which).at[FEWEST]) for pair in runs)
    at = np.linspace(first, last, POINTS).astype(int)
    curves = [accuracy(getattr(pair, which), at.tolist()) for pair in runs]
    plots.band(axes, at, curves, label, color)


def _range(axes: Axes, ends: Sequence[float], last: int, color: str, label: str) -> None:
    """Mark a published range over the last fifth of a stream."""
    middle = [sum(ends) / 2] * 2
    plots.published(axes, [0.8 * last, last], middle, f"{label}, published HTM", color)


def _frame(
    axes: Axes, moment: tuple[float, str] | None = None, legend: plots.Place = "lower right"
) -> None:
    if moment:
        plots.moment(axes, *moment)
    plots.level(axes, END_CHANCE, "chance")
    axes.set_ylim(0, 1.05)
    plots.legend(axes, legend)


def _until(row: Curve, last: float) -> Curve:
    kept = [(x, y) for x, y in zip(*row, strict=True) if x <= last]
    return [x for x, _ in kept], [y for _, y in kept]
