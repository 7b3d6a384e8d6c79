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


def settled(
    theta: Floats,
    sizes: Sequence[int],
    x: Floats,
    start: Floats,
    target: Floats,
    beta: float,
    pace: float,
    steps: int,
) -> Floats:
    """Return the states of all units, drawn to the target by beta."""
    parts = net.layers(theta, sizes)
    ends = np.cumsum(sizes[1:])
    states = np.split(start.copy(), ends[:-1])
    for _ in range(steps):
        below = [x, *states[:-1]]
        force = [w @ b + bias for (w, bias), b in zip(parts, below, strict=True)]
        for layer in range(len(parts) - 1):
            force[layer] = force[layer] + parts[layer + 1][0].T @ states[layer + 1]
        force[-1] = force[-1] + beta * (target - states[-1])
        states = [np.clip(h + pace * (f - h), 0, 1) for h, f in zip(states, force, strict=True)]
    return np.concatenate(states)


def contrast(sizes: Sequence[int], x: Floats, states: Floats) -> Floats:
    """Return the product of both ends of each weight, laid out like theta."""
    ends = np.cumsum(sizes[1:])
    layers = np.split(states, ends[:-1])
    below = [x, *layers[:-1]]
    return net.flat([(np.outer(h, b), h) for h, b in zip(layers, below, strict=True)])
