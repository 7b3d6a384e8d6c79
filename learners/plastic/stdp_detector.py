"""STDP detector: one neuron a label, which fires when enough of what it was shown is active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, Learner, Prediction, Target, class_name
from learners.classes import Classes
from learners.inputs import Inputs
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

Floats = NDArray[np.float64]

SUM = 1.0
"""What the weights of a neuron add up to."""
FOLLOW = 0.05
EMA = 0.01
ROUNDING = 1e-9
LARGEST = 1e10
"""Of gauges; a response to what was taught is at least `ROUNDING`, one to anything about `SUM`."""
MARGIN, REJECTED, SCALE, OVERLAP = range(4)
STATE = ("synapses", "least", "gauges")


class StdpDetector(Learner):
    """Detects which taught set of features is active, or none of them.

    A feature is active above `active_above`, a word where it is said. A label makes its neuron
    fire: weights of active features rise by `rate` (1 - w), others fall by `rate` w, and all are
    scaled to a fixed sum. A neuron's threshold is `overlap` times the least response to what it
    was taught. At a rate of 1 one event is enough, and a neuron that was shown k active features
    then fires exactly when `overlap` k of them are active: how often that happens by chance is a
    hypergeometric tail. The label is that of the neuron with the largest share of its response, or
    none if no neuron fires; the score is 1 minus that share.

    It fails where features are more than present or absent; where a neuron is taught several sets
    under one label, ever more of which fire by chance (take a rate of some .05 for that); and what
    is active beside the set is not looked at.

    Parameters
    ----------
    inputs, patterns
        Places for features (a word takes one for each of its values), most labels.
    overlap
        The share of its response at which a neuron fires.
    rate
        How far one event moves weights.
    active_above
        Where a number counts as active.

    References
    ----------
    Neurocomputing 611, 2025, supervised detection of spatial patterns by STDP and homeostasis on
    SpiNNaker; the threshold and the law of chance are ours.
    """

    learns_labels = True

    def __init__(
        self,
        inputs: int = 64,
        patterns: int = 16,
        overlap: float = 0.9,
        rate: float = 1.0,
        active_above: float = 0.5,
    ) -> None:
        require(1 <= inputs <= 65_536, "inputs", inputs, "1..65536")
        require(0.0 < overlap <= 1.0, "overlap", overlap, "above 0, at most 1")
        require(0.0 < rate <= 1.0, "rate", rate, "above 0, at most 1")
        require(abs(active_above) <= 1e100, "active_above", active_above, "within 1e100")
        self.inputs, self.patterns, self.overlap = inputs, patterns, overlap
        self.rate, self.active_above = rate, active_above
        self._inputs = Inputs(inputs)
        self._classes = Classes(patterns)
        arrays = allocate(_layout(inputs, patterns))
        self.synapses, self.least = arrays["synapses"], arrays["least"]
        self.gauges = arrays["gauges"]

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of weights, thresholds and tables of names."""
        inputs, patterns = params.get("inputs", 64), params.get("patterns", 16)
        own = layout_bytes(_layout(inputs, patterns))
        return own + Inputs.memory_bytes(inputs) + Classes.memory_bytes(patterns)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return the label that fires, if any, and 1 minus the largest share of a response.

        Raises `InvalidEvent` for a number that is not finite.
        """
        if not len(self._classes):
            self._inputs.read(x)
            return Prediction()
        shares = self._shares(self._active(self._inputs.read(x)))
        best = int(shares.argmax())
        fires = bool(shares[best] >= self.overlap - ROUNDING)
        label = self._classes.label(best) if fires else None
        return Prediction(score=1.0 - min(float(shares[best]), 1.0), label=label)

    def shares(self, x: Features) -> dict[str, float]:
        """Return by how much of its taught response each label's neuron responds."""
        shares = self._shares(self._active(self._inputs.read(x))).tolist()
        return {class_name(self._classes.label(i)): shares[i] for i in range(len(self._classes))}

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Teach the neuron of a label; raises `InvalidEvent` before anything changed."""
        if y is not None:
            self._classes.check(y)
        active = self._active(self._inputs.learn(x))
        shares = self._shares(active)
        most = float(shares.max())
        margin = most - self.overlap
        self.gauges[MARGIN] += EMA * (margin - self.gauges[MARGIN])
        self.gauges[REJECTED] += EMA * (float(margin < -ROUNDING) - self.gauges[REJECTED])
        if y is not None and active.any():
            taught = self._classes.index(y)
            self.gauges[OVERLAP] = float(np.delete(shares, taught).max(initial=0.0))
            self._teach(taught, active)

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Teach from a label that came after its event."""
        self._classes.check(y)
        active = self._active(self._inputs.read(x))
        if active.any():
            self._teach(self._classes.index(y), active)

    def signals(self) -> Mapping[str, float]:
        """Return running margin and share rejected, last scaling, and overlap of what is taught."""
        names = ("margin", "rejected_share", "homeostatic_scale", "pattern_overlap")
        known = dict(zip(names, self.gauges.tolist(), strict=True))
        return known | {"patterns": float(np.count_nonzero(self.least))}

    def get_state(self) -> Arrays:
        """Return weights, thresholds, gauges, names and labels."""
        own = {name: getattr(self, name).copy() for name in STATE}
        return own | with_prefix("inputs_", self._inputs.get_state()) | self._classes.get_state()

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {n: a for n, a in arrays.items() if n != "labels" and not n.startswith("inputs_")}
        check_state_arrays(own, {name: _layout(self.inputs, self.patterns)[name] for name in STATE})
        check_range("synapses", own["synapses"], 0.0, SUM + ROUNDING)
        check_range("synapses", own["synapses"].sum(axis=1), 0.0, SUM + ROUNDING)
        least = own["least"]
        check_range("least", least, 0.0, SUM + ROUNDING)
        check_range("least", least[least > 0.0], ROUNDING, SUM + ROUNDING)
        check_range("gauges", own["gauges"], -LARGEST, LARGEST)
        inputs = without_prefix("inputs_", arrays)
        self._inputs.check_state(inputs)
        self._classes.set_state({n: arrays[n] for n in ("labels",) if n in arrays})
        self._inputs.set_state(inputs)
        for name, array in own.items():
            getattr(self, name)[...] = array

    def _active(self, vector: Floats) -> Floats:
        return (vector > self.active_above).astype(np.float64)

    def _shares(self, active: Floats) -> Floats:
        """Return by how much of its least taught response each neuron responds; 0 untaught."""
        response = np.dot(self.synapses, active)
        taught = self.least > 0.0
        shares: Floats = np.zeros_like(response)
        np.divide(response, self.least, out=shares, where=taught)
        return shares

    def _teach(self, neuron: int, active: Floats) -> None:
        weights = self.synapses[neuron]
        before = float(weights @ active)
        weights += self.rate * (active - weights)
        total = float(weights.sum())
        weights *= SUM / total
        self.gauges[SCALE] = min(SUM / total, LARGEST)
        least = float(self.least[neuron])
        if least == 0.0:
            self.least[neuron] = min(max(float(weights @ active), ROUNDING), SUM)
        else:
            # What it is about to learn it may not respond to yet: that widens the threshold.
            follow = FOLLOW if before > least else 1.0
            self.least[neuron] = max(least + follow * (before - least), ROUNDING)


def _layout(inputs: int, patterns: int) -> Layout:
    return {
        "synapses": ((patterns, inputs), np.float64),
        "least": ((patterns,), np.float64),
        "gauges": ((4,), np.float64),
    }
