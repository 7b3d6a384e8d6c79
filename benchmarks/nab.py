"""The Numenta anomaly benchmark: a default stream and each of its layers, in all three profiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.nab_checks import left_out
from benchmarks.nab_data import Series, read_corpus
from benchmarks.nab_layers import LAYERS, STREAM, Layers, run_all, spec_of
from benchmarks.nab_report import draw, show
from benchmarks.nab_scoring import PROFILES, Gains, best_score, gains, score_at, shares
from benchmarks.plots import Canvas
from service.commands import UsageError
from service.progress import progress

ALARM = 0.5
"""The threshold of a stream that asks for none."""
PUBLISHED: Mapping[tuple[int, int], Mapping[str, tuple[float, float, float]]] = {
    (41, 79): {
        "ARTime": (76.35, 69.17, 81.70),
        "Numenta HTM": (69.17, 61.39, 73.54),
        "CAD OSE": (67.45, 64.07, 70.71),
        "Numenta TM": (63.18, 55.40, 68.70),
        "rolling z + likelihood + range": (57.08, 52.58, 62.52),
        "Random Cut Forest": (47.35, 35.17, 54.85),
    },
    (58, 116): {
        "ARTime": (74.85, 65.15, 80.36),
        "Numenta HTM": (70.10, 63.21, 74.32),
        "CAD OSE": (69.90, 66.98, 73.18),
        "Numenta TM": (64.55, 56.67, 69.38),
        "rolling z + likelihood + range": (62.21, 55.39, 67.63),
        "Random Cut Forest": (51.72, 38.36, 59.75),
    },
}
"""Of others, by how many files and windows they were scored on: from their own result files."""


def main(data: Path | None, seeds: int, quick: bool, plot: Path | None = None) -> dict[str, Any]:
    """Score a folder; return means and spreads over seeds, by layer, category and file.

    Raises
    ------
    InputError
        If the folder is not laid out as the benchmark's.
    """
    if data is None:
        raise UsageError("bench nab: --data: expected a folder of <category>/<file>.csv")
    canvas = None if plot is None else Canvas(plot, 1, 2)
    corpus = read_corpus(data)
    chosen = range(1, 2 if quick else seeds + 1)
    if quick:
        corpus = _shortest(corpus)
    rows = len(chosen) * sum(len(series.events) for series in corpus)
    done = 0
    with progress("nab", rows) as tick:

        def count(more: int) -> None:
            nonlocal done
            done += more
            tick(done, done)

        scores = run_all(corpus, chosen, count)
    report = judged(corpus, scores)
    show(report)
    if canvas is not None:
        draw(canvas, report)
    return report


def _shortest(corpus: Sequence[Series]) -> list[Series]:
    """Return the shortest file of each category that has windows."""
    best: dict[str, Series] = {}
    for series in corpus:
        known = best.get(series.category)
        if series.marks.windows and (known is None or len(series.events) < len(known.events)):
            best[series.category] = series
    return list(best.values())


def judged(corpus: Sequence[Series], scores: Mapping[int, Mapping[str, Layers]]) -> dict[str, Any]:
    """Return what the scores of each seed, series and layer come to."""
    windows = sum(series.marks.windows for series in corpus)
    found = {
        layer: [
            {series.name: gains(series.marks, one[series.name][layer]) for series in corpus}
            for one in scores.values()
        ]
        for layer in LAYERS
    }
    return {
        "benchmark": "nab",
        "files": len(corpus),
        "windows": windows,
        "seeds": list(scores),
        "spec": spec_of(1),
        "layers": {layer: _layer(corpus, runs, windows) for layer, runs in found.items()},
        "categories": _categories(corpus, found, windows),
        "per_file": _files(corpus, found[STREAM], windows),
        "published": {
            name: dict(zip([profile.name for profile in PROFILES], each, strict=True))
            for name, each in PUBLISHED.get((len(corpus), windows), {}).items()
        },
    }


def _layer(
    corpus: Sequence[Series], runs: Sequence[Mapping[str, Gains]], windows: int
) -> dict[str, Any]:
    report: dict[str, Any] = {}
    for profile in PROFILES:
        best = [best_score(list(one.values()), windows, profile) for one in runs]
        report[profile.name] = spread([each.value for each in best]) | {
            "thresholds": [round(each.threshold, 6) for each in best]
        }
    alarms = [score_at(list(one.values()), windows, ALARM) for one in runs]
    report["standard_at_default_threshold"] = spread(alarms)
    held_out = [left_out(corpus, one) for one in runs]
    report["left_out"] = {
        name: spread([each[name] for each in held_out]) for name in ("halves", "categories")
    }
    return report


def _categories(
    corpus: Sequence[Series], found: Mapping[str, Sequence[Mapping[str, Gains]]], windows: int
) -> dict[str, Any]:
    """Return what each category adds to each layer's standard score, and could add at most."""
    report: dict[str, Any] = {}
    for name in sorted({series.category for series in corpus}):
        names = [series.name for series in corpus if series.category == name]
        held = sum(series.marks.windows for series in corpus if series.category == name)
        report[name] = {"files": len(names), "most": _round(100 * held / windows if windows else 0)}
        for layer, runs in found.items():
            report[name][layer] = spread(
                [sum(_shares(one, windows)[n] for n in names) for one in runs]
            )
    return report


def _shares(found: Mapping[str, Gains], windows: int) -> dict[str, float]:
    best = best_score(list(found.values()), windows)
    return shares(found, windows, best.threshold)


def _files(
    corpus: Sequence[Series], runs: Sequence[Mapping[str, Gains]], windows: int
) -> dict[str, Any]:
    """Return for each file what it adds to the score, the windows found, and false alarms."""
    thresholds = [best_score(list(one.values()), windows).threshold for one in runs]
    each = [_shares(one, windows) for one in runs]
    report: dict[str, Any] = {}
    for series in corpus:
        fired = [one[series.name] for one in runs]
        above = [one.score >= t for one, t in zip(fired, thresholds, strict=True)]
        report[series.name] = {
            "windows": series.marks.windows,
            "adds": spread([share[series.name] for share in each]),
            "most": _round(100 * series.marks.windows / windows if windows else 0),
            "found": _mean([float(g.found[up].sum()) for g, up in zip(fired, above, strict=True)]),
            "false_alarms": _mean(
                [float((g.outside[up] < 0).sum()) for g, up in zip(fired, above, strict=True)]
            ),
        }
    return report


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean, least and most."""
    return {"mean": _mean(values), "min": _round(min(values)), "max": _round(max(values))}


def _mean(values: Sequence[float]) -> float:
    return _round(float(np.mean(values)))


def _round(value: float) -> float:
    return round(value, 3)
