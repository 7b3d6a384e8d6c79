"""Slow and obvious twins of the kernels of memories."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def keep_largest(values: Floats, most: int) -> list[int]:
    """Return the places of the `most` largest positive values, lower places first among equals."""
    order = sorted(range(len(values)), key=lambda i: (-values[i], i))
    return sorted(i for i in order[:most] if values[i] > 0.0)


def sparse_key(drive: Floats, active: int) -> Floats:
    """Return the largest of a projection with length 1, and zeros."""
    key = np.zeros(len(drive))
    places = keep_largest(drive, active)
    key[places] = drive[places]
    return key / np.linalg.norm(key) if places else key


class Associations:
    """A matrix of classes by places."""

    def __init__(self, classes: int, places: int, rule: str, rate: float, keep: float) -> None:
        self.S = np.zeros((classes, places))
        self.rule, self.rate, self.keep = rule, rate, keep
        self.writes, self.error, self.size, self.gain = 0, 0.0, 0.0, 8.0

    def responses(self, key: Floats) -> Floats:
        found = self.S @ key / (self.size + 1e-12)
        return np.clip(found, -10.0, 10.0)

    def probabilities(self, key: Floats) -> Floats:
        z = self.gain * self.responses(key)
        p = np.exp(z - z.max())
        return np.asarray(p / p.sum())

    def learn(self, key: Floats, truth: int) -> None:
        if not key.any():
            return
        v = np.eye(len(self.S))[truth]
        slope = float((v - self.probabilities(key)) @ self.responses(key))
        y = self.S @ key
        self.gain = min(max(self.gain + 0.1 * slope, 0.1), 100.0)
        self.size += max(0.01, 1.0 / (self.writes + 1)) * (float(np.abs(y).max()) - self.size)
        if self.rule == "delta":
            self.S += self.rate * np.outer(v - y, key) / (1e-12 + float(key @ key))
        else:
            self.S = self.keep * self.S + self.rate * np.outer(v, key)
        self.writes += 1
        missed = float((v - y) @ (v - y))
        self.error += max(0.01, 1.0 / self.writes) * (missed - self.error)


class Patterns:
    """Stored patterns of length 1, what they mean, and how much they were used."""

    def __init__(self, most: int, classes: int, beta: float, **settings: float) -> None:
        self.most, self.classes, self.beta, self.settings = most, classes, beta, settings
        self.rows: list[Floats] = []
        self.meanings: list[Floats] = []
        self.use: list[float] = []
        self.merged: list[float] = []
        self.born: list[int] = []
        self.events, self.usual = 0, 0.0

    def recall(self, x: Floats) -> tuple[Floats, Floats]:
        """Return parts of patterns, and what they bring back."""
        s, X = x / np.linalg.norm(x), np.array(self.rows)
        p = s
        for step in range(int(self.settings["iterations"])):
            z = self.beta * (X @ s)
            p = np.exp(z - z.max())
            p = p / p.sum()
            after = X.T @ p
            still = float(np.linalg.norm(after - s)) < 1e-4
            s = after
            if step > 0 and still:
                break
        return p, s

    def probabilities(self, x: Floats) -> Floats:
        p, _ = self.recall(x)
        y = 0.01 / self.classes + p @ np.array(self.meanings)
        return np.asarray(y / y.sum())

    def distance(self, x: Floats) -> float:
        _, s = self.recall(x)
        cosine = float(s @ x) / float(np.linalg.norm(s) * np.linalg.norm(x))
        return 1.0 - min(max(cosine, 0.0), 1.0)

    def owner(self, k: int) -> int:
        return int(np.argmax(self.meanings[k])) if self.meanings[k].any() else -1

    def learn(self, x: Floats, truth: int) -> None:
        novel, s, fits, nearest = True, x / np.linalg.norm(x), False, 0
        told = np.eye(self.classes)[truth] if truth >= 0 else np.zeros(self.classes)
        if self.rows:
            p, _ = self.recall(x)
            strange = self.distance(x) > self.usual
            sure = float(self.probabilities(x)[truth]) >= self.settings["sure"]
            novel = strange if truth < 0 else not sure
            overlaps = np.array(self.rows) @ s
            nearest = int(np.argmax(overlaps))
            for k in range(len(self.rows)):
                self.use[k] += p[k] - self.settings["use_rate"] * self.use[k]
                step = self.settings["repair"] * p[k] * overlaps[k]
                if truth >= 0 and p[k] > 1e-3 and step > 0.0:
                    self.meanings[k] = self.meanings[k] + step * (told - self.meanings[k])
            alike = overlaps[nearest] >= self.settings["merge_at"]
            fits = alike and (truth < 0 or self.owner(nearest) in (-1, truth))
            self.usual += 0.01 * (0.9 if strange else -0.1)
            self.usual = min(max(self.usual, 0.0), 1.0)
        if novel and fits:
            self.merge(nearest, s, told)
        elif novel:
            self.store(s, told)
        self.events += 1

    def merge(self, k: int, s: Floats, told: Floats) -> None:
        mean = self.merged[k] * self.rows[k] + s
        self.rows[k] = mean / np.linalg.norm(mean)
        if told.any():
            rate = 1.0 if self.owner(k) < 0 else 1.0 / (self.merged[k] + 1.0)
            self.meanings[k] = self.meanings[k] + rate * (told - self.meanings[k])
        self.merged[k] = min(self.merged[k] + 1.0, 20.0)

    def store(self, s: Floats, told: Floats) -> None:
        columns = (self.rows, self.meanings, self.use, self.merged, self.born)
        new = (s, told, 0.0, 1.0, self.events)
        if len(self.rows) < self.most:
            k = len(self.rows)
            for column, value in zip(columns, new, strict=True):
                column.append(value)  # type: ignore[attr-defined]
        else:
            owners = [self.owner(k) for k in range(self.most)]
            free = [k for k, own in enumerate(owners) if own < 0 or owners.count(own) > 1]
            k = min(free or range(self.most), key=lambda k: (self.use[k], self.born[k]))
            for column, value in zip(columns, new, strict=True):
                column[k] = value  # type: ignore[index]
        n = len(self.rows)
        self.use[k] = sum(self.use) / n if n > 1 else 1.0


class Hatchling:
    """Synapses from keys of each context to the symbol after it, one bank an order."""

    def __init__(self, R: Floats, orders: tuple[int, ...], active: int, rate: float) -> None:
        self.R, self.orders, self.active, self.rate = R, orders, active, rate
        _, self.V, units = R.shape
        self.S = [np.zeros((self.V, units)) for _ in orders]
        self.weights = np.full(len(orders), 1.0 / len(orders))
        self.recent: list[int] = []
        self.seen: set[int] = set()

    def key(self, order: int) -> Floats:
        drive = np.zeros(self.R.shape[2])
        for j, symbol in enumerate(self.recent[:order]):
            drive += self.R[j, symbol]
        return sparse_key(drive, self.active)

    def banks(self) -> Floats:
        """Return the probabilities by each bank; nothing is given to what has not come."""
        found = []
        for S, order in zip(self.S, self.orders, strict=True):
            y = S @ self.key(order)
            p = np.exp(8.0 * (y - y[list(self.seen)].max()))
            p[[c for c in range(self.V) if c not in self.seen]] = 0.0
            found.append(p / p.sum())
        return np.array(found)

    def learn(self, symbol: int) -> None:
        if self.seen:
            by_bank = np.maximum(self.banks()[:, symbol], 1e-3)
            self.weights = self.weights * by_bank / float(self.weights @ by_bank)
            self.weights = 0.999 * self.weights + 0.001 / len(self.orders)
            for b, order in enumerate(self.orders):
                key = self.key(order)
                y = self.S[b] @ key
                pace = self.rate * (1.0 - 0.8 * min(max(float(y.max()), 0.0), 1.0))
                self.S[b] = self.S[b] + pace * np.outer(np.eye(self.V)[symbol] - y, key)
        self.seen.add(symbol)
        self.recent.insert(0, symbol)


class Amplitudes:
    """Patterns (float64[N, K]), and a state that settles in them site by site."""

    def __init__(self, A: Floats) -> None:
        self.A = A
        squares, fourth = (A**2).sum(0), (A**4).sum(0)
        self.strength = np.sqrt(np.divide(fourth, squares, where=squares > 0, out=0 * squares))
        good = self.strength > 0
        self.mass = np.divide(squares, self.strength, where=good, out=np.full(len(good), np.inf))

    def of(self, s: Floats) -> Floats:
        return np.asarray(self.A.T @ s / self.mass)

    def settle(self, s: Floats, fill: bool, most: int) -> tuple[Floats, int]:
        s = s.copy()
        for sweep in range(most):
            before = s.copy()
            for i in range(len(s)):
                if s[i] or fill:
                    without = s.copy()
                    without[i] = 0.0
                    field = float(self.A[i] @ self.of(without))
                    s[i] = np.sign(field) if abs(field) > 1e-12 else s[i]
            if np.array_equal(before, s):
                return s, sweep + 1
        return s, most


class Thresholds:
    """Units of length 1, each with a threshold of its own (FEAST)."""

    def __init__(self, W: Floats, rate: float, rise: float, fall: float, first: float) -> None:
        self.W, self.rate, self.rise, self.fall = W.copy(), rate, rise, fall
        self.thresholds = np.full(len(W), first)

    def winner(self, x: Floats) -> int:
        u = self.W @ (x / np.linalg.norm(x))
        eligible = [k for k in range(len(u)) if u[k] >= self.thresholds[k]]
        return max(eligible, key=lambda k: (u[k], -k), default=-1)

    def learn(self, x: Floats) -> None:
        if not x.any():
            return
        k = self.winner(x)
        if k < 0:
            self.thresholds = np.maximum(self.thresholds - self.fall, -1.0)
            return
        self.thresholds[k] = min(self.thresholds[k] + self.rise, 1.0)
        moved = self.W[k] + self.rate * (x / np.linalg.norm(x) - self.W[k])
        if np.linalg.norm(moved) > 1e-15:
            self.W[k] = moved / np.linalg.norm(moved)
