"""Calibration: how far the probabilities of classifiers can be believed, as they are and scaled.

Digits in the order of each seed, predicted before their label is learned from, through the
service's own streams, without and with `calibrate`: expected calibration error in 15 bins, log
loss and accuracy over all of them.
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.images import Images, digits
from service.schemas import Event, parse_spec
from service.stream import Stream

Json = dict[str, Any]
SCALED = [{"estimator": "preprocessing.StandardScaler"}]
LEARNERS: dict[str, Json] = {
    "GaussianNB": {"estimator": "naive_bayes.GaussianNB"},
    "MultinomialNB": {"estimator": "naive_bayes.MultinomialNB"},
    "HoeffdingTree": {
        "estimator": "tree.HoeffdingTreeClassifier",
        "params": {"grace_period": 50},
    },
    "SoftmaxRegression": {
        "estimator": "linear_model.SoftmaxRegression",
        "preprocessing": SCALED,
    },
    "KNN": {"estimator": "neighbors.KNNClassifier"},
    "ARF, 3 trees": {"estimator": "forest.ARFClassifier", "params": {"n_models": 3, "seed": 7}},
}
FIGURES = ("calibration_error", "log_loss", "accuracy")


def main(data: Path | None, seeds: int, quick: bool) -> Json:
    """Run every learner on the digits of scikit-learn, or with `quick` on 300 of them."""
    console, begun = Console(stderr=True), time.perf_counter()
    count, seeds = (300, 1) if quick else (1_797, seeds)
    found: dict[str, Json] = {}
    for name, learner in LEARNERS.items():
        console.print(f"{name}, {seeds} seeds", style="dim")
        found[name] = {
            label: _mean([_judged(learner, calibrate, seed, count) for seed in range(seeds)])
            for label, calibrate in (("raw", False), ("calibrated", True))
        }
    _print(found, console)
    return {
        "benchmark": "calibration",
        "data": "digits",
        "events": count,
        "seeds": seeds,
        "quick": quick,
        "seconds": round(time.perf_counter() - begun, 1),
        "learners": found,
    }


def _judged(learner: Json, calibrate: bool, seed: int, count: int) -> dict[str, float]:
    spec = {"learner": {"kind": "river"} | learner, "indicators": [], "calibrate": calibrate}
    stream = Stream(parse_spec(json.dumps(spec).encode()))
    for event in _events(digits().shuffled(seed), count):
        stream.step(event, 0.0)
    return stream.quality.overall()


def _events(images: Images, count: int) -> list[Event]:
    pixels = [{f"p{i:02}": float(v) for i, v in enumerate(x)} for x in images.x[:count]]
    labels = images.y[:count].tolist()
    return [Event(x=dict(x), y=f"digit {y}") for x, y in zip(pixels, labels, strict=True)]


def _mean(runs: list[dict[str, float]]) -> dict[str, float]:
    return {
        figure: round(statistics.fmean(run[figure] for run in runs), 4)
        for figure in FIGURES
        if all(figure in run for run in runs)
    }


def _print(found: dict[str, Json], console: Console) -> None:
    table = Table("learner", *(f"{figure}, {label}" for figure in FIGURES for label in _LABELS))
    for name, each in found.items():
        cells = [each[label].get(figure) for figure in FIGURES for label in _LABELS]
        table.add_row(name, *("" if cell is None else f"{cell:.3f}" for cell in cells))
    console.print(table)


_LABELS = ("raw", "calibrated")
