"""The interface of a learning rule. To add one, write its file in `rules` and a line in its table.

Two kinds: a rule whose step is a sum of few outer products fills in their factors (`FactorRule`),
and options may look at them, change them, and write the step in a way of their own. Any other
writes its weights itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from learners.network import draw_weights
from learners.plastic.part import Part

if TYPE_CHECKING:
    from learners.plastic.body import Body

Floats = NDArray[np.float64]


class Rule(Part, ABC):
    """How a network answers, and what it makes of a label."""

    rate: ClassVar[float] = 0.02
    """The rate of a network that names none."""
    relu: ClassVar[bool] = True
    """Rectified hidden units instead of ELU."""
    unit_inputs: ClassVar[bool] = False
    """Whether inputs must lie in [0, 1]; standardized ones are then brought there."""
    own_weights: ClassVar[bool] = False
    """Whether the network's own weights are not used, and take no memory."""
    least_hidden: ClassVar[int] = 0
    most_hidden: ClassVar[int] = 4
    """How few and how many hidden layers it can do with."""

    def begin(self, body: Body, draw: np.random.Generator) -> None:
        """Draw weights, normal with variance 2 / inputs, and zero biases."""
        if not self.own_weights:
            body.theta[:] = draw_weights(body.layout, body.seed)

    def predict(self, body: Body, x: Floats) -> Floats:
        """Return the probability of each class, as a view, changing workspaces alone."""
        return body.forward(x)

    @abstractmethod
    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Learn that x (float64[inputs]) is of class y; return the loss before."""


class FactorRule(Rule):
    """A rule whose step is a sum of `terms` outer products."""

    terms: ClassVar[int] = 1

    @abstractmethod
    def factors(self, body: Body, x: Floats, y: int) -> float:
        """Fill `body.pre` and `body.post`, `body.bias` if not ones; return the loss before."""

    def learn(self, body: Body, x: Floats, y: int) -> float:
        """Write the step that the factors make, as options will have it."""
        loss = self.factors(body, x, y)
        body.write_step()
        return loss
