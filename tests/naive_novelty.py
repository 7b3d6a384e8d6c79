"""The slow, obvious twin of the novelty's kernels: lists of all there is, sorted afresh."""

from __future__ import annotations

import math
from collections.abc import Sequence


class View:
    """One view of a feature, or the mean of the scores."""

    def __init__(self, room: int, tail: int, learning_period: int, min_samples: int) -> None:
        self.room, self.tail = room, tail
        self.learning_period, self.min_samples = learning_period, min_samples
        self.numbers: list[float] = []
        self.kept: list[float] = []
        self.seen = 0

    def look_at(self, number: float) -> float:
        distance = min((abs(number - each) for each in self.numbers), default=0.0)
        if distance > 0 or not self.numbers:
            self.numbers = sorted([*self.numbers, number])
            if len(self.numbers) > self.room:
                gaps = [
                    (self.numbers[i + 1] - self.numbers[i - 1], i)
                    for i in range(1, len(self.numbers) - 1)
                ]
                del self.numbers[min(gaps)[1]]
        return self.judge(distance)

    def judge(self, x: float) -> float:
        largest = sorted(self.kept, reverse=True)[: self.tail + 1]
        decades = 0.0
        if self.seen >= self.min_samples and x > largest[-1]:
            excess = sum(each - largest[-1] for each in largest[:-1]) / self.tail
            if excess > 0:
                found = math.log((len(self.kept) + 1) / self.tail) + (x - largest[-1]) / excess
            else:
                found = math.log(len(self.kept) + 1)
            decades = min(found / math.log(10), 1e6)
        if self.seen >= self.learning_period:
            self.kept.append(x)
        self.seen += 1
        return decades


class Novelty:
    def __init__(
        self,
        features: int,
        room: int,
        tail: int,
        learning_period: int,
        min_samples: int,
        averaging: int,
        quiet: int,
    ) -> None:
        sizes = (room, tail, learning_period, min_samples)
        self.views = [[View(*sizes) for _ in range(3)] for _ in range(features)]
        self.values: list[list[float]] = [[] for _ in range(features)]
        self.profiles: list[dict[int, float]] = [{} for _ in range(features)]
        self.of_score = View(*sizes)
        self.scores: list[float] = []
        self.averaging, self.quiet = averaging, quiet
        self.evidence: list[float] = []

    def step(self, values: Sequence[float], t: float, score: float) -> float:
        """Return the decades of all views together, less where they are no news."""
        strangest = 0.0
        for f, value in enumerate(values):
            if math.isnan(value):
                continue
            self.values[f].append(value)
            last = self.values[f][-3:]
            found = [
                self.views[f][0].look_at(value),
                self.views[f][1].look_at(sum(_rotated(self.values[f], 3)) / len(last)),
            ]
            if not math.isnan(t):
                slot = int(t % 86400 / 1800)
                usual = self.profiles[f].setdefault(slot, value)
                self.profiles[f][slot] = usual + 0.1 * (value - usual)
                found.append(self.views[f][2].look_at(value - usual))
            strangest = max(strangest, sum(found))
        total = strangest
        if not math.isnan(score):
            self.scores.append(score)
            last = self.scores[-self.averaging :]
            total += self.of_score.judge(sum(_rotated(self.scores, self.averaging)) / len(last))
        before = max(self.evidence[-self.quiet :], default=-1.0)
        self.evidence.append(total)
        return total if total > 1.1 * before else 0.3 * min(total, 4.0)


def _rotated(numbers: Sequence[float], room: int) -> list[float]:
    """The last `room` numbers in the order of a ring's slots, so that sums round alike."""
    slots = dict.fromkeys(range(room), 0.0)
    for i, number in enumerate(numbers):
        slots[i % room] = number
    return [slots[i] for i in range(min(room, len(numbers)))]
