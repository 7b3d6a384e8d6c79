"""The paper's five experiments on discrete sequences, one seed at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.sequences_data import (
    CORRUPTIONS,
    FOUR_ENDS,
    HIGH_ORDER,
    NEVER,
    TWO_ENDS,
    Symbols,
    Task,
    presentations,
    two_groups,
)
from benchmarks.sequences_models import WINDOW, Memory, Table, Trace, follow

Tick = Callable[[int], None]

ORDER = 10
"""Of the table: more than any of these sequences but those of experiment 3 is long."""
BRIDGED = (0, 1, 2)
ENOUGH = 0.999
MOST_SEQUENCES = 5_000


@dataclass(frozen=True)
class Plan:
    """How much is run: elements unless said otherwise."""

    change_at: int = 10_000
    high_order: int = 20_000
    several_ends: int = 12_000
    lengths: tuple[int, ...] = (10, 20, 40, 60, 80, 100)
    noise_at: int = 12_000
    noisy_after: int = 16_000
    noisy_throughout: int = 14_500
    trained: int = 10_001
    tested: int = 5_000
    killed: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    corrupted: int = 2_000


QUICK = Plan(
    change_at=4_000,
    high_order=6_000,
    several_ends=4_000,
    lengths=(10, 20),
    noise_at=4_000,
    noisy_after=6_000,
    noisy_throughout=4_000,
    trained=5_001,
    tested=1_000,
    killed=(0.0, 0.3, 0.6),
    corrupted=500,
)


@dataclass(frozen=True)
class Pair:
    """One stream as the memory and the table met it."""

    memory: Trace
    table: Trace
    segments: int


def run_high_order(plan: Plan, bridging: int, seed: int, tick: Tick) -> Pair:
    """E1: the ends are swapped on the way."""
    return _meet(bridging, HIGH_ORDER, seed, tick, plan.high_order, change_at=plan.change_at)


def run_several_ends(plan: Plan, ends: int, seed: int, tick: Tick) -> Pair:
    """E2: two or four ends are possible."""
    task = {2: TWO_ENDS, 4: FOUR_ENDS}[ends]
    return _meet(0, task, seed, tick, plan.several_ends)


def run_noise_throughout(plan: Plan, bridging: int, seed: int, tick: Tick) -> Pair:
    """E4a: an element of every sequence is replaced, from the start."""
    return _meet(bridging, HIGH_ORDER, seed, tick, plan.noisy_throughout, corrupt_from=0)


def run_noise_later(plan: Plan, bridging: int, seed: int, tick: Tick) -> Pair:
    """E4b: an element of every sequence is replaced once they are known."""
    return _meet(bridging, HIGH_ORDER, seed, tick, plan.noisy_after, corrupt_from=plan.noise_at)


def run_corruptions(plan: Plan, seed: int, tick: Tick) -> list[list[float]]:
    """Return the accuracy under each corruption (rows) by how much is bridged: 0, 1, 2."""
    draw = np.random.default_rng(seed)
    memory = Memory(HIGH_ORDER, seed)
    follow(memory, presentations(HIGH_ORDER, draw, plan.trained), 1, tick)
    found = []
    for corruption in CORRUPTIONS:
        row = []
        for bridging in BRIDGED:
            stream = presentations(
                HIGH_ORDER,
                np.random.default_rng([seed, 1]),
                plan.corrupted,
                corrupt_from=0,
                corruption=corruption,
            )
            trace = follow(memory.copy(bridging=bridging), stream, 1, tick)
            row.append(float(trace.hits.mean()))
        found.append(row)
    return found


def run_length(length: int, seed: int, tick: Tick) -> tuple[int | None, int | None]:
    """E3: return how many sequences memory and table saw until the last 100 ends were expected.

    None if that took more than 5 000.
    """

    def enough(hits: list[bool]) -> bool:
        return len(hits) >= MOST_SEQUENCES or sum(hits[-WINDOW:]) >= ENOUGH * WINDOW

    task = two_groups(length, np.random.default_rng([seed, length]))
    seen = []
    for model in (Memory(task, seed), Table(task, max(ORDER, length))):
        stream = presentations(task, np.random.default_rng(seed))
        trace = follow(model, stream, 1, tick, enough)
        seen.append(len(trace.hits) if len(trace.hits) < MOST_SEQUENCES else None)
    return seen[0], seen[1]


def run_killed(plan: Plan, seed: int, tick: Tick) -> list[float]:
    """E5: return the accuracy with each share of all cells dead, after learning has ended."""
    draw = np.random.default_rng(seed)
    memory = Memory(HIGH_ORDER, seed, predicted_decrement=0.01)
    follow(memory, presentations(HIGH_ORDER, draw, plan.trained), 1, tick)
    found = []
    for share in plan.killed:
        stream = presentations(HIGH_ORDER, draw, plan.tested)
        trace = follow(memory.lesioned(share), stream, 1, tick)
        found.append(float(trace.hits.mean()))
    return found


def _meet(
    bridging: int,
    task: Task,
    seed: int,
    tick: Tick,
    elements: int,
    change_at: int = NEVER,
    corrupt_from: int = NEVER,
) -> Pair:
    def stream() -> Iterator[Symbols]:
        return presentations(task, np.random.default_rng(seed), elements, change_at, corrupt_from)

    memory = Memory(task, seed, bridging=bridging)
    by_memory = follow(memory, stream(), task.ends, tick)
    by_table = follow(Table(task, ORDER), stream(), task.ends, tick)
    return Pair(by_memory, by_table, memory.memory.segments)
