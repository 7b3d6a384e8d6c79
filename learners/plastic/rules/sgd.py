"""Plain gradient steps: the rule that every other is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from learners.kernels import network as dense
from learners.plastic.rule import FactorRule, Floats

if TYPE_CHECKING:
    from learners.plastic.body import Body


class Sgd(FactorRule):
    """Steps down the gradient of cross-entropy, of one event each, by backpropagation.

    It fails where what was learned should stay: each event may undo what another one taught.

    References
    ----------
    Rumelhart, Hinton and Williams 1986, Nature 323.
    """

    name: ClassVar[str] = "sgd"

    def factors(self, body: Body, x: Floats, y: int) -> float:
        """Fill the factors with what layers read and with errors; return the loss in nats."""
        body.look(x, learning=True)
        body.sources(x)
        return dense.backward(body.theta, body.layout, self.relu, body.acts, y, body.post[0])
