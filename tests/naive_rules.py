"""The slow twins of the learning rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests import naive_network as net
from tests.naive_network import Floats


def multiplied(
    plus: Floats, minus: Floats, biases: Floats, gradient: Floats, rate: float, floor: float
) -> tuple[Floats, Floats, Floats]:
    """Return both parts and the weights after an exponentiated step; biases take a plain one."""
    f = np.clip(rate * gradient, -1, 1)
    moved = gradient != 0
    plus = np.where(moved & (plus > 0), np.maximum(plus * np.exp(-f), floor), plus)
    minus = np.where(moved & (minus > 0), np.maximum(minus * np.exp(f), floor), minus)
    return plus, minus, np.where(plus > 0, plus - minus, biases - rate * gradient)


def gradient_of(theta: Floats, sizes: Sequence[int], x: Floats, y: int) -> Floats:
    return net.gradient(theta, sizes, True, x, y)
