"""The sizes of a network, and what follows from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from learners.network import layout_of, parameters_of


class Shape(NamedTuple):
    """Inputs, units of each hidden layer, classes."""

    inputs: int
    hidden: tuple[int, ...]
    classes: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """All of them in one row."""
        return (self.inputs, *self.hidden, self.classes)

    @property
    def layers(self) -> int:
        """How many layers have weights."""
        return len(self.hidden) + 1

    @property
    def hidden_units(self) -> int:
        """How many units all hidden layers have."""
        return sum(self.hidden)

    @property
    def units(self) -> int:
        """How many units there are, classes among them."""
        return self.hidden_units + self.classes

    @property
    def weights(self) -> int:
        """How many weights and biases there are."""
        return parameters_of(self.sizes)

    @property
    def layout(self) -> NDArray[np.int64]:
        """Where each layer's parts lie; see `learners.kernels.network`."""
        return layout_of(self.sizes)
