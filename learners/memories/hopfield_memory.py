"""Hopfield memory: events stored as patterns, and what an event brings back of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import hopfield_memory as kernels
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

Score = Literal["distance", "energy"]
Write = Literal["surprising", "all"]
MOST_EXPECTED = 64
"""Events of more features than this are not told what they bring back."""
ROUNDING = 1e-6
MOST = 2**62


class HopfieldMemory(Learner):
    """Stores events, compares each new one with all of them, and says what it brings back.

    Events are vectors of length 1. The softmax of `beta` times the overlaps with the stored
    patterns gives each pattern's part; the state brought back is their sum by parts, and so are the
    probabilities of labels. `expected` is that state in the units of the event, with numbers that
    are missing filled in; it is given for events of up to 64 features.

    What is written is what surprises: an event whose label had less than `sure` of the probability
    or, without label, one stranger than nine in ten. It is merged with the nearest pattern, if that
    is near and of no other label, or else stored; when all places are taken, the least used pattern
    goes, but not the last of its label. Labels also correct the patterns that took part.

    The score is 1 - cos between event and what it brings back, or the energy, in [0, 2].

    It fails where classes do not lie near their examples, and where near and far differ in few of
    many features. Capacity grows exponentially with the number of features for patterns that lie
    apart; those that lie closer than 1 / beta come back as their mean. One comparison costs
    `patterns` times features.

    Parameters
    ----------
    patterns
        How many are stored.
    beta
        Sharpness. Too small brings back the mean of all, too large the nearest alone.
    iterations
        Steps of recall, at most.
    write, sure
        `surprising`, see above, or `all`.
    merge_at
        The cosine from which on an event is the same as a pattern.
    repair
        By how much of its part a pattern moves towards a label that comes; 0 is not at all.
    score
        `distance` or `energy`.
    scaling
        Of inputs: `standardize` by running mean and deviation, `center` by the mean, or `none`.
    classes, max_features
        Room for labels, and for numbers and values of text.

    References
    ----------
    Ramsauer et al. 2020, Hopfield Networks is All You Need, arXiv 2008.02217, equations 2 and 3,
    for energy and recall. What is written, merged and forgotten is ours.
    """

    learns_labels = True

    def __init__(
        self,
        patterns: int = 300,
        beta: float = 20.0,
        iterations: int = 1,
        write: Write = "surprising",
        sure: float = 0.9,
        merge_at: float = 0.95,
        repair: float = 0.5,
        score: Score = "distance",
        scaling: Scaling = "standardize",
        classes: int = 16,
        max_features: int = 64,
    ) -> None:
        require(2 <= patterns <= 1_000_000, "patterns", patterns, "2..1000000")
        require(0.0 < beta <= 1e6, "beta", beta, "in (0, 1000000]")
        require(1 <= iterations <= 100, "iterations", iterations, "1..100")
        require(write in ("surprising", "all"), "write", write, "surprising or all")
        require(0.0 < sure < 1.0, "sure", sure, "in (0, 1)")
        require(0.0 < merge_at <= 2.0, "merge_at", merge_at, "in (0, 2]; beyond 1 is never")
        require(0.0 <= repair <= 1.0, "repair", repair, "0..1")
        require(score in ("distance", "energy"), "score", score, "distance or energy")
        self.patterns = patterns
        self.beta = beta
        self.iterations = iterations
        self.write: Write = write
        self.sure = sure
        self.merge_at = merge_at
        self.repair = repair
        self.score: Score = score
        self.scaling: Scaling = scaling
        self.classes = classes
        self.max_features = max_features
        self._classes = Classes(classes)
        self._inputs = scaled_inputs(max_features, scaling)
        arrays = allocate(_layout(patterns, classes, max_features))
        self._memory = kernels.Memory(**arrays, x=self._inputs.vector)
        self._memory.settings[:] = (
            beta,
            iterations,
            merge_at,
            1.0 if write == "all" else sure,
            0.1 / patterns,
            repair,
        )

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of patterns, what they mean, names of features and labels."""
        classes, features = params.get("classes", 16), params.get("max_features", 64)
        arrays = layout_bytes(_layout(params.get("patterns", 300), classes, features))
        return arrays + Inputs.memory_bytes(features) + Classes.memory_bytes(classes)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return what an event brings back, changing nothing.

        There is nothing before the first pattern, and for an event whose inputs are all zero.
        Raises `InvalidEvent` for a number that is not finite.
        """
        self._inputs.read(x)
        memory = self._memory
        nearest = kernels.look(memory, self._inputs.known, len(self._classes))
        label, proba = self._classes.answer(memory.y.tolist())
        if nearest < 0:
            return Prediction(label=label, proba=proba)
        length = float(memory.seen[kernels.LENGTH])
        which = kernels.DISTANCE if self.score == "distance" else kernels.ENERGY
        few = len(x) <= MOST_EXPECTED
        return Prediction(
            score=float(memory.seen[which]),
            label=label,
            proba=proba,
            expected=self._inputs.named(x, memory.found * length) if few else None,
        )

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Correct what took part by the label, and store the event if it surprises.

        Raises `InvalidEvent`, before anything changed, for a number that is not finite or a label
        too many.
        """
        if y is not None:
            self._classes.check(y)
        self._inputs.learn(x)
        self._learn(y, fresh=True)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn the label of an event that was learned without; raises as `learn_one` does."""
        self._classes.check(y)
        self._inputs.read(x)
        self._learn(y, fresh=False)

    def _learn(self, y: Target, fresh: bool) -> None:
        truth = kernels.NO_LABEL if y is None else self._classes.index(y)
        kernels.learn(self._memory, self._inputs.known, len(self._classes), truth, fresh)

    def signals(self) -> Mapping[str, float]:
        """Return patterns stored, how many an event brings back, how near, and what is written."""
        figures = self._memory.figures.tolist()
        counts = self._memory.counts.astype(np.float64).tolist()
        return {
            "hopfield_patterns": counts[kernels.STORED],
            "hopfield_load": counts[kernels.STORED] / self.patterns,
            "hopfield_effective_patterns": math.exp(figures[kernels.ENTROPY]),
            "hopfield_energy": figures[kernels.ENERGY],
            "hopfield_nearest_cosine": figures[kernels.TOP],
            "hopfield_distance": figures[kernels.DISTANCE],
            "hopfield_writes": counts[kernels.WRITES],
            "hopfield_merges": counts[kernels.MERGES],
            "hopfield_evictions": counts[kernels.EVICTIONS],
        }

    def get_state(self) -> Arrays:
        """Return the patterns there are, what they mean, names and labels."""
        memory, known = self._memory, self._inputs.known
        stored = int(memory.counts[kernels.STORED])
        state: Arrays = {name: getattr(memory, name)[:stored].copy() for name in _ROWS}
        state["X"] = memory.X[:stored, :known].copy()
        state |= {"counts": memory.counts.copy(), "figures": memory.figures.copy()}
        state |= with_prefix("inputs_", self._inputs.get_state())
        return state | with_prefix("classes_", self._classes.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        inputs, labels = (without_prefix(each, arrays) for each in ("inputs_", "classes_"))
        own = {n: a for n, a in arrays.items() if not n.startswith(("inputs_", "classes_"))}
        self._inputs.check_state(inputs)
        self._check(own, len(inputs["seen"]))
        self._classes.set_state(labels)
        self._inputs.set_state(inputs)
        memory, stored = self._memory, int(own["counts"][kernels.STORED])
        memory.X[:] = 0.0
        memory.X[:stored, : self._inputs.known] = own["X"]
        for name in _ROWS:
            getattr(memory, name)[:] = 0
            getattr(memory, name)[:stored] = own[name]
        memory.counts[:] = own["counts"]
        memory.figures[:] = own["figures"]
        for k in range(stored):
            kernels.name_owner(memory, k)

    def _check(self, own: Arrays, known: int) -> None:
        """Raise `StateError` unless recall could go on from these."""
        layout = _layout(self.patterns, self.classes, self.max_features)
        like: Layout = {n: ((-1, *layout[n][0][1:]), layout[n][1]) for n in _ROWS}
        like |= {"X": ((-1, known), np.float64), "counts": layout["counts"]}
        check_state_arrays(own, like | {"figures": layout["figures"]})
        check_range("counts", own["counts"], 0, MOST)
        stored = int(own["counts"][kernels.STORED])
        require_state(stored <= self.patterns, "counts", f"got {stored} patterns")
        for name in ("X", *_ROWS):
            require_state(len(own[name]) == stored, name, f"expected {stored} rows")
        check_range("X", own["X"], -1.0 - ROUNDING, 1.0 + ROUNDING)
        lengths = np.sqrt(np.square(own["X"]).sum(axis=1))
        check_range("X", lengths, 0.0, 1.0 + ROUNDING)
        check_range("Y", own["Y"], 0.0, 1.0 + ROUNDING)
        check_range("use", own["use"], 0.0, MOST)
        check_range("merged", own["merged"], 1.0, kernels.MOST_MERGED)
        check_range("born", own["born"], 0, MOST)
        figures = own["figures"]
        check_range("figures", figures[kernels.LENGTH], 0.0, math.inf)
        check_range("figures", figures[kernels.TOP :], -2.0, math.log(self.patterns) + 3.0)


_ROWS = ("Y", "use", "merged", "born")


def _layout(patterns: int, classes: int, features: int) -> Layout:
    a_pattern: Layout = dict.fromkeys(("use", "merged", "a", "p"), ((patterns,), np.float64))
    return a_pattern | {
        "X": ((patterns, features), np.float64),
        "Y": ((patterns, classes), np.float64),
        "born": ((patterns,), np.int64),
        "owner": ((patterns,), np.int64),
        "counts": ((kernels.COUNTS,), np.int64),
        "figures": ((kernels.FIGURES,), np.float64),
        "settings": ((kernels.SETTINGS,), np.float64),
        "unit": ((features,), np.float64),
        "found": ((features,), np.float64),
        "y": ((classes,), np.float64),
        "held": ((classes,), np.int64),
        "seen": ((kernels.SEEN,), np.float64),
    }
