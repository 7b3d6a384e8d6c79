"""The Numenta benchmark's tables for a person, and its figure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.nab_layers import LAYERS, STREAM
from benchmarks.nab_scoring import PROFILES
from benchmarks.plots import BLUE, GRAY, Canvas, panel

WIDTH = 180
SHORT = {"standard": "standard", "reward_low_FP_rate": "low FP", "reward_low_FN_rate": "low FN"}


def show(report: Mapping[str, Any]) -> None:
    """Print the tables on standard error."""
    # A log has no width of its own, and a table cut to 80 columns says nothing.
    console = Console(stderr=True, width=None if sys.stderr.isatty() else WIDTH)
    console.print(_layers(report))
    console.print(_categories(report))
    console.print(_files(report))


def _layers(report: Mapping[str, Any]) -> Table:
    title = f"{report['files']} files, {report['windows']} windows, seeds {report['seeds']}"
    table = Table(
        "layer", *SHORT.values(), "at 0.5", "halves", "categories", "threshold", title=title
    )
    for layer in LAYERS:
        row = report["layers"][layer]
        held = row["left_out"]
        table.add_row(
            layer,
            *(_spread(row[profile.name]) for profile in PROFILES),
            _spread(row["standard_at_default_threshold"]),
            _spread(held["halves"]),
            _spread(held["categories"]),
            " ".join(f"{each:.4g}" for each in row["standard"]["thresholds"]),
            style="bold" if layer == STREAM else None,
        )
    table.add_section()
    for name, row in report["published"].items():
        table.add_row(f"{name} (quoted)", *(f"{value:.2f}" for value in row.values()), style="dim")
    table.caption = "halves, categories: standard, at thresholds chosen on other files"
    return table


def _categories(report: Mapping[str, Any]) -> Table:
    table = Table("category", "files", *LAYERS, "at most", title="what each adds, standard profile")
    for name, row in report["categories"].items():
        adds = [f"{row[layer]['mean']:.2f}" for layer in LAYERS]
        table.add_row(name, str(row["files"]), *adds, f"{row['most']:.2f}")
    return table


def _files(report: Mapping[str, Any]) -> Table:
    table = Table("file", "adds", "at most", "windows found", "false alarms", title=STREAM)
    for name, row in report["per_file"].items():
        found = f"{row['found']:.3g} of {row['windows']}"
        table.add_row(
            name, _spread(row["adds"]), f"{row['most']:.2f}", found, f"{row['false_alarms']:.3g}"
        )
    return table


def _spread(row: Mapping[str, float]) -> str:
    if row["min"] == row["max"]:
        return f"{row['mean']:.2f}"
    return f"{row['mean']:.2f} ({row['min']:.2f} to {row['max']:.2f})"


def draw(canvas: Canvas, report: Mapping[str, Any]) -> None:
    """Draw the layers among others' scores, and what each category adds of what it could."""
    axes, other = canvas.axes
    rows = [(layer, report["layers"][layer]["standard"]["mean"], BLUE) for layer in LAYERS]
    rows += [
        (f"{name}, quoted", row["standard"], GRAY) for name, row in report["published"].items()
    ]
    names, values, colors = zip(*sorted(rows, key=lambda row: row[1]), strict=True)
    drawn = axes.barh(names, values, color=colors)
    axes.bar_label(drawn, fmt="%.1f", padding=2, fontsize=7)
    axes.set_xlim(0, 100)
    axes.tick_params(axis="y", labelsize=7)
    panel(axes, "Standard profile", "score", "")
    categories = report["categories"]
    other.barh(list(categories), [row["most"] for row in categories.values()], color="#e5e7eb")
    adds = [row[STREAM]["mean"] for row in categories.values()]
    other.bar_label(other.barh(list(categories), adds, color=BLUE), fmt="%.1f", fontsize=7)
    other.tick_params(axis="y", labelsize=7)
    panel(other, "What each category adds", "score", "")
    canvas.save("Numenta anomaly benchmark")
