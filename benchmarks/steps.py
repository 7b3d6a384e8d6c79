"""What one event costs each learner and each indicator, beside River's own in a plain loop.

Bodies take turns: in each round every one is built anew and fed the same events, so that a ratio
compares moments that lie close together.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from river import anomaly, base, datasets, drift, linear_model, preprocessing, time_series, tree

from learners.base import Features, Indicator, Learner, Prediction, Target
from learners.river.adapter import RiverEstimator
from service.catalog import INDICATORS, LEARNERS
from service.warm import warm

Rows = Sequence[tuple[Features, Target]]
Values = Sequence[float]
Loop = Callable[[], None]

MOST_ROWS = 2_000
_SCALER = ({"estimator": "preprocessing.StandardScaler"},)
_MIN_MAX = ({"estimator": "preprocessing.MinMaxScaler"},)


def main(data: Path | None, seeds: int, quick: bool) -> dict[str, Any]:
    """Measure in rounds, five for each seed; return medians and spreads in microseconds."""
    console = Console(stderr=True)
    rounds = 2 if quick else 5 * seeds
    measured: dict[str, list[float]] = {}
    warm()
    for i in range(rounds):
        console.print(f"round {i + 1} of {rounds}", style="dim")
        for name, events, loop in _loops(seed=i):
            begun = time.perf_counter()
            loop()
            measured.setdefault(name, []).append((time.perf_counter() - begun) / events * 1e6)
    summary = {name: _spread(values) for name, values in measured.items()}
    _print(console, summary)
    return {
        "benchmark": "steps",
        "unit": "microseconds an event",
        "rounds": rounds,
        "measures": summary,
    }


def _loops(seed: int) -> Iterator[tuple[str, int, Loop]]:
    """Return what is measured: its name, how many events, and a loop over them."""
    for name, spec, model, rows in _river():
        yield f"river.{name}", len(rows), _plain(model, rows)
        yield name, len(rows), _each(RiverEstimator(name, **spec), rows)
    water = _rows(datasets.WaterFlow(), lambda x, y: ({"flow": y}, None))
    for kind in sorted(LEARNERS.keys() - {"river"}):
        yield kind, len(water), _each(LEARNERS[kind](), water)
    noise = np.random.default_rng(seed).normal(size=MOST_ROWS).tolist()
    for theirs in (drift.ADWIN, drift.PageHinkley, drift.KSWIN):
        yield f"river.drift.{theirs.__name__}", len(noise), _detecting(theirs(), noise)
    for kind in sorted(INDICATORS):
        yield kind, len(noise), _watching(INDICATORS[kind](), noise)


def _river() -> Iterator[tuple[str, dict[str, Any], Any, Rows]]:
    flow = _rows(datasets.WaterFlow(), lambda x, y: ({"flow": y}, None))
    phishing = _rows(datasets.Phishing(), lambda x, y: (x, float(y)))
    approval = _rows(datasets.TrumpApproval(), lambda x, y: (x, y))
    bananas = _rows(datasets.Bananas(), lambda x, y: (x, float(y)))
    scaled, squeezed = preprocessing.StandardScaler, preprocessing.MinMaxScaler
    yield (
        "anomaly.HalfSpaceTrees",
        {"preprocessing": _MIN_MAX, "params": {"n_trees": 10, "height": 8}},
        squeezed() | anomaly.HalfSpaceTrees(n_trees=10, height=8),
        phishing,
    )
    yield "anomaly.GaussianScorer", {}, anomaly.GaussianScorer(), flow
    yield (
        "anomaly.OneClassSVM",
        {"preprocessing": _SCALER},
        scaled() | anomaly.OneClassSVM(),
        phishing,
    )
    yield (
        "linear_model.LinearRegression",
        {"preprocessing": _SCALER},
        scaled() | linear_model.LinearRegression(),
        approval,
    )
    yield (
        "linear_model.LogisticRegression",
        {"preprocessing": _SCALER},
        scaled() | linear_model.LogisticRegression(),
        phishing,
    )
    yield "tree.HoeffdingTreeClassifier", {}, tree.HoeffdingTreeClassifier(), bananas
    yield (
        "time_series.HoltWinters",
        {"params": {"alpha": 0.3}},
        time_series.HoltWinters(alpha=0.3),
        flow,
    )
    yield (
        "time_series.SNARIMAX",
        {"params": {"p": 12, "d": 1, "q": 12}},
        time_series.SNARIMAX(p=12, d=1, q=12),
        flow,
    )


def _rows(dataset: Any, read: Callable[[Any, Any], tuple[Features, Target]]) -> Rows:
    rows = [read(x, y) for x, y in dataset.take(MOST_ROWS)]
    return [({k: float(v) for k, v in x.items()}, y) for x, y in rows]  # type: ignore[arg-type]


def _plain(model: Any, rows: Rows) -> Loop:
    """Predict, then learn, as River's own evaluation does."""
    final = list(model.steps.values())[-1] if hasattr(model, "steps") else model

    def loop() -> None:
        if isinstance(final, base.SupervisedAnomalyDetector):
            for x, _ in rows:
                (value,) = x.values()
                model.score_one(None, value)
                model.learn_one(None, value)
        elif isinstance(final, base.AnomalyDetector):
            for x, _ in rows:
                model.score_one(x)
                model.learn_one(x)
        elif isinstance(final, time_series.base.Forecaster):
            for x, _ in rows:
                (value,) = x.values()
                with suppress(IndexError):  # Nothing to go by yet.
                    model.forecast(horizon=1)
                model.learn_one(value)
        elif isinstance(final, base.Classifier):
            for x, y in rows:
                model.predict_one(x)
                model.predict_proba_one(x)
                model.learn_one(x, y if final._multiclass else bool(y))
        else:
            for x, y in rows:
                model.predict_one(x)
                model.learn_one(x, y)

    return loop


def _each(learner: Learner, rows: Rows) -> Loop:
    def loop() -> None:
        step = learner.step_one
        for i, (x, y) in enumerate(rows):
            step(x, y, 3_600.0 * i)

    return loop


def _detecting(detector: Any, values: Values) -> Loop:
    def loop() -> None:
        for value in values:
            detector.update(value)

    return loop


def _watching(indicator: Indicator, values: Values) -> Loop:
    events = [(Prediction(score=value), {"v": value}) for value in values]

    def loop() -> None:
        for i, (prediction, x) in enumerate(events):
            indicator.update(prediction, x, None, 60.0 * i)

    return loop


def _spread(values: Sequence[float]) -> dict[str, float]:
    most = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 2) for name, value in most.items()}


def _print(console: Console, summary: Mapping[str, Mapping[str, float]]) -> None:
    table = Table("microseconds an event", "median", "min", "max")
    for name, spread in summary.items():
        table.add_row(name, *(f"{value:,.1f}" for value in spread.values()))
    console.print(table)
