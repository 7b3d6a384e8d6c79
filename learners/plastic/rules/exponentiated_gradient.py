"""Steps that multiply: what few of many inputs matter for is found in few events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import exponentiated as kernels
from learners.kernels import network as dense
from learners.parameters import Layout, check_range, require, require_state
from learners.plastic.body import MOST
from learners.plastic.rule import Floats, Rule
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

SAMPLE = 1_024
SPREAD = 0.5
DIFFERENCE = math.sqrt(2.0 * math.exp(SPREAD**2) * math.expm1(SPREAD**2))
"""The deviation of the difference of two such log-normal numbers."""


class ExponentiatedGradient(Rule):
    """A weight is w+ - w-, and a step multiplies both: w+ exp(-rate g), w- exp(rate g).

    Neither ever changes its sign, as synapses do not (Dale's law), and weights become log-normal.
    The loss that it takes to learn a linear function of few inputs grows with the logarithm of
    how many others there are, where that of gradient steps grows with their number. Inputs should
    be 0 or more. As a rule for images it is no better than gradient steps. A weight that has come
    near zero takes long to come back; `floor` is where both parts stop.

    References
    ----------
    Kivinen and Warmuth 1997, Information and Computation 132; Cornford et al. 2024.
    """

    name: ClassVar[str] = "exponentiated_gradient"
    rate = 0.05

    def __init__(self, floor: float = 1e-6) -> None:
        super().__init__()
        require(1e-12 <= floor <= 1.0, "exponentiated_gradient.floor", floor, "1e-12..1")
        self.floor = floor

    def layout(self, shape: Shape) -> Layout:
        """Return both parts of each weight, and the largest exponent of the last event."""
        parts: Layout = dict.fromkeys(("plus", "minus"), ((shape.weights,), np.float64))
        return parts | {"gauges": ((1,), np.float64)}

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw both parts log-normal, so that weights have variance 2 / inputs; biases are zero."""
        for inputs, units, weights in body.layout[:, :3].tolist():
            size = math.sqrt(2.0 / inputs) / DIFFERENCE
            here = slice(weights, weights + inputs * units)
            for part in ("plus", "minus"):
                drawn = np.exp(SPREAD * draw.standard_normal(inputs * units))
                self.arrays[part][here] = size * drawn
        self.restored(body)

    def restored(self, body: Body) -> None:
        """Work out the weights; biases, which have no parts, stay."""
        both = self.arrays["plus"] > 0.0
        body.theta[both] = (self.arrays["plus"] - self.arrays["minus"])[both]

    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Multiply; return the loss in nats before."""
        body.look(x, learning=True)
        errs = body.errs
        loss = dense.backward(body.theta, body.layout, self.relu, body.acts, y, errs)
        plus, minus = self.arrays["plus"], self.arrays["minus"]
        self.arrays["gauges"][0] = kernels.multiply(
            body.theta, plus, minus, body.layout, x, body.acts, errs, body.rate, self.floor, MOST
        )
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return mean, deviation and skew of log weights, the share at the floor, an exponent."""
        plus = self.arrays["plus"]
        some = plus[:: max(len(plus) // SAMPLE, 1)]
        # Biases have no parts.
        some = some[some > 0.0]
        logs = np.log(some)
        deviation = max(float(logs.std()), 1e-12)
        return {
            "log_mean": float(logs.mean()),
            "log_deviation": deviation,
            "log_skew": float(np.mean(((logs - logs.mean()) / deviation) ** 3)),
            "floor_share": float(np.mean(some <= self.floor)),
            "largest_exponent": float(self.arrays["gauges"][0]),
        }

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for parts that are not positive."""
        for part in ("plus", "minus"):
            check_range(f"{self.name}_{part}", arrays[part], 0.0, MOST)
            good = np.array_equal(arrays[part] > 0.0, self.arrays[part] > 0.0)
            require_state(good, f"{self.name}_{part}", "expected a positive number for each weight")
        check_range(f"{self.name}_gauges", arrays["gauges"], 0.0, 1.0)
