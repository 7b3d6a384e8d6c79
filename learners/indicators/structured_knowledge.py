"""Structured knowledge: how events, and learning from them, move one unsupervised layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learners.base import Arrays, Drift, Features, Indicator, Prediction, Target
from learners.indicators.adwin import Adwin
from learners.inputs import Inputs
from learners.kernels import structured_knowledge as kernels
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

MOST_SAID = 1e100


class StructuredKnowledge(Indicator):
    """How far the entropy step of an event lies from the usual one, in deviations.

    A layer of sigmoid units sees the standardized numbers of each event. Its knowledge z = W x + b
    becomes decisions D, and what changes D changes entropy by -z dD / ln 2 bits. Two changes are
    told apart: `knowledge_input_entropy` compares an event with the one before under the same
    weights; `knowledge_entropy_step`, `knowledge_alignment` and `knowledge_flow` compare the
    weights before and after learning on the same event. Value and structural probability speak of
    the sum of both from event to event.

    It is an indicator and never a classifier: learning pushes each unit the way it leans, so that
    more of it takes away what tells classes apart (1,000 MNIST images, third layer, linear
    read-out: 70 % to 17 % in 50 steps). So learning ends after `horizon` units of time, of which
    an event is `learning_rate`; knowledge stays within `clip`, and weights may decay. When ADWIN
    finds a change in the knowledge of a layer that has ended learning, it begins anew.

    It fails to see what leaves the layer's projections alone, and features beyond `max_features`.
    In a stream of few features a short horizon changes little, and the layer stays the random
    projection that it began as. The zero crossing of the papers' tensor net is not told: it
    depends on the first weights.

    Parameters
    ----------
    neurons
        Units of the layer.
    learning_rate
        Step of a weight, and the time that an event takes.
    horizon
        Time after which learning ends; the papers' whole run is 0.5.
    decay
        Share of the weights that each event of learning takes away.
    clip
        Largest knowledge of a unit.
    memory_events
        Events over which the usual entropy step is told.
    max_features
        Places for numbers and for values of text.
    seed
        Of the first weights, normal with deviation 0.01.

    References
    ----------
    Mahi, arXiv 2503.13942 (entropy, alignment) and 2504.03214 (flow, characteristic time).
    """

    def __init__(
        self,
        neurons: int = 32,
        learning_rate: float = 0.001,
        horizon: float = 0.2,
        decay: float = 0.0,
        clip: float = 6.0,
        memory_events: int = 1_000,
        max_features: int = 64,
        seed: int = 1,
    ) -> None:
        require(1 <= neurons <= 4_096, "neurons", neurons, "1..4096")
        require(1e-6 <= learning_rate <= 1.0, "learning_rate", learning_rate, "1e-6..1")
        require(0.0 < horizon <= 1_000.0, "horizon", horizon, "in (0, 1000]")
        require(0.0 <= decay < 1.0, "decay", decay, "in [0, 1)")
        require(1.0 <= clip <= 30.0, "clip", clip, "1..30")
        require(2 <= memory_events <= 10**9, "memory_events", memory_events, "2..1000000000")
        require(1 <= max_features <= 4_096, "max_features", max_features, "1..4096")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.neurons = neurons
        self.learning_rate = learning_rate
        self.horizon = horizon
        self.decay = decay
        self.clip = clip
        self.memory_events = memory_events
        self.max_features = max_features
        self.seed = seed
        self._inputs = Inputs(max_features, standardize=True)
        arrays = allocate(_layout(neurons, max_features))
        arrays["x"] = self._inputs.vector.reshape(1, max_features)
        self._layer = kernels.Knowledge(**arrays)
        settings = (learning_rate, horizon, decay, clip, 1.0 / memory_events)
        self._layer.settings[:] = settings
        self._begun = np.zeros(1, np.int64)
        self._adwin = Adwin()
        self._drifts: tuple[Drift, ...] = ()
        self._begin()

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of the layer, its inputs, and the detector that begins it anew."""
        features = params.get("max_features", 64)
        layer = layout_bytes(_layout(params.get("neurons", 32), features))
        return layer + 64 + Inputs.memory_bytes(features) + Adwin.memory_bytes()

    def _begin(self) -> None:
        """Give the layer the weights it had at first, and all the time to learn."""
        layer = self._layer
        draw = np.random.default_rng(self.seed)
        layer.W[:] = 0.01 * draw.standard_normal(layer.W.shape)
        layer.b[:] = 0.0
        layer.counts[:] = 0
        layer.moments[:] = 0.0
        layer.said[kernels.TOTAL] = 0.0
        self._begun += 1

    def update(
        self, prediction: Prediction, x: Features, y: Target = None, t: float | None = None
    ) -> None:
        """Take in the numbers of one event; one without any changes nothing."""
        self._drifts = ()
        finite = {name: value for name, value in x.items() if _usable(value)}
        if not finite:
            return
        self._inputs.learn(finite)
        kernels.knowledge_step(self._layer)
        if not self._learning:
            self._watch()

    @property
    def _learning(self) -> bool:
        return self._elapsed < self.horizon

    @property
    def _elapsed(self) -> float:
        return float(self._layer.counts[kernels.STEPS]) * self.learning_rate

    def _watch(self) -> None:
        """Begin anew if the knowledge of a layer that has ended learning is no longer the same."""
        self._adwin.update(Prediction(score=float(self._layer.said[kernels.NORM])), {})
        for drift in self._adwin.drifts():
            found = Drift("structured_knowledge", "knowledge_norm", drift.before, drift.after)
            self._drifts = (found,)
            self._begin()

    def value(self) -> float | None:
        """Return how unusual the latest entropy step was, in deviations, `None` while warming."""
        if self._layer.counts[kernels.EVENTS] <= kernels.WARMING + 1:
            return None
        return float(self._layer.said[kernels.DEVIATION])

    def drifts(self) -> Sequence[Drift]:
        """Return the change of knowledge after which it began anew with the latest event."""
        return self._drifts

    def signals(self) -> Mapping[str, float]:
        """Return entropy steps, alignment, flow, structural probability, norm, time, saturation."""
        said = self._layer.said.tolist()
        return {
            "knowledge_entropy_step": said[kernels.ENTROPY],
            "knowledge_entropy_total": said[kernels.TOTAL],
            "knowledge_input_entropy": said[kernels.INPUT_ENTROPY],
            "knowledge_alignment": said[kernels.ALIGNMENT],
            "knowledge_flow": said[kernels.FLOW],
            "knowledge_structural_probability": said[kernels.PROBABILITY],
            "knowledge_norm": said[kernels.NORM],
            "knowledge_elapsed": self._elapsed,
            "knowledge_saturated_share": said[kernels.SATURATED_SHARE],
            "knowledge_begun": float(self._begun[0]),
        }

    def get_state(self) -> Arrays:
        """Return the layer, its inputs, and the detector."""
        layer = {name: getattr(self._layer, name).copy() for name in _STATE}
        parts = with_prefix("inputs_", self._inputs.get_state())
        parts |= with_prefix("adwin_", self._adwin.get_state())
        return layer | parts | {"begun": self._begun.copy()}

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        inputs, adwin = (without_prefix(each, arrays) for each in ("inputs_", "adwin_"))
        own = {n: a for n, a in arrays.items() if not n.startswith(("inputs_", "adwin_"))}
        layout = _layout(self.neurons, self.max_features)
        like = {name: layout[name] for name in _STATE} | {"begun": ((1,), np.int64)}
        check_state_arrays(own, like)
        self._check(own)
        self._inputs.check_state(inputs)
        self._adwin.set_state(adwin)
        self._inputs.set_state(inputs)
        for name in _STATE:
            getattr(self._layer, name)[:] = own[name]
        self._begun[:] = own["begun"]
        self._drifts = ()

    def _check(self, arrays: Arrays) -> None:
        check_range("W", arrays["W"], -MOST_SAID, MOST_SAID)
        check_range("b", arrays["b"], -MOST_SAID, MOST_SAID)
        for name in ("z_before", "z_after"):
            check_range(name, arrays[name], -self.clip, self.clip)
        for name in ("D_before", "D_after"):
            check_range(name, arrays[name], 0.0, 1.0)
        check_range("said", arrays["said"], -MOST_SAID, MOST_SAID)
        mean, variance = arrays["moments"][kernels.MEAN], arrays["moments"][kernels.VARIANCE]
        check_range("moments", mean, -MOST_SAID, MOST_SAID)
        # No step lies farther from the mean than from one end of the range to the other.
        check_range("moments", variance, 0.0, 4.0 * MOST_SAID**2)
        check_range("counts", arrays["counts"], 0, 2**53)
        check_range("begun", arrays["begun"], 1, 2**53)


def _usable(value: float | str | None) -> bool:
    return isinstance(value, str) or (value is not None and math.isfinite(value))


_STATE = (
    "W",
    "b",
    "z_before",
    "D_before",
    "z_after",
    "D_after",
    "said",
    "moments",
    "counts",
)


def _layout(neurons: int, features: int) -> Layout:
    each: Layout = dict.fromkeys(
        ("z", "D", "z_before", "D_before", "z_after", "D_after"), ((1, neurons), np.float64)
    )
    return each | {
        "W": ((features, neurons), np.float64),
        "b": ((neurons,), np.float64),
        "x": ((1, features), np.float64),
        "gradient": ((neurons,), np.float64),
        "said": ((kernels.SAID,), np.float64),
        "moments": ((2,), np.float64),
        "counts": ((2,), np.int64),
        "settings": ((5,), np.float64),
    }
