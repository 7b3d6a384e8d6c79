"""The slow, obvious twin of the time cells: every event kept, and sums over all of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Events = list[tuple[float, int]]


def pulse(off: float) -> float:
    return math.exp(-0.5 * (off / 2.0) ** 2) if abs(off) <= 6 else 0.0


class TimeCells:
    """The same events in, the same read-out and expectations out."""

    def __init__(self, symbols: int, cells: int, cues: int, rate: float, low: float, high: float):
        self.R = np.zeros((symbols, cells, symbols))
        self.rate, self.low, self.cues = rate, low, cues
        self.step = math.log(high / low) / (3 * (cells - 1))
        self.points = 3 * (cells - 1) + 1
        self.events: Events = []
        self.recent: list[int] = []
        self.done = [0] * symbols

    def point(self, age: float) -> float:
        return math.log(age / self.low) / self.step if age > 0 else -1e6

    def age(self, point: int) -> float:
        return self.low * math.exp(self.step * point)

    def answers(self, point: int) -> Floats:
        off = np.abs(point - 3 * np.arange(self.R.shape[1]))
        return np.where(off <= 12, np.exp(-0.5 * (off / 2.85) ** 2), 0.0)

    def last(self, cue: int) -> float:
        return max((t for t, s in self.events if s == cue), default=-math.inf)

    def one(self, cue: int, begun: float, point: int) -> Floats:
        """What a cue still expects at a point, less what has come."""
        z = np.array(self.answers(point) @ self.R[cue])
        for t, s in reversed(self.events):
            off = point - self.point(t - begun)
            if t > begun and off < 6:
                height = math.exp(-0.5 * (off / 2) ** 2)
                sure = (self.answers(round(self.point(t - begun))) @ self.R[cue])[s]
                own = max(z[s] - height, 0.0) if z[s] > 0 else z[s]
                z *= 1 - height * min(max(sure, 0.0), 1.0)
                z[s] = own
        return z

    def take(self, symbol: int, t: float) -> None:
        begun = {cue: self.last(cue) for cue in self.recent}
        self.events.append((t, symbol))
        for cue in self.recent:
            now = math.floor(self.point(t - begun[cue]))
            upto = self.points - 1 if cue == symbol else min(now - 6, self.points - 1)
            if upto >= self.done[cue]:
                self._learn(cue, begun[cue], upto)
                self.done[cue] = upto + 1
        self.recent = [symbol, *(cue for cue in self.recent if cue != symbol)][: self.cues]
        self.done[symbol] = 0

    def _learn(self, cue: int, begun: float, upto: int) -> None:
        change = np.zeros_like(self.R[cue])
        for point in range(self.done[cue], upto + 1):
            a = self.answers(point)
            T = np.zeros(self.R.shape[2])
            for t, s in self.events:
                if t > begun:
                    T[s] = max(T[s], pulse(point - self.point(t - begun)))
            error = T - a @ self.R[cue]
            change += self.rate / (0.1 + a @ a) * np.outer(a, np.clip(error, -2, 2))
        self.R[cue] += change

    def ahead(self, symbol: int, t: float) -> tuple[Floats, ...]:
        """Probability of being next, when, peak, from which cue; and of anything by each point."""
        C = self.R.shape[2]
        p, at, peak, passed, total = np.zeros(C), np.zeros(C), np.zeros(C), [], 0.0
        chosen = np.full(C, -1)
        curves = {}
        for cue in [symbol, *(each for each in self.recent if each != symbol)]:
            begun = t if cue == symbol else self.last(cue)
            ages = [t - begun + self.age(point) for point in range(self.points)]
            own = [
                point if cue == symbol else round(self.point(age)) for point, age in enumerate(ages)
            ]
            z = np.array([self.one(cue, begun, point) for point in own])
            curves[cue] = (z, ages)
            for c in range(C):
                best = int(np.argmax(z[:, c]))
                if z[best, c] > 0.02 and z[best, c] > 1.25 * peak[c]:
                    chosen[c], peak[c], at[c] = cue, z[best, c], self.age(best)
        for point in range(self.points):
            for c in range(C):
                if chosen[c] >= 0:
                    z, ages = curves[chosen[c]]
                    if z[point, c] > 0.02:
                        share = z[point, c] * self.age(point) / ages[point]
                        share = min(share / (2 * math.sqrt(2 * math.pi)), 1 - total)
                        p[c], total = p[c] + share, total + share
            passed.append(total)
        return p, at, peak, chosen, np.array(passed)
