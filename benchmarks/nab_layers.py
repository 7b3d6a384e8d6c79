"""What a default stream says of the benchmark's series, and each of its layers alone."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.nab_data import Series
from learners.base import Prediction, Scorer
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from learners.indicators.novelty import Novelty
from learners.indicators.value_range import ValueRange
from learners.rolling_zscore import RollingZScore
from service.schemas import parse_event, parse_spec
from service.stream import Stream

Floats = NDArray[np.float64]
Layers = dict[str, Floats]

STREAM = "the stream's own score"
LAYERS = {
    STREAM: "sequence memory + novelty, as `synaptide score` gives it",
    "novelty, no model": "novelty that sees no learner's score",
    "raw score": "sequence memory's share of columns it did not predict",
    "likelihood": "anomaly likelihood over the raw score",
    "range, no model": "value range, which needs no model",
    "likelihood + range": "the larger of the two",
    "z + likelihood + range": "no model: likelihood over a rolling z-score of 1 000, and range",
}
FEW_ROWS = 20_000
"""Up to here, starting processes would take longer than the work."""


def spec_of(seed: int) -> dict[str, Any]:
    """Return the spec of a stream that asks for nothing but a seed; seed 1 is the default."""
    return {"learner": {"kind": "sequence_memory", "seed": seed}}


def run(series: Series, seed: int) -> Layers:
    """Return the scores of each layer, one a row, NaN where there is none."""
    stream = Stream(parse_spec(json.dumps(spec_of(seed)).encode()))
    results = [
        json.loads(stream.step(parse_event(json.dumps(event).encode()), float(i)).line)
        for i, event in enumerate(series.events)
    ]
    own = np.array([_number(each["anomaly_score"]) for each in results])
    raw = np.array([_number(each["raw_score"]) for each in results])
    plain = RollingZScore(window=1000)
    distance = np.array([_number(plain.step_one(x).score) for x, _ in _events(series)])
    likelihood = scored(AnomalyLikelihood(), series, raw)
    limits = scored(ValueRange(), series, raw)
    of_distance = scored(AnomalyLikelihood(), series, distance)
    return {
        STREAM: own,
        "novelty, no model": scored(Novelty(), series, np.full(len(raw), np.nan)),
        "raw score": raw,
        "likelihood": likelihood,
        "range, no model": limits,
        "likelihood + range": np.fmax(likelihood, limits),
        "z + likelihood + range": np.fmax(of_distance, limits),
    }


def scored(scorer: Scorer, series: Series, raw: Floats) -> Floats:
    """Return what a scorer says of a learner's scores, over the same events."""
    said = np.full(len(raw), np.nan)
    for i, ((x, t), score) in enumerate(zip(_events(series), raw.tolist(), strict=True)):
        scorer.update(Prediction(score=None if math.isnan(score) else score), x, None, t)
        if scorer.fresh:
            said[i] = _number(scorer.value())
    return said


def run_all(
    corpus: Sequence[Series], seeds: Sequence[int], tick: Callable[[int], None]
) -> Mapping[int, Mapping[str, Layers]]:
    """Return the layers of every series for every seed; `tick` hears of rows done."""
    tasks = [(series, seed) for series in corpus for seed in seeds]
    tasks.sort(key=lambda task: -len(task[0].events))
    found: dict[int, dict[str, Layers]] = {seed: {} for seed in seeds}
    for (series, seed), layers in _carried_out(tasks):
        found[seed][series.name] = layers
        tick(len(series.events))
    return found


Task = tuple[Series, int]


def _carried_out(tasks: Sequence[Task]) -> Iterator[tuple[Task, Layers]]:
    if sum(len(series.events) for series, _ in tasks) <= FEW_ROWS:
        for series, seed in tasks:
            yield (series, seed), run(series, seed)
        return
    workers = min(os.cpu_count() or 1, len(tasks))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        waiting: dict[Future[Layers], Task] = {pool.submit(run, *task): task for task in tasks}
        for done in as_completed(waiting):
            yield waiting[done], done.result()


def _events(series: Series) -> Iterator[tuple[dict[str, float | None], float]]:
    for event in series.events:
        parsed = parse_event(json.dumps(event).encode())
        assert parsed.ts is not None
        yield event["x"], parsed.ts.timestamp()


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
