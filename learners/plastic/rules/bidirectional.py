"""One set of weights that tells classes from inputs and makes inputs from classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import bidirectional as kernels
from learners.kernels import network as dense
from learners.parameters import Layout, check_range, require
from learners.plastic.body import MOST
from learners.plastic.rule import FactorRule, Floats
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

EMA = 0.01


class Bidirectional(FactorRule):
    """A gradient step of the classifier, and `weight` times one of making the event from its class.

    Both use the same weights, the second transposed. It makes a network a little harder to fool by
    inputs that are changed on purpose; noise on the inputs does as much for nothing. The
    generative form that plays a game with random vectors is left out: it needs a second network
    and is unstable one event at a time. Inputs should lie in [0, 1].

    References
    ----------
    Pontes-Filho and Liwicki 2019, Bidirectional learning for robust neural networks.
    """

    name: ClassVar[str] = "bidirectional"
    terms = 2
    unit_inputs = True

    def __init__(self, weight: float = 0.2) -> None:
        super().__init__()
        require(0.0 < weight <= 10.0, "bidirectional.weight", weight, "above 0, at most 10")
        self.weight = weight

    def layout(self, shape: Shape) -> Layout:
        """Return the biases on the way down, and the running error of made inputs."""
        return {
            "downward": ((shape.inputs + shape.hidden_units,), np.float64),
            "error": ((1,), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw weights; biases on the way down begin at zero."""
        super().begin(body, draw)
        body.bias[1] = 0.0

    def factors(self, body: Body, x: Floats, y: int) -> float:
        """Fill in both steps, move the biases on the way down; return the classifier's nats."""
        body.look(x, learning=True)
        body.sources(x)
        loss = dense.backward(body.theta, body.layout, self.relu, body.acts, y, body.post[0])
        downward = self.arrays["downward"]
        lost = kernels.generate(
            body.theta, body.layout, downward, x, y, self.weight, body.pre[1], body.post[1]
        )
        downward -= body.rate * self.weight * body.pre[1]
        np.clip(downward, -MOST, MOST, out=downward)
        self.arrays["error"] += EMA * (min(lost, 1e6) - self.arrays["error"])
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return the running mean squared error of inputs made from their class."""
        return {"reconstruction_error": float(self.arrays["error"][0])}

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for biases beyond their limit."""
        check_range("bidirectional_downward", arrays["downward"], -MOST, MOST)
        check_range("bidirectional_error", arrays["error"], 0.0, 1e6)
