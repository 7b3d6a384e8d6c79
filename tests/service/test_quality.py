"""Prequential quality equals River's own metrics in a plain loop, and survives a snapshot."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from river import metrics, utils

from learners.base import Prediction
from service.quality import Quality
from service.tallies import LARGEST_ERROR, MAX_CLASSES, WINDOW

Case = tuple[Prediction, float | None, bool, float | str]
TASKS = ("anomaly", "regression", "classification")


def cases(task: str, count: int, seed: int = 1) -> Iterator[Case]:
    rng = random.Random(seed)
    for _ in range(count):
        if task == "anomaly":
            y, score = float(rng.random() < 0.1), rng.random()
            yield Prediction(score), (score + y) / 2, score + y > 1.2, y
        elif task == "regression":
            y = rng.gauss(10, 3)
            yield Prediction(label=y + rng.gauss(0, 1)), None, False, y
        else:
            y_name, share = rng.choice("abc"), rng.random()
            guess = y_name if rng.random() < 0.7 else "a"
            proba = {y_name: share} | ({} if guess == y_name else {guess: 1.0 - share})
            yield Prediction(label=guess, proba=proba), None, False, y_name


def naive_calibration_error(sure: list[tuple[float, bool]]) -> float:
    error = 0.0
    for i in range(15):
        inside = [(p, right) for p, right in sure if min(int(p * 15), 14) == i]
        if inside:
            stated = sum(p for p, _ in inside) / len(inside)
            true = sum(right for _, right in inside) / len(inside)
            error += len(inside) / len(sure) * abs(stated - true)
    return error


def fed(task: str, count: int) -> Quality:
    quality = Quality()
    for case in cases(task, count):
        figures = quality.update(*case)
        assert figures is not None
        assert figures.items() <= quality.overall().items()
    return quality


def test_classification_is_rivers() -> None:
    count = 3 * WINDOW + 17
    quality = fed("classification", count)
    plain: dict[str, Any] = {
        "accuracy": metrics.Accuracy(),
        "macro_f1": metrics.MacroF1(),
        "cohen_kappa": metrics.CohenKappa(),
    }
    loss: Any = metrics.CrossEntropy()
    rolling: dict[str, Any] = {
        name: utils.Rolling(type(metric), WINDOW) for name, metric in plain.items()
    }
    rolling_loss: Any = utils.Rolling(metrics.CrossEntropy, WINDOW)
    for prediction, _, _, y in cases("classification", count):
        for metric in (*plain.values(), *rolling.values()):
            metric.update(y, prediction.label)
        for each in (loss, rolling_loss):
            each.update(y, prediction.proba)
    sure = [
        (prediction.proba[str(prediction.label)], prediction.label == y)  # type: ignore[index]
        for prediction, _, _, y in cases("classification", count)
    ]
    want = {name: metric.get() for name, metric in plain.items()} | {
        "log_loss": loss.get(),
        "calibration_error": naive_calibration_error(sure),
    }
    assert quality.overall() == pytest.approx(want, abs=1e-11)
    want = {name: metric.get() for name, metric in rolling.items()} | {
        "log_loss": rolling_loss.get(),
        "calibration_error": naive_calibration_error(sure[-WINDOW:]),
    }
    assert quality.window() == pytest.approx(want, abs=1e-9)
    assert quality.latest()["accuracy"] == pytest.approx(sum(r for _, r in sure[-100:]) / 100)
    assert quality.latest()["calibration_error"] == pytest.approx(
        naive_calibration_error(sure[-100:])
    )
    assert (quality.task, quality.labeled) == ("classification", count)


def test_regression_is_rivers() -> None:
    count = 2 * WINDOW + 5
    quality = fed("regression", count)
    mae, rmse = metrics.MAE(), metrics.RMSE()
    rolling: list[Any] = [utils.Rolling(metrics.MAE, WINDOW), utils.Rolling(metrics.RMSE, WINDOW)]
    for prediction, _, _, y in cases("regression", count):
        for metric in (mae, rmse, *rolling):
            metric.update(y, prediction.label)
    assert quality.overall() == {"mae": mae.get(), "rmse": rmse.get()}
    want = {"mae": rolling[0].get(), "rmse": rolling[1].get()}
    assert quality.window() == pytest.approx(want, abs=1e-9)


def test_anomaly_is_rivers() -> None:
    count = 2 * WINDOW + 5
    quality = fed("anomaly", count)
    flags: dict[str, Any] = {
        "precision": metrics.Precision(),
        "recall": metrics.Recall(),
        "f1": metrics.F1(),
    }
    roc, exact = metrics.ROCAUC(n_thresholds=51), metrics.RollingROCAUC(window_size=WINDOW)
    rolling: dict[str, Any] = {
        name: utils.Rolling(type(metric), WINDOW) for name, metric in flags.items()
    }
    for _, score, flagged, y in cases("anomaly", count):
        for metric in (*flags.values(), *rolling.values()):
            metric.update(bool(y), flagged)
        roc.update(bool(y), score)
        exact.update(bool(y), score)
    want = {name: metric.get() for name, metric in flags.items()} | {"roc_auc": roc.get()}
    assert quality.overall() == pytest.approx(want, abs=1e-12)
    want = {name: metric.get() for name, metric in rolling.items()} | {"roc_auc": exact.get()}
    assert quality.window() == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("cut", [0, 1, 700, WINDOW + 300])
def test_it_goes_on_from_its_state(task: str, cut: int) -> None:
    whole, first = fed(task, WINDOW + 500), fed(task, cut)
    second = Quality()
    second.set_state(first.get_state())
    for case in list(cases(task, WINDOW + 500))[cut:]:
        second.update(*case)
    assert json.loads(second.get_state()) == json.loads(whole.get_state())
    assert second.overall() == pytest.approx(whole.overall(), abs=1e-12)
    assert second.window() == pytest.approx(whole.window(), abs=1e-12)


def test_what_says_nothing_is_not_counted() -> None:
    quality = Quality()
    nothing: list[tuple[Prediction, float | None, Any]] = [
        (Prediction(), None, 1.0),
        (Prediction(0.5), 0.5, None),
        (Prediction(0.5), 0.5, "text"),
        (Prediction(0.5), None, 1.0),
    ]
    for prediction, score, y in nothing:
        assert quality.update(prediction, score, False, y) is None
    assert (quality.task, quality.labeled, quality.overall()) == (None, 0, {})
    assert quality.window() == {}
    quality.update(Prediction(label=1.0), None, False, 2.0)
    for prediction, y in [(Prediction(), 1.0), (Prediction(label="a"), 1.0)]:
        assert quality.update(prediction, None, False, y) is None
    assert quality.update(Prediction(label=0.0), None, False, 2 * LARGEST_ERROR) is None
    assert quality.overall() == {"mae": 1.0, "rmse": 1.0}


def test_an_error_beyond_measure_leaves_the_window() -> None:
    quality = Quality()
    quality.update(Prediction(label=0.0), None, False, 1e140)
    for _ in range(WINDOW):
        quality.update(Prediction(label=1.0), None, False, 1.5)
    assert quality.window() == {"mae": 0.5, "rmse": 0.5}


def test_too_many_classes_are_left_out() -> None:
    quality = Quality()
    for i in range(2 * MAX_CLASSES):
        quality.update(Prediction(label="same"), None, False, f"class {i}")
    assert quality.labeled == MAX_CLASSES - 1


def test_numbers_are_found_among_the_probabilities() -> None:
    quality = Quality()
    for label in (1.0, 0.0, 1.0):
        quality.update(Prediction(label=label, proba={"1": 0.7, "0": 0.3}), None, False, 1.0)
    assert quality.overall()["accuracy"] == pytest.approx(2 / 3)
    assert quality.overall()["log_loss"] == pytest.approx(0.35667, abs=1e-4)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "change",
    [
        {"labeled": -1},
        {"task": "fortune telling"},
        {"window": [["a"]]},
        {"means": {"surprise": {"n": 1, "mean": 0}}},
        {"means": {"mae": {"n": -1, "mean": 0}}},
        {"counts": [[1, 2]]},
        {"more": 1},
    ],
)
def test_a_state_of_something_else_is_refused(task: str, change: dict[str, Any]) -> None:
    quality = fed(task, 20)
    before = quality.get_state()
    with pytest.raises((ValueError, ValidationError)):
        quality.set_state(json.dumps(json.loads(before) | change).encode())
    assert quality.get_state() == before


def test_a_state_from_before_there_was_reliability_is_read() -> None:
    quality = fed("classification", 300)
    state = json.loads(quality.get_state())
    del state["reliability"]
    state["window"] = [pair[:3] for pair in state["window"]]
    old = Quality()
    old.set_state(json.dumps(state).encode())
    kept = quality.overall()
    del kept["calibration_error"]
    assert old.overall() == pytest.approx(kept)
    for case in cases("classification", 20, 2):
        old.update(*case)
    assert 0 <= old.overall()["calibration_error"] <= 1


def test_what_was_taken_for_what() -> None:
    quality = Quality()
    for y in ["b", "a", "b", "c", "b"] * 50:
        quality.update(Prediction(label="b", proba={"b": 1.0}), None, False, y)
    assert quality.report()["confusion"] == {
        "classes": ["a", "b", "c"],
        "overall": [[0, 50, 0], [0, 150, 0], [0, 50, 0]],
        "window": [[0, 50, 0], [0, 150, 0], [0, 50, 0]],
        "latest": [[0, 20, 0], [0, 60, 0], [0, 20, 0]],
        "others": {"overall": 0, "window": 0, "latest": 0},
    }


def test_only_the_most_frequent_classes_are_shown() -> None:
    quality = Quality()
    for i in range(60):
        y = float(i % 30)
        quality.update(Prediction(label=y, proba={str(int(y)): 1.0}), None, False, y)
        if y < 20:
            quality.update(Prediction(label=y, proba={str(int(y)): 1.0}), None, False, y)
    report = quality.report()["confusion"]
    assert report["classes"] == [float(i) for i in range(20)]
    assert report["others"]["overall"] == 20
    assert all(report["overall"][i][i] == 4 for i in range(20))
