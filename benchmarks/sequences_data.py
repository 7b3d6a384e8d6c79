"""Streams of the paper's discrete sequences: symbols below `Task.symbols`, noise from there on.

Source: Cui, Ahmad and Hawkins 2016, Neural Computation 28(11), figures 3 to 9, and the sequences
stored with it. Sequences share their middles, so that an end depends on the start alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

Symbols = tuple[int, ...]

NOISE = 5000
"""Symbols that stand between sequences, or in the place of an element."""
FIRST_CORRUPTED, LAST_CORRUPTED = 1, 3
NEVER = 2**62
REPLACED = "replaced"
CORRUPTIONS = (
    REPLACED,
    "two replaced",
    "replaced by a known symbol",
    "noise inserted",
    "known symbol inserted",
    "left out",
)
"""What may befall a sequence; the paper's is the first."""


@dataclass(frozen=True)
class Task:
    """Sequences over symbols 0 to `symbols` - 1; each start and middle has `ends` possible ends."""

    symbols: int
    ends: int
    sequences: tuple[Symbols, ...]
    changed: tuple[Symbols, ...] = ()


def joined(
    middles: Sequence[tuple[Symbols, Symbols, tuple[Symbols, ...]]],
) -> tuple[Symbols, ...]:
    """Return start + middle + end for each start of a middle and each end of that start."""
    return tuple(
        (start, *middle, end)
        for middle, starts, ends in middles
        for start, own in zip(starts, ends, strict=True)
        for end in own
    )


_CROSSED = (
    ((8, 7, 4, 2, 3), (6, 1), ((0,), (5,))),
    ((3, 4, 2, 7, 8), (6, 1), ((5,), (0,))),
    ((9, 7, 8, 5, 3, 4), (0, 2), ((1,), (6,))),
    ((4, 3, 5, 8, 7, 9), (0, 2), ((6,), (1,))),
)
HIGH_ORDER = Task(
    symbols=10,
    ends=1,
    sequences=joined(_CROSSED),
    changed=joined([(middle, starts, ends[::-1]) for middle, starts, ends in _CROSSED]),
)
TWO_ENDS = Task(
    symbols=12,
    ends=2,
    sequences=joined(
        (
            ((8, 3, 10, 9, 6), (4, 5), ((1, 2), (0, 7))),
            ((6, 9, 10, 3, 8), (4, 5), ((7, 0), (2, 1))),
            ((3, 8, 6, 1, 10, 11), (4, 5), ((9, 2), (0, 7))),
            ((11, 10, 1, 6, 8, 3), (4, 5), ((7, 0), (2, 9))),
        )
    ),
)
FOUR_ENDS = Task(
    symbols=16,
    ends=4,
    sequences=joined(
        (
            ((4, 12, 5, 14, 1), (7, 11), ((2, 3, 0, 9), (13, 10, 6, 8))),
            ((1, 14, 5, 12, 4), (7, 11), ((8, 6, 10, 13), (9, 0, 3, 2))),
            ((4, 5, 15, 6, 1, 12), (9, 13), ((2, 3, 0, 10), (14, 11, 7, 8))),
            ((1, 12, 6, 15, 4, 5), (9, 13), ((8, 7, 11, 14), (10, 0, 3, 2))),
        )
    ),
)


def two_groups(length: int, draw: np.random.Generator) -> Task:
    """Return two pairs of sequences of `length` that share all between their start and end.

    Each pair shuffles the same 2 `length` symbols anew.
    """
    sequences = []
    for _ in range(2):
        order = draw.permutation(2 * length).tolist()
        starts, ends, middle = order[:2], order[2:4], order[4 : length + 2]
        pairs = zip(starts, ends, strict=True)
        sequences += [(start, *middle, end) for start, end in pairs]
    return Task(symbols=2 * length, ends=1, sequences=tuple(sequences))


def presentations(
    task: Task,
    draw: np.random.Generator,
    elements: int = NEVER,
    change_at: int = NEVER,
    corrupt_from: int = NEVER,
    corruption: str = REPLACED,
) -> Iterator[Symbols]:
    """Yield sequences drawn uniformly, each with one noise symbol after it.

    From element `change_at` they are of `task.changed`; from element `corrupt_from` each suffers
    a `corruption`. Ends once `elements` were given.
    """
    given = 0
    while given < elements:
        choice = task.sequences if given < change_at else task.changed
        sequence = list(choice[draw.integers(len(choice))])
        if given >= corrupt_from:
            corrupt(sequence, corruption, task.symbols, draw)
        given += len(sequence) + 1
        yield (*sequence, task.symbols + int(draw.integers(NOISE)))


def corrupt(sequence: list[int], corruption: str, symbols: int, draw: np.random.Generator) -> None:
    """Corrupt a sequence at one of its places 1 to 3."""
    at = int(draw.integers(FIRST_CORRUPTED, LAST_CORRUPTED + 1))
    noise = (symbols + draw.integers(NOISE, size=2)).tolist()
    known = int((sequence[at] + draw.integers(1, symbols)) % symbols)
    removed, put = {
        REPLACED: (1, noise[:1]),
        "two replaced": (2, noise),
        "replaced by a known symbol": (1, [known]),
        "noise inserted": (0, noise[:1]),
        "known symbol inserted": (0, [known]),
        "left out": (1, []),
    }[corruption]
    sequence[at : at + removed] = put
