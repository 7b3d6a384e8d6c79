"""Multitasking memory: several patterns recalled from one event, a label each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from learners.base import Arrays, Features, InvalidEvent, Learner, Prediction, Target, class_name
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import multitasking_memory as kernels
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

SHARPNESS = 8.0
ACTIVE = 0.5
PARALLEL = 2.0 / 3.0
"""The dilution from which on, with noise, patterns of equal amplitude are stable."""
RATE = 0.01
LONGEST_SHOWN = 64
LARGEST = 1e9
# figures: amplitudes of the latest event, how many are active, sweeps, energy, share of zeros
FIRST, SECOND, THIRD, COUNT, SWEEPS, ENERGY, ZEROS, EVENTS = range(8)
FIGURES = 8


class MultitaskingMemory(Learner):
    """Recalls several patterns from one event, and says the label of each.

    An event becomes signs: 1 where a number is above `threshold`, -1 below the negative one, 0
    between. A label's pattern is the mean of its events. From the signs of an event the memory
    settles: each sign that is not 0 follows the field of the patterns, in turn, until none changes.
    A pattern is recalled if its amplitude is beyond one half. Labels of several patterns are one
    text, joined in alphabetical order by `separator`; such labels also teach each of their parts.
    A label with an empty part, such as "C++", is refused.
    The score is 1 - the cosine between the event's signs and the fields of what it recalled.

    Probabilities share 1 among the labels, and so say which is strongest, not which are there.

    It fails where patterns are dense, or many share their sites: then they are in each other's way,
    and one is recalled at a time. A pattern needs more sites than there is noise. It is a model of
    memory more than a classifier: where one label is to be told, others do better.

    Parameters
    ----------
    threshold
        In deviations, if inputs are standardized; .674 makes half of all signs 0.
    sweeps
        At most; 0 reads the event as it is.
    window
        Events of a label that its mean remembers, about.
    separator
        Between labels; an empty one tells one label alone.
    scaling
        Of inputs: `standardize` by running mean and deviation, `center` by the mean, or `none`.
    classes, max_features
        Room for labels, and for numbers and values of text.

    References
    ----------
    Agliari, Alessandrelli, Barra and Ricci-Tersenghi 2023, Parallel learning by multitasking neural
    networks, arXiv 2308.04106. There sites that a cue leaves open are filled; here they stay 0, for
    what fills them recalls patterns that the event does not hold. The mass of means is ours.
    """

    learns_labels = True

    def __init__(
        self,
        threshold: float = 0.674,
        sweeps: int = 10,
        window: int = 1_000,
        separator: str = "+",
        scaling: Scaling = "standardize",
        classes: int = 16,
        max_features: int = 64,
    ) -> None:
        require(0.0 <= threshold <= 100.0, "threshold", threshold, "0..100")
        require(0 <= sweeps <= 1_000, "sweeps", sweeps, "0..1000")
        require(1 <= window <= 1_000_000_000, "window", window, "1..1000000000")
        require(len(separator) <= 8, "separator", separator, "8 characters or fewer")
        self.threshold = threshold
        self.sweeps = sweeps
        self.window = window
        self.separator = separator
        self.scaling: Scaling = scaling
        self.classes = classes
        self.max_features = max_features
        self._classes = Classes(classes)
        self._inputs = scaled_inputs(max_features, scaling)
        arrays = allocate(_layout(classes, max_features))
        self._taught, self._figures = arrays.pop("taught"), arrays.pop("figures")
        self._patterns = kernels.Patterns(**arrays)
        # Nothing is drawn without noise.
        self._rng = np.zeros(1, np.uint64)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of patterns, names of features and labels."""
        classes, features = params.get("classes", 16), params.get("max_features", 64)
        arrays = layout_bytes(_layout(classes, features)) + 8
        return arrays + Inputs.memory_bytes(features) + Classes.memory_bytes(classes)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return the labels of the patterns that an event recalls, changing nothing.

        The score is `None` before the first label, and 0 for an event without a sign. Raises
        `InvalidEvent` for a number that is not finite.
        """
        self._inputs.read(x)
        some, _ = self._settle()
        known = len(self._classes)
        m = self._patterns.m[:known]
        if known == 0:
            return Prediction()
        shares = np.exp(SHARPNESS * (m - m.max()))
        best, proba = self._classes.answer((shares / shares.sum()).tolist())
        score = 1.0 - self._agreement() if some else 0.0
        return Prediction(score=score, label=self._joined(m.tolist(), best), proba=proba)

    def _agreement(self) -> float:
        """Return how far the event's signs are those of what it recalled, from 0 to 1."""
        x, sites, known = self._inputs.vector, self._inputs.known, len(self._classes)
        found = kernels.agreement(self._patterns, sites, known, x, self.threshold)
        return min(max(found, 0.0), 1.0)

    def _joined(self, m: list[float], best: Target) -> Target:
        """Return the labels that are active as one, or the best where fewer than two are."""
        active = [self._classes.label(k) for k, each in enumerate(m) if each > ACTIVE]
        if not self.separator or len(active) < 2:
            return best
        return self.separator.join(sorted(class_name(label) for label in active))

    def _settle(self) -> tuple[int, int]:
        """Let the memory settle from the event; return how many signs it has, and sweeps."""
        p, sites, known = self._patterns, self._inputs.known, len(self._classes)
        some = kernels.to_signs(self._inputs.vector, sites, self.threshold, p.s)
        return some, kernels.settle(p, sites, known, False, self.sweeps, self._rng)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Move the patterns of the event's labels towards it, if it has any.

        Raises `InvalidEvent`, before anything changed, for a number that is not finite, a label
        that is none, or labels too many.
        """
        labels = [] if y is None else self._parts(y)
        self._inputs.learn(x)
        self._measure()
        self._teach(labels)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn the labels of an event that has been seen; raises as `learn_one` does."""
        labels = self._parts(y)
        self._inputs.read(x)
        self._teach(labels)

    def _parts(self, y: float | str) -> list[float | str]:
        """Return the labels that are joined in one, each once, or raise `InvalidEvent`."""
        if not isinstance(y, str) or not self.separator:
            self._classes.check(y)
            return [y]
        parts: list[float | str] = [*dict.fromkeys(y.split(self.separator))]
        if "" in parts:
            want = f"labels joined by {self.separator!r}; `separator` can be another, or empty"
            raise InvalidEvent(f"y: got {y[:LONGEST_SHOWN]!r}, expected {want}")
        for part in parts:
            self._classes.check(part)
        new = sum(self._classes.find(part) < 0 for part in parts)
        if len(self._classes) + new > self.classes:
            raise InvalidEvent(f"y: got {new} new labels beside {len(self._classes)}")
        return parts

    def _teach(self, labels: list[float | str]) -> None:
        p, sites = self._patterns, self._inputs.known
        kernels.to_signs(self._inputs.vector, sites, self.threshold, p.s)
        for label in labels:
            k = self._classes.index(label)
            self._taught[k] += 1
            rate = 1.0 / min(float(self._taught[k]), float(self.window))
            kernels.teach(p, sites, k, rate)

    def _measure(self) -> None:
        """Note what the event recalls, before its labels are learned."""
        figures, known, sites = self._figures, len(self._classes), self._inputs.known
        some, sweeps = self._settle()
        m = self._patterns.m[:known]
        highest = sorted(np.abs(m).tolist(), reverse=True)[:3]
        figures[: SECOND + 2] = 0.0
        figures[: len(highest)] = highest
        figures[COUNT] = float(np.sum(m > ACTIVE))
        figures[SWEEPS] = sweeps
        figures[ENERGY] = -0.5 * float(self._patterns.mass[:known] @ (m * m))
        figures[EVENTS] += 1.0
        zeros = 1.0 - some / sites if sites else 1.0
        figures[ZEROS] += max(RATE, 1.0 / figures[EVENTS]) * (zeros - figures[ZEROS])

    def signals(self) -> Mapping[str, float]:
        """Return the largest amplitudes, how many are active, energy, and how noisy means are."""
        figures = self._figures.tolist()
        known = len(self._classes)
        strength = self._patterns.strength[:known]
        taught = np.maximum(self._taught[:known], 1)
        good = strength > 0.0
        square = np.square(strength[good])
        entropy = (1.0 - np.minimum(square, 1.0)) / (taught[good] * np.maximum(square, 1e-9))
        return {
            "multitasking_first": figures[FIRST],
            "multitasking_second": figures[SECOND],
            "multitasking_third": figures[THIRD],
            "multitasking_active": figures[COUNT],
            "multitasking_sweeps": figures[SWEEPS],
            "multitasking_energy": figures[ENERGY],
            "multitasking_dilution": figures[ZEROS],
            "multitasking_parallel": float(figures[ZEROS] > PARALLEL),
            "multitasking_example_entropy": float(entropy.mean()) if good.any() else 0.0,
            "multitasking_load": known / math.log(max(self._inputs.known, 3)),
        }

    def get_state(self) -> Arrays:
        """Return the patterns there are, how often they were taught, names and labels."""
        known = len(self._classes)
        state: Arrays = {
            "A": self._patterns.A[: self._inputs.known, :known].copy(),
            "taught": self._taught[:known].copy(),
            "figures": self._figures.copy(),
        }
        state |= with_prefix("inputs_", self._inputs.get_state())
        return state | with_prefix("classes_", self._classes.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        inputs, labels = (without_prefix(each, arrays) for each in ("inputs_", "classes_"))
        own = {n: a for n, a in arrays.items() if not n.startswith(("inputs_", "classes_"))}
        self._inputs.check_state(inputs)
        fresh = Classes(self.classes)
        fresh.set_state(labels)
        known, sites = len(fresh), len(inputs["seen"])
        like: Layout = {
            "A": ((sites, known), np.float64),
            "taught": ((known,), np.int64),
            "figures": ((FIGURES,), np.float64),
        }
        check_state_arrays(own, like)
        check_range("A", own["A"], -1.0, 1.0)
        check_range("taught", own["taught"], 1, 2**62)
        figures = own["figures"]
        check_range("figures", figures[:EVENTS], -LARGEST, LARGEST)
        check_range("figures", figures[EVENTS:], 0.0, 2.0**62)
        require_state(0.0 <= figures[ZEROS] <= 1.0, "figures", f"got {figures[ZEROS]} zeros")
        self._classes = fresh
        self._inputs.set_state(inputs)
        self._patterns.A[:] = 0.0
        self._patterns.A[:sites, :known] = own["A"]
        self._taught[:] = 0
        self._taught[:known] = own["taught"]
        self._figures[:] = figures
        for k in range(known):
            kernels.weigh(self._patterns, sites, k)


def _layout(classes: int, features: int) -> Layout:
    return {
        "A": ((features, classes), np.float64),
        "mass": ((classes,), np.float64),
        "strength": ((classes,), np.float64),
        "s": ((features,), np.float64),
        "m": ((classes,), np.float64),
        "taught": ((classes,), np.int64),
        "figures": ((FIGURES,), np.float64),
    }
