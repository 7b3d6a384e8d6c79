"""Streams that a plastic network is tried on, and what is told of a run over them.

Rates are chosen on the images that `tuning` gives and judged on others: of the digits, on the last
300 of those that are learned from elsewhere; of MNIST, on images from the end of its training part.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import Images, digits, read
from learners.plastic.body import Body
from learners.plastic.network import PlasticNetwork

LEARNED, HELD_OUT = 1_400, 300
TASKS, TASK_EVENTS, TASK_TESTED = 4, 4_000, 800
SEGMENTS, SEGMENT_EVENTS = 12, 500


def network(images: Images, **spec: Any) -> Body:
    """Return a network for images, whose pixels are numbers as they are."""
    classes = int(images.y.max()) + 1
    inputs = images.x.shape[1]
    return PlasticNetwork(inputs, classes, standardize=False, **spec).body


def digit_parts(tuning: bool = False) -> tuple[Images, Images]:
    """Return digits to learn and to be tested on; with `tuning`, both from those to learn."""
    order = np.random.default_rng(0).permutation(1_797)
    learned, tested = order[:LEARNED], order[LEARNED:]
    if tuning:
        learned, tested = learned[:-HELD_OUT], learned[-HELD_OUT:]
    return digits().at(learned), digits().at(tested)


def mnist_parts(
    data: Path | None, seed: int, events: int, tested: int, tuning: bool = False
) -> tuple[Images, Images]:
    """Return MNIST to learn and to be tested on, as a seed has it."""
    images = read(data, "mnist")
    if tuning:
        images = images.shuffled(1_000 + seed)
        return images.at(np.arange(events)), images.at(np.arange(events, events + tested))
    held = read(data, "mnist", "test").shuffled(seed)
    return images.shuffled(seed).at(np.arange(events)), held.at(np.arange(tested))


def pooled(images: Images) -> Images:
    """Return images of 28 x 28 pixels as means of 2 x 2."""
    parts = images.x.reshape(-1, 14, 2, 14, 2)
    return Images(f"{images.name} 14 x 14", parts.mean(axis=(2, 4)).reshape(-1, 196), images.y)


def learn(body: Body, images: Images, passes: int = 1, seed: int = 0) -> float:
    """Learn images in an order of a seed; return the accuracy before learning, in the first."""
    draw = np.random.default_rng(seed)
    right = 0
    for turn in range(passes):
        for i in draw.permutation(len(images)).tolist():
            y = int(images.y[i])
            if turn == 0:
                right += int(body.look(images.x[i]).argmax()) == y
            body.learn(images.x[i], y)
    return right / len(images)


def accuracy(body: Body, images: Images) -> float:
    """Return the share of images that are told right."""
    said = [int(body.look(x).argmax()) for x in images.x]
    return float(np.mean(np.array(said) == images.y))


def digits_learned(seed: int, hidden: tuple[int, ...] = (64,), **spec: Any) -> tuple[float, float]:
    """Return accuracy before learning in the first of three passes, and that of a test."""
    images, tested = digit_parts()
    body = network(images, hidden=hidden, seed=seed, **spec)
    first = learn(body, images, 3, seed)
    return first, accuracy(body, tested)


def mnist_learned(data: Path | None, seed: int, **spec: Any) -> float:
    """Return the test accuracy after 5,000 images of 14 x 14 pixels, each learned once."""
    images, tested = (pooled(part) for part in mnist_parts(data, seed, 5_000, 2_000))
    body = network(images, hidden=(128,), seed=seed, **spec)
    learn(body, images, 1, seed)
    return accuracy(body, tested)


@dataclass(frozen=True)
class Continual:
    """Accuracy over tasks: of all at the end, of each just learned, and the mean that was lost."""

    final: float
    learned: float
    forgotten: float


def continual(
    body: Body, tasks: list[tuple[Images, Images]], seed: int, passes: int = 1
) -> Continual:
    """Learn tasks one after another, telling options where one begins; test on all of them."""
    just = []
    for number, (images, tested) in enumerate(tasks):
        if number:
            body.new_task()
        learn(body, images, passes, seed + number)
        just.append(accuracy(body, tested))
    final = [accuracy(body, tested) for _, tested in tasks]
    lost = [a - b for a, b in zip(just[:-1], final[:-1], strict=True)]
    return Continual(statistics.fmean(final), statistics.fmean(just), statistics.fmean(lost))


def permuted(parts: list[tuple[Images, Images]], seed: int) -> list[tuple[Images, Images]]:
    """Return tasks with their pixels in an order of each one's own, the first as it is."""
    draw = np.random.default_rng((seed, 7))
    out = []
    for number, (images, tested) in enumerate(parts):
        order = np.arange(images.x.shape[1]) if number == 0 else draw.permutation(images.x.shape[1])
        out.append(tuple(Images(i.name, i.x[:, order].copy(), i.y) for i in (images, tested)))
    return [(a, b) for a, b in out]


def permuted_mnist(
    data: Path | None, seed: int, tuning: bool = False
) -> list[tuple[Images, Images]]:
    """Return 4 tasks of 4,000 images, each with its pixels in another order, and 800 to test."""
    images, tested = mnist_parts(data, seed, TASKS * TASK_EVENTS, TASK_TESTED, tuning)
    parts = [
        (images.at(np.arange(i * TASK_EVENTS, (i + 1) * TASK_EVENTS)), tested) for i in range(TASKS)
    ]
    return permuted(parts, seed)


def permuted_digits(seed: int, tuning: bool = False) -> list[tuple[Images, Images]]:
    """Return 4 tasks of the digits, each with its pixels in another order."""
    return permuted([digit_parts(tuning)] * TASKS, seed)


def split_digits(body: Body, seed: int, tuning: bool = False) -> float:
    """Learn two classes after the other, twice over each; return accuracy on all in the end."""
    images, tested = digit_parts(tuning)
    for first in range(0, 10, 2):
        if first:
            body.new_task()
        here = images.at(np.flatnonzero((images.y == first) | (images.y == first + 1)))
        learn(body, here, passes=2, seed=seed + first)
    return accuracy(body, tested)


def drifting(images: Images, seed: int) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Yield 12 x 500 images whose labels mean, in turn, one of three things."""
    draw = np.random.default_rng((seed, 3))
    meanings = [np.arange(10), draw.permutation(10), draw.permutation(10)]
    for segment in range(SEGMENTS):
        for i in draw.integers(0, len(images), SEGMENT_EVENTS).tolist():
            yield images.x[i], int(meanings[segment % 3][images.y[i]])


def drift(body: Body, images: Images, seed: int) -> tuple[float, float]:
    """Return the accuracy before learning of the first and of the last three segments."""
    right = []
    for x, y in drifting(images, seed):
        right.append(int(body.look(x).argmax()) == y)
        body.learn(x, y)
    three = 3 * SEGMENT_EVENTS
    return float(np.mean(right[:three])), float(np.mean(right[-three:]))
