"""Streams whose labels change their meaning, bring new classes, or stay as they are.

All are of events as many as asked for, drawn from images with replacement, and with a share of
labels exchanged for any of them if that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import Images, read
from benchmarks.plastic_streams import accuracy, digit_parts, pooled
from learners.plastic.body import Body

SEGMENTS, SEGMENT_EVENTS = 6, 800
STATIONARY_EVENTS = SEGMENTS * SEGMENT_EVENTS
PAIR_EVENTS = 960
LEARNED, TESTED = 8_000, 1_000

Events = Iterator[tuple[NDArray[np.float64], int]]


@dataclass(frozen=True)
class Drifting:
    """Accuracy before learning, of all events and of the last segment; and what a gate counted."""

    accuracy: float
    last: float
    fired: float


def parts(name: str, data: Path | None, tuning: bool = False) -> tuple[Images, Images]:
    """Return digits, or MNIST or Fashion of 14 x 14 pixels, to learn and to be tested on."""
    if name == "digits":
        return digit_parts(tuning)
    images = read(data, name).shuffled(0)
    if tuning:
        held = images.at(np.arange(LEARNED, LEARNED + TESTED))
    else:
        held = read(data, name, "test").shuffled(0).at(np.arange(TESTED))
    return pooled(images.at(np.arange(LEARNED))), pooled(held)


def meanings(kind: str, seed: int) -> list[NDArray[np.int64]]:
    """Return what each label means in each segment.

    "full" has three maps of all labels in turn; "2 labels" or "4 labels" are exchanged in a circle
    in every second segment.
    """
    draw = np.random.default_rng((seed, 3))
    plain = np.arange(10)
    if kind == "full":
        maps = [plain, draw.permutation(10), draw.permutation(10)]
    else:
        some = draw.choice(10, int(kind.split()[0]), replace=False)
        swapped = plain.copy()
        swapped[some] = np.roll(some, 1)
        maps = [plain, swapped]
    return [maps[segment % len(maps)] for segment in range(SEGMENTS)]


def drifting(
    images: Images, seed: int, kind: str = "full", noise: float = 0.0, gradual: bool = False
) -> Events:
    """Yield segments of 800 events; with `gradual`, between two of them 800 that lead over."""
    draw = np.random.default_rng((seed, 4))
    maps = meanings(kind, seed)
    if gradual:
        maps = [each for each in maps[: SEGMENTS // 2 + 1] for _ in range(2)][1:]
    for segment, meaning in enumerate(maps):
        leads = gradual and segment % 2 == 1
        for step, i in enumerate(draw.integers(0, len(images), SEGMENT_EVENTS).tolist()):
            early = leads and draw.random() >= (step + 1) / SEGMENT_EVENTS
            y = int((maps[segment - 1] if early else meaning)[images.y[i]])
            yield images.x[i], _noisy(y, noise, draw)


def drift(body: Body, events: Events) -> Drifting:
    """Answer and learn one event after another."""
    right = []
    for x, y in events:
        right.append(int(body.look(x).argmax()) == y)
        body.learn(x, y)
    fired = body.signals().get("rehearsal_meaning_drift", 0.0)
    return Drifting(float(np.mean(right)), float(np.mean(right[-SEGMENT_EVENTS:])), fired)


def split(images: Images, seed: int, noise: float = 0.0, each: int = PAIR_EVENTS) -> Events:
    """Yield two classes after the other, `each` events of them."""
    draw = np.random.default_rng((seed, 5))
    for first in range(0, 10, 2):
        here = np.flatnonzero((images.y == first) | (images.y == first + 1))
        for i in draw.choice(here, each).tolist():
            yield images.x[i], _noisy(int(images.y[i]), noise, draw, (first, first + 2))


def stationary(
    images: Images, seed: int, noise: float = 0.0, count: int = STATIONARY_EVENTS
) -> Events:
    """Yield events of all classes."""
    draw = np.random.default_rng((seed, 6))
    for i in draw.integers(0, len(images), count).tolist():
        yield images.x[i], _noisy(int(images.y[i]), noise, draw)


def learned(body: Body, events: Events, tested: Images) -> tuple[float, float]:
    """Learn all events; return the accuracy on others, and how often a gate fired."""
    for x, y in events:
        body.learn(x, y)
    return accuracy(body, tested), body.signals().get("rehearsal_meaning_drift", 0.0)


def _noisy(
    y: int, noise: float, draw: np.random.Generator, among: tuple[int, int] = (0, 10)
) -> int:
    """Return the label or, with probability `noise`, any of those that there are."""
    return int(draw.integers(*among)) if noise and draw.random() < noise else y
