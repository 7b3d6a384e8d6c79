"""The likelihood's scale, its one alarm per run, and what it makes of a flat line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from learners.base import Prediction, StateError
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from learners.kernels.likelihood import LOG_SCALE
from tests import naive


def feed(indicator: AnomalyLikelihood, scores: list[float], values: list[float]) -> list[float]:
    out = []
    for score, value in zip(scores, values, strict=True):
        indicator.update(Prediction(score=score), {"v": value})
        out.append(indicator.value())
    return out


@pytest.mark.parametrize(
    ("likelihood", "log"),
    [(0.5, 0.0301), (0.9, 0.1), (0.99, 0.2), (0.999, 0.3), (0.9999, 0.4), (0.99999, 0.5)],
)
def test_log_scale(likelihood: float, log: float) -> None:
    assert math.log(1.0000000001 - likelihood) / LOG_SCALE == pytest.approx(log, abs=1e-4)


def test_onset_of_a_run_stays_red() -> None:
    """1000 scores of 0.1, then ten of 1.0: z = 5.2 at onset, then the red filter."""
    values = np.random.default_rng(1).normal(size=1010).tolist()
    got = feed(AnomalyLikelihood(), [0.1] * 1000 + [1.0] * 10, values)
    assert got[:388] == pytest.approx([0.0301] * 388, abs=1e-4)
    assert got[1000] == pytest.approx(0.70, abs=0.01)
    assert got[1001:] == pytest.approx([0.3] * 9, abs=1e-6)


def test_same_as_the_twin_over_the_ring() -> None:
    draw = np.random.default_rng(6)
    scores = np.clip(draw.normal(0.3, 0.2, 500), 0, 1).tolist()
    values = draw.normal(size=500).tolist()
    ref = naive.likelihood(scores, values, 30, 20, 7, 90, 5)
    got = feed(AnomalyLikelihood(30, 20, 7, 90, 5), scores, values)
    np.testing.assert_allclose(got, ref, rtol=1e-6)


def test_flat_line_alarms_nobody() -> None:
    got = feed(AnomalyLikelihood(), [0.1] * 500 + [1.0] * 10, [3.0] * 510)
    assert max(got) < 0.04


def test_without_a_number_the_metric_counts_as_varying() -> None:
    indicator = AnomalyLikelihood(20, 10, 10, 100, 5)
    for _ in range(60):
        indicator.update(Prediction(score=0.1), {"place": "north", "v": None})
    assert indicator.signals()["likelihood_mean"] == pytest.approx(0.1)


def test_no_score_changes_nothing() -> None:
    indicator = AnomalyLikelihood()
    before = indicator.get_state()
    indicator.update(Prediction(), {"v": 1.0})
    for name, array in indicator.get_state().items():
        np.testing.assert_array_equal(array, before[name])


def test_warming() -> None:
    indicator = AnomalyLikelihood(5, 5, 5, 50, 2)
    warming = []
    for i in range(12):
        indicator.update(Prediction(score=0.1), {"v": float(i)})
        warming.append(indicator.warming)
    assert warming == [True] * 10 + [False] * 2


def test_other_scales_are_welcome() -> None:
    """A score need not lie in [0, 1]; a huge one ends in a finite value."""
    draw = np.random.default_rng(1)
    indicator = AnomalyLikelihood(20, 20, 10, 200, 5)
    scores = [*draw.normal(50, 5, 200).tolist(), 1e308]
    got = feed(indicator, scores, draw.normal(size=201).tolist())
    assert got[-1] == pytest.approx(1.0)
    feed(indicator, [50.0] * 100, draw.normal(size=100).tolist())
    assert all(math.isfinite(v) for v in (indicator.value(), *indicator.signals().values()))


@pytest.mark.parametrize(
    "params", [{"history": 0}, {"averaging": 0}, {"averaging": 20, "history": 10}]
)
def test_silly_parameters_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"got .*, expected "):
        AnomalyLikelihood(**params)


@pytest.mark.parametrize(("name", "entry"), [("counts", -1), ("scores", np.nan), ("state", np.inf)])
def test_hostile_snapshot_is_refused(name: str, entry: float) -> None:
    indicator = AnomalyLikelihood()
    bad = indicator.get_state()
    bad[name][0] = entry
    with pytest.raises(StateError):
        indicator.set_state(bad)
