"""Steps that shrink for each weight by what it has learned, behind a gate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import plastic as kernels
from learners.parameters import Layout, check_range, require
from learners.plastic.body import MOST
from learners.plastic.option import Floats, Option
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

KEEP, RELEARN = "keep", "relearn"
FAST, SLOW, MOVED, QUIET, RESETS = range(5)
FAST_SHARE, SLOW_SHARE = 0.05, 0.005
TIMES, ABOVE = 1.5, 0.2
LEFT = 0.05
REFRACTORY = 200
SAMPLE = 1_024
LARGEST = 1e200


class Classp(Option):
    """A weight moves only when its squared gradient exceeds `threshold`, and ever less.

    Its steps are divided by (epsilon + S)^(1/p), S the sum of its |gradient|^p so far; with a
    threshold of 0 and `power` 2 that is AdaGrad, which has nearly all of the gain. After the rule
    as it is documented; the released class differs (one gate for a whole tensor, a power that is
    thrown away), so that no figure of the paper is claimed.

    With `on_shift` "keep" it fails where labels change their meaning: it has no plasticity left
    to follow. "relearn" multiplies S by .05 at a shift: one that another option announces, or,
    without such an option, a running loss (.05) above 1.5 times a slower one (.005) plus .2, at
    most once in 200 labels. It then fails where inputs change, for that is when it forgets.

    References
    ----------
    Ludwig 2024, CLASSP, documentation of the released code; Duchi, Hazan and Singer 2011.
    """

    name: ClassVar[str] = "classp"
    needs_factors = True
    writes = True

    def __init__(
        self,
        threshold: float = 1e-4,
        power: float = 2.0,
        epsilon: float = 1e-5,
        on_shift: str = KEEP,
    ) -> None:
        super().__init__()
        require(0.0 <= threshold <= 1e6, "classp.threshold", threshold, "0..1e6")
        require(0.5 <= power <= 4.0, "classp.power", power, "0.5..4")
        require(1e-12 <= epsilon <= 1e3, "classp.epsilon", epsilon, "1e-12..1000")
        require(on_shift in (KEEP, RELEARN), "classp.on_shift", on_shift, f"{KEEP} | {RELEARN}")
        self.threshold, self.power, self.epsilon = threshold, power, epsilon
        self.on_shift = on_shift

    def layout(self, shape: Shape) -> Layout:
        """Return what each weight has summed up to, and gauges."""
        return {"sums": ((shape.weights,), np.float64), "gauges": ((5,), np.float64)}

    def write(self, body: Body) -> None:
        """Write the step, each weight's at its own rate."""
        moved = kernels.write_by_history(
            body.theta,
            self.arrays["sums"],
            body.layout,
            body.pre,
            body.post,
            body.bias,
            body.rate,
            MOST,
            self.threshold,
            self.power,
            self.epsilon,
        )
        gauges = self.arrays["gauges"]
        gauges[MOVED] += 0.01 * (moved / len(body.theta) - gauges[MOVED])

    def after(self, body: Body, x: Floats, y: int, loss: float) -> None:
        """Watch the loss for a shift, unless another option does that better."""
        if self.on_shift == KEEP or any(o.announces_shifts for o in body.options.values()):
            return
        gauges = self.arrays["gauges"]
        for which, share in ((FAST, FAST_SHARE), (SLOW, SLOW_SHARE)):
            gauges[which] += max(share, 1.0 / body.labels) * (min(loss, 1e3) - gauges[which])
        gauges[QUIET] = min(gauges[QUIET] + 1.0, REFRACTORY)
        if gauges[QUIET] >= REFRACTORY and gauges[FAST] > TIMES * gauges[SLOW] + ABOVE:
            body.shift()

    def shifted(self, body: Body) -> None:
        """Let weights move again, if that is wanted."""
        if self.on_shift == RELEARN:
            self.arrays["sums"] *= LEFT
            self.arrays["gauges"][QUIET] = 0.0
            self.arrays["gauges"][RESETS] += 1.0

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return the share of weights moved by an event, the plasticity left, and resets."""
        sums = self.arrays["sums"]
        some = sums[:: max(len(sums) // SAMPLE, 1)]
        left = (self.epsilon / (self.epsilon + np.median(some))) ** (1.0 / self.power)
        gauges = self.arrays["gauges"]
        return {
            "moved_share": float(gauges[MOVED]),
            "plasticity": float(left),
            "resets": float(gauges[RESETS]),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for sums or gauges below zero or beyond all measure."""
        check_range("classp_sums", arrays["sums"], 0.0, LARGEST)
        check_range("classp_gauges", arrays["gauges"], 0.0, LARGEST)
        check_range("classp_gauges", arrays["gauges"][QUIET : QUIET + 1], 0.0, REFRACTORY)
        check_range("classp_gauges", arrays["gauges"][MOVED : MOVED + 1], 0.0, 1.0)
