"""Presynaptic pools: one spiking unit learns at which ticks it should have fired."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays, Features, InvalidEvent, Learner, Prediction, Target, class_name
from learners.inputs import Inputs
from learners.kernels import spiking as kernels
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

THRESHOLD = 1.0
MOST = 100.0
ACTIVE_ABOVE = 0.5
EMA = 0.005
UNKNOWN = -1
TICKS, MISSED, EXTRA = range(3)
POTENTIAL, DIFFERENCE, HITS, MISSES, EXTRAS, DISTANCE, RATE, TARGET_RATE = range(8)
STATE = ("synapses", "recent", "fired", "wanted", "gauges", "counts", "rng")


class PresynapticPool(Learner):
    """A leaky unit that is told by labels when to spike, and moves random pools of its inputs.

    An event is a tick: a feature above .5 is a spike of that input, a label of 1 is a spike that
    was wanted, another label that none was. When a wanted spike was missed by more than `window`
    ticks, a random `pool` of the inputs that spiked within `lookback` ticks before gets stronger
    by up to `amount`; when a spike was not wanted, weaker. Without a label nothing is learned of
    the ticks around. There is no gradient and nothing settles: a smaller amount is slower and ends
    nearer. The score is the potential as a share of the threshold.

    It learns when to fire, not why: weights that fit need not be those of what it copies. Where
    many spikes are wanted, many coincide by chance: hold `coincidence_f1` against its beginning.
    Labels must come with their events; later ones are passed over.

    Parameters
    ----------
    inputs
        Places for features (a word takes one for each of its values).
    time_constant
        Of the potential, in ticks.
    window, lookback
        How many ticks a spike may be off, and how long before it inputs are held responsible.
    pool, amount
        The share of those inputs that are moved, and by how much at most, in thresholds.
    homeostasis
        How fast all weights are scaled so as to fire as often as is wanted; 0 for not.
    first
        The mean of weights at first, which are uniform from 0.
    seed
        Of weights and pools.

    References
    ----------
    Bagley, Bojnordi et al. 2018, presynaptic pool modification; the rule as we read its abstract.
    """

    learns_labels = True

    def __init__(
        self,
        inputs: int = 64,
        time_constant: float = 10.0,
        window: int = 3,
        lookback: int = 10,
        pool: float = 0.3,
        amount: float = 0.03,
        homeostasis: float = 0.0,
        first: float = 0.05,
        seed: int = 1,
    ) -> None:
        require(1 <= inputs <= 65_536, "inputs", inputs, "1..65536")
        require(0.1 <= time_constant <= 1e4, "time_constant", time_constant, "0.1..10000 ticks")
        require(0 <= window <= 100, "window", window, "0..100")
        require(1 <= lookback <= 1_000, "lookback", lookback, "1..1000")
        require(0.0 < pool <= 1.0, "pool", pool, "above 0, at most 1")
        require(0.0 < amount <= 10.0, "amount", amount, "above 0, at most 10")
        require(0.0 <= homeostasis <= 1.0, "homeostasis", homeostasis, "0..1")
        require(0.0 <= first <= 10.0, "first", first, "0..10")
        require(0 <= seed < 2**63, "seed", seed, "0..2**63-1")
        self.inputs, self.time_constant, self.window = inputs, time_constant, window
        self.lookback, self.pool, self.amount = lookback, pool, amount
        self.homeostasis, self.first, self.seed = homeostasis, first, seed
        self._inputs = Inputs(inputs)
        self._leak = math.exp(-1.0 / time_constant)
        arrays = allocate(_layout(inputs, window, lookback))
        self.synapses, self.recent = arrays["synapses"], arrays["recent"]
        self.fired, self.wanted = arrays["fired"], arrays["wanted"]
        self.gauges, self.counts, self.rng = arrays["gauges"], arrays["counts"], arrays["rng"]
        self.synapses[:] = np.random.default_rng(seed).uniform(0.0, 2.0 * first, inputs)
        self.wanted[:] = UNKNOWN
        self.rng[0] = seed

    @classmethod
    def variants(cls) -> Sequence[Mapping[str, Any]]:
        """Return parameters with which a single wanted spike is missed, and corrected at once."""
        return ({}, {"window": 0, "first": 0.0})

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of weights, of the ticks remembered, and of names."""
        inputs = params.get("inputs", 64)
        own = _layout(inputs, params.get("window", 3), params.get("lookback", 10))
        return layout_bytes(own) + Inputs.memory_bytes(inputs)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return whether it would fire now, 1 or 0, and its potential as a share of the threshold.

        Raises `InvalidEvent` for a number that is not finite.
        """
        potential = self._potential(self._spikes(self._inputs.read(x)))
        score = min(max(potential / THRESHOLD, 0.0), 1.0)
        return Prediction(score=score, label=float(potential >= THRESHOLD))

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Move on by a tick, and learn of the one a window ago; raises `InvalidEvent` before."""
        if isinstance(y, float) and not math.isfinite(y):
            raise InvalidEvent(f"y: got {y!r}, expected a finite number or a string")
        wanted = UNKNOWN if y is None else int(class_name(y) == "1")
        self._tick(self._spikes(self._inputs.learn(x)), wanted)
        if (self.wanted != UNKNOWN).all():
            self._correct()

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Move on by a tick without learning."""
        self._tick(self._spikes(self._inputs.read(x)), UNKNOWN)

    def signals(self) -> Mapping[str, float]:
        """Return running coincidence with what was wanted, misses, extras, distance and norm."""
        gauges = self.gauges
        hits, off = float(gauges[HITS]), float(gauges[MISSES] + gauges[EXTRAS])
        return {
            "coincidence_f1": 2.0 * hits / (2.0 * hits + off) if hits + off > 0.0 else 0.0,
            "misses": float(self.counts[MISSED]),
            "extras": float(self.counts[EXTRA]),
            "van_rossum_distance": float(gauges[DISTANCE]),
            "firing_rate": float(gauges[RATE]),
            "weight_norm": float(np.linalg.norm(self.synapses)),
        }

    def get_state(self) -> Arrays:
        """Return weights, the ticks remembered, gauges and names."""
        own = {name: getattr(self, name).copy() for name in STATE}
        return own | with_prefix("inputs_", self._inputs.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        own = {n: a for n, a in arrays.items() if not n.startswith("inputs_")}
        check_state_arrays(own, _layout(self.inputs, self.window, self.lookback))
        check_range("synapses", own["synapses"], -MOST, MOST)
        check_range("fired", own["fired"], 0, 1)
        check_range("wanted", own["wanted"], UNKNOWN, 1)
        check_range("counts", own["counts"], 0, 2**62)
        check_range("gauges", own["gauges"], -1e12, 1e12)
        # A sum of ones that leak, up to rounding.
        apart = 1.001 / (1.0 - self._leak)
        check_range("gauges", own["gauges"][DIFFERENCE], -apart, apart)
        check_range("gauges", own["gauges"][DISTANCE], 0.0, apart**2)
        check_range("gauges", own["gauges"][[HITS, MISSES, EXTRAS, RATE, TARGET_RATE]], 0.0, 1.0)
        inputs = without_prefix("inputs_", arrays)
        self._inputs.check_state(inputs)
        self._inputs.set_state(inputs)
        for name, array in own.items():
            getattr(self, name)[...] = array

    def _spikes(self, vector: NDArray[np.float64]) -> NDArray[np.bool_]:
        return vector > ACTIVE_ABOVE

    def _potential(self, spikes: NDArray[np.bool_]) -> float:
        return self._leak * float(self.gauges[POTENTIAL]) + float(self.synapses[spikes].sum())

    def _tick(self, spikes: NDArray[np.bool_], wanted: int) -> None:
        """Collect, fire or not, and remember what there was; the oldest tick is forgotten."""
        potential = self._potential(spikes)
        fires = potential >= THRESHOLD
        gauges = self.gauges
        gauges[POTENTIAL] = 0.0 if fires else potential
        self.recent[self.counts[TICKS] % len(self.recent)] = spikes
        self.counts[TICKS] += 1
        self.fired[:-1] = self.fired[1:]
        self.wanted[:-1] = self.wanted[1:]
        self.fired[-1], self.wanted[-1] = fires, wanted
        if wanted != UNKNOWN:
            gauges[DIFFERENCE] = self._leak * gauges[DIFFERENCE] + (int(fires) - wanted)
            gauges[DISTANCE] += EMA * (gauges[DIFFERENCE] ** 2 - gauges[DISTANCE])
            gauges[RATE] += EMA * (int(fires) - gauges[RATE])
            gauges[TARGET_RATE] += EMA * (wanted - gauges[TARGET_RATE])

    def _correct(self) -> None:
        """Decide on the tick a window ago, of which all that matters is known by now."""
        now = self.window
        wanted, fired = bool(self.wanted[now]), bool(self.fired[now])
        missed = wanted and not self.fired.any()
        extra = fired and not self.wanted.any()
        gauges = self.gauges
        for which, happened in (
            (HITS, wanted and not missed),
            (MISSES, missed),
            (EXTRAS, extra),
        ):
            gauges[which] += EMA * (float(happened) - gauges[which])
        if missed or extra:
            self.counts[MISSED if missed else EXTRA] += 1
            amount = self.amount if missed else -self.amount
            kernels.move_pool(self.synapses, self._responsible(), self.rng, self.pool, amount, MOST)
        if self.homeostasis > 0.0:
            off = float(gauges[TARGET_RATE] - gauges[RATE])
            self.synapses *= 1.0 + self.homeostasis * off
            np.clip(self.synapses, -MOST, MOST, out=self.synapses)

    def _responsible(self) -> NDArray[np.bool_]:
        """Return which inputs spiked within `lookback` ticks up to the one a window ago."""
        last = int(self.counts[TICKS]) - 1 - self.window
        rows = np.arange(last - self.lookback + 1, last + 1) % len(self.recent)
        found: NDArray[np.bool_] = np.logical_or.reduce(self.recent[rows])
        return found


def _layout(inputs: int, window: int, lookback: int) -> Layout:
    around = 2 * window + 1
    return {
        "synapses": ((inputs,), np.float64),
        "recent": ((lookback + window, inputs), np.bool_),
        "fired": ((around,), np.bool_),
        "wanted": ((around,), np.int64),
        "gauges": ((8,), np.float64),
        "counts": ((3,), np.int64),
        "rng": ((1,), np.uint64),
    }
