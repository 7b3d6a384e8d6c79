"""The figure of the taxi benchmark, after Figs 10 and 11 of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.plots import BLUE, GRAY, ORANGE, Canvas, band, level, moment, panel
from benchmarks.taxi_series import AHEAD, CHANGE, Floats, trailing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRAILING = {"E6": 960, "E7": 400}
MOST = 0.4
COLOR = {"paper": BLUE, "online": ORANGE}
TITLE = {"E6": "E6, as it was", "E7": "E7, changed in April"}


def draw(
    canvas: Canvas,
    found: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Floats],
    errors: Mapping[str, Mapping[str, Sequence[Floats]]],
) -> None:
    """Draw trailing errors over the seeds, and bars of all measured and published MAPE."""
    for i, name in enumerate(found):
        _curves(canvas.axes[2 * i], name, values[name], errors[name])
        _bars(canvas.axes[2 * i + 1], name, found[name])
    canvas.save("NYC taxi demand, 5 records (2.5 hours) ahead")


def _curves(axes: Axes, name: str, value: Floats, errors: Mapping[str, Sequence[Floats]]) -> None:
    window = TRAILING[name]
    below = trailing(np.abs(value[AHEAD:]), window)
    shown = slice(window, None, max(1, len(below) // 1_000))
    for protocol, runs in errors.items():
        shares = [(trailing(np.nan_to_num(each), window) / below)[shown] for each in runs]
        x = np.arange(len(below))[shown]
        band(axes, x, shares, f"{protocol} protocol", COLOR[protocol])
    level(axes, 0.088, "weekly repetition of E6")
    if name == "E7" and len(value) > CHANGE:
        moment(axes, CHANGE, "change")
    panel(axes, TITLE[name], "record", f"MAPE of the last {window}")
    axes.set_ylim(0, MOST)
    axes.legend(fontsize=7.5, loc="upper right", frameon=False)


def _bars(axes: Axes, name: str, found: Mapping[str, Any]) -> None:
    rows = [
        *((f"{p}, measured", s["mape"]["mean"], COLOR[p]) for p, s in found["measured"].items()),
        *((model, row["mape"], GRAY) for model, row in found["baselines"].items()),
        *((f"{m}, published", row["mape"], "#c4c9d1") for m, row in found["published"].items()),
    ]
    names, lengths, colors = zip(*sorted(rows, key=lambda row: -row[1]), strict=True)
    drawn = axes.barh([each.replace("_", " ") for each in names], lengths, color=colors)
    axes.bar_label(drawn, fmt="%.4f", padding=2, fontsize=7.5)
    axes.set_xlim(0, 1.2 * max(lengths))
    panel(axes, TITLE[name], "MAPE", "")
