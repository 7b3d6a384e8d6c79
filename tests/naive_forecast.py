"""Slow, obvious twins of the forecasting kernels: whole histories, no rings, plain numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from learners.kernels import decoder as d
from learners.kernels import forecaster as f
from learners.kernels import intervals as v
from learners.kernels import seasons as s
from tests.naive import hash64

DAY = 86_400.0
Floats = NDArray[np.float64]


def row(key: int, seed: int, room: int) -> int:
    return (hash64(key, seed) >> 32) % room


class Decoder:
    """Softmax over buckets from hashed features, one horizon."""

    def __init__(self, buckets: int, room: int, rate: float, coverage: float) -> None:
        self.buckets, self.room, self.rate, self.coverage = buckets, room, rate, coverage
        self.low, self.width = 0.0, 1.0
        self.forget()

    def forget(self) -> None:
        self.weight = np.zeros((self.room, self.buckets), np.int64)
        self.middle: dict[int, float] = {}
        self.learned = 0

    def rescale(self, low: float, high: float) -> None:
        self.low, self.width = low, high / self.buckets - low / self.buckets
        self.forget()

    def rows(self, value: float, before: float, t: float, cells: Sequence[int]) -> list[int]:
        wide = self.width * self.buckets
        place = min(max((value - self.low) / wide, -1.0), 2.0)
        found = []
        for i in range(d.TILES):
            a = b = c = d.NOWHERE
            if not math.isnan(value):
                a = math.floor(place * d.ACROSS + i / d.TILES) + 32
            if not math.isnan(t):
                day, week = (t % DAY) / DAY, (t / DAY + 3) % 7 / 7
                b = math.floor(day * d.HOURS + 3 * i % d.TILES / d.TILES) % d.HOURS
                c = math.floor(week * d.DAYS + 5 * i % d.TILES / d.TILES) % d.DAYS
            found.append(row((a * 16 + b) * 16 + c, i, self.room))
        if not math.isnan(value) and not math.isnan(before):
            step = min(max(value / wide - before / wide, -1.0), 1.0)
            for i in range(d.SLOPES):
                a = math.floor(place * d.FINE + i / d.SLOPES) + 32
                b = math.floor(step * d.FINE + 3 * i % d.SLOPES / d.SLOPES) + 32
                found.append(row(a * 64 + b, d.TILES + i, self.room))
        return found + [row(cell, d.TILES + d.SLOPES, self.room) for cell in cells]

    def mass(self, rows: Sequence[int]) -> Floats:
        total = sum((self.weight[r] for r in rows), np.zeros(self.buckets, np.int64)) * d.UNIT
        seen = np.array([b in self.middle for b in range(self.buckets)])
        p = np.where(seen, np.exp(total - total[seen].max()), 0.0)
        return np.asarray(p / p.sum())

    def quantile(self, mass: Floats, q: float) -> float:
        held = [b for b in range(self.buckets) if mass[b] > 0]
        below: float = 0.0
        for b in held:
            if below + mass[b] >= q or b == held[-1]:
                low = min(self.low + b * self.width, self.middle[b])
                high = max(self.low + (b + 1) * self.width, self.middle[b])
                part = min(max((q - below) / mass[b], 0.0), 1.0)
                return float(low + part * (high - low))
            below += mass[b]
        raise AssertionError

    def reading(self, rows: Sequence[int]) -> tuple[float, float, float]:
        if self.learned < f.YOUNG:
            return math.nan, math.nan, math.nan
        mass = self.mass(rows)
        mean = sum(mass[b] * value for b, value in self.middle.items())
        tail = (1 - self.coverage) / 2
        band = self.quantile(mass, 1 - tail) - self.quantile(mass, tail)
        return self.quantile(mass, 0.5), mean, max(band, 0) / (-2 * math.log(2 * tail))

    def bucket(self, value: float) -> int:
        return math.floor(min(max((value - self.low) / self.width, 0.0), self.buckets - 1.0))

    def see(self, value: float) -> None:
        b = self.bucket(value)
        old = self.middle.get(b, value)
        self.middle[b] = (1 - d.VALUE_RATE) * old + d.VALUE_RATE * value

    def learn(self, rows: Sequence[int], value: float) -> None:
        goal = np.eye(self.buckets)[self.bucket(value)]
        error = self.rate / len(rows) * (goal - self.mass(rows)) / d.UNIT
        for r in rows:
            moved = self.weight[r] + np.floor(error + 0.5).astype(np.int64)
            self.weight[r] = np.clip(moved, -d.FULL, d.FULL)
        self.learned += 1


class Seasons:
    """What lag the values repeat after, from the whole history."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.apart: list[list[float]] = [[] for _ in range(s.LAGS)]
        self.off, self.step, self.lag = np.zeros(s.LAGS), 0.0, 0

    @property
    def scale(self) -> float:
        return self.step or 1.0

    def measure(self, value: float) -> None:
        if self.values and not math.isnan(value):
            step = abs(value - self.values[-1])
            self.step += (step - self.step) / min(len(self.values), s.STEP_MEMORY)

    def learn(self, value: float) -> None:
        n = len(self.values)
        before = self.values[-1] if n else 0.0
        self.values.append(before if math.isnan(value) else value)
        if math.isnan(value) or n == 0:
            return
        first = s.BLOCK * ((hash64(n, 0) >> 32) % s.BLOCKS)
        for lag in range(first + 1, min(first + s.BLOCK, n) + 1):
            apart = min(abs(value - self.values[n - lag]) / self.scale, s.FAR)
            self.apart[lag - 1].append(apart)
            looks = min(len(self.apart[lag - 1]), int(s.MEMORY))
            self.off[lag - 1] += (apart - self.off[lag - 1]) / looks
        if n % (s.OFTEN if n < s.LAGS else s.SELDOM) == 0:
            self.choose(n + 1)

    def choose(self, events: int) -> None:
        known = [
            lag
            for lag in range(1, min(s.LAGS, events // 2) + 1)
            if len(self.apart[lag - 1]) >= s.ENOUGH
        ]
        if not known:
            return
        off = {lag: float(self.off[lag - 1]) for lag in known}
        usual = sum(off.values()) / len(off)
        far = [lag for lag in known if off[lag] >= usual]
        later = [lag for lag in known if lag >= far[0]] if far else []
        if not later:
            return
        best = min(off[lag] for lag in later)
        near = next(lag for lag in later if off[lag] <= s.NEAR_BEST * best)
        beside = [lag for lag in known if near <= lag <= near + (near - 1) // 4]
        found = min(beside, key=lambda lag: off[lag])
        if (
            self.lag == 0
            or found < s.SHORTER * self.lag
            or off[found] < s.BETTER * self.off[self.lag - 1]
        ):
            self.lag = found


class Intervals:
    """Bands of one horizon."""

    def __init__(self, ahead: int, coverage: float) -> None:
        self.ahead, self.tail = ahead, (1 - coverage) / 2
        self.factor = [math.log(-math.log(1 - coverage))] * 2
        self.error, self.seen = 0.0, 0

    def band(self, middle: float, told: float, guess: float) -> tuple[float, float]:
        if self.seen < v.FIRST:
            return middle - guess, middle + guess
        spread = math.sqrt(self.error * told) if told > 0 else self.error
        below, above = (spread * math.exp(factor) for factor in self.factor)
        return middle - below, middle + above

    def learn(self, middle: float, band: tuple[float, float], value: float) -> None:
        self.seen += 1
        off = abs(value - middle)
        self.error += (off - self.error) * max(v.ERROR_RATE, 1 / self.seen)
        if self.seen > v.FIRST:
            hurry = 1 + v.HURRY * v.SETTLED / (v.SETTLED + self.seen)
            pace = v.PACE / math.sqrt(self.ahead) * hurry
            for side, out in enumerate((value < band[0], value > band[1])):
                moved = self.factor[side] + pace * (out - self.tail)
                self.factor[side] = min(max(moved, -v.MOST), v.MOST)


class Forecaster:
    """The whole, for one horizon."""

    def __init__(
        self, ahead: int, buckets: int, room: int, rate: float = 1.5, coverage: float = 0.9
    ) -> None:
        self.ahead = ahead
        self.decoder = Decoder(buckets, room, rate, coverage)
        self.seasons = Seasons()
        self.intervals = Intervals(ahead, coverage)
        self.weight, self.variance = np.zeros(f.FEATURES), f.FIRST_VARIANCE * np.eye(f.FEATURES)
        self.late, self.learned = 0.0, 0
        self.usual = 0.0
        self.loss = np.zeros(f.EXPERTS)
        self.rows: list[list[int]] = []
        self.told: list[dict[str, float]] = []

    def features(self, values: Sequence[float], told: list[dict[str, float]], at: int) -> Floats:
        scale = self.seasons.scale
        y = values[at]

        def steps(i: int, j: int) -> float:
            return bounded((values[max(i, 0)] - values[max(j, 0)]) / scale)

        def past(i: int, name: str) -> float:
            return told[i][name] if i >= 0 else math.nan

        x = [1.0, *(steps(at - i, at - j) for i, j in ((0, 1), (1, 2), (2, 4), (4, 8)))]
        for k in (1, 2):
            season = self.seasons.lag * k
            if season:
                season *= math.ceil(self.ahead / season)
            if season and at - season - 1 >= 0:
                x.append(steps(at + self.ahead - season, at - season))
                x.append(steps(at - season, at))
                x.append(steps(at - season, at - season - 1))
            else:
                x += [0.0] * 3
        x.append(bounded((past(at, "median") - y) / scale))
        x.append(bounded((past(at, "mean") - y) / scale))
        x.append(bounded((y - past(at - self.ahead, "median")) / scale))
        x.append(bounded((y - past(at - self.ahead, "mixed")) / scale))
        before = values[max(at - 1, 0)]
        x.append(bounded((before - past(at - self.ahead - 1, "median")) / scale))
        x.append(bounded((past(at - 1, "median") - y) / scale))
        return np.array(x)

    def step(self, value: float, t: float, cells: Sequence[int]) -> tuple[float, float, float]:
        """Forecast, then learn; return value, lower and upper, NaN where nothing was learned."""
        values, n = self.seasons.values, len(self.seasons.values)
        before = values[-1] if n else math.nan
        now = before if math.isnan(value) else value
        rows = self.decoder.rows(value, before, t, cells)
        median, mean, spread = self.decoder.reading(rows)
        event = {"median": median, "mean": mean}
        x = self.features([*values, now], [*self.told, event], n)
        event["head"] = now + self.seasons.scale * bounded(float(self.weight @ x))
        said = np.array([now, median, event["head"]])
        weight = np.exp(-f.SHARPNESS * (self.loss - self.loss[~np.isnan(said)].min()))
        weight[np.isnan(said)] = 0.0
        event["mixed"] = float(weight @ np.nan_to_num(said) / weight.sum())
        guess = self.decoder.width * self.decoder.buckets
        event["lower"], event["upper"] = self.intervals.band(event["mixed"], spread, guess)
        known = event["mixed"] if self.learned else math.nan
        self.learn(value, rows, event)
        return known, event["lower"], event["upper"]

    def learn(self, value: float, rows: list[int], event: dict[str, float]) -> None:
        values, made = self.seasons.values, len(self.told) - self.ahead
        self.told.append(event)
        self.rows.append(rows)
        if not math.isnan(value):
            self.seasons.measure(value)
            self.decoder.see(value)
            if made >= 0:
                then = self.told[made]
                self.intervals.learn(then["mixed"], (then["lower"], then["upper"]), value)
                x = self.features([*values, value], self.told, made)
                self.learn_mixture(np.array([values[made], then["median"], then["head"]]), value)
                self.learn_head(x, bounded((value - values[made]) / self.seasons.scale))
                self.decoder.learn(self.rows[made], value)
        self.seasons.learn(value)

    def learn_mixture(self, said: Floats, value: float) -> None:
        off = np.abs(value - said)
        rate = max(1 - f.DISCOUNT, 1 / (1 + self.learned))
        self.usual += (float(np.nanmean(off)) - self.usual) * rate
        charge = np.minimum(off / (self.usual or 1.0), f.WORST)
        self.loss = f.DISCOUNT * self.loss + np.where(np.isnan(off), 1.0, charge)

    def learn_head(self, x: Floats, target: float) -> None:
        error = target - bounded(float(self.weight @ x))
        most = f.SURPRISE * self.late if self.late > 0 else f.BOUND
        self.learned += 1
        self.late += (min(abs(error), 2 * most) - self.late) / min(self.learned, f.SLOW)
        gain = self.variance @ x
        below = f.FORGETTING + x @ gain
        self.weight = self.weight + gain / below * min(max(error, -most), most)
        self.variance = (self.variance - np.outer(gain, gain) / below) / f.FORGETTING
        shrink = np.sqrt(np.minimum(1.0, f.FIRST_VARIANCE / np.diag(self.variance)))
        self.variance = self.variance * np.outer(shrink, shrink)


def bounded(x: float) -> float:
    return 0.0 if math.isnan(x) else min(max(x, -f.BOUND), f.BOUND)
