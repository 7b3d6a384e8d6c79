"""Dragon hatchling: which symbol comes next, from sparse codes of those before it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from heapq import nlargest
from typing import Any

import numpy as np

from learners.base import (
    Arrays,
    Features,
    Forecast,
    InvalidEvent,
    Learner,
    Prediction,
    Target,
)
from learners.classes import Classes
from learners.kernels import dragon_hatchling as kernels
from learners.parameters import (
    Layout,
    allocate,
    check_range,
    check_state_arrays,
    layout_bytes,
    require,
    require_state,
    with_prefix,
    without_prefix,
)

LARGEST = 1e15
LONGEST = 1_024
MOST_TOLD = 16
"""How many symbols, the most probable ones, a prediction gives the probability of."""
TAIL = 0.05
LONGEST_CONTEXT = 16
MOST = 2**62


class DragonHatchling(Learner):
    """Predicts the next symbol of a sequence: a string, or a number, rounded to a whole one.

    For each of `orders` a bank looks at as many symbols before. They become a sparse positive key
    of length 1, which recalls a response to each symbol from the bank's synapses S; the softmax of
    `gain` times it are the bank's probabilities, and banks are mixed by how well they did (Hedge).
    The symbol that comes is written to the key by the delta rule, at once.

    Label and probabilities are those of the symbol that was to come. The score is by how many bits
    the one that came surprised, 20 at most; of one that had never come, by how seldom new ones do.
    A missing value is passed over. When all `symbols` but one have come, further ones count as one.

    Where the alphabet is small, a table of counts is better and cheaper; this pays where contexts
    are too many to count. It fails where what counts lies further back than the longest context, or
    in how much time passes, and follows a change of rules only as fast as `rate` / 5 allows.

    Parameters
    ----------
    feature
        Its name; `None` is the only feature that an event has.
    symbols
        Room for symbols.
    orders
        Lengths of context, each a bank.
    units, active
        Places of a key, and how many of them are not zero.
    rate
        By how much of its error a new key is moved; one that foretells something, by down to a
        fifth of that.
    gain
        Sharpness of probabilities.
    seed
        Of the projections.

    References
    ----------
    Kosowski et al. 2025, The Dragon Hatchling, arXiv 2509.26507, for positive sparse keys and the
    state that is written by Hebb's rule. There layers are trained by gradients; here codes are
    random, the value of a key is the symbol after it, and the error is learned, not the symbol.
    """

    def __init__(
        self,
        feature: str | None = None,
        symbols: int = 64,
        orders: tuple[int, ...] = (1, 2, 4),
        units: int = 2_048,
        active: int = 64,
        rate: float = 0.5,
        gain: float = 8.0,
        seed: int = 1,
    ) -> None:
        require(
            feature is None or 0 < len(feature) <= LONGEST,
            "feature",
            feature,
            f"null or a name of 1..{LONGEST} characters",
        )
        require(2 <= symbols <= 4_096, "symbols", symbols, "2..4096")
        require(1 <= len(orders) <= 8, "orders", orders, "1..8 lengths")
        for order in orders:
            require(1 <= order <= LONGEST_CONTEXT, "orders", order, f"1..{LONGEST_CONTEXT}")
        require(2 <= units <= 65_536, "units", units, "2..65536")
        require(1 <= active <= units, "active", active, f"1..units ({units})")
        require(0.0 < rate <= 1.0, "rate", rate, "in (0, 1]")
        require(0.0 < gain <= 1e3, "gain", gain, "in (0, 1000]")
        require(0 <= seed < 2**63, "seed", seed, "0..2^63 - 1")
        self.feature = feature
        self.symbols = symbols
        self.orders = tuple(orders)
        self.units = units
        self.active = active
        self.rate = rate
        self.gain = gain
        self.seed = seed
        self._symbols = Classes(symbols)
        self._memory = kernels.Memory(**allocate(_layout(symbols, self.orders, units, active)))
        self._memory.orders[:] = self.orders
        self._memory.recent[:] = kernels.NONE
        self._memory.weights[:] = 1.0 / len(self.orders)
        self._events = np.zeros(1, np.int64)
        self._drawn = 0

    @classmethod
    def memory_bytes(cls, **params: Any) -> int:
        """Return the bytes of synapses, projections and the table of symbols."""
        symbols, orders = params.get("symbols", 64), tuple(params.get("orders", (1, 2, 4)))
        units, active = params.get("units", 2_048), params.get("active", 64)
        arrays = layout_bytes(_layout(symbols, orders, units, active))
        return arrays + Classes.memory_bytes(symbols)

    def predict(self, x: Features, t: float | None = None) -> Prediction:
        """Return what was to come, and how surprising what came is, changing nothing.

        There is nothing before the first symbol. Raises `InvalidEvent` if `x` has several features
        and none was named, or its number is not finite.
        """
        symbol = self._symbol(x)
        known = len(self._symbols)
        if known == 0:
            return Prediction()
        label, proba = self._symbols.answer(self._memory.p.tolist())
        if proba is not None and known > MOST_TOLD:
            proba = {name: proba[name] for name in nlargest(MOST_TOLD, proba, proba.__getitem__)}
        name = self.feature or next(iter(x), "")
        number = label is not None and not isinstance(label, str)
        return Prediction(
            score=None if symbol is None else self._surprise(symbol),
            label=label,
            proba=proba,
            expected={name: float(label)} if number and name else None,  # type: ignore[arg-type]
        )

    def _surprise(self, symbol: float | str) -> float:
        """Return the bits that a symbol would be worth now."""
        place = self._place(symbol)
        known, events = len(self._symbols), int(self._events[0])
        # A new symbol is as probable as new ones were so far (Witten and Bell 1991, method C).
        p = float(self._memory.p[place]) if place >= 0 else known / (known + events)
        return min(-math.log2(max(p, 1e-300)), kernels.SURPRISE_LIMIT)

    def learn_one(self, x: Features, y: Target = None, t: float | None = None) -> None:
        """Write the symbol to the keys of what came before; raises as `predict` does."""
        symbol = self._symbol(x)
        if symbol is None:
            return
        memory, known = self._memory, len(self._symbols)
        if known:
            self._measure(symbol)
        place = self._place(symbol)
        if place < 0:
            place = self._symbols.index(symbol)
            self._draw()
        if known:
            kernels.learn(memory, place, self.rate)
        self._events += 1
        self._move_on(place)

    def follow_one(self, x: Features, t: float | None = None) -> None:
        """Make the symbol part of the context, and learn nothing."""
        symbol = self._symbol(x)
        if symbol is not None:
            self._move_on(self._place(symbol))

    def forecast(self, horizon: int) -> list[Forecast]:
        """Return the most probable next number and a band of 90 %, for one event ahead."""
        known = len(self._symbols)
        values = [self._symbols.label(i) for i in range(known)]
        numbers = {i: v for i, v in enumerate(values) if not isinstance(v, str)}
        if horizon < 1 or not numbers:
            return []
        order = sorted(numbers, key=numbers.__getitem__)
        p = self._memory.p[order]
        below = np.cumsum(p) / max(float(p.sum()), 1e-300)
        best = order[int(p.argmax())]
        lower, upper = (
            order[min(int(np.searchsorted(below, at)), len(order) - 1)] for at in (TAIL, 1.0 - TAIL)
        )
        low, value, high = numbers[lower], numbers[best], numbers[upper]
        return [Forecast(1, value, min(low, value), max(high, value))]

    def _symbol(self, x: Features) -> float | str | None:
        """Return the symbol of an event, `None` if it is missing."""
        if self.feature is None and len(x) > 1:
            want = "expected one, or the parameter `feature`"
            raise InvalidEvent(f"x: got {len(x)} features, {want}")
        value = x.get(self.feature) if self.feature else next(iter(x.values()), None)
        if value is None:
            return None
        if isinstance(value, str):
            if len(value) > LONGEST:
                want = f"{LONGEST} or fewer"
                raise InvalidEvent(f"x: got a symbol of {len(value)} characters, expected {want}")
            return value
        if not -sys.float_info.max <= value <= sys.float_info.max:
            got = repr(value) if isinstance(value, float) else "an integer beyond all floats"
            raise InvalidEvent(f"x: got {got}, expected a finite number, a string or null")
        return float(round(min(max(value, -LARGEST), LARGEST)))

    def _place(self, symbol: float | str) -> int:
        """Return the place of a symbol, that of all others when there is no more, or -1."""
        place = self._symbols.find(symbol)
        return self.symbols - 1 if place < 0 and len(self._symbols) == self.symbols else place

    def _measure(self, symbol: float | str) -> None:
        figures = self._memory.figures
        p = self._memory.p[: len(self._symbols)]
        right = float(int(p.argmax()) == self._place(symbol))
        rate = max(kernels.RATE, 1.0 / float(self._events[0]))
        figures[kernels.BITS] += rate * (self._surprise(symbol) - figures[kernels.BITS])
        figures[kernels.RIGHT] += rate * (right - figures[kernels.RIGHT])
        figures[kernels.NOVELTY] = 1.0 - float(p.max())

    def _move_on(self, place: int) -> None:
        kernels.follow(self._memory, place)
        kernels.foresee(self._memory, len(self._symbols), self.gain)

    def _draw(self) -> None:
        """Give symbols that are new their projections, each from a seed of its own."""
        for j in range(len(self._memory.recent)):
            for i in range(self._drawn, len(self._symbols)):
                draw = np.random.default_rng((self.seed, j, i))
                self._memory.R[j, i] = draw.standard_normal(self.units, np.float32)
        self._drawn = len(self._symbols)

    def signals(self) -> Mapping[str, float]:
        """Return running bits and share right, novelty, what was written, and contexts in use."""
        memory = self._memory
        bits, right, change, novelty = memory.figures.tolist()
        return {
            "hatchling_bits": bits,
            "hatchling_right": right,
            "hatchling_novelty": novelty,
            "hatchling_synapse_change": change,
            "hatchling_active_share": float(memory.kept.max()) / self.units,
            "hatchling_context": float(memory.weights @ memory.orders),
            "hatchling_symbols": float(len(self._symbols)),
        }

    def get_state(self) -> Arrays:
        """Return synapses of the symbols there are, the context, and what banks are trusted."""
        state: Arrays = {name: getattr(self._memory, name).copy() for name in _STATE}
        state["S"] = self._memory.S[:, :, : len(self._symbols)].copy()
        state["events"] = self._events.copy()
        return state | with_prefix("symbols_", self._symbols.get_state())

    def set_state(self, arrays: Arrays) -> None:
        """Replace the state, or raise `StateError` and leave it untouched."""
        symbols = without_prefix("symbols_", arrays)
        own = {n: a for n, a in arrays.items() if not n.startswith("symbols_")}
        fresh = Classes(self.symbols)
        fresh.set_state(symbols)
        known = len(fresh)
        layout = _layout(self.symbols, self.orders, self.units, self.active)
        like = {name: layout[name] for name in _STATE} | {"events": ((1,), np.int64)}
        like["S"] = ((len(self.orders), self.units, known), np.float64)
        check_state_arrays(own, like)
        check_range("S", own["S"], -kernels.LARGEST, kernels.LARGEST)
        check_range("recent", own["recent"], kernels.NONE, known - 1)
        check_range("events", own["events"], min(known, 1), MOST)
        check_range("weights", own["weights"], 0.0, 1.0 + 1e-9)
        total = float(own["weights"].sum())
        require_state(abs(total - 1.0) < 1e-6, "weights", f"got a sum of {total}")
        figures = own["figures"]
        check_range("figures", figures, 0.0, kernels.LARGEST * self.units * self.symbols)
        self._symbols = fresh
        memory = self._memory
        memory.S[:] = 0.0
        memory.S[:, :, :known] = own["S"]
        for name in _STATE:
            getattr(memory, name)[:] = own[name]
        self._events[:] = own["events"]
        self._drawn = 0
        self._draw()
        kernels.foresee(memory, known, self.gain)


_STATE = ("recent", "weights", "figures")


def _layout(symbols: int, orders: tuple[int, ...], units: int, active: int) -> Layout:
    banks, longest = len(orders), max(orders, default=1)
    return {
        "S": ((banks, units, symbols), np.float64),
        "R": ((longest, symbols, units), np.float32),
        "orders": ((banks,), np.int64),
        "recent": ((longest,), np.int64),
        "weights": ((banks,), np.float64),
        "figures": ((kernels.FIGURES,), np.float64),
        "keys": ((banks, active), np.float64),
        "places": ((banks, active), np.int64),
        "kept": ((banks,), np.int64),
        "drive": ((units,), np.float64),
        "scratch": ((units,), np.float64),
        "order": ((units,), np.int64),
        "y": ((banks, symbols), np.float64),
        "q": ((banks, symbols), np.float64),
        "p": ((symbols,), np.float64),
    }
