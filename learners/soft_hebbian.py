"""Soft Hebbian features: units that compete for events, and a read-out of what they mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import soft_hebbian as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    require_state,
    with_prefix,
    without_prefix,
)

LARGEST = 1e100
ROUNDING = 1e-9
WINS_REMEMBERED = 10
"""Events in which a unit's share of wins is told, in multiples of the number of units."""
DEAD = 0.1
"""A unit that won less than this share of what is its due counts as dead."""
Readout = Literal["softmax", "votes"]


class SoftHebbian(Learner):
    """Learns features without labels, one event at a time, and what they mean from any labels.

    Units compete for each event by softmax of their responses; each moves towards the event by its
    part, with Oja's rule, at a rate that follows from how far its norm is from 1. Features are by
    how much units stand out of all. A label, in its event or later, teaches only the read-out:
    `softmax`, a regression on the features, or `votes`, the classes that each unit's events had.
    The score is 1 - cos between event and winner: 0 is what a unit stands for.

    It fails where classes do not lie in clusters, and where what matters is small beside what
    varies: features follow the most of the variance, not the labels. A plain softmax regression on
    the same numbers may well read out more. Units that win an event at first keep what they are
    near to; what comes much later finds few units free.

    Parameters
    ----------
    units
        How many features are learned.
    sharpness
        Of the softmax by which units compete. Too small for the size of the inputs, and all units
        become their mean.
    learning_rate, power
        A unit's rate is learning_rate |norm - 1|^power.
    anti_hebbian
        Whether units that lose are pushed away, by their part, and not drawn along.
    standardize
        Take inputs by their running mean and deviation, with weights that begin normal. Without,
        they should be 0 or more and about as large as each other (pixels, counts, shares):
        weights then begin positive.
    first_norm
        About how long units are at first, if all `max_features` come. Longer ones take longer to
        become of use, and more of them get their turn; the published setting is 20.
    readout, readout_rate
        Which, and the rate of its normalized step; of votes, a hundredth of it is the least rate of
        their running mean.
    classes, max_features
        Room for labels, and for numbers and values of text.
    seed
        Of the first weights.

    References
    ----------
    Moraitis et al. 2022, SoftHebb, Neuromorphic Computing and Engineering 2; Journe et al. 2023,
    Hebbian deep learning without feedback, ICLR, for the rate and `anti_hebbian`.
    """

    learns_labels = True

    def __init__(
        self,
        units: int = 200,
        sharpness: float = 12.0,
        learning_rate: float = 0.045,
        power: float = 0.2,
        anti_hebbian: bool = False,
        standardize: bool = True,
        first_norm: float = 2.0,
        readout: Readout = "softmax",
        readout_rate: float = 2.0,
        classes: int = 16,
        max_features: int = 64,
        seed: int = 1,
    ) -> None:
        require(2 <= units <= 65_536, "units", units, "2..65536")
        require(0.0 < sharpness <= 1e3, "sharpness", sharpness, "in (0, 1000]")
        require(0.0 <= learning_rate <= 1.0, "learning_rate", learning_rate, "0..1")
        require(0.0 <= power <= 2.0, "power", power, "0..2")
        require(1e-3 <= first_norm <= 1e3, "first_norm", first_norm, "0.001..1000")
        require(readout in ("softmax", "votes"), "readout", readout, "softmax or votes")
        require(0.0 < readout_rate <= 4.0, "readout_rate", readout_rate, "in (0, 4]")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.units = units
        self.sharpness = sharpness
        self.learning_rate = learning_rate
        self.power = power
        self.anti_hebbian = anti_hebbian
        self.standardize = standardize
        self.first_norm = first_norm
        self.readout: Readout = readout
        self.readout_rate = readout_rate
        self.classes = classes
        self.max_features = max_features
        self.seed = seed
        self._classes = Classes(classes)
        self._inputs = Inputs(max_features, standardize)
        arrays = allocate(_layout(units, classes, max_features))
        arrays["x"] = self._inputs.vector
        self._units = kernels.Units(**arrays)
        self._units.settings[:] = (
            sharpness,
            learning_rate,
            power,
            float(anti_hebbian),
            readout_rate,
            1.0 / (WINS_REMEMBERED * units),
        )
        self._units.wins[:] = 1.0 / units
        self._drawn = 0

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of units, read-out, names of features and labels."""
        classes, features = params.get("classes", 16), params.get("max_features", 64)
        arrays = layout_bytes(_layout(params.get("units", 200), classes, features))
        return arrays + Inputs.memory_bytes(features) + Classes.memory_bytes(classes)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return distance from the winning unit, and what the read-out says, changing nothing.

        The score is `None` before the first event, and for an event whose numbers are all zero.
        Raises `InvalidEvent` for a number that is not finite.
        """
        self._inputs.read(x)
        votes = self.readout == "votes"
        found = kernels.look(self._units, self._drawn, len(self._classes), votes)
        label, proba = self._classes.answer(self._units.p.tolist())
        return Prediction(score=found if found >= 0.0 else None, label=label, proba=proba)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn the label, if there is one, with the units as they are, then let them compete.

        Raises `InvalidEvent`, before anything changed, for a number that is not finite or a label
        too many.
        """
        if y is not None:
            self._classes.check(y)
        self._inputs.learn(x)
        self._draw()
        self._learn(-1 if y is None else self._classes.index(y), compete=True)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn the label of an event that the units have seen; raises as `learn_one` does."""
        self._classes.check(y)
        self._inputs.read(x)
        self._learn(self._classes.index(y), compete=False)

    def _learn(self, truth: int, compete: bool) -> None:
        votes = self.readout == "votes"
        kernels.learn(self._units, self._drawn, len(self._classes), truth, votes, compete)

    def winner_one(self, x: Features) -> int:
        """Return the unit that an event falls to, changing nothing."""
        self._inputs.read(x)
        return kernels.respond(self._units, self._drawn)

    def _draw(self) -> None:
        """Give features that are new their first weights, each from a seed of its own."""
        if self._drawn == self._inputs.known:
            return
        # The root of the mean square of uniform numbers is 1 / sqrt 3, that of normal ones 1.
        size = self.first_norm / math.sqrt(self.max_features)
        size *= 1.0 if self.standardize else math.sqrt(3.0)
        for j in range(self._drawn, self._inputs.known):
            draw = np.random.default_rng((self.seed, j))
            shape = draw.standard_normal if self.standardize else draw.random
            self._units.W[:, j] = size * shape(self.units)
        self._drawn = self._inputs.known
        kernels.measure(self._units.W, self._drawn, self._units.norms)

    def signals(self) -> Mapping[str, float]:
        """Return mean norm, share of norms near 1, entropy of who wins, and dead units."""
        norms, wins = self._units.norms, self._units.wins
        shares = wins[wins > 0.0] / wins.sum()
        return {
            "hebb_norm_mean": float(norms.mean()),
            "hebb_norm_converged": float(np.mean(np.abs(norms - 1.0) < kernels.NORMAL_WITHIN)),
            "hebb_winner_entropy": float(-(shares * np.log(shares)).sum() / math.log(self.units)),
            "hebb_dead_units": float(np.sum(wins * self.units < DEAD)),
            "hebb_features": float(self._drawn),
        }

    def get_state(self) -> Arrays:
        """Return weights of the features there are, read-out, names and labels."""
        state = {name: getattr(self._units, name).copy() for name in _STATE}
        state["W"] = self._units.W[:, : self._drawn].copy()
        state |= with_prefix("inputs_", self._inputs.get_state())
        return state | with_prefix("classes_", self._classes.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        inputs, labels = (without_prefix(each, arrays) for each in ("inputs_", "classes_"))
        own = {n: a for n, a in arrays.items() if not n.startswith(("inputs_", "classes_"))}
        self._inputs.check_state(inputs)
        known = len(inputs["seen"])
        layout = _layout(self.units, self.classes, self.max_features)
        like = {name: layout[name] for name in _STATE} | {"W": ((self.units, known), np.float64)}
        check_state_arrays(own, like)
        for name in ("W", "V", "bias"):
            check_range(name, own[name], -LARGEST, LARGEST)
        if self.readout == "votes":
            check_range("V", own["V"], 0.0, 1.0 + ROUNDING)
        for name in ("norms", "told"):
            check_range(name, own[name], 0.0, LARGEST)
        check_range("wins", own["wins"], 0.0, LARGEST)
        require_state(bool(own["wins"].any()), "wins", "expected a winner")
        self._classes.set_state(labels)
        self._inputs.set_state(inputs)
        self._units.W[:] = 0.0
        self._units.W[:, :known] = own["W"]
        for name in _STATE:
            getattr(self._units, name)[:] = own[name]
        self._drawn = known


_STATE = ("norms", "wins", "V", "bias", "told")


def _layout(units: int, classes: int, features: int) -> Layout:
    a_unit: Layout = dict.fromkeys(("norms", "wins", "told", "u", "y"), ((units,), np.float64))
    return a_unit | {
        "W": ((units, features), np.float64),
        "V": ((units, classes), np.float64),
        "bias": ((classes,), np.float64),
        "x": ((features,), np.float64),
        "places": ((features,), np.int64),
        "p": ((classes,), np.float64),
        "settings": ((kernels.SETTINGS,), np.float64),
    }
