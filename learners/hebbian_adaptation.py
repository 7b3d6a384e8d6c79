"""Hebbian adaptation: a network taught by labels that goes on without them as its inputs change."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from learners.adaptive_arrays import (
    check_network,
    fresh_network,
    network_layout,
    restore_network,
    state_layout,
    widen_network,
)
from learners.base import Arrays, Features, Learner, Prediction, Target
from learners.classes import Classes
from learners.inputs import Inputs
from learners.kernels import adaptive_conditions as channel
from learners.kernels import adaptive_network as kernels
from learners.kernels import adaptive_steps as steps
from learners.kernels.adaptive_network import Network, Rules
from learners.kernels.jit import entry
from learners.parameters import (
    layout_bytes,
    require,
    require_state,
    with_prefix,
    without_prefix,
)

_INPUTS = "inputs_"


class HebbianAdaptation(Learner):
    """Classifies, learns from labels, and keeps up with changed inputs when labels stop.

    x -> first layer -> normalization -> gain and shift -> ReLU -> second layer -> softmax. Labeled
    events train all of it by gradient descent, one at a time, with running moments in the
    normalization. When `labels_stop_after` events in a row came without a label, what was learned
    becomes the source, and each further event without one moves, in this order, the remembered
    statistics of the condition it was recognized as, the first layer by a soft Hebbian rule, and
    gain and shift down the gradient of the prediction's entropy. A label, with its event or after
    it, ends that; labels then go on teaching what has been adapted. `predict` changes nothing.

    The score is the entropy of the probabilities over its most, ln C, in [0, 1]; `None` before
    two classes are known.

    Sources: neuro-modulated Hebbian learning (Tang et al., CVPR 2023, arXiv 2303.00914) for the
    pair of a soft Hebbian first layer and an entropy-driven modulator, whose equations are not
    public: these are our own; the update and its scaling by the largest |dW| are SoftHebb's
    (Journé et al., ICLR 2023); the schedule of the statistics is DUA's (Mirza et al., CVPR 2022);
    the filters are EATA's (Niu et al., ICML 2022), recovery SAR's (Niu et al., ICLR 2023). Ours:
    inputs are brought back to the source's before the first layer, and conditions are remembered.

    It fails when classes come in long runs (statistics then follow the class), when the change is
    no shift, stretch, noise or reversal of the inputs, and when labels were few: what is wrong at
    the source stays wrong. A feature that is new after labels have first stopped is hardly seen.
    The Hebbian rule by itself was measured to gain nothing; statistics gain most
    (`synaptide bench adapt`, docs/adaptive_learning.md).

    Parameters
    ----------
    inputs, hidden, max_classes
        Sizes of the network: features (or `name=value` of a string) and labels beyond are not
        seen, or refused.
    inputs_alike
        All features are of one kind and unit, as pixels or bins of a spectrum are: they share one
        scale, and a change is taken for one shift, stretch and noise common to all. Otherwise each
        is standardized by itself, and a change moves and stretches each by itself.
    learning_rate
        Of the gradient descent on labels.
    labels_stop_after
        Events in a row without a label before adaptation begins.
    correct_inputs
        Whether inputs are brought back to the source's; without, only hidden units are.
    statistics_start, statistics_decay, statistics_floor
        Each event moves a condition's statistics by floor + start * decay^n, n its nth event.
    conditions, alarm_events
        How many conditions are remembered; and how many events in a row that fit none begin a new
        one (with one condition: make its statistics move fast again). 0 never does.
    hebbian_rate, hebbian_every, inverse_temperature
        Soft Hebbian rule: largest change of a weight by an event, and every how many events.
    gain_rate
        Of the descent on entropy; 0 leaves gain and shift as they are.
    entropy_filter, recovery_entropy
        Only predictions with less than this share of ln C move gain and shift (0: all do); where
        their running entropy falls below this share of ln C, the source is restored (0: never).
    anchor, largest_drift
        How far an event pulls the first layer back to its source, as a share; and how far from it
        that may be at most, relative to its length (0: anywhere).
    redundancy, weighting
        Predictions whose cosine with the mean of the last ones reaches this do not move gain and
        shift (0: all do); whether surer ones weigh more.
    balance
        The source is restored when effective classes fall below 1 + balance * (n - 1), n being
        how many effective classes labels had (0: never). After a restoration gains and first layer
        move at a tenth of their rates, which recover over some 10,000 events.
    """

    learns_labels = True

    def __init__(
        self,
        inputs: int = 64,
        hidden: int = 64,
        max_classes: int = 10,
        inputs_alike: bool = False,
        learning_rate: float = 0.02,
        labels_stop_after: int = 100,
        correct_inputs: bool = True,
        statistics_start: float = 0.1,
        statistics_decay: float = 0.94,
        statistics_floor: float = 0.005,
        conditions: int = 8,
        alarm_events: int = 5,
        hebbian_rate: float = 1e-4,
        hebbian_every: int = 4,
        inverse_temperature: float = 1.0,
        gain_rate: float = 0.005,
        entropy_filter: float = 0.4,
        recovery_entropy: float = 0.0,
        anchor: float = 1e-3,
        redundancy: float = 0.9,
        weighting: bool = True,
        balance: float = 0.4,
        largest_drift: float = 0.1,
        seed: int = 0,
    ) -> None:
        require(1 <= inputs <= 4096, "inputs", inputs, "1..4096")
        require(1 <= hidden <= 4096, "hidden", hidden, "1..4096")
        require(2 <= max_classes <= 1024, "max_classes", max_classes, "2..1024")
        require(0 <= labels_stop_after <= 2**40, "labels_stop_after", labels_stop_after, "0..2**40")
        require(1 <= conditions <= 64, "conditions", conditions, "1..64")
        require(0 <= alarm_events <= 1000, "alarm_events", alarm_events, "0..1000")
        require(1 <= hebbian_every <= 2**40, "hebbian_every", hebbian_every, "1..2**40")
        _require_between("learning_rate", learning_rate, 0.0, 1.0)
        _require_between("statistics_start", statistics_start, 0.0, 0.5)
        _require_between("statistics_decay", statistics_decay, 0.0, 1.0)
        _require_between("statistics_floor", statistics_floor, 0.0, 0.5)
        _require_between("hebbian_rate", hebbian_rate, 0.0, 1.0)
        _require_between("inverse_temperature", inverse_temperature, 0.0, 100.0)
        _require_between("gain_rate", gain_rate, 0.0, 10.0)
        for name, share in (
            ("entropy_filter", entropy_filter),
            ("recovery_entropy", recovery_entropy),
            ("anchor", anchor),
            ("redundancy", redundancy),
            ("balance", balance),
        ):
            _require_between(name, share, 0.0, 1.0)
        _require_between("largest_drift", largest_drift, 0.0, 1e6)
        require(-(2**63) <= seed < 2**63, "seed", seed, "a 64-bit integer")
        self.sizes = (inputs, hidden, max_classes, conditions)
        self.rules = Rules(
            learning_rate=float(learning_rate),
            labels_stop_after=int(labels_stop_after),
            alike=bool(inputs_alike),
            correct_inputs=bool(correct_inputs),
            statistics_start=float(statistics_start),
            statistics_decay=float(statistics_decay),
            statistics_floor=float(statistics_floor),
            conditions=int(conditions),
            alarm_events=int(alarm_events),
            hebbian_rate=float(hebbian_rate),
            hebbian_every=int(hebbian_every),
            inverse_temperature=float(inverse_temperature),
            gain_rate=float(gain_rate),
            entropy_filter=float(entropy_filter),
            recovery_entropy=float(recovery_entropy),
            anchor=float(anchor),
            redundancy=float(redundancy),
            weighting=bool(weighting),
            balance=float(balance),
            largest_drift=float(largest_drift),
        )
        self._inputs = Inputs(inputs, standardize=not inputs_alike)
        self._classes = Classes(max_classes)
        net = fresh_network(*self.sizes, seed=seed % 2**64)
        self.network: Network = net._replace(x=self._inputs.vector)

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of the network with its scratch, and of the tables of names."""
        inputs, classes = params.get("inputs", 64), params.get("max_classes", 10)
        sizes = (inputs, params.get("hidden", 64), classes, params.get("conditions", 8))
        network = layout_bytes(network_layout(*sizes))
        return network + Inputs.memory_bytes(inputs) + Classes.memory_bytes(classes)

    def held_bytes(self) -> int:
        """Return the bytes of the network with its scratch."""
        return layout_bytes(network_layout(*self.sizes))

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return the label, the probabilities and the score of `x`, changing nothing.

        Raises `InvalidEvent` for a number that is not finite.
        """
        self._inputs.read(x)
        known = len(self._classes)
        if known == 0:
            return Prediction()
        score = self._look(self.network, self.rules, known)
        label, proba = self._classes.answer(self.network.p.tolist())
        return Prediction(score=score if known > 1 else None, label=label, proba=proba)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Learn from one event, by its label if there is one; raises as `predict` does."""
        if y is not None:
            self.learn_label(x, y, t)
            return
        self._inputs.read(x)
        self._adapt(self.network, self.rules, len(self._classes))

    def learn_label(self, x: Features, y: float | str, t: float | None = None) -> None:
        """Learn the label of an event, as if it had come with it; raises as `predict` does."""
        self._classes.check(y)
        self._inputs.learn(x)
        if self._inputs.known > 0:
            widen_network(self.network, self._inputs.known)
            of = self._classes.index(y)
            self._teach(self.network, self.rules, of, len(self._classes))

    def signals(self) -> Mapping[str, float]:
        """Return entropy, gains, drifts from the source, guards' work and the condition."""
        net = self.network
        counts, figures = net.counts, net.figures
        k = int(counts[kernels.ACTIVE])
        gain = net.gain[k]
        return {
            "entropy": float(figures[kernels.ENTROPY]),
            "gain_mean": float(gain[0].mean()),
            "gain_min": float(gain[0].min()),
            "gain_max": float(gain[0].max()),
            "gain_shift": float(np.linalg.norm(gain - net.gain_source)),
            "weight_drift": float(figures[kernels.DRIFT]),
            "statistics_shift": self._statistics_shift(k),
            "reliable_share": float(figures[kernels.RELIABLE]),
            "effective_classes": self._effective_classes(),
            "source_resets": float(counts[kernels.RESETS]),
            "adaptation_pace": float(figures[kernels.PACE]),
            "drift_caps": float(counts[kernels.CAPPED]),
            "condition": float(k),
            "conditions": float(counts[kernels.HELD]),
            "input_slope": float(self._slope(k)),
            "adapting": float(counts[kernels.PHASE] == kernels.ADAPTS),
        }

    def get_state(self) -> Arrays:
        """Return weights, statistics, gains, counters, and the names of inputs and classes."""
        own = {name: getattr(self.network, name).copy() for name in state_layout(*self.sizes)}
        return own | with_prefix(_INPUTS, self._inputs.get_state()) | self._classes.get_state()

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        names = {name: array for name, array in arrays.items() if name.startswith(_INPUTS)}
        labels = {name: array for name, array in arrays.items() if name == "labels"}
        own = {n: a for n, a in arrays.items() if n not in names and n not in labels}
        check_network(own, *self.sizes)
        inputs, classes = without_prefix(_INPUTS, names), Classes(self._classes.most)
        self._inputs.check_state(inputs)
        classes.set_state(labels)
        self._check_agreement(own, inputs, classes)
        self._inputs.set_state(inputs)
        self._classes = classes
        restore_network(self.network, own)

    @cached_property
    def _look(self) -> Callable[..., float]:
        return entry(steps.look, self.network, self.rules, 0)

    @cached_property
    def _teach(self) -> Callable[..., None]:
        return entry(steps.teach, self.network, self.rules, 0, 0)

    @cached_property
    def _adapt(self) -> Callable[..., None]:
        return entry(steps.adapt, self.network, self.rules, 0)

    def _check_agreement(self, own: Arrays, inputs: Arrays, classes: Classes) -> None:
        counts = own["counts"]
        agrees = counts[kernels.WIDTH] == len(inputs["seen"])
        require_state(bool(agrees), "counts", f"expected {len(inputs['seen'])} inputs")
        adapts = counts[kernels.PHASE] != kernels.TAUGHT
        require_state(not adapts or len(classes) > 1, "counts", "no two classes to adapt between")

    def _statistics_shift(self, k: int) -> float:
        """Return how far inputs lie from those of the source, in its deviations, on average."""
        net = self.network
        n = int(net.counts[kernels.WIDTH])
        if n == 0:
            return 0.0
        apart = np.abs(net.inputs[k, 0, :n] - net.input_source[0, :n]).mean()
        return float(min(apart / math.sqrt(net.input_source[1, :n].mean() + 1e-12), 1e12))

    def _effective_classes(self) -> float:
        known = len(self._classes)
        return math.exp(kernels.entropy_of(self.network.class_share, known)) if known else 0.0

    def _slope(self, k: int) -> float:
        return channel.slope_of(self.network, k) if self.network.counts[kernels.WIDTH] else 1.0


def _require_between(name: str, got: float, low: float, high: float) -> None:
    require(low <= got <= high, name, got, f"{low:g}..{high:g}")
