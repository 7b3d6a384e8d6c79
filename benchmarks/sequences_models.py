"""What predicts the end of a sequence: the temporal memory, and a table of what followed what."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.sequences_data import NOISE, Symbols, Task
from learners.temporal_memory import TemporalMemory

WINDOW = 100
COLUMNS, CELLS, ACTIVE = 2048, 32, 41
PAPER: dict[str, Any] = {
    "columns": COLUMNS,
    "cells_per_column": CELLS,
    "activation_threshold": 15,
    "matching_threshold": 15,
    "initial_permanence": 0.21,
    "connected_permanence": 0.5,
    "permanence_increment": 0.1,
    "permanence_decrement": 0.1,
    "predicted_decrement": 0.02,
    "new_synapses": 32,
    "max_synapses": 128,
    "max_segments_per_cell": 128,
    "max_segments": 262_144,
    "eviction": "least_recently_used",
    "active_columns": ACTIVE,
}
"""The paper's parameters; its cells have no common cap, and `max_segments` is never reached."""


class Model(Protocol):
    """Sees one symbol after another and says which known ones may come next."""

    def see(self, symbol: int) -> None:
        """Take in a symbol, and learn."""
        ...

    def expected(self, n: int) -> set[int]:
        """Return the `n` likeliest known symbols."""
        ...


class Memory:
    """A temporal memory on random codes of 41 in 2048 columns, one a symbol, without a pooler.

    `seed` draws the codes, breaks ties of the decoding and is the memory's own.
    """

    def __init__(self, task: Task, seed: int, **params: Any) -> None:
        self._draw = np.random.default_rng(seed)
        self.codes = random_codes(task.symbols + NOISE, self._draw)
        self._known = self.codes[: task.symbols]
        self.params = PAPER | {"seed": seed} | params
        self.memory = TemporalMemory(**self.params)
        self.learns = True

    def see(self, symbol: int) -> None:
        """Take in a symbol, and learn unless `learns` is false."""
        self.memory.compute(self.codes[symbol], self.learns)

    def expected(self, n: int) -> set[int]:
        """Return the `n` known symbols whose codes overlap most with the predicted columns."""
        predicted = np.zeros(COLUMNS, bool)
        predicted[self.memory.predicted_columns] = True
        overlaps = predicted[self._known].sum(axis=1)
        return set(largest(overlaps, n, self._draw))

    def copy(self, **params: Any) -> Memory:
        """Return a memory that knows the same, with some parameters of its own."""
        twin = object.__new__(Memory)
        vars(twin).update(vars(self))
        twin.params = self.params | params
        twin.memory = TemporalMemory(**twin.params)
        twin.memory.set_state(self.memory.get_state())
        return twin

    def lesioned(self, share: float) -> Memory:
        """Return a copy that does not learn, with a random share of all cells dead."""
        twin = self.copy()
        cells = COLUMNS * CELLS
        dead = self._draw.choice(cells, round(share * cells), replace=False)
        twin.memory.kill_cells(dead.astype(np.int32))
        twin.learns = False
        return twin


class Table:
    """For each context of up to `order` symbols, the known symbols that followed, latest first.

    It expects what followed the longest context it has seen, then shorter ones. It is no
    statistics at all, yet it holds a context of any form that comes back unchanged.
    """

    def __init__(self, task: Task, order: int) -> None:
        self._symbols, self._ends = task.symbols, task.ends
        self._past: deque[int] = deque(maxlen=order)
        self._followers: defaultdict[Symbols, list[int]] = defaultdict(list)

    def see(self, symbol: int) -> None:
        """Take in a symbol, and learn."""
        if symbol < self._symbols:
            for context in self._contexts():
                followers = self._followers[context]
                if symbol in followers:
                    followers.remove(symbol)
                followers.insert(0, symbol)
                del followers[self._ends :]
        self._past.append(symbol)

    def expected(self, n: int) -> set[int]:
        """Return the `n` latest followers, of the longest known contexts first."""
        known = (self._followers.get(context, ()) for context in self._contexts())
        ranked = dict.fromkeys(symbol for followers in known for symbol in followers)
        return set(islice(ranked, n))

    def _contexts(self) -> Iterable[Symbols]:
        past = tuple(self._past)
        return (past[start:] for start in range(len(past)))


@dataclass(frozen=True)
class Trace:
    """Whether each end was expected, and the element (from zero) that stood before it."""

    at: NDArray[np.int64]  # [sequences]
    hits: NDArray[np.bool_]  # [sequences]


def random_codes(n: int, draw: np.random.Generator) -> NDArray[np.int32]:
    """Return n sorted rows of 41 distinct columns of 2048, int32[n, 41]."""
    rows = [np.sort(draw.choice(COLUMNS, ACTIVE, replace=False)) for _ in range(n)]
    return np.array(rows, np.int32)


def largest(values: NDArray[Any], n: int, draw: np.random.Generator) -> list[int]:
    """Return the places of the `n` largest values, ties broken at random."""
    order = np.lexsort((draw.random(len(values)), -values))
    return [int(place) for place in order[:n]]


def follow(
    model: Model,
    stream: Iterable[Symbols],
    ends: int,
    tick: Callable[[int], None],
    enough: Callable[[list[bool]], bool] = lambda hits: False,
) -> Trace:
    """Show a stream of sequences to a model; before each end, ask for the `ends` likeliest.

    The last symbol of each item is noise, the one before it the end. `tick` is told how many
    elements went by; the stream is left once `enough` says so of the hits.
    """
    at: list[int] = []
    hits: list[bool] = []
    given = 0
    for *sequence, end, noise in stream:
        for symbol in sequence:
            model.see(symbol)
        at.append(given + len(sequence) - 1)
        hits.append(end in model.expected(ends))
        model.see(end)
        model.see(noise)
        given += len(sequence) + 2
        tick(len(sequence) + 2)
        if enough(hits):
            break
    return Trace(np.array(at, np.int64), np.array(hits, bool))


def trailing(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean of the last 100 hits, or of all while there are fewer."""
    total = np.concatenate(([0], np.cumsum(hits)))
    stop = np.arange(1, len(hits) + 1)
    start = np.maximum(0, stop - WINDOW)
    return np.asarray((total[stop] - total[start]) / (stop - start), np.float64)


def accuracy(trace: Trace, elements: Iterable[int]) -> NDArray[np.float64]:
    """Return the trailing accuracy as it stood at each of `elements`; zero before the first."""
    places = np.searchsorted(trace.at, list(elements), side="right")
    return np.concatenate(([0.0], trailing(trace.hits)))[places]
