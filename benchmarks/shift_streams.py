"""Streams of images whose labels are exchanged, two classes at a time, ever again.

Order, swaps and weights come from random streams of their own, so that every learner of a seed
sees the same images with the same labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import Images

CHANGING = (1000, 100, 0, 300, 100, 0, 1000, 300, 0, 100)
"""Events between swaps in each tenth of a stream whose rate of change itself changes."""
SHIFTS = {
    "never": (0,),
    "every 1000": (1000,),
    "every 300": (300,),
    "every 100": (100,),
    "changing": CHANGING,
}
ORDER, SWAPS = 11, 12


@dataclass(frozen=True)
class Stream:
    """Images x float64[E, pixels] and, for each way to shift, their classes int64[E].

    Classes are numbered in the order in which they first come.
    """

    x: NDArray[np.float64]
    y: dict[str, NDArray[np.int64]]


def stream(images: Images, seed: int, events: int) -> Stream:
    """Return the stream of a seed: all images in an order, then in another, and so on."""
    draw = np.random.default_rng([ORDER, seed])
    rounds = -(-events // len(images))
    order = np.concatenate([draw.permutation(len(images)) for _ in range(rounds)])[:events]
    y = images.y[order]
    return Stream(images.x[order], {name: _swapped(y, each, seed) for name, each in SHIFTS.items()})


def _swapped(y: NDArray[np.int64], periods: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    """Return labels whose meaning is exchanged after every period, one period a part."""
    draw = np.random.default_rng([SWAPS, seed])
    classes = int(y.max()) + 1
    meaning, since, found = np.arange(classes), 0, np.empty_like(y)
    for e in range(len(y)):
        period = periods[e * len(periods) // len(y)]
        if period and since >= period:
            pair = draw.choice(classes, 2, replace=False)
            meaning[pair] = meaning[pair[::-1]]
            since = 0
        since += 1
        found[e] = meaning[y[e]]
    return _by_appearance(found)


def _by_appearance(y: NDArray[np.int64]) -> NDArray[np.int64]:
    classes, first = np.unique(y, return_index=True)
    number = np.empty(int(y.max()) + 1, np.int64)
    number[classes[np.argsort(first)]] = np.arange(len(classes))
    return number[y]
