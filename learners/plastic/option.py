"""The interface of an option. To add one, write its file in `options` and a line in its table.

The order of an event with a label: `before` of each option, then the update, then `after` of each.
An update (there may be more of them, on events of the past: an option calls `body.update`) is the
rule's: it looks (`mask` by layer, then `answer`, then `speak` unless the event is one of the past:
`body.fresh` says that), fills its factors, then come `shape` of each option, `write` of the one
that writes, or a plain step, and `settle` of each. Options act in the order of their table. They
find each other in `body.options`, and the generator in `body.rng`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from learners.plastic.part import Part

if TYPE_CHECKING:
    from learners.plastic.body import Body

Floats = NDArray[np.float64]


class Option(Part):
    """What is done beside learning; each hook does nothing unless overridden."""

    needs_factors: ClassVar[bool] = False
    """Whether it works only with rules that give their step in factors."""
    needs_layers: ClassVar[bool] = False
    """Whether it works only with rules that answer by `Body.forward`, layer by layer."""
    writes: ClassVar[bool] = False
    """Whether it writes the step; one option at most can."""
    masks: ClassVar[bool] = False
    """Whether it has a `mask`; layers are then worked out one by one."""
    goes_with_weights: ClassVar[bool] = False
    """Whether it learns something that fits these very weights, so that none can be averaged."""
    announces_shifts: bool = False
    """Whether, with its parameters, it calls `body.shift` when labels have changed meaning."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Options that it cannot do without."""

    def before(self, body: Body, x: Floats, y: int) -> None:
        """Take note of a labeled event before the network learns from it."""

    def mask(self, body: Body, layer: int, source: Floats, out: Floats) -> None:
        """Change a hidden layer's outputs, in place, given what the layer reads; pure."""

    def answer(self, body: Body, x: Floats, out: Floats, learning: bool) -> None:
        """Change the probabilities, in place; pure. While `learning`, errors come from them."""

    def speak(self, body: Body, x: Floats, out: Floats) -> None:
        """Change the answer alone, in place, after each `answer`; errors do not come from it."""

    def shape(self, body: Body) -> None:
        """Change `body.pre`, `body.post` or `body.bias` before the step is written."""

    def write(self, body: Body) -> None:
        """Write the step to `body.theta`."""

    def settle(self, body: Body) -> None:
        """Bring weights back to what holds for them, after a step."""

    def after(self, body: Body, x: Floats, y: int, loss: float) -> None:
        """Do what follows from a labeled event that has been learned."""

    def shifted(self, body: Body) -> None:
        """Hear that labels have changed their meaning."""

    def new_task(self, body: Body) -> None:
        """Hear that another task begins."""
