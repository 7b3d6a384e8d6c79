"""Associative memory: one matrix in which events are associated with labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import associative_memory as kernels
from learners.memories.scaling import Scaling, scaled_inputs
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

Rule = Literal["delta", "hebb"]
Code = Literal["sparse", "unit", "plain"]
_CODES: dict[Code, int] = {
    "sparse": kernels.SPARSE,
    "unit": kernels.UNIT,
    "plain": kernels.PLAIN,
}


class AssociativeMemory(Learner):
    """Associates each labeled event with its label, in one matrix of classes by key places.

    An event becomes a key k; the response is y = S k, and probabilities are its softmax in
    multiples of the usual response, with a gain that is learned. The `delta` rule, of Rescorla and
    Wagner, moves S by rate (v - S k) k^T / |k|^2, v being 1 at the label: what is predicted already
    is not learned again. The `hebb` rule adds rate v k^T and keeps `retention` of S at each label.
    The score is 1 - the largest response in multiples of the usual, from 0, familiar, to 1.

    For random keys of length 1 and N associations the squared error of `hebb` is (N - 1) / keys;
    what `delta` keeps of an old one after m others is (1 - rate / keys)^m, so that it remembers
    some keys / rate labels. Nothing is learned from events without a label but their scale.

    It fails where keys are alike and labels are not: with one pass, beyond about keys / 2 different
    events, `delta` has forgotten the old ones and `hebb` confuses all. The code is fixed, not
    learned: where few of many features matter, the others take most of the key.

    Parameters
    ----------
    rule, rate, retention
        See above; `retention` is of `hebb` alone.
    code
        Keys: `sparse`, the `active` largest of `keys` random projections, with length 1; `unit`,
        the event with length 1; `plain`, the event as it is, up to a length of 1,000.
    keys, active
        Places of a sparse key, and how many of them are not zero.
    scaling
        Of inputs: `standardize` by running mean and deviation, `center` by the mean, or `none`.
    classes, max_features
        Room for labels, and for numbers and values of text.
    seed
        Of the projections.

    References
    ----------
    Qiao 2025, Pavlovian conditioning and linear attention, arXiv 2508.08289, for the setting and
    the orders of capacity; Rescorla and Wagner 1972; Widrow and Hoff 1960. Gain, code and score are
    ours.
    """

    learns_labels = True

    def __init__(
        self,
        rule: Rule = "delta",
        rate: float = 0.3,
        retention: float = 0.9995,
        code: Code = "sparse",
        keys: int = 512,
        active: int = 32,
        scaling: Scaling = "standardize",
        classes: int = 16,
        max_features: int = 64,
        seed: int = 1,
    ) -> None:
        require(rule in ("delta", "hebb"), "rule", rule, "delta or hebb")
        require(0.0 < rate <= 1.0, "rate", rate, "in (0, 1]")
        require(0.0 < retention <= 1.0, "retention", retention, "in (0, 1]")
        require(code in _CODES, "code", code, f"one of {', '.join(_CODES)}")
        require(2 <= keys <= 65_536, "keys", keys, "2..65536")
        require(1 <= active <= keys, "active", active, f"1..keys ({keys})")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.rule: Rule = rule
        self.rate = rate
        self.retention = retention
        self.code: Code = code
        self.keys = keys
        self.active = active
        self.scaling: Scaling = scaling
        self.classes = classes
        self.max_features = max_features
        self.seed = seed
        self._classes = Classes(classes)
        self._inputs = scaled_inputs(max_features, scaling)
        arrays = allocate(_layout(code, keys, classes, max_features))
        self._memory = kernels.Memory(**arrays, x=self._inputs.vector)
        self._memory.figures[kernels.GAIN] = 8.0
        self._drawn = 0

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of the matrix, the projections, names of features and labels."""
        classes, features = params.get("classes", 16), params.get("max_features", 64)
        code, keys = params.get("code", "sparse"), params.get("keys", 512)
        arrays = layout_bytes(_layout(code, keys, classes, features))
        return arrays + Inputs.memory_bytes(features) + Classes.memory_bytes(classes)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return what an event is associated with, changing nothing.

        The score is `None` before the first label, and for an event whose inputs are all zero.
        Raises `InvalidEvent` for a number that is not finite.
        """
        self._inputs.read(x)
        code = _CODES[self.code]
        said = kernels.look(self._memory, self._drawn, code, self.active, len(self._classes))
        label, proba = self._classes.answer(self._memory.p.tolist())
        return Prediction(score=said if said >= 0.0 else None, label=label, proba=proba)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Take in the scale of an event, and associate it with its label, if it has one.

        Raises `InvalidEvent`, before anything changed, for a number that is not finite or a label
        too many.
        """
        if y is not None:
            self._classes.check(y)
        self._inputs.learn(x)
        self._draw()
        if y is not None:
            self._associate(y)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Associate an event that has been seen with its label; raises as `learn_one` does."""
        self._classes.check(y)
        self._inputs.read(x)
        self._associate(y)

    def _associate(self, y: float | str) -> None:
        truth = self._classes.index(y)
        kernels.learn(
            self._memory,
            self._drawn,
            _CODES[self.code],
            self.active,
            len(self._classes),
            truth,
            self.rate,
            self.retention,
            self.rule == "delta",
        )

    def _draw(self) -> None:
        """Give features that are new their projections, each from a seed of its own."""
        if self.code == "sparse":
            for j in range(self._drawn, self._inputs.known):
                draw = np.random.default_rng((self.seed, j))
                self._memory.P[j] = draw.standard_normal(self.keys)
        self._drawn = self._inputs.known

    def signals(self) -> Mapping[str, float]:
        """Return how full the memory is, how large, how wrong of late, and the learned gain."""
        figures = self._memory.figures
        places = self._memory.key.shape[0]
        writes, squares, error, _, gain = figures.tolist()
        # One that forgets nothing holds all there were.
        forgets = self.rate / places if self.rule == "delta" else 1.0 - self.retention
        held = min(writes, 1.0 / forgets) if forgets > 0.0 else writes
        return {
            "memory_writes": writes,
            "memory_load": held / places,
            "memory_norm": math.sqrt(squares),
            "memory_error": error,
            "memory_signal_to_noise": min(1.0 / error, 1e6) if error > 0.0 else 0.0,
            "memory_gain": gain,
        }

    def get_state(self) -> Arrays:
        """Return the matrix, what is known of its responses, names and labels."""
        state: Arrays = {name: getattr(self._memory, name).copy() for name in _STATE}
        state |= with_prefix("inputs_", self._inputs.get_state())
        return state | with_prefix("classes_", self._classes.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        inputs, labels = (without_prefix(each, arrays) for each in ("inputs_", "classes_"))
        own = {n: a for n, a in arrays.items() if not n.startswith(("inputs_", "classes_"))}
        layout = _layout(self.code, self.keys, self.classes, self.max_features)
        check_state_arrays(own, {name: layout[name] for name in _STATE})
        check_range("S", own["S"], -kernels.LARGEST, kernels.LARGEST)
        figures = own["figures"]
        check_range("figures", figures, 0.0, kernels.MOST_SQUARES)
        gain = float(figures[kernels.GAIN])
        require_state(
            kernels.LEAST_GAIN <= gain <= kernels.MOST_GAIN, "figures", f"got a gain of {gain}"
        )
        self._inputs.check_state(inputs)
        self._classes.set_state(labels)
        self._inputs.set_state(inputs)
        for name in _STATE:
            getattr(self._memory, name)[:] = own[name]
        self._drawn = 0
        self._draw()


_STATE = ("S", "figures")


def _layout(code: Code, keys: int, classes: int, features: int) -> Layout:
    places = keys if code == "sparse" else features
    return {
        "S": ((classes, places), np.float64),
        "P": ((features if code == "sparse" else 1, places), np.float64),
        "key": ((places,), np.float64),
        "places": ((places,), np.int64),
        "drive": ((places,), np.float64),
        "scratch": ((places,), np.float64),
        "y": ((classes,), np.float64),
        "v": ((classes,), np.float64),
        "p": ((classes,), np.float64),
        "figures": ((kernels.FIGURES,), np.float64),
    }
