"""NYC taxi demand five records ahead: the paper's protocol, and a strictly online one.

E6 is the series as it was, E7 the one changed from record 13 152 on; the published figures are
those of Cui, Ahmad and Hawkins 2016, Figs 10 and 11, and of its authors' stored results.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import taxi_online, taxi_paper
from benchmarks.plots import Canvas
from benchmarks.taxi_plot import draw
from benchmarks.taxi_series import (
    CHANGE,
    SCORED_FROM,
    WEEK,
    Floats,
    Made,
    Series,
    absolute,
    banded,
    baselines,
    judged,
    read,
)

FOLDER = Path("shared/data/taxi")
FILES = {"E6": "nyc_taxi.csv.gz", "E7": "nyc_taxi_perturb.csv.gz"}
COVERAGE = 0.9
PROTOCOLS: Mapping[str, Callable[[Series, int], Made]] = {
    "paper": taxi_paper.forecasts,
    "online": taxi_online.forecasts,
}

PUBLISHED: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "E6": {
        "htm": {"mape": 0.078, "nrmse": 0.2865, "nll": 1.556},
        "lstm_6000": {"mape": 0.0815, "nrmse": 0.2731, "nll": 1.570},
        "lstm_5001": {"mape": 0.0731},
        "knn": {"mape": 0.0706},
        "same_time_last_week": {"mape": 0.0880, "nrmse": 0.336},
        "same_time_yesterday": {"mape": 0.178},
    },
    "E7": {
        "htm": {"mape": 0.108, "nll": 1.36},
        "htm_stored": {"mape": 0.0983, "first_week_mape": 0.1514, "after_third_week_mape": 0.0932},
        "lstm_6000": {"mape": 0.128, "nll": 1.60},
        "esn": {"mape": 0.145},
        "esn_online": {"mape": 0.0732},
    },
}

Run = dict[str, float]

SPANS: Mapping[str, Mapping[str, slice]] = {
    "E6": {"": slice(SCORED_FROM, None)},
    "E7": {
        "": slice(CHANGE, None),
        "first_week_": slice(CHANGE, CHANGE + WEEK),
        "after_third_week_": slice(CHANGE + 3 * WEEK, None),
    },
}
QUICK, QUICK_SPANS = 1_400, {"": slice(300, None)}


def main(data: Path | None, seeds: int, quick: bool, plot: Path | None = None) -> dict[str, Any]:
    """Run both protocols on both series; `data` holds the files, or a folder taxi that does."""
    console = Console(stderr=True)
    canvas = None if plot is None else Canvas(plot, 2, 2, width=5.2)
    folder = _folder(data or FOLDER)
    found: dict[str, Any] = {}
    values: dict[str, Floats] = {}
    errors: dict[str, dict[str, list[Floats]]] = {}
    for name, file in FILES.items():
        series, spans = read(folder / file), SPANS[name]
        if quick:
            series, spans = series.head(QUICK), QUICK_SPANS
        values[name] = series.value
        errors[name] = {protocol: [] for protocol in PROTOCOLS}
        runs: dict[str, list[Run]] = {protocol: [] for protocol in PROTOCOLS}
        for seed in range(1, 1 + (1 if quick else seeds)):
            for protocol, forecasts in PROTOCOLS.items():
                console.print(f"{name}, {protocol} protocol, seed {seed}", style="dim")
                made = forecasts(series, seed)
                runs[protocol].append(_judged(series, spans, made))
                errors[name][protocol].append(absolute(series.value, made.value))
        found[name] = {
            "measured": {protocol: _spread(rows) for protocol, rows in runs.items()},
            "baselines": baselines(series.value, spans[""]),
            "published": PUBLISHED[name],
        }
        _print(console, name, found[name])
    if canvas is not None:
        draw(canvas, found, values, errors)
    return {"benchmark": "taxi", "seeds": 1 if quick else seeds, "quick": quick, **found}


def _folder(data: Path) -> Path:
    return data / "taxi" if (data / "taxi").is_dir() else data


def _judged(series: Series, spans: Mapping[str, slice], made: Made) -> Run:
    """Return the measures over each span, prefixed, and those of the bands over all."""
    found: Run = {}
    for prefix, span in spans.items():
        parts = judged(series.value, span, made.value, made.mass)
        found |= {prefix + name: value for name, value in parts.items()}
    if made.lower is not None and made.upper is not None:
        found |= banded(series.value, spans[""], made.lower, made.upper, COVERAGE)
    return found


def _spread(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Return mean, least and most of each measure over the runs."""
    found = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        spread = {"mean": statistics.fmean(values), "min": min(values), "max": max(values)}
        found[name] = {key: round(value, 4) for key, value in spread.items()}
    return found


def _print(console: Console, name: str, found: Mapping[str, Any]) -> None:
    measured = found["measured"]
    table = Table(f"{name}, measured", *measured)
    for measure in dict.fromkeys(each for spread in measured.values() for each in spread):
        cells = (spread.get(measure) for spread in measured.values())
        table.add_row(measure, *(_cell(cell) for cell in cells))
    console.print(table)
    measures = ("mape", "nrmse", "nll")
    table = Table(f"{name}, others", *measures)
    for kind in ("baselines", "published"):
        for model, row in found[kind].items():
            cells = (f"{row[each]:.4f}" if each in row else "" for each in measures)
            table.add_row(f"{model}, {kind}", *cells)
    console.print(table)


def _cell(spread: Mapping[str, float] | None) -> str:
    if spread is None:
        return ""
    return f"{spread['mean']:.4f} ({spread['min']:.4f} to {spread['max']:.4f})"
