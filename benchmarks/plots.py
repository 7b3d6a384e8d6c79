"""Figures of benchmarks: panels with measured bands and published curves, drawn by matplotlib.

matplotlib is imported when a figure is opened, so that a benchmark that draws nothing does not
need it. Open the figure before the long run: what is wrong with its file is then said at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from service.commands import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Place = Literal["upper left", "upper right", "lower left", "lower right", "best"]

BLUE, ORANGE, GREEN, PURPLE, GRAY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#6b7280"
RED = "#a50f15"
"""Told apart by most readers who see colors differently (Okabe and Ito 2008)."""

_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
}


class Canvas:
    """A figure of rows x columns panels that will be saved to a file.

    Raises `UsageError` if matplotlib is missing or cannot write such a file there.
    """

    def __init__(self, path: Path, rows: int, columns: int, width: float = 4.2) -> None:
        try:
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            message = f"--plot: got {path}, but matplotlib is missing: pip install synaptide[plots]"
            raise UsageError(message) from None
        known = sorted(FigureCanvasAgg.get_supported_filetypes())
        if path.suffix[1:].lower() not in known:
            raise UsageError(f"--plot: got {path}, expected a file ending in one of: {known}")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"--plot: got {path}, but there is no folder {path.parent}")
        self.path = path
        with matplotlib.rc_context(_STYLE):
            self._figure = Figure(figsize=(width * columns, 3.1 * rows), layout="constrained")
            axes = self._figure.subplots(rows, columns, squeeze=False)
        self.axes: list[Axes] = list(axes.flat)

    def save(self, title: str) -> None:
        """Write the file; panels that hold nothing are left out."""
        import matplotlib

        for axes in self.axes:
            if not axes.has_data() and not axes.texts:
                axes.remove()
        with matplotlib.rc_context(_STYLE):
            self._figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
            self._figure.savefig(self.path, dpi=150)


def panel(axes: Axes, title: str, x: str, y: str) -> None:
    """Name a panel and its axes."""
    axes.set_title(title, fontsize=10, fontweight="bold", loc="left")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def band(axes: Axes, x: ArrayLike, runs: ArrayLike, label: str, color: str = BLUE) -> None:
    """Draw the mean of `runs` [seeds, points] over `x`, and the band from least to most."""
    values = np.atleast_2d(np.asarray(runs, float))
    axes.fill_between(
        np.asarray(x), values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0
    )
    axes.plot(x, values.mean(axis=0), color=color, label=label)


def published(
    axes: Axes, x: ArrayLike, y: ArrayLike, label: str, color: str = ORANGE, marker: str = ""
) -> None:
    """Draw what others published: a dashed curve."""
    axes.plot(
        x, y, color=color, label=label, linestyle="--", linewidth=1.2, marker=marker, markersize=4
    )


def bars(
    axes: Axes, names: Sequence[str], values: Sequence[float], errors: Sequence[float], color: str
) -> None:
    """Draw one bar a name, with its spread."""
    axes.bar(names, values, yerr=errors, color=color, error_kw={"elinewidth": 1}, capsize=2)


def level(axes: Axes, y: float, label: str) -> None:
    """Draw a dotted line at a height, such as chance."""
    axes.axhline(y, color=GRAY, linestyle=":", linewidth=1, label=label)


def moment(axes: Axes, x: float, label: str) -> None:
    """Draw a thin line at an event, with a word beside it."""
    axes.axvline(x, color=GRAY, linewidth=0.8)
    place = axes.get_xaxis_transform()
    axes.text(x, 1.0, f" {label}", transform=place, color=GRAY, fontsize=7.5, va="top")


def legend(axes: Axes, place: Place) -> None:
    """Name the curves of a panel."""
    axes.legend(loc=place, fontsize=7, handlelength=1.8, labelspacing=0.3, framealpha=0.85)
