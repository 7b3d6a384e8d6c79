"""A network that settles, is nudged towards the label, and learns from how that moved it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from learners.base import Arrays
from learners.kernels import equilibrium as kernels
from learners.parameters import Layout, check_range, require
from learners.plastic.rule import FactorRule, Floats
from learners.plastic.shape import Shape

if TYPE_CHECKING:
    from learners.plastic.body import Body

RESIDUAL, DISPLACEMENT, ENERGY, SATURATED = range(4)
NAME = "equilibrium_propagation"


class EquilibriumPropagation(FactorRule):
    """Units in [0, 1] drive each other both ways through the same weights until they are still.

    The label then draws the classes by `beta`, what follows moves all units, and a weight changes
    by how far the product of its two ends has moved, over beta: a rule that needs nothing that is
    not at its two ends. For small beta that is the gradient of the squared error, off by the order
    of beta, or with `symmetric` (nudged both ways) of its square. Probabilities are the states of
    the classes, as shares.

    It costs five to ten times as much as `sgd` and learns slower at first. Rates above some .2
    saturate units for good; with more than two hidden layers settling would take hundreds of
    steps: the signal `settle_residual` should stay near 1e-3 or below.

    References
    ----------
    Scellier and Bengio 2017, Equilibrium propagation, Frontiers in Computational Neuroscience 11.
    """

    name: ClassVar[str] = NAME
    rate = 0.1
    unit_inputs = True
    most_hidden = 2
    terms = 2

    def __init__(
        self,
        beta: float = 0.5,
        free_steps: int = 20,
        nudged_steps: int = 4,
        pace: float = 0.5,
        symmetric: bool = False,
        output_share: float = 0.5,
    ) -> None:
        super().__init__()
        require(0.0 < beta <= 10.0, f"{NAME}.beta", beta, "above 0, at most 10")
        require(1 <= free_steps <= 1_000, f"{NAME}.free_steps", free_steps, "1..1000")
        require(1 <= nudged_steps <= 1_000, f"{NAME}.nudged_steps", nudged_steps, "1..1000")
        require(0.0 < pace <= 1.0, f"{NAME}.pace", pace, "above 0, at most 1")
        require(0.0 < output_share <= 1.0, f"{NAME}.output_share", output_share, "in (0, 1]")
        self.beta, self.free_steps, self.nudged_steps = beta, free_steps, nudged_steps
        self.pace, self.symmetric, self.output_share = pace, symmetric, output_share
        self._residual = 0.0

    def layout(self, shape: Shape) -> Layout:
        """Return gauges of the last event."""
        return {"gauges": ((4,), np.float64)}

    def scratch(self, shape: Shape) -> Layout:
        """Return what drives units, their free states, and shares of the classes."""
        return {
            "driven": ((shape.sizes[1],), np.float64),
            "net": ((shape.units,), np.float64),
            "free": ((shape.units,), np.float64),
            "out": ((shape.classes,), np.float64),
        }

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw weights uniform within the root of 6 / (inputs + units); biases are zero."""
        for inputs, units, weights in body.layout[:, :3].tolist():
            most = math.sqrt(6.0 / (inputs + units))
            here = slice(weights, weights + inputs * units)
            body.theta[here] = draw.uniform(-most, most, inputs * units)

    def predict(self, body: Body, x: Floats) -> Floats:
        """Return shares of the classes once all is still, or nearly so."""
        kernels.drive(body.theta, body.layout, x, self.work["driven"])
        body.acts[:] = 0.0
        self._residual = self._settle(body, 0, 0.0, self.free_steps)
        states, out = body.acts[body.shape.hidden_units :], self.work["out"]
        total = float(states.sum())
        out[:] = states / total if total > 0.0 else 1.0 / len(out)
        return out

    def factors(self, body: Body, x: Floats, y: int) -> float:
        """Fill in both ends of each weight, nudged and before; return the squared error, halved."""
        body.look(x, learning=True)
        residual = self._residual
        free = self.work["free"]
        free[:] = body.acts
        hidden = body.shape.hidden_units
        target = np.zeros(body.shape.classes)
        target[y] = 1.0
        loss = 0.5 * float(np.sum((free[hidden:] - target) ** 2))
        self._settle(body, y, self.beta, self.nudged_steps)
        self._fill(body, 0, x, body.acts, -1.0)
        moved = float(np.linalg.norm(body.acts - free))
        body.acts[:] = free
        if self.symmetric:
            self._settle(body, y, -self.beta, self.nudged_steps)
        self._fill(body, 1, x, body.acts, 1.0)
        self._merge_first(body)
        body.acts[:] = free
        self._note(body, residual, moved)
        return loss

    def signals(self, body: Body) -> Mapping[str, float]:
        """Return how still the units were, how far the nudge moved them, energy, and ends met."""
        names = ("settle_residual", "nudge_displacement", "energy", "saturated_share")
        return dict(zip(names, self.arrays["gauges"].tolist(), strict=True))

    def check(self, arrays: Arrays) -> None:
        """Raise `StateError` for gauges that are not finite."""
        check_range(f"{NAME}_gauges", arrays["gauges"], -1e300, 1e300)

    def _settle(self, body: Body, y: int, beta: float, steps: int) -> float:
        work = self.work
        return kernels.settle(
            body.theta,
            body.layout,
            work["driven"],
            y,
            beta,
            self.pace,
            steps,
            work["net"],
            body.acts,
        )

    def _fill(self, body: Body, term: int, x: Floats, states: Floats, sign: float) -> None:
        hidden = body.shape.hidden_units
        body.sources(x, term)
        over = self.beta * (2.0 if self.symmetric else 1.0)
        body.post[term] = states * (sign / over)
        body.post[term, hidden:] *= self.output_share

    def _merge_first(self, body: Body) -> None:
        """The first layer reads the same twice: one product is enough."""
        first = body.shape.sizes[1]
        body.post[0, :first] += body.post[1, :first]
        body.post[1, :first] = 0.0
        body.pre[1, : body.shape.inputs] = 0.0
        body.bias[1, 0] = 0.0

    def _note(self, body: Body, residual: float, moved: float) -> None:
        acts = body.acts
        ends = float(np.mean((acts <= 0.0) | (acts >= 1.0)))
        gauges = self.arrays["gauges"]
        gauges[RESIDUAL], gauges[DISPLACEMENT], gauges[SATURATED] = residual, moved, ends
        gauges[ENERGY] = self._energy(body)

    def _energy(self, body: Body) -> float:
        """Return E of the states there are."""
        total = 0.5 * float(body.acts @ body.acts)
        first = body.shape.sizes[1]
        total -= float(self.work["driven"] @ body.acts[:first])
        for inputs, units, weights, biases, below, here in body.layout[1:].tolist():
            between = body.theta[weights : weights + inputs * units].reshape(inputs, units)
            states = body.acts[here : here + units]
            total -= float(body.acts[below : below + inputs] @ between @ states)
            total -= float(body.theta[biases : biases + units] @ states)
        return total
