"""Autonomous units: they take turns by themselves, and learn what changed whose turn it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import autonomous as kernels
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
from learners.reservoirs.readout import Readout

FLOOR = 0.2
TURNS_REMEMBERED = 20
"""Events in which a unit's share of turns is told, in multiples of the number of units."""
FULL_AT = 2.0
"""Deviations from the mean at which a standardized number fills its input."""
AVERAGED_OVER = 0.01
DEAD = 0.1

# gauges
LEARNED, CHANGED, MATCH, LOG_LOSS = range(4)


class AutonomousRecurrent(Learner):
    """Finds the parts that events are made of, one unit a part, without labels.

    Units take turns by themselves: whose reservoir is fullest is next, and its turn depletes it. An
    event weighs the reservoirs by how much of each unit's row it covers; where it thereby changes
    whose turn it is, that unit's row moves towards it. Since nobody can have its turn twice in a
    row, or for long, units share out the parts among them, also where events are several parts at
    once (independent components). `label` is from a read-out of all rows, taught by labels in
    events or later ones. The score is 1 - cos between an event and the row nearest to it.

    It fails with fewer units than parts, with parts that never come apart, and on numbers whose
    meaning lies in their size: inputs are how much of something there is. It is a demonstration of
    a principle more than a competitor; `soft_hebbian` reads out more where classes are clusters.

    Parameters
    ----------
    units
        Best about 1.4 times as many as there are parts.
    learning_rate
        Of the row that learns.
    depletion, recovery
        By how much a turn empties a reservoir, down to 0.2, and by how much all fill at each event.
    gated
        Learn only where an event changed whose turn it is; measured, it makes no difference.
    standardize
        Take each number as two inputs, how far above and how far below its mean it is, full at two
        deviations. Without, numbers are inputs themselves, held to 0..1.
    readout_rate
        Of the read-out's normalized step.
    classes, max_features, seed
        As elsewhere.

    References
    ----------
    Gros and Kaczor 2009, arXiv 0903.1979; 2010, Logic Journal of the IGPL, jzp045. The reduced form
    and its constants are ours.
    """

    learns_labels = True

    def __init__(
        self,
        units: int = 16,
        learning_rate: float = 0.05,
        depletion: float = 0.25,
        recovery: float = 0.04,
        gated: bool = True,
        standardize: bool = True,
        readout_rate: float = 1.0,
        classes: int = 16,
        max_features: int = 64,
        seed: int = 1,
    ) -> None:
        require(2 <= units <= 65_536, "units", units, "2..65536")
        require(0.0 <= learning_rate <= 1.0, "learning_rate", learning_rate, "0..1")
        require(0.0 <= depletion <= 1.0, "depletion", depletion, "0..1")
        require(0.0 <= recovery <= 1.0, "recovery", recovery, "0..1")
        require(0.0 < readout_rate <= 4.0, "readout_rate", readout_rate, "in (0, 4]")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.units = units
        self.learning_rate = learning_rate
        self.depletion = depletion
        self.recovery = recovery
        self.gated = gated
        self.standardize = standardize
        self.readout_rate = readout_rate
        self.classes = classes
        self.max_features = max_features
        self.seed = seed
        self._inputs = Inputs(max_features, standardize)
        self._classes = Classes(classes)
        self._readout = Readout("softmax", units + 1, classes, readout_rate)
        self._units = kernels.Units(**allocate(_layout(units, max_features, standardize)))
        self._units.settings[:] = (
            learning_rate,
            depletion,
            recovery,
            FLOOR,
            float(gated),
            1.0 / (TURNS_REMEMBERED * units),
        )
        self._units.phi[:] = 1.0
        self._units.wins[:] = 1.0 / units
        self._units.last[:] = -1
        self._gauges = np.zeros(4)
        self._drawn = 0

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of units, read-out, names of features and labels."""
        units, classes = params.get("units", 16), params.get("classes", 16)
        features = params.get("max_features", 64)
        return (
            layout_bytes(_layout(units, features, params.get("standardize", True)))
            + Readout.memory_bytes("softmax", units + 1, classes)
            + Inputs.memory_bytes(features)
            + Classes.memory_bytes(classes)
            + 32
        )

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return how unlike all rows an event is, and its label, changing nothing.

        The score is `None` before the first event, and for an event without anything in it. Raises
        `InvalidEvent` for a number that is not finite.
        """
        cosine = self._respond(self._inputs.read(x))
        label, proba = self._classes.answer(self._probabilities().tolist())
        score = 1.0 - cosine if cosine >= 0.0 and self._drawn else None
        return Prediction(score=score, label=label, proba=proba)

    def transform_one(self, x: Features) -> NDArray[np.float64]:
        """Return how much of each row (float64[K]) an event covers, changing nothing."""
        self._respond(self._inputs.read(x))
        return self._units.u[: self.units].copy()

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn the label, if there is one, with the units as they are, then let one have its turn.

        Raises `InvalidEvent`, before anything changed, for a number that is not finite or a label
        too many.
        """
        if y is not None:
            self._classes.check(y)
        vector = self._inputs.learn(x)
        self._draw()
        cosine = self._respond(vector)
        if y is not None:
            self._teach(y)
        was = kernels.follow(self._units, cosine < 0.0, self._width, True)
        if was != kernels.NOTHING:
            changed = was == kernels.CHANGED
            self._average(LEARNED, float(changed or not self.gated))
            self._average(CHANGED, float(changed))
            self._average(MATCH, cosine)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn the label of an event that the units have seen; raises as `learn_one` does."""
        self._classes.check(y)
        self._respond(self._inputs.read(x))
        self._teach(y)

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Let a unit have its turn without learning."""
        cosine = self._respond(self._inputs.read(x))
        kernels.follow(self._units, cosine < 0.0, self._width, False)

    def idle_one(self) -> int:
        """Let the next unit have its turn without an event; return which."""
        kernels.follow(self._units, True, self._width, False)
        return int(self._units.last[0])

    @property
    def _width(self) -> int:
        """How many inputs there are by now."""
        return self._drawn * (2 if self.standardize else 1)

    def _draw(self) -> None:
        """Give features that are new their first weights, each from a seed of its own."""
        parts = 2 if self.standardize else 1
        for j in range(self._drawn, self._inputs.known):
            draw = np.random.default_rng((self.seed, j))
            self._units.W[:, parts * j : parts * (j + 1)] = draw.random((self.units, parts))
        self._drawn = self._inputs.known

    def _respond(self, vector: NDArray[np.float64]) -> float:
        seen = vector[: self._drawn]
        if self.standardize:
            self._units.x[0 : self._width : 2] = np.clip(seen / FULL_AT, 0.0, 1.0)
            self._units.x[1 : self._width : 2] = np.clip(-seen / FULL_AT, 0.0, 1.0)
        else:
            self._units.x[: self._width] = np.clip(seen, 0.0, 1.0)
        return kernels.respond(self._units, self._width)

    def _probabilities(self) -> NDArray[np.float64]:
        return self._readout.read(self._units.u, self.units + 1, len(self._classes))

    def _teach(self, y: float | str) -> None:
        truth = self._classes.index(y)
        errors = -self._probabilities()
        self._average(LOG_LOSS, -math.log(max(-float(errors[truth]), 1e-6)))
        errors[truth] += 1.0
        self._readout.teach(self._units.u, self.units + 1, errors)

    def _average(self, which: int, value: float) -> None:
        self._gauges[which] += AVERAGED_OVER * (value - self._gauges[which])

    def signals(self) -> Mapping[str, float]:
        """Return what events change, how well they fit, who has turns, and how full all are."""
        wins, gauges = self._units.wins, self._gauges
        shares = wins[wins > 0.0] / wins.sum()
        return {
            "autonomous_learned_share": float(gauges[LEARNED]),
            "autonomous_changed_share": float(gauges[CHANGED]),
            "autonomous_match": float(gauges[MATCH]),
            "autonomous_log_loss": float(gauges[LOG_LOSS]),
            "autonomous_turn_entropy": float(
                -(shares * np.log(shares)).sum() / math.log(self.units)
            ),
            "autonomous_dead_units": float(np.sum(wins * self.units < DEAD)),
            "autonomous_reservoir": float(self._units.phi.mean()),
        }

    def get_state(self) -> Arrays:
        """Return rows of the features there are, reservoirs, read-out, names and labels."""
        state = {name: getattr(self._units, name).copy() for name in _STATE}
        state |= {"W": self._units.W[:, : self._width].copy(), "gauges": self._gauges.copy()}
        state |= with_prefix("inputs_", self._inputs.get_state())
        state |= with_prefix("readout_", self._readout.get_state())
        return state | with_prefix("classes_", self._classes.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        prefixes = ("inputs_", "readout_", "classes_")
        inputs, readout, labels = (without_prefix(each, arrays) for each in prefixes)
        own = {name: a for name, a in arrays.items() if not name.startswith(prefixes)}
        self._inputs.check_state(inputs)
        self._readout.check_state(readout)
        known = len(inputs["seen"])
        width = known * (2 if self.standardize else 1)
        layout = _layout(self.units, self.max_features, self.standardize)
        like: Layout = {name: layout[name] for name in _STATE} | {
            "W": ((self.units, width), np.float64),
            "gauges": ((4,), np.float64),
        }
        check_state_arrays(own, like)
        check_range("W", own["W"], 0.0, 1.0)
        check_range("phi", own["phi"], 0.0, 1.0)
        check_range("wins", own["wins"], 0.0, 2.0)
        require_state(bool(own["wins"].any()), "wins", "expected a winner")
        check_range("last", own["last"], -1, self.units - 1)
        check_range("gauges", own["gauges"], 0.0, 100.0)
        self._classes.set_state(labels)
        self._inputs.set_state(inputs)
        self._readout.set_state(readout)
        self._units.W[:] = 0.0
        self._units.x[:] = 0.0
        self._units.W[:, :width] = own["W"]
        for name in _STATE:
            getattr(self._units, name)[:] = own[name]
        self._gauges[:] = own["gauges"]
        self._drawn = known


_STATE = ("phi", "wins", "last")


def _layout(units: int, features: int, standardize: bool) -> Layout:
    inputs = features * (2 if standardize else 1)
    return {
        "W": ((units, inputs), np.float64),
        "phi": ((units,), np.float64),
        "wins": ((units,), np.float64),
        "last": ((1,), np.int64),
        "x": ((inputs,), np.float64),
        "u": ((units + 1,), np.float64),
        "settings": ((kernels.SETTINGS,), np.float64),
    }
