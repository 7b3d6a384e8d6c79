"""The contract as small checks over every learner and indicator. A new one is one line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from learners.adaptive_threshold_features import AdaptiveThresholdFeatures
from learners.base import (
    Arrays,
    Features,
    Indicator,
    Learner,
    Prediction,
    Scorer,
    StateError,
    Stateful,
    Target,
)
from learners.coupled_ensemble import CoupledEnsemble
from learners.hebbian_adaptation import HebbianAdaptation
from learners.homeostatic import Homeostatic
from learners.indicators.adwin import Adwin
from learners.indicators.anomaly_likelihood import AnomalyLikelihood
from learners.indicators.early_stopping import EarlyStopping
from learners.indicators.kswin import Kswin
from learners.indicators.missing_values import MissingValues
from learners.indicators.novelty import Novelty
from learners.indicators.page_hinkley import PageHinkley
from learners.indicators.silence import Silence
from learners.indicators.structured_knowledge import StructuredKnowledge
from learners.indicators.value_range import ValueRange
from learners.memories.associative_memory import AssociativeMemory
from learners.memories.dragon_hatchling import DragonHatchling
from learners.memories.hopfield_memory import HopfieldMemory
from learners.memories.multitasking_memory import MultitaskingMemory
from learners.plastic.boolean_threshold import BooleanThreshold
from learners.plastic.network import PlasticNetwork
from learners.plastic.presynaptic_pool import PresynapticPool
from learners.plastic.rules import RULES
from learners.plastic.stdp_detector import StdpDetector
from learners.reservoirs.autonomous_recurrent import AutonomousRecurrent
from learners.reservoirs.driven_recurrent import DrivenRecurrent
from learners.reservoirs.event_reservoir import EventReservoir
from learners.reservoirs.liquid_state import LiquidState
from learners.river.adapter import RiverEstimator
from learners.rolling_zscore import RollingZScore
from learners.sequence_memory import SequenceMemory
from learners.soft_hebbian import SoftHebbian

Event = tuple[Features, float]
Stream = Callable[[], list[Event]]
Case = tuple[type[Any], dict[str, Any], Stream]


def noisy_cycle() -> list[Event]:
    draw = np.random.default_rng(2)
    wave = [10 * math.sin(i / 4) + float(draw.normal()) for i in range(300)]
    return [({"v": v}, 900.0 * i) for i, v in enumerate(wave)]


def two_features() -> list[Event]:
    return [({"v": x["v"], "w": t % 7.0, "place": "n"}, t) for x, t in noisy_cycle()]


def two_numbers() -> list[Event]:
    return [({"v": x["v"], "w": t % 7.0}, t) for x, t in noisy_cycle()]


SMALL_MEMORY: dict[str, Any] = {
    "columns": 128,
    "active_columns": 12,
    "cells_per_column": 4,
    "activation_threshold": 6,
    "matching_threshold": 5,
    "new_synapses": 9,
    "max_synapses": 12,
    "max_segments": 200,
    "decoder_rows": 64,
    "horizons": (1, 4),
}
WITH_BOOST = SMALL_MEMORY | {"boost": 2.0, "day_of_week": True, "weekend": True}

STANDARD = ({"estimator": "preprocessing.StandardScaler"},)
HALF_SPACE_TREES: dict[str, Any] = {
    "estimator": "anomaly.HalfSpaceTrees",
    "params": {"n_trees": 3, "height": 5, "window_size": 20},
    "preprocessing": ({"estimator": "preprocessing.MinMaxScaler"},),
}
GAUSSIAN: dict[str, Any] = {
    "estimator": "anomaly.GaussianScorer",
    "params": {"grace_period": 20},
}
HOLT_WINTERS: dict[str, Any] = {
    "estimator": "time_series.HoltWinters",
    "params": {"alpha": 0.3, "beta": 0.1, "gamma": 0.2, "seasonality": 7},
}
SNARIMAX: dict[str, Any] = {
    "estimator": "time_series.SNARIMAX",
    "params": {"p": 3, "d": 1, "q": 2},
}

ADAPTING: dict[str, Any] = {"inputs": 4, "hidden": 8, "labels_stop_after": 20, "conditions": 3}

SETTING_RATES: dict[str, Any] = {"inputs": 4, "hidden": (6, 5), "classes": 4}

PLASTIC: dict[str, Any] = {"inputs": 4, "hidden": (6, 5), "classes": 4}
REPLICA: dict[str, Any] = {"kind": "homeostatic", "inputs": 4, "hidden": (5,), "classes": 4}
RULED = PLASTIC | {"hidden": (6,)}

LEARNERS: list[Case] = [
    (CoupledEnsemble, {"learner": REPLICA, "replicas": 3}, two_features),
    (
        CoupledEnsemble,
        {"learner": PLASTIC | {"kind": "plastic_network"}, "replicas": 2, "topology": "ring"},
        noisy_cycle,
    ),
    (AutonomousRecurrent, {"units": 6, "max_features": 3}, two_features),
    (AutonomousRecurrent, {"units": 4, "standardize": False, "gated": False}, two_numbers),
    (DrivenRecurrent, {"units": 12, "max_features": 2, "horizons": (1, 3)}, two_features),
    (DrivenRecurrent, {"units": 9, "pinned": ("w",), "standardize": False}, two_numbers),
    (EventReservoir, {"symbols": 5, "cells": 16, "cues": 3}, noisy_cycle),
    (EventReservoir, {"symbols": 4, "cells": 8, "symbol": "place"}, two_features),
    (Homeostatic, SETTING_RATES, two_features),
    (Homeostatic, SETTING_RATES | {"rule": "memory_gradient", "standardize": False}, two_numbers),
    (Homeostatic, SETTING_RATES | {"rule": "per_neuron", "score": "entropy"}, noisy_cycle),
    (HebbianAdaptation, ADAPTING, two_features),
    (HebbianAdaptation, ADAPTING | {"conditions": 1, "inputs_alike": True}, two_numbers),
    (PlasticNetwork, PLASTIC, two_features),
    (PlasticNetwork, PLASTIC | {"standardize": False, "inputs": 1}, two_numbers),
    (PlasticNetwork, PLASTIC | {"standardize": False, "options": {"rehearsal": {}}}, two_numbers),
    (PlasticNetwork, PLASTIC | {"options": {"classp": {"on_shift": "relearn"}}}, two_numbers),
    *((PlasticNetwork, RULED | {"rule": name}, two_features) for name in RULES if name != "sgd"),
    (PlasticNetwork, PLASTIC | {"options": {"rehearsal": {"capacity": 9}}}, two_features),
    (PlasticNetwork, PLASTIC | {"options": {"fast_slow": {}}}, two_features),
    (PlasticNetwork, PLASTIC | {"options": {"dynamic_pruning": {"rank": 2}}}, two_features),
    (PlasticNetwork, PLASTIC | {"options": {"group_sparsity": {"rewire_every": 9}}}, noisy_cycle),
    (
        PlasticNetwork,
        PLASTIC | {"options": {"orthogonal_projection": {"directions": 2, "every": 9}}},
        noisy_cycle,
    ),
    (
        PlasticNetwork,
        PLASTIC | {"options": {"rehearsal": {}, "fast_slow": {"form": "vote"}}},
        noisy_cycle,
    ),
    (PlasticNetwork, PLASTIC | {"options": {"fast_slow": {"form": "copy"}}}, noisy_cycle),
    (
        PlasticNetwork,
        PLASTIC | {"options": {"rehearsal": {"decay": 0.5, "on_contradiction": "drop"}}},
        noisy_cycle,
    ),
    (BooleanThreshold, {"inputs": 3, "window": 20, "rounds": 5}, two_features),
    (PresynapticPool, {"inputs": 4, "window": 1, "lookback": 3}, two_features),
    (PresynapticPool, {"inputs": 3, "window": 0, "homeostasis": 0.1, "first": 0.4}, two_numbers),
    (StdpDetector, {"inputs": 4, "patterns": 3}, two_features),
    (StdpDetector, {"inputs": 3, "patterns": 4, "rate": 0.1, "overlap": 0.6}, two_numbers),
    (LiquidState, {"units": 12, "max_features": 3, "horizons": (1, 3)}, two_features),
    (
        LiquidState,
        {"units": 8, "form": "spikes", "readout": "rls", "forecasts": "delta", "classes": 4},
        two_numbers,
    ),
    (LiquidState, {"units": 9, "step_seconds": 600.0, "standardize": False}, noisy_cycle),
    (SequenceMemory, SMALL_MEMORY, noisy_cycle),
    (SequenceMemory, WITH_BOOST | {"eviction": "least_recently_used"}, noisy_cycle),
    (
        SequenceMemory,
        SMALL_MEMORY | {"feature": "w", "horizons": (2,), "bridging": 2},
        two_features,
    ),
    (RollingZScore, {}, noisy_cycle),
    (RollingZScore, {"window": 20, "min_samples": 5}, two_features),
    (RiverEstimator, HALF_SPACE_TREES, noisy_cycle),
    (RiverEstimator, HALF_SPACE_TREES, two_numbers),
    (RiverEstimator, {"estimator": "anomaly.OneClassSVM", "preprocessing": STANDARD}, two_numbers),
    (RiverEstimator, GAUSSIAN, two_features),
    (RiverEstimator, GAUSSIAN | {"params": {"window_size": 40, "grace_period": 9}}, noisy_cycle),
    (RiverEstimator, HOLT_WINTERS, noisy_cycle),
    (RiverEstimator, SNARIMAX | {"horizon": 3}, noisy_cycle),
    (RiverEstimator, SNARIMAX | {"feature": "w"}, two_features),
    (SoftHebbian, {"units": 12, "max_features": 2}, two_features),
    (SoftHebbian, {"units": 8, "standardize": False, "anti_hebbian": True}, noisy_cycle),
    (AssociativeMemory, {"keys": 32, "active": 4, "max_features": 2}, two_features),
    (AssociativeMemory, {"rule": "hebb", "code": "plain", "scaling": "center"}, two_numbers),
    (AdaptiveThresholdFeatures, {"units": 6, "max_features": 2}, two_features),
    (AdaptiveThresholdFeatures, {"units": 4, "lags": 3, "scaling": "center"}, two_numbers),
    (MultitaskingMemory, {"max_features": 2}, two_features),
    (MultitaskingMemory, {"threshold": 0.1, "scaling": "center", "sweeps": 2}, two_numbers),
    (DragonHatchling, {"units": 64, "active": 8}, noisy_cycle),
    (DragonHatchling, {"feature": "w", "symbols": 5, "units": 32, "active": 4}, two_features),
    (HopfieldMemory, {"patterns": 20, "max_features": 2}, two_features),
    (HopfieldMemory, {"patterns": 8, "scaling": "center", "score": "energy"}, two_numbers),
]
INDICATORS: list[Case] = [
    (AnomalyLikelihood, {}, noisy_cycle),
    (
        AnomalyLikelihood,
        {"learning_period": 20, "estimation_samples": 20, "history": 100},
        two_features,
    ),
    (AnomalyLikelihood, {"watch": "x.w"}, two_features),
    (Adwin, {"clock": 1}, noisy_cycle),
    (Adwin, {"watch": "x.w", "delta": 0.3}, two_features),
    (EarlyStopping, {"canary_every": 2, "block_losses": 7, "watch": "score"}, noisy_cycle),
    (EarlyStopping, {}, noisy_cycle),
    (PageHinkley, {"threshold": 1.0}, noisy_cycle),
    (Kswin, {"window_size": 40, "stat_size": 15}, noisy_cycle),
    (Kswin, {"watch": "x.v"}, noisy_cycle),
    (MissingValues, {}, two_features),
    (Silence, {"window": 10}, two_features),
    (Novelty, {}, noisy_cycle),
    (
        Novelty,
        {"representatives": 16, "tail": 5, "learning_period": 5, "min_samples": 20},
        two_features,
    ),
    (ValueRange, {"min_samples": 10}, noisy_cycle),
    (ValueRange, {}, two_features),
    (StructuredKnowledge, {}, noisy_cycle),
    (
        StructuredKnowledge,
        {"neurons": 5, "learning_rate": 0.01, "decay": 1e-3, "max_features": 2},
        two_features,
    ),
]


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(
        a[name].dtype == b[name].dtype and a[name].tobytes() == b[name].tobytes() for name in a
    )


def label_of(learner: Learner, t: float) -> Target:
    """Return a label for who learns from them, until they stop; its class is anybody's guess."""
    return ("high", "low", 3.0)[int(t) // 900 % 3] if learner.learns_labels and t < 9e4 else None


def feed(subject: Stateful, events: list[Event]) -> list[Any]:
    """Return what the subject says of each event, learning all the while."""
    if isinstance(subject, Learner):
        return [dataclasses.asdict(subject.step_one(x, label_of(subject, t), t)) for x, t in events]
    assert isinstance(subject, Indicator)
    out = []
    for i, (x, t) in enumerate(events):
        subject.update(Prediction(score=(i * 37 % 101) / 101), x, t=t)
        out.append(subject.value())
    return out


def check_resume_is_bit_exact(kind: type[Any], params: dict[str, Any], stream: Stream) -> None:
    events = stream()
    first, second = kind(**params), kind(**params)
    feed(second, events[:5])
    for cut in (0, 1, len(events) // 2):
        first = kind(**params)
        feed(first, events[:cut])
        second.set_state(first.get_state())
        assert same(first.get_state(), second.get_state())
        if isinstance(first, Indicator):
            assert feed(first, events[cut:]) == feed(second, events[cut:])
        else:
            assert feed(first, events[cut:]) == feed(second, events[cut:])
            assert first.forecast(9) == second.forecast(9)
        assert same(first.get_state(), second.get_state())
        assert first.signals() == second.signals()


def check_is_deterministic(kind: type[Any], params: dict[str, Any], stream: Stream) -> None:
    first, second = kind(**params), kind(**params)
    assert feed(first, stream()) == feed(second, stream())
    assert same(first.get_state(), second.get_state())


def check_state_is_a_copy(kind: type[Any], params: dict[str, Any], stream: Stream) -> None:
    subject = kind(**params)
    feed(subject, stream()[:50])
    taken = subject.get_state()
    kept = {name: array.copy() for name, array in taken.items()}
    feed(subject, stream()[50:])
    assert same(taken, kept)


def check_state_is_bounded(kind: type[Any], params: dict[str, Any], stream: Stream) -> None:
    subject = kind(**params)
    feed(subject, stream())
    assert sum(a.nbytes for a in subject.get_state().values()) <= kind.memory_bytes(**params)
    assert kind.memory_bytes() > 0


def check_signals_are_finite(kind: type[Any], params: dict[str, Any], stream: Stream) -> None:
    subject = kind(**params)
    for events in ([], stream()[:1], stream()):
        feed(subject, events)
        assert subject.signals()
        assert all(type(v) is float and math.isfinite(v) for v in subject.signals().values())


def check_wrong_state_is_refused(kind: type[Any], params: dict[str, Any], stream: Stream) -> None:
    subject = kind(**params)
    feed(subject, stream()[:100])
    good = subject.get_state()
    for name, array in good.items():
        other_type = np.float32 if array.dtype != np.float32 else np.float64
        without = {key: a for key, a in good.items() if key != name}
        for bad in (
            without,
            good | {name: array.astype(other_type)},
            good | {name: array[None]},
            without | {"x_" + name: array},
        ):
            with pytest.raises(StateError):
                subject.set_state(bad)
    assert same(subject.get_state(), good)


def check_survives_missing_constant_and_exploding_values(
    kind: type[Any], params: dict[str, Any], stream: Stream
) -> None:
    subject = kind(**params)
    names = [name for name, value in stream()[0][0].items() if not isinstance(value, str)]
    values: list[float | None] = [None, None, 1.0, None]
    values += [5.0] * 60
    values += [1e308, -1e308, 5e-324, 0.0, None, 1e308] * 5
    values += [float(i) for i in range(150)]
    events: list[Event] = [
        (dict.fromkeys(names, value), 60.0 * i) for i, value in enumerate(values)
    ]
    feed(subject, stream()[:20])
    said = feed(subject, events)
    assert all(all(map(math.isfinite, numbers(one))) for one in said)
    assert all(math.isfinite(v) for v in subject.signals().values())
    twin = kind(**params)
    twin.set_state(subject.get_state())
    assert feed(subject, events) == feed(twin, events)


def numbers(said: Any) -> list[float]:
    """Return every number in a nested answer."""
    if isinstance(said, dict):
        said = list(said.values())
    if isinstance(said, list | tuple):
        return [n for one in said for n in numbers(one)]
    return [] if said is None or isinstance(said, str) else [float(said)]


def check_predict_is_pure(kind: type[Learner], params: dict[str, Any], stream: Stream) -> None:
    asked, silent = kind(**params), kind(**params)
    for x, t in stream()[:150]:
        before = asked.get_state() if t < 20_000 else None
        first = asked.predict(x, t)
        asked.predict(dict.fromkeys(x, 3.0), t + 1)
        asked.forecast(5)
        asked.score_one(x, t)
        assert asked.predict(x, t) == first
        assert before is None or same(before, asked.get_state())
        asked.learn_one(x, label_of(asked, t), t)
        silent.learn_one(x, label_of(silent, t), t)
    assert same(asked.get_state(), silent.get_state())


def check_step_equals_predict_then_learn(
    kind: type[Learner], params: dict[str, Any], stream: Stream
) -> None:
    fused, split = kind(**params), kind(**params)
    for x, t in stream():
        prediction = split.predict(x, t)
        split.learn_one(x, label_of(split, t), t)
        assert fused.step_one(x, label_of(fused, t), t) == prediction
    assert same(fused.get_state(), split.get_state())


def check_works_without_time(kind: type[Learner], params: dict[str, Any], stream: Stream) -> None:
    learner = kind(**params)
    for x, t in stream()[:50]:
        learner.step_one(x, label_of(learner, t))
    assert learner.predict(stream()[50][0]).score is not None


def check_following_leaves_what_was_learned(
    kind: type[Learner], params: dict[str, Any], stream: Stream
) -> None:
    followed, twin = kind(**params), kind(**params)
    events = stream()
    feed(followed, events[:150])
    before = followed.signals()
    for x, t in events[150:200]:
        followed.predict(x, t)
        followed.follow_one(x, t)
    for name in LEARNED & before.keys():
        assert followed.signals()[name] == before[name]
    twin.set_state(followed.get_state())
    assert feed(followed, events[200:]) == feed(twin, events[200:])
    assert same(followed.get_state(), twin.get_state())
    assert all(all(map(math.isfinite, numbers(one))) for one in feed(followed, events[:50]))


LEARNED = {"segments", "synapses", "evictions", "resolution", "burst_rate", "values", "features"}
"""Signals that only learning moves."""


def check_judging_and_absorbing_is_updating(
    kind: type[Scorer], params: dict[str, Any], stream: Stream
) -> None:
    fused, split = kind(**params), kind(**params)
    for i, (x, t) in enumerate(stream()):
        prediction = Prediction(score=(i * 37 % 101) / 101 if i % 9 else None)
        fused.update(prediction, x, t=t)
        split.judge(prediction, x, t=t)
        assert (split.value(), split.fresh) == (fused.value(), fused.fresh)
        split.absorb(prediction, x, t=t)
        assert split.warming == fused.warming
    assert same(fused.get_state(), split.get_state())


def check_what_is_judged_alone_does_not_become_normal(
    kind: type[Scorer], params: dict[str, Any], stream: Stream
) -> None:
    scorer = kind(**params)
    events = stream()
    for i, (x, t) in enumerate(events):
        scorer.update(Prediction(score=0.01 + (i % 7) / 100), x, t=t)
    if scorer.warming:
        return
    strange = {name: 500.0 for name, value in events[0][0].items() if not isinstance(value, str)}
    said = []
    for i in range(300):
        at = events[-1][1] + 900.0 * (i + 1)
        scorer.judge(Prediction(score=0.9), strange, t=at, holding=i > 0)
        said.append(scorer.value() or 0.0)
        if i == 150:
            scorer.set_state(scorer.get_state())
    assert min(said[60:]) >= 0.5
    assert min(said[60:]) == pytest.approx(max(said[60:]), abs=0.1)


EVERY = [
    check_resume_is_bit_exact,
    check_is_deterministic,
    check_state_is_a_copy,
    check_state_is_bounded,
    check_signals_are_finite,
    check_wrong_state_is_refused,
    check_survives_missing_constant_and_exploding_values,
]
LEARNERS_ONLY = [
    check_predict_is_pure,
    check_step_equals_predict_then_learn,
    check_works_without_time,
    check_following_leaves_what_was_learned,
]
SCORERS_ONLY = [
    check_judging_and_absorbing_is_updating,
    check_what_is_judged_alone_does_not_become_normal,
]


def name_of(case: object) -> str | None:
    if isinstance(case, tuple):
        return f"{case[0].__name__}-{LEARNERS.index(case) if case in LEARNERS else 0}"
    return getattr(case, "__name__", None)


@pytest.mark.parametrize("case", LEARNERS + INDICATORS, ids=name_of)
@pytest.mark.parametrize("check", EVERY, ids=name_of)
def test_every(check: Callable[..., None], case: Case) -> None:
    check(*case)


@pytest.mark.parametrize("case", LEARNERS, ids=name_of)
@pytest.mark.parametrize("check", LEARNERS_ONLY, ids=name_of)
def test_learner(check: Callable[..., None], case: Case) -> None:
    check(*case)


@pytest.mark.parametrize("case", [c for c in INDICATORS if issubclass(c[0], Scorer)], ids=name_of)
@pytest.mark.parametrize("check", SCORERS_ONLY, ids=name_of)
def test_scorer(check: Callable[..., None], case: Case) -> None:
    check(*case)
