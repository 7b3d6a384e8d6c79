"""Boolean threshold: weights of +1 and -1 that tell every event of a window, if there are any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import boolean as kernels
from learners.kernels.noprop import normal
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

ACTIVE_ABOVE = 0.5
MOST_LABELS = 16
LARGEST = 1e9
SPREAD = 0.1
HELD, NEXT, STEPS, SOLVED = range(4)
TOLD, GAP = range(2)
STATE = ("replicas", "x", "y", "best", "found", "counts", "rng")


class BooleanThreshold(Learner):
    """Whether an event has a label or not, by the sign of a sum of its features with weights +-1.

    The label is the first that comes; any other says that an event has it not, and the first of
    those is the answer for all of them.
    A feature above .5 is 1, any other -1; a word is 1 where it is said. The last `window` labeled
    events are remembered, each with its own copy of the weights. After an event at most `rounds`
    steps of a search (relaxed reflections between "each copy tells its event by `margin`" and "all
    copies are one, of +1 and -1") are taken, until the weights tell them all. Then they are a rule
    that can be read. Until then those answer that told most so far. The score is 1 minus the
    margin as a share of what it can be.

    It is a solver on a window more than a learner of events: one label that is wrong, or a rule
    that is no such threshold, leaves nothing to find, and `gap` stays up for good. It may take
    thousands of steps where events are few for their features; more of them make it easier.

    Parameters
    ----------
    inputs
        Places for features (a word takes one for each of its values); an odd number has no ties.
    window
        How many labeled events have to be told.
    rounds, beta
        Steps after an event, and their length.
    margin
        By how much an event has to be told, in weights.
    seed
        Of the copies' first values.

    References
    ----------
    Elser and Krishan Lal 2026, Boolean threshold functions; the projection of one node alone.
    """

    learns_labels = True

    def __init__(
        self,
        inputs: int = 63,
        window: int = 200,
        rounds: int = 50,
        beta: float = 0.5,
        margin: float = 1.0,
        seed: int = 1,
    ) -> None:
        require(1 <= inputs <= 4_096, "inputs", inputs, "1..4096")
        require(1 <= window <= 10_000, "window", window, "1..10000")
        require(1 <= rounds <= 10_000, "rounds", rounds, "1..10000")
        require(0.0 < beta <= 2.0, "beta", beta, "above 0, at most 2")
        require(0.0 < margin <= inputs, "margin", margin, f"above 0, at most {inputs}")
        require(0 <= seed < 2**63, "seed", seed, "0..2**63-1")
        self.inputs, self.window, self.rounds = inputs, window, rounds
        self.beta, self.margin, self.seed = beta, margin, seed
        self._inputs = Inputs(inputs)
        self._classes = Classes(MOST_LABELS)
        arrays = allocate(_layout(inputs, window))
        self.replicas, self.x, self.y = arrays["replicas"], arrays["x"], arrays["y"]
        self.best, self.found = arrays["best"], arrays["found"]
        self.counts, self.rng = arrays["counts"], arrays["rng"]
        self._trial = np.ones(inputs)
        self.best[:] = 1.0
        self.rng[0] = seed

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of the window, of its copies of the weights, and of names."""
        inputs = params.get("inputs", 63)
        own = layout_bytes(_layout(inputs, params.get("window", 200))) + 8 * int(inputs)
        return own + Inputs.memory_bytes(inputs) + Classes.memory_bytes(MOST_LABELS)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return one of the labels by a sum's sign, and how little the sum says.

        Raises `InvalidEvent` for a number that is not finite.
        """
        signs = self._signs(self._inputs.read(x))
        if not len(self._classes):
            return Prediction()
        total = float(self.best @ signs)
        second = total < 0.0 and len(self._classes) > 1
        score = 1.0 - min(abs(total) / self.inputs, 1.0)
        return Prediction(score=score, label=self._classes.label(int(second)))

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Take a labeled event into the window and search on; raises `InvalidEvent` before."""
        if y is None:
            return
        self._classes.check(y)
        signs = self._signs(self._inputs.learn(x))
        at = int(self.counts[NEXT])
        self.x[at], self.y[at] = signs, 1.0 if self._classes.index(y) == 0 else -1.0
        for i in range(self.inputs):
            self.replicas[at, i] = self.best[i] + SPREAD * normal(self.rng)
        self.counts[HELD] = min(int(self.counts[HELD]) + 1, self.window)
        self.counts[NEXT] = (at + 1) % self.window
        self.search(self.rounds)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn from a label that came after its event, as if both came now."""
        self.learn_one(x, y, t)

    def search(self, rounds: int) -> int:
        """Take at most so many steps; return how many it took."""
        held = int(self.counts[HELD])
        # Of another window, how many the best weights tell is another number.
        self.found[TOLD] = kernels.told(self.x, self.y, held, self.best, self.margin)
        if self.found[TOLD] >= held:
            self.counts[SOLVED] = 1
            return 0
        steps = kernels.search(
            self.replicas, self.x, self.y, held, rounds, self.beta, self.margin, self._trial,
            self.best, self.found,
        )  # fmt: skip
        np.clip(self.replicas, -LARGEST, LARGEST, out=self.replicas)
        self.counts[STEPS] += int(steps)
        self.counts[SOLVED] = int(self.found[TOLD] >= held)
        return int(steps)

    def signals(self) -> Mapping[str, float]:
        """Return whether and how much of the window is told, the search's gap, and its steps."""
        held = max(int(self.counts[HELD]), 1)
        return {
            "solved": float(self.counts[SOLVED]),
            "told_share": float(self.found[TOLD]) / held,
            "gap": float(self.found[GAP]),
            "steps": float(self.counts[STEPS]),
        }

    def get_state(self) -> Arrays:
        """Return the window, its copies of the weights, the best weights, names and labels."""
        own = {name: getattr(self, name).copy() for name in STATE}
        return own | with_prefix("inputs_", self._inputs.get_state()) | self._classes.get_state()

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {n: a for n, a in arrays.items() if n != "labels" and not n.startswith("inputs_")}
        check_state_arrays(own, _layout(self.inputs, self.window))
        check_range("replicas", own["replicas"], -LARGEST, LARGEST)
        for name in ("x", "y", "best"):
            check_range(name, own[name], -1.0, 1.0)
        require_state(bool(np.all(np.abs(own["best"]) == 1.0)), "best", "expected 1 or -1")
        check_range("found", own["found"], 0.0, 1e300)
        check_range("counts", own["counts"], 0, 2**62)
        check_range("counts", own["counts"][[HELD]], 0, self.window)
        check_range("counts", own["counts"][[NEXT]], 0, self.window - 1)
        check_range("counts", own["counts"][[SOLVED]], 0, 1)
        inputs = without_prefix("inputs_", arrays)
        self._inputs.check_state(inputs)
        self._classes.set_state({n: arrays[n] for n in ("labels",) if n in arrays})
        self._inputs.set_state(inputs)
        for name, array in own.items():
            getattr(self, name)[...] = array

    def _signs(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(vector > ACTIVE_ABOVE, 1.0, -1.0)


def _layout(inputs: int, window: int) -> Layout:
    return {
        "replicas": ((window, inputs), np.float64),
        "x": ((window, inputs), np.float64),
        "y": ((window,), np.float64),
        "best": ((inputs,), np.float64),
        "found": ((2,), np.float64),
        "counts": ((4,), np.int64),
        "rng": ((1,), np.uint64),
    }
