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


def elu(z: Floats) -> Floats:
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def counter_current(
    theta: Floats, backs: Sequence[Floats], sizes: Sequence[int], x: Floats, y: int
) -> tuple[Floats, list[Floats]]:
    """Return the gradients of both nets, unclipped; backs[unit below, unit above] by layer."""
    said = net.outputs(net.layers(theta, sizes), False, x)
    classes, target = sizes[-1], np.eye(sizes[-1])[y]
    sent = [np.eye(classes)]
    for back in reversed(backs):
        sent.insert(0, elu(back @ sent[0]))
    forward, feedback = [], []
    for layer, (h, below) in enumerate(zip(said[1:], said[:-1], strict=True)):
        if layer == len(backs):
            error = h - target
        else:
            s = sent[layer]
            off = 2 * (s.T @ h - target) / classes * 128 / len(h)
            error = (s @ off) * np.where(h > 0, 1, h + 1)
            ds = np.outer(h, off) * np.where(s > 0, 1, s + 1)
            feedback.append(ds @ sent[layer + 1].T)
        forward.append((np.outer(error, below), 0 * error))
    return net.flat(forward), feedback


def block(
    inward: Floats, offsets: Floats, outward: Floats, x: Floats, given: Floats
) -> tuple[Floats, Floats]:
    """Return hidden outputs and probabilities of one block of the denoising rule."""
    h = np.maximum(np.concatenate([x, given]) @ inward + offsets, 0)
    return h, net.outputs([(outward[:-1].T, outward[-1])], True, h)[-1]


def taught(
    weights: tuple[Floats, Floats, Floats], x: Floats, given: Floats, y: int, rate: float
) -> tuple[Floats, Floats, Floats]:
    """Return one block's weights after a gradient step."""
    inward, offsets, outward = weights
    h, said = block(inward, offsets, outward, x, given)
    error = said - np.eye(len(said))[y]
    back = (outward[:-1] @ error) * (h > 0)
    return (
        inward - rate * np.outer(np.concatenate([x, given]), back),
        offsets - rate * back,
        outward - rate * np.outer(np.append(h, 1), error),
    )


def pushed_loss(theta: Floats, sizes: Sequence[int], x: Floats, y: int, push: Floats) -> float:
    """Return the nats of y with every unit's net input moved."""
    pushes = np.split(push, np.cumsum(sizes[1:])[:-1])
    said = x
    parts = net.layers(theta, sizes)
    for layer, ((w, b), by) in enumerate(zip(parts, pushes, strict=True)):
        z = w @ said + b + by
        said = np.maximum(z, 0) if layer < len(parts) - 1 else z
    return float(np.log(np.exp(said).sum()) - said[y])


def making_loss(theta: Floats, downward: Floats, sizes: Sequence[int], x: Floats, y: int) -> float:
    """Return half the squared error of the input made from a class."""
    biases = np.split(downward, np.cumsum(sizes[:-1])[:-1])
    said = np.eye(sizes[-1])[y]
    for layer, ((w, _), b) in reversed(
        list(enumerate(zip(net.layers(theta, sizes), biases, strict=True)))
    ):
        said = w.T @ said + b
        said = np.maximum(said, 0) if layer else said
    return 0.5 * float(np.sum((said - x) ** 2))


def pulsed(
    pair: tuple[float, float], up: bool, levels: int, bend: float, one_way: bool
) -> tuple[float, float]:
    """Return both devices of one weight after a pulse."""
    size = bend / (levels * (1 - np.exp(-bend))) if bend else 1 / levels
    rising, falling = pair if up else pair[::-1]
    rising = min(rising + size * np.exp(-bend * rising), 1.0)
    if not one_way:
        falling = max(falling - size * np.exp(-bend * (1 - falling)), 0.0)
    elif rising > 0.9:
        left = rising - falling
        rising, falling = max(left, 0.0), max(-left, 0.0)
    return (rising, falling) if up else (falling, rising)


class Spiking:
    """Units of which one fires at a time, spike by spike."""

    def __init__(self, inward: Floats, offsets: Floats, leak: float, threshold: float) -> None:
        self.inward, self.offsets = inward.copy(), offsets.copy()
        self.leak, self.threshold = leak, threshold

    def present(
        self, spikes: Sequence[Floats], learning: bool, rate: float, rise: float, total: float
    ) -> Floats:
        """Return how often each unit fires while inputs spike as told."""
        potential, trace = np.zeros(len(self.offsets)), np.zeros(len(self.inward))
        counts = np.zeros(len(self.offsets))
        for now in spikes:
            potential, trace = self.leak * potential + now @ self.inward, self.leak * trace + now
            above = potential - self.offsets
            best = int(above.argmax())
            if above[best] > self.threshold:
                counts[best] += 1
                potential[:] = 0
                if learning:
                    grown = np.minimum(self.inward[:, best] + rate * trace, 1.0)
                    self.inward[:, best] = grown * total / grown.sum()
                    self.offsets[best] += rise
        return counts
