"""Adaptive threshold features: units whose thresholds see to it that each has its part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import adaptive_thresholds as kernels
from learners.kernels import soft_hebbian
from learners.memories.scaling import Scaling, scaled_inputs
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    with_prefix,
    without_prefix,
)

WINDOW = 5_000
"""Events over which misses and wins are counted, about."""
MISSES_WITHIN, EVEN_FROM = 0.15, 0.98
LARGEST = 1e100
ROUNDING = 1e-6


class AdaptiveThresholdFeatures(Learner):
    """Learns features without labels, and tells by its thresholds alone whether it has settled.

    An event, or the last `lags` of them in a row, is a vector of length 1. Of the units whose
    cosine with it is at or above their own threshold the nearest one wins, moves towards it by
    `rate`, and its threshold rises by `rise`. If there is none, the event is missed, and all
    thresholds fall by `fall`. Whatever the data are, misses then come to rise / (rise + units fall)
    and each unit wins equally often: when that is so, the features have settled, and no weight has
    to be looked at to see it. Labels teach a softmax regression on how far units stand out, as in
    `soft_hebbian`. The score is 1 - the largest cosine.

    It fails where some of what happens is much more frequent than the rest: shares of wins are made
    equal, so that the frequent is split and the rare shares a unit; a share says nothing about how
    frequent something is. Thresholds tell when learning has settled, not when the world has
    changed: for that there is `features_novelty`. With `lags` a label that comes after the next
    event is passed over.

    Parameters
    ----------
    units
        How many features are learned.
    rate
        Of the winner's weights.
    rise, fall
        Of thresholds; `rise` should be no more than `rate`, and `fall` three to ten times `rise`.
        Larger ones make thresholds jump.
    first_threshold
        Of all units. At 1 events are missed at first, 1 / fall of them at most.
    lags
        How many events in a row make a vector, for series.
    readout_rate
        Of the regression's normalized step.
    scaling
        Of inputs: `standardize` by running mean and deviation, `center` by the mean, or `none`.
    classes, max_features
        Room for labels, and for numbers and values of text.
    seed
        Of the first weights.

    References
    ----------
    Afshar, Ralph, Xu, Tapson, van Schaik and Cohen 2020, Event-based feature extraction using
    adaptive selection thresholds, Sensors 20(6):1600. The rate of misses is derived from its rule;
    there an event is a time surface around a pixel, and read-out and novelty are ours.
    """

    learns_labels = True

    def __init__(
        self,
        units: int = 32,
        rate: float = 0.01,
        rise: float = 0.001,
        fall: float = 0.003,
        first_threshold: float = 0.0,
        lags: int = 1,
        readout_rate: float = 1.0,
        scaling: Scaling = "standardize",
        classes: int = 16,
        max_features: int = 64,
        seed: int = 1,
    ) -> None:
        require(1 <= units <= 65_536, "units", units, "1..65536")
        require(0.0 < rate <= 1.0, "rate", rate, "in (0, 1]")
        require(0.0 < rise <= 1.0, "rise", rise, "in (0, 1]")
        require(0.0 < fall <= 1.0, "fall", fall, "in (0, 1]")
        require(-1.0 <= first_threshold <= 1.0, "first_threshold", first_threshold, "-1..1")
        require(1 <= lags <= 1_000, "lags", lags, "1..1000")
        require(0.0 < readout_rate <= 4.0, "readout_rate", readout_rate, "in (0, 4]")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.units = units
        self.rate = rate
        self.rise = rise
        self.fall = fall
        self.first_threshold = first_threshold
        self.lags = lags
        self.readout_rate = readout_rate
        self.scaling: Scaling = scaling
        self.classes = classes
        self.max_features = max_features
        self.seed = seed
        self._classes = Classes(classes)
        self._inputs = scaled_inputs(max_features, scaling)
        arrays = allocate(_layout(units, classes, max_features, lags))
        self._thresholds, self._figures = arrays.pop("thresholds"), arrays.pop("figures")
        self._ring = arrays.pop("ring")
        self._units = soft_hebbian.Units(**arrays)
        self._units.settings[:] = (rate, rise, fall, 0.0, readout_rate, 1.0 / WINDOW)
        self._units.norms[:] = 1.0
        self._units.wins[:] = 1.0 / units
        self._thresholds[:] = first_threshold
        self._drawn = 0

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of units, thresholds, read-out, names of features and labels."""
        classes, features = params.get("classes", 16), params.get("max_features", 64)
        units, lags = params.get("units", 32), params.get("lags", 1)
        arrays = layout_bytes(_layout(units, classes, features, lags))
        return arrays + Inputs.memory_bytes(features) + Classes.memory_bytes(classes)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return distance from the nearest unit, and what the read-out says, changing nothing.

        The score is `None` before the first event, and for one whose inputs are all zero. Raises
        `InvalidEvent` for a number that is not finite.
        """
        self._inputs.read(x)
        self._place()
        found = kernels.look(self._units, len(self._classes))
        label, proba = self._classes.answer(self._units.p.tolist())
        score = found if found >= 0.0 and self._drawn else None
        return Prediction(score=score, label=label, proba=proba)

    def winner_one(self, x: Features) -> int:
        """Return the unit that an event falls to, -1 if it is missed, changing nothing."""
        self.predict(x)
        return kernels.winner_of(self._units, self._thresholds)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn the label, if there is one, with the units as they are, then let one of them win.

        Raises `InvalidEvent`, before anything changed, for a number that is not finite or a label
        too many.
        """
        if y is not None:
            self._classes.check(y)
        self._inputs.learn(x)
        self._draw()
        self._place()
        self._learn(-1 if y is None else self._classes.index(y), compete=True)
        self._push()

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn the label of an event that the units have seen; raises as `learn_one` does."""
        self._classes.check(y)
        self._inputs.read(x)
        if self.lags == 1:
            self._place()
            self._learn(self._classes.index(y), compete=False)

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Make the event the latest of those in a row, and learn nothing."""
        self._inputs.read(x)
        self._push()

    def _learn(self, truth: int, compete: bool) -> None:
        args = (self._thresholds, self._figures, len(self._classes), truth, compete)
        kernels.learn(self._units, *args)

    def _place(self) -> None:
        """Put the event, and those before it, into one vector."""
        width = self.max_features
        self._units.x[:width] = self._inputs.vector
        self._units.x[width:] = self._ring.reshape(-1)

    def _push(self) -> None:
        if self.lags > 1:
            self._ring[1:] = self._ring[:-1].copy()
            self._ring[0] = self._inputs.vector

    def _draw(self) -> None:
        """Give features that are new their first weights, each from a seed of its own."""
        if self._drawn == self._inputs.known:
            return
        W = self._units.W.reshape(self.units, self.lags, self.max_features)
        for j in range(self._drawn, self._inputs.known):
            draw = np.random.default_rng((self.seed, j))
            shape = draw.random if self.scaling == "none" else draw.standard_normal
            W[:, :, j] = shape((self.units, self.lags)) / math.sqrt(self.max_features)
        self._drawn = self._inputs.known
        self._units.W[:] /= np.sqrt(np.square(self._units.W).sum(axis=1, keepdims=True))

    def signals(self) -> Mapping[str, float]:
        """Return misses and what they should come to, thresholds, evenness, and novelty."""
        figures, thresholds, wins = self._figures.tolist(), self._thresholds, self._units.wins
        missed, expected = figures[kernels.MISSES], self.expected_misses()
        mean, spread = float(thresholds.mean()), float(thresholds.std())
        even = self._evenness()
        settled = abs(missed / expected - 1.0) < MISSES_WITHIN and even > EVEN_FROM
        full = figures[kernels.EVENTS] >= WINDOW
        return {
            "features_miss_rate": missed,
            "features_miss_rate_settled": expected,
            "features_threshold_mean": mean,
            "features_threshold_deviation": spread,
            "features_threshold_slope": 1_000.0 * figures[kernels.SLOPE],
            "features_evenness": even,
            "features_converged": float(settled and full),
            "features_noise_units": float(np.sum(thresholds < mean - 2.0 * spread)),
            "features_similarity": figures[kernels.NOW],
            "features_novelty": figures[kernels.NOVELTY],
            "features_known": float(self._drawn),
            "features_largest_share": float(wins.max()),
        }

    def expected_misses(self) -> float:
        """Return the share of events that is missed once thresholds have settled."""
        return self.rise / (self.rise + self.units * self.fall)

    def _evenness(self) -> float:
        """Return the entropy of shares of wins, 1 where all are equal."""
        wins = self._units.wins
        total = float(wins.sum())
        if self.units == 1 or total <= 0.0:
            return 1.0
        shares = wins[wins > 1e-12 * total] / total
        return float(-(shares * np.log(shares)).sum() / math.log(self.units))

    def get_state(self) -> Arrays:
        """Return weights of the features there are, thresholds, read-out, names and labels."""
        known, units = self._inputs.known, self._units
        W = units.W.reshape(self.units, self.lags, self.max_features)
        state: Arrays = {name: getattr(units, name).copy() for name in _STATE}
        state |= {"W": W[:, :, :known].copy(), "ring": self._ring[:, :known].copy()}
        state |= {"thresholds": self._thresholds.copy(), "figures": self._figures.copy()}
        state |= with_prefix("inputs_", self._inputs.get_state())
        return state | with_prefix("classes_", self._classes.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        inputs, labels = (without_prefix(each, arrays) for each in ("inputs_", "classes_"))
        own = {n: a for n, a in arrays.items() if not n.startswith(("inputs_", "classes_"))}
        self._inputs.check_state(inputs)
        known = len(inputs["seen"])
        self._check(own, known)
        self._classes.set_state(labels)
        self._inputs.set_state(inputs)
        W = self._units.W.reshape(self.units, self.lags, self.max_features)
        W[:] = 0.0
        W[:, :, :known] = own["W"]
        self._ring[:] = 0.0
        self._ring[:, :known] = own["ring"]
        for name in _STATE:
            getattr(self._units, name)[:] = own[name]
        self._thresholds[:] = own["thresholds"]
        self._figures[:] = own["figures"]
        self._drawn = known

    def _check(self, own: Arrays, known: int) -> None:
        """Raise `StateError` unless units could go on from these."""
        layout = _layout(self.units, self.classes, self.max_features, self.lags)
        like = {name: layout[name] for name in (*_STATE, "thresholds", "figures")}
        like["W"] = ((self.units, self.lags, known), np.float64)
        like["ring"] = ((self.lags - 1, known), np.float64)
        check_state_arrays(own, like)
        check_range("W", own["W"], -1.0 - ROUNDING, 1.0 + ROUNDING)
        lengths = np.sqrt(np.square(own["W"]).sum(axis=(1, 2)))
        # Before the first feature units have no weights.
        check_range("W", lengths, 1.0 - ROUNDING if known else 0.0, 1.0 + ROUNDING)
        for name in ("V", "bias", "ring"):
            check_range(name, own[name], -4.0 * LARGEST, 4.0 * LARGEST)
        check_range("wins", own["wins"], 0.0, 1.0 + ROUNDING)
        check_range("thresholds", own["thresholds"], -1.0, 1.0)
        figures, most = own["figures"], 1.0 + ROUNDING
        check_range("figures", figures[kernels.EVENTS], 0.0, 2.0**62)
        check_range("figures", figures[kernels.MISSES], 0.0, most)
        check_range("figures", figures[kernels.SLOPE : kernels.VARIANCE], -most, most)
        check_range("figures", figures[kernels.VARIANCE], 0.0, 4.0)
        check_range("figures", figures[kernels.NOVELTY], -1e6, 1e6)


_STATE = ("wins", "V", "bias")


def _layout(units: int, classes: int, features: int, lags: int) -> Layout:
    a_unit: Layout = dict.fromkeys(
        ("norms", "wins", "told", "u", "y", "thresholds"), ((units,), np.float64)
    )
    return a_unit | {
        "W": ((units, lags * features), np.float64),
        "V": ((units, classes), np.float64),
        "bias": ((classes,), np.float64),
        "x": ((lags * features,), np.float64),
        "places": ((lags * features,), np.int64),
        "p": ((classes,), np.float64),
        "settings": ((soft_hebbian.SETTINGS,), np.float64),
        "figures": ((kernels.FIGURES,), np.float64),
        "ring": ((lags - 1, features), np.float64),
    }
