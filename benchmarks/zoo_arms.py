"""What is tried on every stream: baselines, learners, rules and options, each in four settings.

All have the same number of settings to choose from, on the part of a stream that is for choosing.
Not tried are the options that save work or memory rather than tell more, features without a
read-out of their own rank, and detectors; `--accept` has what is said of those.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from learners.base import Features, Learner, Prediction, Target
from learners.plastic.rules import RULES
from service import catalog

Json = dict[str, Any]
SETTINGS = 4
RATES = (0.01, 0.02, 0.05, 0.1)
HIDDEN = (64,)
_PARAMS: TypeAdapter[catalog.Params] = TypeAdapter(catalog.LearnerParams)


@dataclass(frozen=True)
class Arm:
    """What is tried, by name: `spec(inputs, classes, setting)` is a learner's part of a spec.

    One that reads `sequences` gets symbols alone and no labels, and what counts is whether it says
    which one comes: with the event itself (0), or with the one before (1).
    """

    name: str
    spec: Callable[[int, int, Any], Json]
    settings: Sequence[Any] = (None,)
    sequences: int | None = None

    def build(self, inputs: int, classes: int, setting: Any, seed: int) -> Learner:
        """Return the learner in one of the settings."""
        spec = self.spec(inputs, classes, setting)
        if spec["kind"] == "majority":
            return Majority()
        if "seed" in inspect.signature(catalog.LEARNERS[spec["kind"]]).parameters:
            spec = spec | {"seed": seed}
        return catalog.build_learner(_PARAMS.validate_python(spec))


class Majority(Learner):
    """The label that came most often."""

    keeps_state = False
    learns_labels = True

    def __init__(self) -> None:
        self._counts: Counter[Target] = Counter()

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return a number, as the contract has it."""
        return 1 << 10

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return the most frequent label."""
        return Prediction(label=self._counts.most_common(1)[0][0] if self._counts else None)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Count a label."""
        self._counts[y] += 1


def _plastic(**fixed: Any) -> Callable[[int, int, Any], Json]:
    """A plastic network at a rate, with or without options."""

    def spec(inputs: int, classes: int, rate: Any) -> Json:
        size = {"inputs": inputs, "classes": classes, "hidden": HIDDEN}
        return {"kind": "plastic_network", **size, "standardize": False, "rate": rate, **fixed}

    return spec


def _river(inputs: int, classes: int, setting: Any) -> Json:
    return {"kind": "river", "max_features": inputs, "max_classes": max(classes, 2), **setting}


def _homeostatic(inputs: int, classes: int, setting: Any) -> Json:
    size = {"inputs": inputs, "classes": classes, "hidden": HIDDEN, "standardize": False}
    return {"kind": "homeostatic", **size, **setting}


def _soft_hebbian(inputs: int, classes: int, rate: Any) -> Json:
    size = {"max_features": inputs, "classes": classes, "units": 100, "standardize": False}
    return {"kind": "soft_hebbian", **size, "readout_rate": rate}


def _associative(inputs: int, classes: int, setting: Any) -> Json:
    size = {"max_features": inputs, "classes": classes, "keys": 1_024, "active": 64}
    return {"kind": "associative_memory", **size, "scaling": "center", **setting}


def _hopfield(inputs: int, classes: int, patterns: int) -> Json:
    size = {"max_features": inputs, "classes": classes, "patterns": patterns}
    return {"kind": "hopfield_memory", **size, "scaling": "center"}


def _multitasking(inputs: int, classes: int, threshold: float) -> Json:
    size = {"max_features": inputs, "classes": classes}
    return {"kind": "multitasking_memory", **size, "threshold": threshold}


def _liquid(inputs: int, classes: int, rate: float) -> Json:
    size = {"max_features": inputs, "classes": classes, "standardize": False}
    return {"kind": "liquid_state", **size, "forecasts": "none", "rate": rate}


def _dragon(inputs: int, classes: int, setting: Any) -> Json:
    return {"kind": "dragon_hatchling", "symbols": classes + 1, **setting}


def _reservoir(inputs: int, classes: int, setting: Any) -> Json:
    return {"kind": "event_reservoir", "symbols": classes + 1, **setting}


def _rule(name: str) -> Arm:
    """A rule at half to four times its own rate."""
    rates = [factor * RULES[name].rate for factor in (0.5, 1.0, 2.0, 4.0)]
    return Arm(name, _plastic(rule=name), rates)


def _option(name: str, options: Json) -> Arm:
    """Plain gradient steps with options, at the rates that they have alone."""
    return Arm(f"sgd + {name}", _plastic(options=options), RATES)


def _ensemble(inputs: int, classes: int, rate: Any) -> Json:
    replica = _plastic()(inputs, classes, rate)
    return {"kind": "coupled_ensemble", "replicas": 8, "coupling": 0.01, "learner": replica}


MAJORITY, RIVER, SGD = "majority", "River, best of four", "sgd"
BASELINES = (MAJORITY, RIVER, SGD)
ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(MAJORITY, lambda inputs, classes, setting: {"kind": "majority"}),
        Arm(
            RIVER,
            _river,
            (
                {"estimator": "naive_bayes.GaussianNB"},
                {"estimator": "tree.HoeffdingAdaptiveTreeClassifier"},
                {"estimator": "neighbors.KNNClassifier"},
                {"estimator": "linear_model.SoftmaxRegression"},
            ),
        ),
        Arm(SGD, _plastic(), RATES),
        *(_rule(name) for name in RULES if name != SGD),
        _option("classp", {"classp": {}}),
        _option("classp, relearn", {"classp": {"on_shift": "relearn"}}),
        _option("rehearsal", {"rehearsal": {}}),
        _option("rehearsal, keep", {"rehearsal": {"on_contradiction": "keep"}}),
        _option("classp + rehearsal", {"classp": {}, "rehearsal": {}}),
        _option("fast_slow", {"fast_slow": {}}),
        _option("fast_slow by votes", {"rehearsal": {}, "fast_slow": {"form": "vote"}}),
        _option("orthogonal_projection", {"orthogonal_projection": {}}),
        Arm(
            "homeostatic",
            _homeostatic,
            [{"memory": m, "rehearsal": r} for m in (20, 100) for r in (4.0, 8.0)],
        ),
        Arm("soft_hebbian", _soft_hebbian, (0.5, 1.0, 2.0, 4.0)),
        Arm(
            "associative_memory",
            _associative,
            ({"rate": 0.1}, {"rate": 0.3}, {"rate": 1.0}, {"rule": "hebb", "rate": 0.3}),
        ),
        Arm("hopfield_memory", _hopfield, (100, 200, 300, 500)),
        Arm("multitasking_memory", _multitasking, (0.25, 0.5, 0.674, 1.0)),
        Arm("liquid_state", _liquid, (0.2, 0.5, 1.0, 1.5)),
        Arm("coupled_ensemble of sgd", _ensemble, RATES),
        Arm(
            "dragon_hatchling",
            _dragon,
            [{"orders": orders, "rate": r} for orders in ((2,), (1, 2, 4)) for r in (0.25, 0.5)],
            sequences=0,
        ),
        Arm(
            "event_reservoir",
            _reservoir,
            [
                {"learning_rate": r, "longest_seconds": longest}
                for r in (0.02, 0.1)
                for longest in (10.0, 100.0)
            ],
            sequences=1,
        ),
    )
}
