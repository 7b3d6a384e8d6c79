"""Spiking units that win events, with weights that only grow and are scaled back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from learners.base import Arrays
from learners.kernels import spiking as kernels
from learners.parameters import Layout, check_range, require
from learners.plastic.rule import Floats, Rule
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

NAME = "symmetric_stdp"
SHARE = 0.1
"""What a unit's weights add up to, as a share of how many inputs it has."""
MOST_IN, MOST_OUT = 1.0, 8.0
LEAK = 0.95
EMA = 0.01
SILENT = 0.01
LARGEST = 1e6


class SymmetricStdp(Rule):
    """Inputs as random spikes, hidden units that inhibit each other, classes that count them.

    A unit that fires takes the traces of recent inputs into its weights, which are then scaled to
    a fixed sum, and its threshold rises, so that others get their turn; the class of a label takes
    in which units fired. Nothing is ever depressed, no error goes anywhere. Our event form of the
    published network: `steps` discrete steps, one unit at a time firing, thresholds that rise by
    `rise` a spike and do not fall. Answers draw spikes too, from the state as it is, so that to
    ask changes nothing.

    A demonstration: some 80 % on digits where `sgd` has 96, and thresholds decide most of that.

    References
    ----------
    Hao, Huang, Dong and Xu 2020, Neural Networks 121.
    """

    name: ClassVar[str] = NAME
    rate = 0.005
    unit_inputs = True
    own_weights = True
    least_hidden = 1
    most_hidden = 1

    def __init__(
        self,
        steps: int = 30,
        chance: float = 0.5,
        threshold: float = 1.0,
        rise: float = 0.05,
        class_rate: float = 0.5,
    ) -> None:
        super().__init__()
        require(1 <= steps <= 1_000, f"{NAME}.steps", steps, "1..1000")
        require(0.0 < chance <= 1.0, f"{NAME}.chance", chance, "above 0, at most 1")
        require(0.0 <= threshold <= 1e3, f"{NAME}.threshold", threshold, "0..1000")
        require(0.0 <= rise <= 10.0, f"{NAME}.rise", rise, "0..10")
        require(0.0 < class_rate <= 100.0, f"{NAME}.class_rate", class_rate, "above 0, at most 100")
        self.steps, self.chance, self.threshold = steps, chance, threshold
        self.rise, self.class_rate = rise, class_rate

    def layout(self, shape: Shape) -> Layout:
        """Return weights, thresholds, and running rates of the units."""
        units = shape.hidden[0]
        return {
            "inward": ((shape.inputs, units), np.float64),
            "outward": ((units, shape.classes), np.float64),
            "offsets": ((units,), np.float64),
            "spikes": ((units,), np.float64),
            "margin": ((1,), np.float64),
        }

    def scratch(self, shape: Shape) -> Layout:
        """Return potentials, traces and counts of one event, and what is said of it."""
        units = shape.hidden[0]
        return {
            "potential": ((units,), np.float64),
            "counts": ((units,), np.float64),
            "trace": ((shape.inputs,), np.float64),
            "out": ((shape.classes,), np.float64),
            "rng": ((1,), np.uint64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw weights uniform, and scale them to their sums."""
        inward, outward = self.arrays["inward"], self.arrays["outward"]
        inward[:] = draw.random(inward.shape)
        inward *= SHARE * body.shape.inputs / inward.sum(axis=0)
        outward[:] = SHARE * MOST_OUT

    def predict(self, body: Body, x: Floats) -> Floats:
        """Return shares of the classes in what the units that fire lead to."""
        self.work["rng"][:] = body.rng
        self._present(body, self.work["rng"], x, learning=False)
        out = self.work["out"]
        out[:] = self.work["counts"] @ self.arrays["outward"]
        total = float(out.sum())
        out[:] = out / total if total > 0.0 else 1.0 / len(out)
        return out

    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Let units learn the event, and the class which of them fired; return nats before."""
        out = body.look(x, learning=True)
        loss = -math.log(max(float(out[y]), 1e-300))
        margin = float(out[y] - np.delete(out, y).max())
        self.arrays["margin"] += EMA * (margin - self.arrays["margin"])
        self._present(body, body.rng, x, learning=True)
        counts, outward = self.work["counts"], self.arrays["outward"]
        self.arrays["spikes"] += EMA * (counts - self.arrays["spikes"])
        if counts.any():
            outward[:, y] += self.class_rate * counts
            total = SHARE * len(counts) * MOST_OUT
            kernels.scale_column(outward, y, total, MOST_OUT)
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return spikes an event, silent units, thresholds, who wins, and how sums are off."""
        spikes, inward = self.arrays["spikes"], self.arrays["inward"]
        shares = spikes[spikes > 0.0] / max(float(spikes.sum()), 1e-300)
        entropy = -float((shares * np.log(shares)).sum()) / math.log(max(len(spikes), 2))
        some = inward[:, :64].sum(axis=0)
        return {
            "spikes": float(spikes.sum()),
            "silent_share": float(np.mean(spikes < SILENT)),
            "threshold_mean": self.threshold + float(self.arrays["offsets"].mean()),
            "threshold_most": self.threshold + float(self.arrays["offsets"].max()),
            "winner_entropy": entropy,
            "margin": float(self.arrays["margin"][0]),
            "sum_error": float(np.abs(some - SHARE * len(inward)).max()),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for weights below zero or beyond what their sum lets them be."""
        shape = arrays["inward"].shape
        check_range(f"{NAME}_inward", arrays["inward"], 0.0, SHARE * shape[0] * (1.0 + 1e-9))
        most = SHARE * shape[1] * MOST_OUT * (1.0 + 1e-9)
        check_range(f"{NAME}_outward", arrays["outward"], 0.0, most)
        check_range(f"{NAME}_offsets", arrays["offsets"], 0.0, LARGEST)
        check_range(f"{NAME}_spikes", arrays["spikes"], 0.0, LARGEST)
        check_range(f"{NAME}_margin", arrays["margin"], -1.0, 1.0)

    def _present(self, body: Body, rng: NDArray[np.uint64], x: Floats, learning: bool) -> None:
        work, arrays = self.work, self.arrays
        kernels.present(
            arrays["inward"],
            arrays["offsets"],
            rng,
            x,
            self.steps,
            self.chance,
            LEAK,
            self.threshold,
            learning,
            body.rate,
            self.rise,
            SHARE * body.shape.inputs,
            MOST_IN,
            work["potential"],
            work["trace"],
            work["counts"],
        )
