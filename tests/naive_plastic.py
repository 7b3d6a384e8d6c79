"""The slow twins of the plastic network: a matrix for each layer, a loop for each weight."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from learners.kernels.random import below
from tests import naive_network as net
from tests.naive_network import Floats


def sgd(theta: Floats, sizes: Sequence[int], x: Floats, y: int, rate: float) -> Floats:
    """Return the weights after one step."""
    return np.asarray(theta - rate * net.gradient(theta, sizes, True, x, y))


def by_history(
    theta: Floats,
    sums: Floats,
    gradient: Floats,
    rate: float,
    threshold: float,
    power: float,
    epsilon: float,
) -> tuple[Floats, Floats]:
    """Return weights and sums after one step of the documented rule, weight by weight."""
    theta, sums = theta.copy(), sums.copy()
    for k, g in enumerate(gradient.tolist()):
        if g**2 > threshold:
            sums[k] += abs(g) ** power
            theta[k] -= rate * g / (epsilon + sums[k]) ** (1 / power)
    return theta, sums


def from_factors(sizes: Sequence[int], pre: Floats, post: Floats, bias: Floats) -> Floats:
    """Return a step in factors as one vector like theta."""
    parts, read, here = [], 0, 0
    for layer, (inputs, units) in enumerate(itertools.pairwise(sizes)):
        weights, biases = np.zeros((units, inputs)), np.zeros(units)
        for t in range(len(pre)):
            above = post[t, here : here + units]
            weights += np.outer(above, pre[t, read : read + inputs])
            biases += bias[t, layer] * above
        parts.append((weights, biases))
        read += inputs
        here += units
    return net.flat(parts)


@dataclass
class Rehearsed:
    """What is rehearsed and what the gate counts, one list of stored events (x, y, time)."""

    capacity: int
    action: str
    seed: int
    known: int = 10
    stored: list[tuple[Floats, int, int]] = field(default_factory=list)
    seen: int = 0
    now: int = 0
    asked: int = 0
    usual: float = 0.0
    fired: list[int] = field(default_factory=list)
    replayed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.array([self.seed], np.uint64)
        self.count: Counter[int] = Counter()
        self.established: dict[int, int] = {}
        self.shares: dict[int, list[float]] = {}
        by_label = self.action == "drop"
        self.pace = (0.1, 0.01, 20, 50, 0.35) if by_label else (0.04, 0.004, 100, 100, 0.3)

    def event(self, x: Floats, y: int) -> None:
        """Gate, replay once, and sample the event into the store."""
        self.now += 1
        self.count[y] += 1
        if self.count[y] == self.known:
            self.established[y] = self.now
        if self.action != "keep" and len(self.stored) > 20:
            self._gate(x, y)
        if self.stored:
            self.replayed.append(self.stored[below(self.rng, len(self.stored))][2])
        self.seen += 1
        if len(self.stored) < self.capacity:
            self.stored.append((x, y, self.now))
        elif (slot := below(self.rng, self.seen)) < self.capacity:
            self.stored[slot] = (x, y, self.now)

    def _gate(self, x: Floats, y: int) -> None:
        fast, slow, warm_up, rest, gap = self.pace
        near = min(self.stored, key=lambda each: float(((each[0] - x) ** 2).sum()))
        distance, self.asked = float(((near[0] - x) ** 2).sum()), self.asked + 1
        close = self.asked < 100 or distance <= 1.5 * self.usual
        self.usual += max(1 / self.asked, 0.005 if close else 0.0005) * (distance - self.usual)
        if not close and self.action != "drop":
            return
        if y not in self.established or near[2] < self.established[y]:
            return
        row = near[1] if self.action == "drop" else 0
        high, low, m, last = self.shares.get(row, [0.0, 0.0, 0, 0])
        m += 1
        found = float(near[1] != y)
        if high <= low + 0.15:
            low += max(slow, 1 / m) * (found - low)
        high += max(fast, 1 / m) * (found - high)
        if m > warm_up and self.now - last > rest and high > min(0.95, low + gap):
            self.fired.append(self.now)
            high, last = low, self.now
            if self.action == "flush":
                self.stored, self.seen = [], 0
            elif self.action == "alert":
                self.established = dict.fromkeys(self.established, self.now + 1)
            else:
                held = len(self.stored)
                self.stored = [each for each in self.stored if each[1] != near[1]]
                self.seen = max(self.seen * len(self.stored) // held, len(self.stored))
        self.shares[row] = [high, low, m, last]
