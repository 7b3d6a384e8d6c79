"""River's estimators: equal to River itself, resumed bit for bit, and closed to hostile input."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from river import (
    anomaly,
    base,
    datasets,
    linear_model,
    naive_bayes,
    optim,
    preprocessing,
    time_series,
    tree,
)

from learners.base import Arrays, Features, InvalidEvent, Prediction, StateError, Target, class_name
from learners.river.adapter import RiverEstimator
from learners.river.curated import CODECS
from service.errors import InvalidInput
from service.schemas import parse_event, parse_spec
from service.snapshots import revived, snapshot
from service.stream import Stream

Rows = Callable[[], list[tuple[Features, Target]]]


class Case(NamedTuple):
    """A spec, the same pipeline as River would build it, and rows that ship with River."""

    spec: dict[str, Any]
    river: Callable[[], Any]
    rows: Rows


@cache
def phishing() -> list[tuple[Features, Target]]:
    return [(x, float(y)) for x, y in datasets.Phishing()]


@cache
def bananas() -> list[tuple[Features, Target]]:
    return [(x, "ripe" if y else "green") for x, y in datasets.Bananas()]


@cache
def segments() -> list[tuple[Features, Target]]:
    return list(datasets.ImageSegments())


@cache
def approval() -> list[tuple[Features, Target]]:
    return list(datasets.TrumpApproval())


@cache
def water() -> list[tuple[Features, Target]]:
    return [({"flow": y}, None) for _, y in datasets.WaterFlow()]


@cache
def passengers() -> list[tuple[Features, Target]]:
    return [({"passengers": y}, None) for _, y in datasets.AirlinePassengers()]


def after(step: str) -> tuple[dict[str, Any], ...]:
    return ({"estimator": f"preprocessing.{step}"},)


CASES = {
    "half_space_trees": Case(
        {
            "estimator": "anomaly.HalfSpaceTrees",
            "params": {"n_trees": 5, "height": 6, "window_size": 100, "seed": 7},
            "preprocessing": after("MinMaxScaler"),
        },
        lambda: (
            preprocessing.MinMaxScaler()
            | anomaly.HalfSpaceTrees(n_trees=5, height=6, window_size=100, seed=7)
        ),
        bananas,
    ),
    "half_space_trees_with_limits": Case(
        {
            "estimator": "anomaly.HalfSpaceTrees",
            "params": {"n_trees": 3, "limits": {"1": [-3, 3], "2": [-3, 3]}},
            "seed": 5,
        },
        lambda: anomaly.HalfSpaceTrees(n_trees=3, limits={"1": (-3, 3), "2": (-3, 3)}, seed=5),
        bananas,
    ),
    "gaussian_scorer": Case({"estimator": "anomaly.GaussianScorer"}, anomaly.GaussianScorer, water),
    "gaussian_scorer_in_a_window": Case(
        {
            "estimator": "anomaly.GaussianScorer",
            "params": {"window_size": 168, "grace_period": 30},
        },
        lambda: anomaly.GaussianScorer(window_size=168, grace_period=30),
        water,
    ),
    "one_class_svm": Case(
        {
            "estimator": "anomaly.OneClassSVM",
            "params": {"nu": 0.2},
            "preprocessing": after("StandardScaler"),
        },
        lambda: preprocessing.StandardScaler() | anomaly.OneClassSVM(nu=0.2),
        phishing,
    ),
    "linear_regression": Case(
        {
            "estimator": "linear_model.LinearRegression",
            "params": {"intercept_lr": 0.1},
            "preprocessing": after("StandardScaler"),
        },
        lambda: preprocessing.StandardScaler() | linear_model.LinearRegression(intercept_lr=0.1),
        approval,
    ),
    "linear_regression_with_a_penalty": Case(
        {
            "estimator": "linear_model.LinearRegression",
            "params": {"l1": 0.01},
            "preprocessing": (*after("MinMaxScaler"), *after("StandardScaler")),
        },
        lambda: (
            preprocessing.MinMaxScaler()
            | preprocessing.StandardScaler()
            | linear_model.LinearRegression(l1=0.01)
        ),
        approval,
    ),
    "logistic_regression": Case(
        {
            "estimator": "linear_model.LogisticRegression",
            "params": {"optimizer": {"estimator": "optim.SGD", "params": {"lr": 0.1}}},
            "preprocessing": after("StandardScaler"),
        },
        lambda: preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(0.1)),
        phishing,
    ),
    "hoeffding_tree": Case(
        {
            "estimator": "tree.HoeffdingTreeClassifier",
            "params": {"grace_period": 100, "delta": 0.01},
        },
        lambda: tree.HoeffdingTreeClassifier(grace_period=100, delta=0.01),
        bananas,
    ),
    "hoeffding_tree_pruned": Case(
        {
            "estimator": "tree.HoeffdingTreeClassifier",
            "params": {
                "grace_period": 30,
                "delta": 0.1,
                "max_depth": 2,
                "leaf_prediction": "mc",
                "remove_poor_attrs": True,
                "split_criterion": "gini",
            },
            "preprocessing": after("StandardScaler"),
        },
        lambda: (
            preprocessing.StandardScaler()
            | tree.HoeffdingTreeClassifier(
                grace_period=30,
                delta=0.1,
                max_depth=2,
                leaf_prediction="mc",
                remove_poor_attrs=True,
                split_criterion="gini",
            )
        ),
        segments,
    ),
    "gaussian_nb": Case({"estimator": "naive_bayes.GaussianNB"}, naive_bayes.GaussianNB, segments),
    "holt_winters": Case(
        {
            "estimator": "time_series.HoltWinters",
            "params": {"alpha": 0.3, "beta": 0.1, "gamma": 0.6, "seasonality": 24},
        },
        lambda: time_series.HoltWinters(alpha=0.3, beta=0.1, gamma=0.6, seasonality=24),
        water,
    ),
    "holt_winters_multiplicative": Case(
        {
            "estimator": "time_series.HoltWinters",
            "params": {
                "alpha": 0.3,
                "beta": 0.1,
                "gamma": 0.6,
                "seasonality": 12,
                "multiplicative": True,
            },
            "horizon": 12,
        },
        lambda: time_series.HoltWinters(
            alpha=0.3, beta=0.1, gamma=0.6, seasonality=12, multiplicative=True
        ),
        passengers,
    ),
    "holt_winters_level": Case(
        {"estimator": "time_series.HoltWinters", "params": {"alpha": 0.3}},
        lambda: time_series.HoltWinters(alpha=0.3),
        water,
    ),
    "snarimax": Case(
        {
            "estimator": "time_series.SNARIMAX",
            "params": {"p": 12, "d": 1, "q": 12, "m": 12, "sd": 1},
            "horizon": 4,
        },
        lambda: time_series.SNARIMAX(p=12, d=1, q=12, m=12, sd=1),
        water,
    ),
    "snarimax_of_a_pipeline_of_one": Case(
        {
            "estimator": "time_series.SNARIMAX",
            "params": {
                "p": 2,
                "d": 0,
                "q": 1,
                "m": 24,
                "sp": 2,
                "sq": 1,
                "regressor": {
                    "estimator": "linear_model.LinearRegression",
                    "params": {"optimizer": {"estimator": "optim.SGD", "params": {"lr": 1e-6}}},
                },
            },
        },
        lambda: time_series.SNARIMAX(
            p=2,
            d=0,
            q=1,
            m=24,
            sp=2,
            sq=1,
            regressor=linear_model.LinearRegression(optimizer=optim.SGD(1e-6)),
        ),
        water,
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


# Equal to River


def answer(model: Any, x: Features, y: Target) -> Any:
    """What River says of an event in a plain loop."""
    final = list(model.steps.values())[-1] if hasattr(model, "steps") else model
    if isinstance(final, base.SupervisedAnomalyDetector):
        return model.score_one(None, *x.values())
    if isinstance(final, base.AnomalyDetector):
        return model.score_one(x)
    if isinstance(final, base.Classifier):
        return model.predict_one(x), model.predict_proba_one(x)
    if isinstance(final, base.Regressor):
        return model.predict_one(x)
    try:
        return model.forecast(horizon=1)[0]
    except IndexError:
        return None


def teach(model: Any, x: Features, y: Target) -> None:
    """What River learns from an event in a plain loop."""
    final = list(model.steps.values())[-1] if hasattr(model, "steps") else model
    if isinstance(final, base.SupervisedAnomalyDetector):
        model.learn_one(None, *x.values())
    elif isinstance(final, base.AnomalyDetector):
        model.learn_one(x)
    elif isinstance(final, time_series.base.Forecaster):
        model.learn_one(*x.values())
    elif isinstance(final, base.Classifier) and not final._multiclass:
        model.learn_one(x, bool(y))
    else:
        model.learn_one(x, y)


def said(prediction: Prediction, want: Any) -> Any:
    """The part of a prediction that River's answer is to be held against."""
    if isinstance(want, tuple):
        proba = {class_name(label) for label in want[1]}
        assert proba == (prediction.proba or {}).keys()
        return prediction.label, dict(zip(want[1], (prediction.proba or {}).values(), strict=True))
    if prediction.expected is not None:
        return next(iter(prediction.expected.values()))
    return prediction.score if prediction.label is None else prediction.label


@each_case
def test_equals_river_in_a_plain_loop(case: Case) -> None:
    learner, model = RiverEstimator(**case.spec), case.river()
    compared = 0
    for x, y in case.rows():
        want = answer(model, x, y)
        prediction = learner.step_one(x, y)
        got = said(prediction, want)
        if got is not None or isinstance(want, tuple):
            assert got == want
            compared += 1
        else:
            assert want in (None, 0.0) or learner.estimator == "time_series.SNARIMAX"
        teach(model, x, y)
    assert compared > (1_000 if case.rows is not passengers else 120)
    if isinstance(model, time_series.base.Forecaster):
        assert [each.value for each in learner.forecast(12)] == model.forecast(horizon=12)


def test_a_tree_has_grown() -> None:
    learner = RiverEstimator(**CASES["hoeffding_tree"].spec)
    for x, y in bananas():
        learner.learn_one(x, y)
    assert len(learner.get_state()["model/feature"]) > 10


# Resumed


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype
        and a[name].shape == b[name].shape
        and a[name].tobytes() == b[name].tobytes()
        for name in a
    )


@each_case
def test_resumes_bit_for_bit(case: Case) -> None:
    rows = case.rows()[:1_500]
    whole = RiverEstimator(**case.spec)
    draw = random.Random(3)
    cuts = sorted({0, 1, *draw.sample(range(len(rows)), 4)})
    states, predictions = {}, []
    for i, (x, y) in enumerate(rows):
        if i in cuts:
            states[i] = whole.get_state()
        predictions.append(dataclasses.asdict(whole.step_one(x, y)))
    end = whole.get_state()
    for cut in cuts:
        resumed = RiverEstimator(**case.spec)
        resumed.set_state(states[cut])
        assert same(resumed.get_state(), states[cut])
        for (x, y), want in zip(rows[cut:], predictions[cut:], strict=True):
            assert dataclasses.asdict(resumed.step_one(x, y)) == want
        assert same(resumed.get_state(), end)
        assert resumed.forecast(5) == whole.forecast(5)


@each_case
def test_a_prediction_changes_nothing(case: Case) -> None:
    asked, silent = RiverEstimator(**case.spec), RiverEstimator(**case.spec)
    for x, y in case.rows()[:400]:
        first = asked.predict(x)
        asked.predict(dict.fromkeys(x, 3.0) | {"never seen": 1.0})
        asked.predict(dict.fromkeys(x))
        assert asked.predict(x) == first
        asked.learn_one(x, y)
        assert silent.step_one(x, y) == first
    assert same(asked.get_state(), silent.get_state())


@each_case
def test_holds_no_more_than_it_said(case: Case) -> None:
    learner = RiverEstimator(**case.spec)
    for x, y in case.rows():
        learner.learn_one(x, y)
    most = RiverEstimator.memory_bytes(**case.spec)
    assert sum(array.nbytes for array in learner.get_state().values()) <= most
    held: int = learner._built.model._raw_memory_usage
    assert held <= most


# Every field is known


def parts(estimator: Any) -> Iterator[Any]:
    """An estimator and the curated estimators within it."""
    yield estimator
    for each in getattr(estimator, "steps", {}).values():
        yield from parts(each)
    if hasattr(estimator, "regressor"):
        yield from parts(estimator.regressor)


@each_case
def test_river_has_no_field_that_the_codec_does_not_know(case: Case) -> None:
    model = case.river()
    for x, y in case.rows()[:300]:
        answer(model, x, y)
        teach(model, x, y)
    for part in parts(model):
        assert vars(part).keys() <= CODECS[type(part)].fields, type(part)


def test_the_parts_of_estimators_have_the_known_fields() -> None:
    forest = anomaly.HalfSpaceTrees(n_trees=1, height=1)
    forest.learn_one({"a": 0.5})
    root = forest.trees[0]
    assert vars(root).keys() == {"children", "feature", "threshold", "l_mass", "r_mass"}
    assert vars(root.children[0]).keys() == {"l_mass", "r_mass"}
    scorer: Any = anomaly.GaussianScorer(window_size=3)
    assert vars(scorer.gaussian).keys() == {"obj", "_window_size", "window"}
    assert vars(scorer.gaussian.obj).keys() == {"seed", "_rng", "_var"}
    assert vars(scorer.gaussian.obj._var).keys() == {"ddof", "mean", "_S"}
    assert vars(scorer.gaussian.obj._var.mean).keys() == {"n", "_mean"}
    assert vars(optim.SGD()).keys() == {"lr", "n_iterations"}
    scaler = preprocessing.MinMaxScaler()
    scaler.learn_one({"a": 1.0})
    assert vars(scaler.min["a"]).keys() == {"min"}
    assert vars(scaler.max["a"]).keys() == {"max"}


def test_the_nodes_of_a_tree_have_the_known_fields() -> None:
    model = CASES["hoeffding_tree"].river()
    for x, y in bananas():
        model.learn_one(x, y)
    branch = {"children", "stats", "feature", "threshold", "depth"}
    leaf = {"stats", "depth", "splitter", "splitters", "_disabled_attrs"}
    leaf |= {"_last_split_attempt_at", "_mc_correct_weight", "_nb_correct_weight"}
    splitter = {"_min_per_class", "_max_per_class", "_att_dist_per_class", "n_splits"}
    for node in model._root.iter_dfs():
        if isinstance(node, tree.base.Branch):
            assert vars(node).keys() == branch
        else:
            assert vars(node).keys() == leaf
            assert all(vars(each).keys() == splitter for each in node.splitters.values())


# Hostile states


TEXTS = ["[", "{}", "[1]", "[[]]", "null", '["a", "a"]', "[1e999]", "[" * 2_000, '["\\ud800"]']


def mutations(name: str, array: np.ndarray[Any, Any], draw: np.random.Generator) -> list[Any]:
    """What somebody might offer in the place of an array."""
    longer = np.concatenate([array, array[:1]]) if len(array) else np.zeros_like(array, shape=2)
    bad = [array[:-1], longer, array[::-1].copy(), array[None], array.astype(np.complex128)]
    if (array.dtype == np.uint8 and array.ndim == 1 and "names" in name) or "labels" in name:
        texts = [
            "[",
            "{}",
            "[1]",
            "[[]]",
            "null",
            '["a", "a"]',
            "[1e999]",
            "[" * 2_000,
            '["\\ud800"]',
        ]
        return bad + [np.frombuffer(text.encode(), np.uint8) for text in texts]
    limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(array.dtype)
    values = [0, 1, -1, limits.min, limits.max, 2, 1e-300]
    values += [math.nan, math.inf, -math.inf] if array.dtype.kind == "f" else []
    for value in values:
        if array.dtype.kind == "f" or limits.min <= value <= limits.max:
            whole = np.full_like(array, value)
            one = array.copy()
            if one.size:
                one.flat[int(draw.integers(one.size))] = value
            bad += [whole, one]
    return bad


def reals(answer: Any) -> list[float]:
    """Every number in a nested answer."""
    if isinstance(answer, dict):
        answer = list(answer.values())
    if isinstance(answer, list | tuple):
        return [number for one in answer for number in reals(one)]
    return [] if answer is None or isinstance(answer, str) else [float(answer)]


def survives(learner: RiverEstimator, rows: list[tuple[Features, Target]]) -> None:
    for x, y in rows:
        try:
            got = dataclasses.asdict(learner.step_one(x, y))
        except InvalidEvent:
            continue
        assert all(map(math.isfinite, reals(got))), got
    assert all(map(math.isfinite, reals([dataclasses.asdict(f) for f in learner.forecast(3)])))


@each_case
def test_a_hostile_state_is_refused_or_does_no_harm(case: Case) -> None:
    rows = case.rows()
    learner = RiverEstimator(**case.spec)
    for x, y in rows[:130]:
        learner.learn_one(x, y)
    good = learner.get_state()
    draw = np.random.default_rng(1)
    refused = 0
    for name, array in good.items():
        for bad in mutations(name, array, draw):
            try:
                learner.set_state(good | {name: bad})
            except StateError:
                refused += 1
                assert same(learner.get_state(), good)
                continue
            with np.errstate(all="ignore"):
                survives(learner, rows[130:142])
            learner.get_state()
            learner.set_state(good)
    assert refused > 3 * len(good)
    for name in good:
        with pytest.raises(StateError):
            learner.set_state({key: array for key, array in good.items() if key != name})
        with pytest.raises(StateError):
            learner.set_state(good | {f"{name}x": good[name]})
    assert same(learner.get_state(), good)


# What comes out


STEPS: list[tuple[dict[str, Any], ...]] = [(), after("StandardScaler"), after("MinMaxScaler")]
SEEING_ALL = [
    "anomaly.HalfSpaceTrees",
    "anomaly.OneClassSVM",
    "linear_model.LinearRegression",
    "linear_model.LogisticRegression",
    "naive_bayes.GaussianNB",
    "tree.HoeffdingTreeClassifier",
]


def awkward() -> Iterator[tuple[Features, Target]]:
    """Cold, constant, missing, new and exploding features."""
    yield {"a": None}, 0
    yield {"a": 1.0, "b": 5.0}, 1
    for i in range(60):
        yield {"a": 1.0, "b": 5.0}, i % 2
    for i in range(40):
        yield {"a": None if i % 3 else i * 1.0, "b": 5}, i % 2
    for i in range(40):
        yield {"b": 5.0, "a": -i * 0.1, f"c{i % 4}": i}, i % 2
    yield {"zz": 3.0}, None
    for i, value in enumerate([1e308, -1e308, 5e-324, 0.0, 1e100, -1.7e308, 1e-300] * 4):
        yield {"a": value, "c1": -value}, i % 2
    for i in range(40):
        yield {"a": i * 1.0, "b": 2.0}, i % 2


@pytest.mark.parametrize("steps", STEPS, ids=["alone", "standard", "min_max"])
@pytest.mark.parametrize("name", SEEING_ALL)
def test_no_nan_and_no_infinity_leaves(name: str, steps: tuple[dict[str, Any], ...]) -> None:
    params = {"window_size": 20} if name == "anomaly.HalfSpaceTrees" else {}
    learner = RiverEstimator(name, params, steps)
    twin = RiverEstimator(name, params, steps)
    for x, y in awkward():
        got = learner.step_one(x, y)
        assert all(map(math.isfinite, reals(dataclasses.asdict(got))))
        twin.learn_one(x, y)
    assert same(learner.get_state(), twin.get_state())
    RiverEstimator(name, params, steps).set_state(learner.get_state())


def test_half_space_trees_score_in_zero_to_one_after_their_first_window() -> None:
    case = CASES["half_space_trees"]
    learner = RiverEstimator(**case.spec)
    scores = [learner.step_one(x).score for x, _ in case.rows()]
    assert scores[:100] == [None] * 100
    assert all(score is not None and 0.0 <= score <= 1.0 for score in scores[100:])


def test_a_gaussian_scorer_is_silent_in_its_grace_period() -> None:
    learner = RiverEstimator("anomaly.GaussianScorer", {"grace_period": 30})
    scores = [learner.step_one(x).score for x, _ in water()]
    assert [score is None for score in scores] == [i < 30 for i in range(len(scores))]


def test_a_forecaster_says_what_it_expected_and_how_far_off_it_was() -> None:
    learner = RiverEstimator("time_series.HoltWinters", {"alpha": 0.5}, horizon=3)
    for value in (1.0, 3.0, 2.0, 2.0):
        learner.learn_one({"v": value})
    got = learner.predict({"v": 5.0})
    assert got.expected == {"v": 2.0}
    assert got.score == 3.0
    assert not got.forecast
    for i in range(20):
        learner.learn_one({"v": float(i % 2)})
    bands = learner.predict({"v": None}).forecast
    assert [band.horizon for band in bands] == [1, 2, 3]
    assert all(band.lower < band.value < band.upper for band in bands)
    assert learner.predict({"v": None}).score is None


def test_forecasters_follow_one_feature_and_never_y() -> None:
    first = RiverEstimator("time_series.HoltWinters", {"alpha": 0.5})
    named = RiverEstimator("time_series.HoltWinters", {"alpha": 0.5}, feature="b")
    for i in range(30):
        x: Features = {"place": "n", "a": 1.0 * i, "b": 2.0}
        first.learn_one(x, y=7.0)
        named.learn_one(x, y="odd")
    assert first.predict({"a": 30.0}).expected.keys() == {"a"}  # type: ignore[union-attr]
    assert named.predict({"a": 9.0, "b": 2.0}).expected == {"b": 2.0}
    with pytest.raises(InvalidEvent, match=r"^a: got 'x', expected a finite number"):
        first.learn_one({"a": "x"})
    with pytest.raises(InvalidEvent, match=r"^x: got strings alone"):
        RiverEstimator("anomaly.GaussianScorer").predict({"place": "n"})


def test_classifiers_say_label_and_proba_as_clients_write_them() -> None:
    binary = RiverEstimator("linear_model.LogisticRegression")
    binary.learn_one({"a": 1.0}, 1.0)
    got = binary.predict({"a": 1.0})
    assert got.label == 1.0
    assert got.proba is not None
    assert list(got.proba) == ["0", "1"]
    many = RiverEstimator("naive_bayes.GaussianNB")
    for i in range(20):
        many.learn_one({"a": i % 2 + 0.1 * (i % 3)}, i % 2)
    got = many.predict({"a": 1.0})
    assert got.label == 1.0
    assert got.proba is not None
    assert list(got.proba) == ["0", "1"]


@pytest.mark.parametrize("name", ["logistic_regression", "hoeffding_tree", "linear_regression"])
def test_without_a_label_nothing_is_learned(name: str) -> None:
    case = CASES[name]
    labeled, half = RiverEstimator(**case.spec), RiverEstimator(**case.spec)
    for x, y in case.rows()[:300]:
        want = labeled.step_one(x, y)
        assert half.step_one(x) == want
        half.learn_one(x, y)
    assert same(labeled.get_state(), half.get_state())


# What is refused, before anything changed


@pytest.mark.parametrize(
    ("name", "x", "y", "message"),
    [
        ("anomaly.OneClassSVM", {"a": 1.0, "b": "red"}, None, "b: got 'red', expected a finite"),
        ("anomaly.OneClassSVM", {"a": math.nan}, None, "a: got nan, expected a finite number"),
        ("anomaly.OneClassSVM", {"a": -math.inf}, None, "a: got -inf, expected a finite number"),
        ("anomaly.OneClassSVM", {"a": 1.0, "e": 1.0, "f": 1.0}, None, "f: got one more feature"),
        (
            "anomaly.OneClassSVM",
            {"a": 1.0, "n" * 201: 1.0},
            None,
            "nnnnnnnnnnnnnnnnnnnn...: got 20",
        ),
        ("linear_model.LinearRegression", {"a": 1.0}, "high", "y: got 'high', expected a finite"),
        ("linear_model.LinearRegression", {"a": 1.0}, math.nan, "y: got nan, expected a finite"),
        ("linear_model.LogisticRegression", {"a": 1.0}, "spam", "y: got 'spam', expected 0 or 1"),
        ("linear_model.LogisticRegression", {"a": 1.0}, 2.0, "y: got 2.0, expected 0 or 1"),
        ("naive_bayes.GaussianNB", {"a": 1.0}, "spam", "y: got 'spam', expected a label of the"),
        ("naive_bayes.GaussianNB", {"a": 1.0}, 2.0, "y: got 2.0, one more than max_classes, 2"),
        ("tree.HoeffdingTreeClassifier", {"a": "x"}, 1.0, "a: got 'x', expected a finite number"),
        ("tree.HoeffdingTreeClassifier", {"a": 1.0}, "n" * 1_001, "y: got 1001 characters"),
    ],
)
def test_an_event_that_does_not_fit_changes_nothing(
    name: str, x: Features, y: Target, message: str
) -> None:
    learner = RiverEstimator(name, max_features=3, max_classes=2)
    for i in range(20):
        learner.learn_one({"a": 1.0 * i, "d": 2.0}, i % 2)
    before = learner.get_state()
    for ask in (learner.learn_one, learner.step_one):
        with pytest.raises(InvalidEvent) as refusal:
            ask(x, y)
        assert str(refusal.value).startswith(message)
        assert same(learner.get_state(), before)


def test_a_forecaster_refuses_what_it_would_divide_by() -> None:
    params = {"alpha": 0.3, "beta": 0.1, "gamma": 0.2, "seasonality": 3}
    learner = RiverEstimator("time_series.HoltWinters", params)
    learner.learn_one({"v": 1.0})
    learner.learn_one({"v": -2.0})
    before = learner.get_state()
    with pytest.raises(
        InvalidEvent, match=r"^v: got 1.0, with which HoltWinters would divide by 0"
    ):
        learner.step_one({"v": 1.0})
    assert same(learner.get_state(), before)
    learner.learn_one({"v": 2.0})
    many = RiverEstimator("time_series.HoltWinters", params | {"multiplicative": True})
    draw = random.Random(4)
    for _ in range(300):
        try:
            many.step_one({"v": draw.choice([0.0, 1.0, -1.0])})
        except InvalidEvent:
            continue


def test_a_tree_stops_growing_at_its_max_size() -> None:
    params = {"grace_period": 50, "delta": 0.5, "max_size": 0.2}
    small = RiverEstimator("tree.HoeffdingTreeClassifier", params)
    large = RiverEstimator("tree.HoeffdingTreeClassifier", params | {"max_size": 100})
    for x, y in bananas():
        small.learn_one(x, y)
        large.learn_one(x, y)
    leaves = [int(each.get_state()["model/leaves"].sum()) for each in (small, large)]
    assert leaves[0] == 7
    assert leaves[1] > 20
    held: int = small._built.model._raw_memory_usage
    assert held < 0.2 * 2**20
    with pytest.raises(InvalidEvent, match=r"^x: got 32 features and 2 labels in all"):
        small.learn_one({f"f{i}": 1.0 for i in range(30)}, "ripe")


REFUSED = [
    "os.system",
    "HalfSpaceTrees",
    "river.anomaly.HalfSpaceTrees",
    "anomaly.hst.HalfSpaceTrees",
    "anomaly.__class__",
    "anomaly._hidden",
    "anomaly.__init__.__globals__",
    "anomaly",
    "anomaly.",
    ".HalfSpaceTrees",
    "",
    "anomaly.base",
    "base.Base",
    "datasets.Phishing",
    "drift.datasets.AirlinePassengers",
    "compose.Pipeline",
    "compose.FuncTransformer",
    "compose.learn_during_predict",
    "compose.pure_inference_mode",
    "optim.SGD",
    "stats.Mean",
    "preprocessing.StandardScaler",
    "linear_model.base.GLM",
    "evaluate.progressive_val_score",
    "anomaly.HalfSpaceTrees" * 9,
]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_estimator_of_river_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^estimator: got .*, expected ") as refusal:
        RiverEstimator(name)
    assert len(str(refusal.value)) < 300


SEASON = {"alpha": 0.1, "seasonality": 4}


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("anomaly.HalfSpaceTrees", {"trees": 3}, "params: got 'trees', expected one of n_trees,"),
        ("anomaly.HalfSpaceTrees", {"n_trees": "x"}, "params: n_trees: got 'x', expected 1..1000"),
        ("anomaly.HalfSpaceTrees", {"n_trees": 0}, "params: n_trees: got 0, expected 1..1000"),
        ("anomaly.HalfSpaceTrees", {"height": 60}, "params: height: got 60, expected 1..15"),
        ("anomaly.HalfSpaceTrees", {"n_trees": 900, "height": 15}, "params: height: got 15, exp"),
        ("anomaly.HalfSpaceTrees", {"window_size": True}, "params: window_size: got True, expect"),
        ("anomaly.HalfSpaceTrees", {"limits": {"a": [1, 1]}}, "params: limits: a: got [1, 1], "),
        ("anomaly.HalfSpaceTrees", {"limits": 5}, "params: "),
        ("anomaly.GaussianScorer", {"window_size": 9}, "params: grace_period: got 100, expected"),
        ("anomaly.OneClassSVM", {"nu": "x"}, "params: "),
        ("anomaly.OneClassSVM", {"nu": math.nan}, "params: got nan, expected a finite number"),
        ("linear_model.LinearRegression", {"l1": 1.0, "l2": 1.0}, "params: The joint use of L1"),
        ("linear_model.LinearRegression", {"optimizer": 3}, "params: optimizer: got 3, expected"),
        (
            "linear_model.LinearRegression",
            {"optimizer": {"estimator": "os.system"}},
            "params: estimator: got 'os.system', expected a name inside `river.`",
        ),
        (
            "linear_model.LinearRegression",
            {"optimizer": {"estimator": "optim.SGD", "lr": 1}},
            "params: got {'estimator': 'optim.SGD', 'lr': 1}, expected an object of estimator and",
        ),
        (
            "linear_model.LinearRegression",
            {"optimizer": {"estimator": "optim.SGD", "params": {"lr": "x"}}},
            "params: optimizer: lr: got 'x', expected a number",
        ),
        (
            "linear_model.LogisticRegression",
            {"loss": {"estimator": "optim.losses.Log", "params": {"weight_pos": "x"}}},
            "params: loss: weight_pos: got 'x', expected a number",
        ),
        (
            "time_series.SNARIMAX",
            {"p": 1, "d": 0, "q": 0, "regressor": {"estimator": "preprocessing.StandardScaler"}},
            "params: regressor: got ",
        ),
        ("forest.ARFClassifier", {"n_models": 10**9}, "params: n_models: got 1000000000, expected"),
        ("anomaly.OneClassSVM", {"optimizer": "x" * 10**6}, "params: optimizer: got 'xxxx"),
        ("tree.HoeffdingTreeClassifier", {"max_depth": 500}, "params: max_depth: got 500, exp"),
        ("tree.HoeffdingTreeClassifier", {"split_criterion": "x"}, "params: split_criterion: got"),
        ("tree.HoeffdingTreeClassifier", {"memory_estimate_period": 5}, "params: memory_estimate"),
        ("time_series.HoltWinters", {}, "params: "),
        ("time_series.HoltWinters", SEASON, "params: gamma must be set if seasonality is set"),
        ("time_series.HoltWinters", {"alpha": 2}, "params: alpha: got 2, expected a number in 0"),
        ("time_series.SNARIMAX", {"p": 0, "d": 0, "q": 0}, "params: p: got 0, expected 1..1000"),
        ("time_series.SNARIMAX", {"p": 10**9, "d": 0, "q": 0}, "params: p: got 1000000000, exp"),
        ("time_series.SNARIMAX", {"p": 1, "d": 10**9, "q": 0}, "params: d: got 1000000000, exp"),
        ("naive_bayes.GaussianNB", {"a": 1}, "params: got 'a', expected none"),
        ("naive_bayes.GaussianNB", [1], "params: got [1], expected an object"),
    ],
)
def test_params_that_do_not_fit_are_refused(name: str, params: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^params: ") as refusal:
        RiverEstimator(name, params)
    assert str(refusal.value).startswith(message)
    assert len(str(refusal.value)) < 600


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"preprocessing": ({"estimator": "anomaly.OneClassSVM"},)}, "preprocessing[0].estimator:"),
        ({"preprocessing": ({"name": "x"},)}, "preprocessing[0]: got {'name': 'x'}, expected"),
        ({"preprocessing": (*after("MinMaxScaler"), *after("Os"))}, "preprocessing[1].estimator:"),
        (
            {"preprocessing": ({"estimator": "preprocessing.MinMaxScaler", "params": {"x": 1}},)},
            "preprocessing[0].params: got 'x', expected one of window_size",
        ),
        ({"feature": "v"}, "feature: got 'v', expected none, as anomaly.HalfSpaceTrees sees all"),
        ({"horizon": 0}, "horizon: got 0, expected 1..1000"),
        ({"max_features": 0}, "max_features: got 0, expected 1..4096"),
        ({"max_classes": 1}, "max_classes: got 1, expected 2..4096"),
        ({"seed": -1}, "seed: got -1, expected 0..4294967295"),
        ({"declared_memory_bytes": 0}, "declared_memory_bytes: got 0, expected 1.."),
    ],
)
def test_other_parameters_that_do_not_fit_are_refused(extra: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="got ") as refusal:
        RiverEstimator("anomaly.HalfSpaceTrees", **extra)
    assert str(refusal.value).startswith(message)


def test_a_forecaster_takes_no_preprocessing() -> None:
    with pytest.raises(ValueError, match=r"^preprocessing: got 1 steps, expected none"):
        RiverEstimator("anomaly.GaussianScorer", {}, after("MinMaxScaler"))


# Recovered by replay


REPLAYED: list[dict[str, Any]] = [
    {"estimator": "forest.ARFClassifier", "params": {"n_models": 3}},
    {"estimator": "neighbors.KNNRegressor"},
    {"estimator": "cluster.KMeans", "params": {"n_clusters": 3}},
    {"estimator": "anomaly.LocalOutlierFactor", "params": {"n_neighbors": 5}},
    {"estimator": "linear_model.PAClassifier"},
    {
        "estimator": "linear_model.LinearRegression",
        "params": {"optimizer": {"estimator": "optim.Adam"}},
    },
    {
        "estimator": "linear_model.LogisticRegression",
        "preprocessing": ({"estimator": "preprocessing.OneHotEncoder"},),
    },
    {
        "estimator": "anomaly.QuantileFilter",
        "params": {"anomaly_detector": {"estimator": "anomaly.HalfSpaceTrees"}, "q": 0.95},
        "preprocessing": after("MinMaxScaler"),
    },
    {
        "estimator": "anomaly.OneClassSVM",
        "preprocessing": (
            {"estimator": "preprocessing.MinMaxScaler", "params": {"window_size": 20}},
        ),
    },
]


@pytest.mark.parametrize("spec", REPLAYED, ids=lambda spec: str(spec["estimator"]))
def test_any_other_estimator_says_that_it_is_replayed(spec: dict[str, Any]) -> None:
    assert not RiverEstimator.state_is_kept(**spec)
    assert RiverEstimator.memory_bytes(**spec, declared_memory_bytes=12_345) == 12_345
    first, second = RiverEstimator(**spec), RiverEstimator(**spec)
    assert not first.keeps_state
    answers = 0
    for x, y in phishing()[:300]:
        got = first.step_one(x, y)
        assert second.step_one(x, y) == got
        assert all(map(math.isfinite, reals(dataclasses.asdict(got))))
        answers += got.label is not None or got.score is not None
    assert answers > 100
    with pytest.raises(StateError, match="recovered by replaying its log"):
        first.get_state()
    with pytest.raises(StateError, match="recovered by replaying its log"):
        first.set_state({})


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_curated_ones_say_that_they_keep_their_state(case: Case) -> None:
    assert RiverEstimator.state_is_kept(**case.spec)
    assert RiverEstimator(**case.spec).keeps_state


def test_categories_are_for_estimators_that_take_them() -> None:
    learner = RiverEstimator(
        "linear_model.LogisticRegression",
        preprocessing=({"estimator": "preprocessing.OneHotEncoder"},),
    )
    for i in range(100):
        learner.learn_one({"color": "red" if i % 2 else "blue"}, i % 2)
    assert learner.predict({"color": "red"}).label == 1.0
    assert learner.predict({"color": "blue"}).label == 0.0


# In a stream


def spec_of(case: Case) -> bytes:
    return json.dumps({"learner": {"kind": "river"} | case.spec}).encode()


@each_case
def test_a_stream_is_revived_from_its_snapshot(case: Case) -> None:
    stream = Stream(parse_spec(spec_of(case)))
    events = [
        parse_event(json.dumps({"x": x} | ({} if y is None else {"y": y})).encode())
        for x, y in case.rows()[:140]
    ]
    for i, event in enumerate(events[:100]):
        stream.step(event, float(i))
    twin = revived(snapshot(stream), 1 << 26)
    for i, event in enumerate(events[100:], 100):
        assert stream.step(event, float(i)).line == twin.step(event, float(i)).line
    assert stream.digest == twin.digest


@pytest.mark.parametrize(
    "learner",
    [
        {"kind": "river"},
        {"kind": "river", "estimator": 3},
        {"kind": "river", "estimator": "anomaly.HalfSpaceTrees", "n_trees": 3},
        {"kind": "river", "estimator": "anomaly.HalfSpaceTrees", "params": [1]},
        {"kind": "river", "estimator": "anomaly.HalfSpaceTrees", "preprocessing": "x"},
    ],
)
def test_a_spec_that_is_malformed_is_refused(learner: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        parse_spec(json.dumps({"learner": learner}).encode())


PROCESS = """
import sys
from hashlib import blake2b
from tests.learners.test_river import CASES
from learners.river.adapter import RiverEstimator
digest = blake2b()
for name in sys.argv[1:]:
    case = CASES[name]
    learner = RiverEstimator(**case.spec)
    for x, y in case.rows()[:600]:
        digest.update(repr(learner.step_one(x, y)).encode())
    for array in learner.get_state().values():
        digest.update(array.tobytes())
print(digest.hexdigest())
"""


def test_another_process_with_other_hashes_says_the_same() -> None:
    names = ["half_space_trees_with_limits", "hoeffding_tree_pruned", "linear_regression"]
    names += ["gaussian_nb", "one_class_svm", "snarimax"]
    said = {
        subprocess.run(
            [sys.executable, "-c", PROCESS, *names],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(said) == 1
