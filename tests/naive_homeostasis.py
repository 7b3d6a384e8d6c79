"""The slow twin of the homeostatic network: one object, matrices, lists."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tests import naive
from tests import naive_network as net
from tests.naive_network import Floats

LOW, HIGH = 0.01, 10.0


class Homeostat:
    """What all rules share: weights, a list of what is remembered, a generator."""

    def __init__(self, sizes: tuple[int, ...], theta: Floats, seed: int, **params: Any) -> None:
        self.sizes, self.p = sizes, params
        self.thetas = [theta.copy() for _ in range(2 if params["rule"] == "balance" else 1)]
        self.losses = [0.0] * len(self.thetas)
        self.memory: list[tuple[Floats, int]] = []
        self.ring: list[int] = []
        self.random, self.debt, self.labels, self.rate = naive.Random(seed), 0.0, 0, params["rate"]
        self.counts = np.zeros(sizes[-1], int)
        self.accepted = 0

    def said(self, theta: Floats, x: Floats) -> list[Floats]:
        return net.outputs(net.layers(theta, self.sizes), False, x)

    def shares(self) -> Floats:
        weights = np.exp(min(self.losses) - np.array(self.losses))
        return np.asarray(weights / weights.sum())

    def predict(self, x: Floats) -> Floats:
        said = [self.said(theta, x)[-1] for theta in self.thetas]
        return np.asarray(self.shares() @ np.array(said))

    def activity(self, theta: Floats, x: Floats) -> float:
        return 1.0 + sum(float(a @ a) for a in self.said(theta, x)[:-1])

    def rates(self) -> list[float]:
        if self.p["rule"] != "balance":
            return [self.rate]
        both = (self.rate / math.sqrt(3), self.rate * math.sqrt(3))
        return [min(max(rate, LOW), HIGH) for rate in both]

    def descend(self, b: int, x: Floats, y: int) -> None:
        theta = self.thetas[b]
        rate = self.rates()[b]
        if self.p["rule"] == "balance":
            rate /= self.activity(theta, x)
        self.thetas[b] = theta - rate * net.gradient(theta, self.sizes, False, x, y)

    def learn(self, x: Floats, y: int) -> Floats:
        out = self.predict(x)
        if self.labels == 0 and self.p["rule"] == "balance":
            self.rate = min(max(self.rate * self.activity(self.thetas[0], x), LOW), HIGH)
        self.labels += 1
        self.counts[y] += 1
        self.regulate(x, y, out)
        self.rehearse(1.0 - out[y])
        if len(self.memory) == self.p["memory"]:
            self.memory[self.ring[0]] = (x, y)
            self.ring = [*self.ring[1:], self.ring[0]]
        else:
            self.ring.append(len(self.memory))
            self.memory.append((x, y))
        return out

    def rehearse(self, need: float) -> None:
        self.debt += self.p["rehearsal"] * need
        while self.debt >= 1.0:
            self.debt -= 1.0
            if self.memory:
                x, y = self.memory[self.random.below(len(self.memory))]
                for b in range(len(self.thetas)):
                    self.descend(b, x, y)

    def regulate(self, x: Floats, y: int, out: Floats) -> None:
        if self.p["rule"] == "balance":
            self.balance(x, y)
        elif self.labels % 10 == 0 and len(self.memory) == self.p["memory"]:
            self.decide(x, y, int(out.argmax()))
        if self.p["rule"] != "balance":
            self.descend(0, x, y)

    def balance(self, x: Floats, y: int) -> None:
        slow, fast = self.shares()
        losses = [net.loss(theta, self.sizes, False, x, y) for theta in self.thetas]
        for b in range(2):
            self.descend(b, x, y)
            self.losses[b] = 0.95 * self.losses[b] + min(losses[b], 5.0)
        speed = max(0.0005, 4.0 / (self.labels + 400))
        self.rate = min(max(self.rate * math.exp(speed * (fast - slow)), LOW), HIGH)
        for b in range(2):
            if self.losses[b] - self.losses[1 - b] > 20.0:
                self.thetas[b], self.losses[b] = self.thetas[1 - b].copy(), self.losses[1 - b]

    def decide(self, x: Floats, y: int, guess: int) -> None:
        delta, theta = self.p.get("delta", 0.1) * self.p["rate"], self.thetas[0]
        some = [(x, y)] if self.p["rule"] == "literal" else self.memory
        mean = np.mean([net.gradient(theta, self.sizes, False, *each) for each in some], axis=0)

        def moved(c: int) -> float:
            low = 0.1 * self.p["rate"]
            return float(min(max(self.rate + delta * self.valence(c), low), self.p["ceiling"]))

        def right(rate: float) -> int:
            after = theta - rate * mean
            return sum(int(self.said(after, a)[-1].argmax()) == b for a, b in self.memory)

        if right(moved(guess)) > right(self.rate):
            self.rate = moved(y)
            self.accepted += 1

    def valence(self, c: int) -> int:
        """As shared out when the last class was new; the streams here are shorter than 1,000."""
        return self.sides[c]

    sides: dict[int, int]


def shared_out(counts: list[int]) -> dict[int, int]:
    """Return the side of each class: the largest first, to the lighter side."""
    sides: dict[int, int] = {}
    weight = 0
    for c in sorted(range(len(counts)), key=lambda c: (-counts[c], c)):
        sides[c] = 1 if weight <= 0 else -1
        weight += sides[c] * counts[c]
    return sides
