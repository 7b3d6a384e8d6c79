"""Steps from losses alone: units are pushed a little, and what that did to the loss is learned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import equilibrium, perturbation
from learners.parameters import Layout, check_range, require
from learners.plastic.rule import FactorRule, Floats
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

EMA = 0.01
SLOPE, SIZE = range(2)
NAME = "node_perturbation"


class NodePerturbation(FactorRule):
    """The gradient by each unit's net input, estimated in random directions from losses alone.

    Each of `directions` pushes all units up or down by `by`, and back: the slope of the loss times
    the signs is an estimate that is right on average, with a variance that grows with the number
    of units (that of pushing weights grows with theirs, and learns nothing from single events). For
    losses that cannot be differentiated; elsewhere `sgd` is better at a tenth of the cost.

    References
    ----------
    Werfel, Xie and Seung 2005, Neural Computation 17; Spall 1992.
    """

    name: ClassVar[str] = NAME
    rate = 0.005

    def __init__(self, directions: int = 8, by: float = 1e-3) -> None:
        super().__init__()
        require(1 <= directions <= 1_000, f"{NAME}.directions", directions, "1..1000")
        require(1e-6 <= by <= 1.0, f"{NAME}.by", by, "1e-6..1")
        self.directions, self.by = directions, by

    def layout(self, shape: Shape) -> Layout:
        """Return the last slope and its running size."""
        return {"gauges": ((2,), np.float64)}

    def scratch(self, shape: Shape) -> Layout:
        """Return what an event gives to the first layer, signs, and pushed states."""
        return {
            "driven": ((shape.sizes[1],), np.float64),
            "signs": ((shape.units,), np.float64),
            "pushed": ((shape.units,), np.float64),
        }

    def factors(self, body: Body, x: Floats, y: int) -> float:
        """Fill in estimated errors; return the loss in nats."""
        loss = -math.log(max(float(body.look(x, learning=True)[y]), 1e-300))
        body.sources(x)
        work = self.work
        equilibrium.drive(body.theta, body.layout, x, work["driven"])
        slope = perturbation.perturb(
            body.theta,
            body.layout,
            work["driven"],
            body.rng,
            self.directions,
            self.by,
            y,
            work["signs"],
            work["pushed"],
            body.post[0],
        )
        gauges = self.arrays["gauges"]
        gauges[SLOPE] = slope
        gauges[SIZE] += EMA * (min(abs(slope), 1e6) - gauges[SIZE])
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return the last slope and its running size."""
        return dict(zip(("slope", "slope_size"), self.arrays["gauges"].tolist(), strict=True))

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for slopes beyond measure."""
        check_range(f"{NAME}_gauges", arrays["gauges"], -1e300, 1e300)
