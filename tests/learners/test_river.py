"""River's estimators: equal to River itself, resumed bit for bit, and closed to hostile input."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

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

from learners.base import Arrays, Features, Prediction, Target
from learners.river.adapter import RiverEstimator
from learners.river.curated import CODECS

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
        proba = {str(label).lower() if type(label) is bool else label for label in want[1]}
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
    rows = case.rows()[:2_500]
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
