"""The streams that every learner is tried on, each in two: one to choose settings by, one to judge.

What the two have of images or of random numbers has no part in common.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import Images, digits, has
from benchmarks.plastic_streams import drifting, mnist_parts, permuted, pooled
from learners.base import Features

Event = tuple[Features, str]
TESTED = 400
TO_TUNE, HELD_OUT = 600, 0.25
"""How many of the digits settings are chosen by, and what share is held out of any part."""
MNIST_TASK, MNIST_SPLIT = 2_000, 1_000
SYMBOLS, SYMBOL_EVENTS, NOISE = 8, 6_000, 0.1
SEA_EVENTS, SEA_VARIANTS = 1_500, (0, 3, 1, 2)


@dataclass(frozen=True)
class Trial:
    """Labeled events in order, where each phase ends, and held-out events of each phase.

    Of a `sequence` the labels are what follows, so that symbols alone say all there is.
    """

    inputs: int
    classes: int
    events: Sequence[Event]
    ends: Sequence[int] = ()
    tests: Sequence[Sequence[Event]] = field(default=())
    sequence: bool = False


@dataclass(frozen=True)
class Stream:
    """A stream by name; `make(seed, tuning, data)` is a trial on it."""

    name: str
    what: str
    make: Callable[[int, bool, Path | None], Trial]
    needs: str | None = None

    def can_run(self, data: Path | None) -> bool:
        """Whether the folder has what it needs."""
        return self.needs is None or has(data, self.needs)


def events_of(images: Images) -> list[Event]:
    """Return images as events, a feature each pixel."""
    names = [f"p{i}" for i in range(images.x.shape[1])]
    rows = zip(images.x.tolist(), images.y.tolist(), strict=True)
    return [(dict(zip(names, x, strict=True)), str(y)) for x, y in rows]


def _phased(parts: Sequence[tuple[Images, Images]], seed: int, passes: int = 1) -> Trial:
    """Return phases that follow each other, the images of each in an order of the seed's."""
    draw = np.random.default_rng((seed, 11))
    events: list[Event] = []
    ends, tests = [], []
    for images, tested in parts:
        here = events_of(images)
        events += [here[i] for _ in range(passes) for i in draw.permutation(len(here)).tolist()]
        ends.append(len(events))
        tests.append(events_of(tested.at(np.arange(min(TESTED, len(tested))))))
    return Trial(parts[0][0].x.shape[1], 10, events, ends, tests)


def _split(images: Images, tested: Images) -> list[tuple[Images, Images]]:
    """Return two classes, the next two, and so on."""
    return [
        (_of(images, first, first + 1), _of(tested, first, first + 1)) for first in range(0, 10, 2)
    ]


def _of(images: Images, *classes: int) -> Images:
    return images.at(np.flatnonzero(np.isin(images.y, classes)))


def _relabeled(images: Images, seed: int) -> Trial:
    rows = list(drifting(images, seed))
    x = np.array([row for row, _ in rows])
    y = np.array([label for _, label in rows], np.int64)
    return Trial(x.shape[1], 10, events_of(Images(images.name, x, y)))


def _digits(tuning: bool) -> tuple[Images, Images]:
    """Return digits to learn and to be tested on."""
    order = np.random.default_rng(0).permutation(1_797)
    part = order[:TO_TUNE] if tuning else order[TO_TUNE:]
    held = int(len(part) * HELD_OUT)
    return digits().at(part[held:]), digits().at(part[:held])


def _still(seed: int, tuning: bool, data: Path | None) -> Trial:
    return _phased([_digits(tuning)], seed, passes=3)


def _permuted(seed: int, tuning: bool, data: Path | None) -> Trial:
    return _phased(permuted([_digits(tuning)] * 4, seed), seed)


def _split_digits(seed: int, tuning: bool, data: Path | None) -> Trial:
    return _phased(_split(*_digits(tuning)), seed, passes=2)


def _drifting(seed: int, tuning: bool, data: Path | None) -> Trial:
    return _relabeled(_digits(tuning)[0], seed)


def _recurring(seed: int, tuning: bool, data: Path | None) -> Trial:
    """Two orders of pixels that take turns."""
    images, tested = _digits(tuning)
    ways = permuted([(images, tested)] * 2, seed)
    parts = []
    for turn in range(12):
        seen, held = ways[turn % 2]
        places = np.arange(300 * (turn // 2), 300 * (turn // 2) + 300) % len(images)
        parts.append((seen.at(places), held))
    return _phased(parts, seed)


def _mnist(data: Path | None, seed: int, events: int, tuning: bool) -> tuple[Images, Images]:
    images, tested = mnist_parts(data, seed, events, 5 * TESTED, tuning)
    return pooled(images), pooled(tested)


def _mnist_permuted(seed: int, tuning: bool, data: Path | None) -> Trial:
    images, tested = _mnist(data, seed, 4 * MNIST_TASK, tuning)
    parts = [(images.at(np.arange(i * MNIST_TASK, (i + 1) * MNIST_TASK)), tested) for i in range(4)]
    return _phased(permuted(parts, seed), seed)


def _mnist_split(seed: int, tuning: bool, data: Path | None) -> Trial:
    return _phased(_split(*_mnist(data, seed, 5 * MNIST_SPLIT, tuning)), seed)


def _mnist_drifting(seed: int, tuning: bool, data: Path | None) -> Trial:
    return _relabeled(_mnist(data, seed, 6_000, tuning)[0], seed)


def _sea(seed: int, tuning: bool, data: Path | None) -> Trial:
    """Four concepts of River's SEA generator one after the other, a tenth of the labels wrong."""
    from river.datasets import synth

    events: list[Event] = []
    for variant in SEA_VARIANTS:
        made = synth.SEA(variant, noise=NOISE, seed=2 * seed + tuning)
        # Numbers from 0 to 10, brought to unit scale for who does not do so.
        events += [
            ({str(name): value / 10.0 for name, value in x.items()}, str(int(y)))
            for x, y in made.take(SEA_EVENTS)
        ]
    return Trial(3, 2, events)


def symbols(seed: int, tuning: bool) -> NDArray[np.int64]:
    """Return symbols each of which follows from the two before, but for a tenth drawn at random."""
    draw = np.random.default_rng((seed, 13, tuning))
    table = draw.integers(0, SYMBOLS, (SYMBOLS, SYMBOLS))
    out = [0, 1]
    for noisy in (draw.random(SYMBOL_EVENTS) < NOISE).tolist():
        out.append(int(draw.integers(SYMBOLS)) if noisy else int(table[out[-2], out[-1]]))
    return np.array(out)


def _sequence(seed: int, tuning: bool, data: Path | None) -> Trial:
    """The next symbol from the two before it, each a place that is 1 of as many as there are."""
    events: list[Event] = [
        (
            {f"{where}_{k}": float(k == symbol) for where, symbol in pair for k in range(SYMBOLS)},
            f"s{c}",
        )
        for a, b, c in _triples(seed, tuning)
        for pair in [(("before", a), ("last", b))]
    ]
    return Trial(2 * SYMBOLS, SYMBOLS, events, sequence=True)


def _triples(seed: int, tuning: bool) -> Iterator[tuple[int, int, int]]:
    out = symbols(seed, tuning).tolist()
    return zip(out, itertools.islice(out, 1, None), itertools.islice(out, 2, None), strict=False)


STREAMS: Mapping[str, Stream] = {
    each.name: each
    for each in (
        Stream("digits", "digits that do not change, three times over", _still),
        Stream("digits_permuted", "four tasks, each with the pixels in another order", _permuted),
        Stream("digits_split", "two classes after the other", _split_digits),
        Stream("digits_labels", "labels that take turns in one of three meanings", _drifting),
        Stream("digits_recurring", "two orders of pixels that take turns", _recurring),
        Stream("mnist_permuted", "as digits_permuted, of 14 x 14 pixels", _mnist_permuted, "mnist"),
        Stream("mnist_split", "two classes after the other", _mnist_split, "mnist"),
        Stream("mnist_labels", "labels in one of three meanings", _mnist_drifting, "mnist"),
        Stream("sea", "River's SEA: four concepts, a tenth of the labels wrong", _sea),
        Stream("symbols", "symbols that follow from the two before, a tenth at random", _sequence),
    )
}
