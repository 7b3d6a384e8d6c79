"""The slow, obvious twin of the adaptive network's kernels: whole matrices, in double precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from learners.kernels.adaptive_network import Network, Rules

Floats = NDArray[np.float64]


def entropy(p: Floats) -> float:
    p = p[p > 0] / p.sum()
    return float(-(p * np.log(p)).sum())


class Condition:
    """Moments of inputs and hidden units, gain and shift, and what distances are usual."""

    def __init__(self, inputs: Floats, hidden: Floats, gain: Floats, rho: float = 0.0) -> None:
        self.inputs, self.hidden, self.gain = inputs.copy(), hidden.copy(), gain.copy()
        self.rho, self.fit, self.fit_squares, self.events, self.used = rho, 0.0, 0.0, 0, 0


class Adaptation:
    """Begins as a fresh network; `C` classes are known from the start."""

    def __init__(self, net: Network, rules: Rules, C: int) -> None:
        self.rules, self.C = rules, C
        self.first = net.first.astype(float)
        self.first_source = self.first.copy()
        self.second, self.bias = net.second.copy()[:, :C], np.zeros(C)
        D = self.first.shape[0]
        self.source = np.zeros((2, D))
        self.gain_source = net.gain_source.copy()
        self.conditions = [Condition(np.zeros((2, D)), net.hidden[0], net.gain[0])]
        self.active, self.phase, self.unlabeled, self.labeled, self.adapted = 0, 0, 0, 0, 0
        self.row: list[Floats] = []
        self.label_share, self.class_share, self.usual = np.zeros(C), np.zeros(C), np.zeros(C)
        self.resets, self.capped, self.opened, self.recovery, self.drift = 0, 0, 0, -1.0, 0.0
        self.pace = 1.0

    def bounded(self, x: Floats) -> Floats:
        limit = 100 * np.sqrt(self.source[1].mean())
        if self.labeled < 20 or limit == 0:
            return x
        return np.clip(x, self.source[0] - limit, self.source[0] + limit)

    def distance(self, k: int, x: Floats) -> float:
        v = self.conditions[k].inputs[1] + 0.01 * self.source[1].mean() + 1e-12
        square = ((x - self.conditions[k].inputs[0]) ** 2 / v).mean()
        return float(min(square, 1000.0) + np.log(v).mean())

    def nearest(self, x: Floats) -> int:
        return int(np.argmin([self.distance(k, x) for k in range(len(self.conditions))]))

    def corrected(self, k: int, x: Floats) -> Floats:
        mean, variance = self.source
        now, now_variance = self.conditions[k].inputs
        pooled = variance.mean() + 1e-12
        if not self.rules.correct_inputs or self.phase == 0:
            found = x
        elif not self.rules.alike:
            stretch = np.sqrt((variance + 1e-5 * pooled) / (now_variance + 1e-5 * pooled))
            found = mean + stretch * (x - now)
        else:
            e, f = mean - mean.mean(), now - now.mean()
            a = 1.0
            if abs(e @ f) > 0.5 * np.sqrt((e @ e) * (f @ f)):
                a = np.sign(e @ f) * np.clip(abs(e @ f) / (e @ e), 1e-3, 1e3)
            noise = max(now_variance.mean() - a * a * pooled, 0) + 1e-4 * pooled * a * a
            part = a * variance / (a * a * variance + noise)
            found = mean + part * (x - now.mean() - a * e)
        deviations: Floats = (found - mean.mean()) / np.sqrt(pooled)
        return deviations.clip(-32, 32)

    def forward(self, k: int, u: Floats) -> Floats:
        mean, variance = self.conditions[k].hidden
        self.h = np.clip((u - mean) / np.sqrt(variance + 1e-5), -32, 32)
        gain, shift = self.conditions[k].gain
        self.a = gain * self.h + shift
        z = np.maximum(self.a, 0) @ self.second + self.bias
        p: Floats = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        return p

    def look(self, x: Floats) -> Floats:
        x = self.bounded(x)
        k = self.nearest(x)
        return self.forward(k, self.corrected(k, x) @ self.first)

    @staticmethod
    def follow(moments: Floats, x: Floats, rate: float) -> None:
        e = x - moments[0]
        moments[0] += rate * e
        moments[1] = (1 - rate) * (moments[1] + rate * e * e)

    def note(self, k: int, x: Floats, d: float) -> None:
        c = self.conditions[k]
        rate = max(0.01, 1 / (c.events + 1))
        c.fit += rate * (d - c.fit)
        c.fit_squares += rate * (d * d - c.fit_squares)
        c.events += 1
        c.used = self.labeled + self.adapted

    def teach(self, x: Floats, y: int) -> None:
        rate = max(0.01, 1 / (self.labeled + 1))
        x = self.bounded(x)
        k = self.active = self.nearest(x)
        c = self.conditions[k]
        self.follow(c.inputs, x, rate)
        if self.phase == 0:
            self.follow(self.source, x, rate)
        else:
            self.phase = 2
        self.note(k, x, self.distance(k, x))
        x = self.corrected(k, x)
        u = x @ self.first
        self.follow(c.hidden, u, rate)
        p, on = self.forward(k, u), np.eye(self.C)[y]
        eta = self.rules.learning_rate
        alive = self.a > 0
        da = np.clip(self.second @ (p - on), -1e3, 1e3) * alive
        dh = da * c.gain[0] / np.sqrt(c.hidden[1] + 1e-5)
        self.bias -= eta * (p - on)
        self.second -= eta * np.outer(np.clip(self.a, 0, 1e3), p - on)
        c.gain -= eta * np.array([da * self.h, da])
        self.first -= eta * np.outer(x, np.clip(dh, -1, 1))
        self.label_share += max(1 / 500, 1 / (self.labeled + 1)) * (on - self.label_share)
        self.labeled += 1
        self.unlabeled = 0

    def freeze(self) -> None:
        self.first_source = self.first.copy()
        self.gain_source = self.conditions[self.active].gain.copy()
        for c in self.conditions:
            c.rho = self.rules.statistics_start
        self.class_share, self.usual = self.label_share.copy(), np.zeros(self.C)
        self.row, self.phase, self.recovery, self.drift = [], 1, -1.0, 0.0
        self.pace = 1.0

    def usual_distance(self, k: int, d: float) -> bool:
        c = self.conditions[k]
        deviation = np.sqrt(max(c.fit_squares - c.fit**2, 0.0))
        return c.events < 20 or bool(abs(d - c.fit) <= 4 * deviation + 0.05)

    def adapt(self, x: Floats) -> None:
        r = self.rules
        self.unlabeled += 1
        if self.unlabeled <= r.labels_stop_after:
            return
        if self.phase != 1:
            self.freeze()
        x = self.bounded(x)
        k = self.nearest(x)
        if r.alarm_events and not self.usual_distance(k, self.distance(k, x)):
            self.row.append(x)
            if len(self.row) < r.alarm_events:
                return
            self.begin()
            k = self.active
        self.row, self.active = [], k
        self.adapted += 1
        c = self.conditions[k]
        self.note(k, x, self.distance(k, x))
        c.rho *= r.statistics_decay
        rate = c.rho + r.statistics_floor
        self.follow(c.inputs, x, rate)
        x = self.corrected(k, x)
        u = x @ self.first
        if r.hebbian_rate and self.adapted % r.hebbian_every == 0:
            self.compete(x, u)
        self.follow(c.hidden, u, rate)
        self.modulate(k, self.forward(k, u))
        self.guard()

    def begin(self) -> None:
        r, row = self.rules, np.array(self.row)
        if r.conditions == 1:
            self.conditions[0].rho, self.conditions[0].events = r.statistics_start, 0
            self.active = 0
            return
        n = len(row)
        squares = ((row - row.mean(0)) ** 2).sum(0)
        variance = (squares + 4 * squares.mean() / max(n - 1, 1)) / (n - 1 + 4)
        fresh = Condition(
            np.array([row.mean(0), variance]),
            self.conditions[0].hidden,
            self.gain_source,
            r.statistics_start,
        )
        self.opened += 1
        if len(self.conditions) < r.conditions:
            self.conditions.append(fresh)
            self.active = len(self.conditions) - 1
        else:
            rest = range(1, r.conditions)
            self.active = min(rest, key=lambda k: self.conditions[k].used)
            self.conditions[self.active] = fresh

    def compete(self, x: Floats, u: Floats) -> None:
        r = self.rules
        z = r.inverse_temperature * (u - u.mean()) / np.sqrt(u.var() + 1e-5)
        c = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        step = np.outer(x, c) - (c * u) * self.first
        self.first += self.pace * r.hebbian_rate * step / np.abs(step).max()
        self.first += r.anchor * (self.first_source - self.first)
        moved = self.first - self.first_source
        self.drift = float(np.linalg.norm(moved) / np.linalg.norm(self.first_source))
        if r.largest_drift and self.drift > r.largest_drift:
            self.first = self.first_source + moved * r.largest_drift / self.drift
            self.drift = r.largest_drift
            self.capped += 1

    def modulate(self, k: int, p: Floats) -> None:
        r, H = self.rules, entropy(p)
        margin = (r.entropy_filter or 0.4) * np.log(self.C)
        self.class_share += (p - self.class_share) / 500
        if r.entropy_filter and margin <= H:
            return
        self.recovery = H if self.recovery < 0 else 0.9 * self.recovery + 0.1 * H
        if not r.gain_rate:
            return
        if r.redundancy:
            lengths = float(np.linalg.norm(p) * np.linalg.norm(self.usual))
            cosine = p @ self.usual / max(lengths, 1e-300)
            self.usual += 0.1 * (p - self.usual)
            if cosine >= r.redundancy:
                return
        eta = self.pace * r.gain_rate * (np.exp(margin - H) if r.weighting else 1.0)
        dz = -p * (np.log(p) + H)
        da = (self.second @ dz) * (self.a > 0)
        self.conditions[k].gain -= eta * np.array([da * self.h, da])

    def guard(self) -> None:
        r = self.rules
        self.pace += 1e-4 * (1 - self.pace)
        wanted = np.exp(entropy(self.label_share)) - 1
        lost = r.balance and np.exp(entropy(self.class_share)) < 1 + r.balance * wanted
        if lost or 0 <= self.recovery < r.recovery_entropy * np.log(self.C):
            self.first = self.first_source.copy()
            for c in self.conditions:
                c.gain = self.gain_source.copy()
            self.conditions[self.active].rho = r.statistics_start
            self.class_share, self.usual = self.label_share.copy(), np.zeros(self.C)
            self.recovery, self.drift = -1.0, 0.0
            self.pace *= 0.1
            self.resets += 1
