"""Slow, obvious twins of the kernels, in plain Python: what the fast ones are checked against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix64(z: int) -> int:
    z &= MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def hash64(index: int, seed: int) -> int:
    return mix64(mix64(seed + GOLDEN) + index * GOLDEN)


class Random:
    """Splitmix64 with unbiased bounded integers."""

    def __init__(self, state: int) -> None:
        self.state = state

    def next_u64(self) -> int:
        self.state = (self.state + GOLDEN) & MASK
        return mix64(self.state)

    def below(self, n: int) -> int:
        while True:
            product = (self.next_u64() >> 32) * n
            if product % (1 << 32) >= (1 << 32) % n:
                return product >> 32


def scalar_bits(value: float, resolution: float, n: int, w: int, seed: int) -> set[int]:
    index = math.floor(value / resolution)
    return {(hash64(index + k, seed) >> 32) % n for k in range(w)}


def periodic_bits(phase: float, n: int, w: int) -> set[int]:
    center = math.floor(phase * n)
    return {(center + k) % n for k in range(-(w // 2), w // 2 + 1)}


def winners(
    bits: NDArray[np.uint8], permanence: NDArray[np.uint16], connected: int, k: int
) -> list[int]:
    overlap = [int(((row >= connected) & (bits > 0)).sum()) for row in permanence]
    ranked = sorted(range(len(overlap)), key=lambda c: (overlap[c], c))
    return sorted(ranked[-k:])


def move_permanences(
    bits: NDArray[np.uint8],
    permanence: NDArray[np.uint16],
    columns: Sequence[int],
    increment: int,
    decrement: int,
) -> NDArray[np.uint16]:
    after = permanence.astype(np.int64)
    if bits.any():
        for column in columns:
            for i, bit in enumerate(bits):
                if after[column, i] > 0:
                    moved = after[column, i] + (increment if bit else -decrement)
                    after[column, i] = min(max(moved, 1), 65_535)
    return after.astype(np.uint16)


def pooler_learn(
    bits: NDArray[np.uint8],
    pool: set[tuple[int, int]],
    connected: set[tuple[int, int]],
    columns: Sequence[int],
    connect: float,
    disconnect: float,
    random: Random,
) -> None:
    """Change the connected pairs of input and column, of which `pool` holds all there can be."""

    def times(expected: float) -> int:
        return math.floor(expected + (random.next_u64() >> 11) / 2**53)

    on = [i for i, bit in enumerate(bits) if bit]
    off = [i for i, bit in enumerate(bits) if not bit]
    if not on:
        return
    for _ in range(times(connect * len(on) * len(columns))):
        pair = on[random.below(len(on))], columns[random.below(len(columns))]
        connected |= {pair} & pool
    for _ in range(times(disconnect * len(off) * len(columns))):
        connected -= {(off[random.below(len(off))], columns[random.below(len(columns))])}


class Segment:
    def __init__(self, cell: int, used: int) -> None:
        self.cell = cell
        self.used = used
        self.synapses: list[list[int]] = []  # [cell, permanence], oldest first


class TemporalMemory:
    """The temporal memory with dictionaries and sets; parameters in fixed point."""

    def __init__(self, settings: dict[str, int], eviction: str, seed: int) -> None:
        self.p = settings
        self.eviction = eviction
        self.random = Random(seed)
        self.segments: dict[int, Segment] = {}
        self.free: list[int] = []
        self.slots = 0
        self.hand = 0
        self.iteration = 0
        self.evictions = 0
        self.bridged = 0
        self.ahead: list[set[int]] = []
        self.reset()

    def reset(self) -> None:
        self.lost = 0
        self.predicted: set[int] = set()
        self.active: list[int] = []
        self.winners: list[int] = []
        self.predicting: list[int] = []
        self.matching: list[int] = []
        self.potential: dict[int, int] = {}

    def column(self, slot: int) -> int:
        return self.segments[slot].cell // self.p["cells"]

    def compute(self, columns: Sequence[int], learn: bool) -> float:
        cells = self.p["cells"]
        hits = len(set(columns) & {cell // cells for cell in self.predicted})
        if self.p["bridging"]:
            self.bridge(columns)
        owner = {slot: self.segments[slot].cell for slot in self.matching}
        active, winners = [], []
        for slot in self.matching:
            if learn and self.p["punishment"] and owner[slot] // cells not in columns:
                self.adapt(slot, -self.p["punishment"], 0)
        for column in sorted(columns):
            predicted = sorted(cell for cell in self.predicted if cell // cells == column)
            predicting = [s for s in self.predicting if owner[s] // cells == column]
            matching = [s for s in self.matching if owner[s] // cells == column]
            if predicted:
                active += predicted
                winners += predicted
                for slot in predicting:
                    if learn:
                        self.learn_on(slot)
                continue
            active += range(column * cells, (column + 1) * cells)
            alive = [s for s in matching if self.potential.get(s)]
            if alive:
                best = max(alive, key=lambda s: self.potential[s])
                winners.append(owner[best])
                if learn:
                    self.learn_on(best)
                continue
            winner = self.least_used(column)
            winners.append(winner)
            if learn and self.winners:
                self.grow(self.create(winner), self.p["new_synapses"])
        self.active, self.winners = active, winners
        if self.lost:
            self.reckon()
        self.dendrites(learn)
        return 1.0 - hits / len(columns)

    def connected(self, slot: int, active: set[int]) -> int:
        synapses = self.segments[slot].synapses
        return sum(c in active and permanence >= self.p["connected"] for c, permanence in synapses)

    def dendrites(self, learn: bool) -> None:
        active = set(self.active)
        self.potential, self.predicting, self.matching = {}, [], []
        for slot in sorted(self.segments):
            segment = self.segments[slot]
            self.potential[slot] = sum(cell in active for cell, _ in segment.synapses)
            if self.potential[slot] >= self.p["match"]:
                self.matching.append(slot)
            if self.connected(slot, active) >= self.p["activation"]:
                self.predicting.append(slot)
                if learn:
                    segment.used = self.iteration
        self.predicted = {self.segments[slot].cell for slot in self.predicting}
        self.iteration += learn

    def covers(self, cells: set[int], columns: Sequence[int]) -> bool:
        return 2 * len(set(columns) & {c // self.p["cells"] for c in cells}) > len(columns)

    def bridge(self, columns: Sequence[int]) -> None:
        for at in range(self.lost, -1, -1):
            if self.lost and self.covers(self.ahead[at], columns):
                self.take_up(at)
                self.lost = 0
                self.bridged += 1
                return
        if self.covers(self.predicted, columns):
            self.lost = 0
        elif 0 < self.lost < self.p["bridging"]:
            self.lost += 1
        else:
            self.ahead = [self.predicted]
            self.lost = int(len(self.predicted) > 0)

    def take_up(self, at: int) -> None:
        if at > 0:
            self.active = self.winners = sorted(self.ahead[at - 1])
            self.dendrites(False)
        else:
            self.predicted, self.predicting, self.matching = self.ahead[0], [], []

    def reckon(self) -> None:
        self.ahead = self.ahead[:1]
        for _ in range(self.p["bridging"]):
            fired, expected = self.ahead[-1], set()
            if len(fired) <= self.p["listed"]:
                for slot, segment in self.segments.items():
                    if self.connected(slot, fired) >= self.p["activation"]:
                        expected.add(segment.cell)
            self.ahead.append(expected)

    def learn_on(self, slot: int) -> None:
        seen = self.potential.get(slot, 0)
        if seen == 0:
            return
        self.adapt(slot, self.p["increment"], self.p["decrement"])
        if slot in self.segments and seen < self.p["new_synapses"]:
            self.grow(slot, self.p["new_synapses"] - seen)

    def adapt(self, slot: int, increment: int, decrement: int) -> None:
        segment, active, kept = self.segments[slot], set(self.active), []
        for cell, permanence in segment.synapses:
            moved = permanence + (increment if cell in active else -decrement)
            if moved > 0:
                kept.append([cell, min(moved, 65_535)])
        segment.synapses = kept
        if not kept:
            self.destroy(slot)

    def grow(self, slot: int, wanted: int) -> None:
        synapses = self.segments[slot].synapses
        present = {cell for cell, _ in synapses}
        candidates = [cell for cell in self.winners if cell not in present]
        n = min(wanted, len(candidates))
        for _ in range(len(synapses) + n - self.p["max_synapses"]):
            losers = [s for s in synapses if s[0] not in self.winners]
            if losers:
                synapses.remove(min(losers, key=lambda s: s[1]))
        n = min(n, self.p["max_synapses"] - len(synapses))
        for i in range(n):
            if n < len(candidates):
                j = i + self.random.below(len(candidates) - i)
                candidates[i], candidates[j] = candidates[j], candidates[i]
            synapses.append([candidates[i], self.p["initial"]])

    def least_used(self, column: int) -> int:
        cells = range(column * self.p["cells"], (column + 1) * self.p["cells"])
        owned = [sum(s.cell == cell for s in self.segments.values()) for cell in cells]
        tied = [cell for cell, n in zip(cells, owned, strict=True) if n == min(owned)]
        return tied[self.random.below(len(tied)) if len(tied) > 1 else 0]

    def worth(self, slot: int) -> int:
        segment = self.segments[slot]
        if self.eviction == "least_recently_used":
            return segment.used
        return sum(permanence**2 for _, permanence in segment.synapses)

    def create(self, cell: int) -> int:
        while True:
            own = [s for s, segment in self.segments.items() if segment.cell == cell]
            if len(own) < self.p["max_segments_per_cell"]:
                break
            self.evict(min(own, key=lambda s: (self.worth(s), s)))
        if len(self.segments) == self.p["max_segments"]:
            n = self.p["max_segments"]
            near = [(self.hand + i) % n for i in range(min(16, n))]
            self.hand = (self.hand + 16) % n
            self.evict(min(near, key=self.worth))
        if self.free:
            slot = self.free.pop()
        else:
            slot = self.slots
            self.slots += 1
        self.segments[slot] = Segment(cell, self.iteration)
        return slot

    def evict(self, slot: int) -> None:
        self.destroy(slot)
        self.evictions += 1

    def destroy(self, slot: int) -> None:
        del self.segments[slot]
        self.potential.pop(slot, None)
        self.free.append(slot)


def likelihood(
    scores: Sequence[float],
    values: Sequence[float],
    learning_period: int,
    estimation_samples: int,
    reestimation_period: int,
    history: int,
    averaging: int,
) -> list[float]:
    """The log likelihood of each score, every trailing mean computed afresh."""

    def trailing(series: Sequence[float], i: int) -> float:
        return float(np.mean(series[max(0, i - averaging + 1) : i + 1]))

    out, mean, variance, last = [], 0.5, 1e6, 1.0
    for i, score in enumerate(scores):
        tail = 0.5
        if i >= learning_period + estimation_samples:
            if i == learning_period + estimation_samples or i % reestimation_period == 0:
                kept = list(scores[max(0, i - history) : i])
                skip = min(len(kept), max(0, learning_period - max(0, i - history)))
                averages = [trailing(kept, j) for j in range(skip, len(kept))]
                metric = list(values[max(0, i - history) : i])[skip:]
                mean, variance = 0.5, 1e6
                if averages and np.var(metric) >= 1.5e-5:
                    mean = max(float(np.mean(averages)), 0.03)
                    variance = max(float(np.var(averages)), 0.0003)
            z = abs(trailing([*scores[:i], score], i) - mean) / math.sqrt(variance)
            raw = 0.5 * math.erfc(z / 1.4142)
            tail = 1e-3 if raw <= 1e-5 and last <= 1e-5 else raw
            last = raw
        out.append(math.log(1.0000000001 - (1.0 - tail)) / -23.02585084720009)
    return out


def rolling(values: Sequence[float], window: int) -> tuple[float, float]:
    """Mean and sum of squares about it of the last `window` values."""
    kept: Any = np.array(values[-window:])
    return float(kept.mean()), float(((kept - kept.mean()) ** 2).sum())


def range_scores(
    events: Sequence[Sequence[float]], min_samples: int, margin: float
) -> list[float | None]:
    """How far outside the strangest feature of each event lies; NaN is a missing value."""
    scores: list[float | None] = []
    for i, event in enumerate(events):
        said = []
        for f, value in enumerate(event):
            past = [each[f] for each in events[:i] if not math.isnan(each[f])]
            if math.isnan(value) or len(past) < min_samples:
                continue
            beyond = max(value - max(past), min(past) - value)
            width = max(max(past) - min(past), max(map(abs, past)) / 1000)
            said.append(beyond / (beyond + margin * width) if beyond > 0 else 0.0)
        scores.append(max(said, default=None))
    return scores


class Inputs:
    """Features as a vector, name by name; see `learners.inputs.Inputs`."""

    def __init__(self, width: int, standardize: bool) -> None:
        self.width, self.standardize = width, standardize
        self.places: dict[str, int] = {}
        self.moments = [[0.0, 0.0] for _ in range(width)]
        self.seen = [0] * width

    def learn(self, x: Mapping[str, float | str | None]) -> list[float]:
        for name, value in x.items():
            key = f"{name}={value}" if isinstance(value, str) else name
            if value is None or (key not in self.places and len(self.places) == self.width):
                continue
            i = self.places.setdefault(key, len(self.places))
            if self.standardize and not isinstance(value, str):
                self.seen[i] += 1
                step = value - self.moments[i][0]
                self.moments[i][0] += step / self.seen[i]
                self.moments[i][1] += step * (value - self.moments[i][0])
        return self.read(x)

    def read(self, x: Mapping[str, float | str | None]) -> list[float]:
        vector = [0.0] * self.width
        for name, value in x.items():
            i = self.places.get(f"{name}={value}" if isinstance(value, str) else name)
            if i is None or value is None:
                continue
            if isinstance(value, str):
                vector[i] = 1.0
            elif not self.standardize:
                vector[i] = value
            elif self.seen[i] > 1 and self.moments[i][1] > 0.0:
                deviation = math.sqrt(self.moments[i][1] / self.seen[i])
                vector[i] = min(max((value - self.moments[i][0]) / deviation, -8.0), 8.0)
        return vector
