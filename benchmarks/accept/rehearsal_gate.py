"""The gate of rehearsal: that it tells changed labels from new ones, and what that is worth.

Of the images learned, MNIST had no part in its design. Rates were chosen on `tuning` images.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.accept.rows import Row, at_least, at_most, near, never, not_run
from benchmarks.images import Images, has
from benchmarks.plastic_drift import (
    Drifting,
    drift,
    drifting,
    learned,
    parts,
    split,
    stationary,
)
from benchmarks.plastic_streams import network
from learners.plastic.body import Body

MOST_SEEDS = 3
RATES = {"digits": 0.05, "fashion": 0.02, "mnist": 0.05}
NOISE = 0.02
"""By how much a mean of three seeds may be off."""
SGD: dict[str, Any] = {}
KEEP: dict[str, Any] = {"rehearsal": {"on_contradiction": "keep"}}
FLUSH: dict[str, Any] = {"rehearsal": {}}
DROP: dict[str, Any] = {"rehearsal": {"on_contradiction": "drop"}}


class Figures(NamedTuple):
    """What was measured before, with the gate: accuracies, and how often it fired."""

    drift: float
    last: float
    split: float
    stationary: float


BEFORE = {
    ("digits", 0.0): Figures(0.822, 0.838, 0.884, 0.964),
    ("digits", 0.2): Figures(0.608, 0.631, 0.876, 0.894),
    ("fashion", 0.0): Figures(0.621, 0.682, 0.721, 0.783),
    ("fashion", 0.2): Figures(0.479, 0.489, 0.620, 0.725),
    ("mnist", 0.0): Figures(0.721, 0.761, 0.754, 0.881),
    ("mnist", 0.2): Figures(0.546, 0.581, 0.713, 0.835),
}
HARDER = {
    ("2 labels", False): ((0.884, None), (0.913, 9.3)),
    ("4 labels", False): ((0.895, 5.0), (0.887, 18.3)),
    ("full", True): ((0.809, 9.0), (0.806, 43.7)),
}
"""Accuracy and how often it fired, of a gate over all labels and of one by label, on digits."""
MNIST_HARDER = {("2 labels", False): 0.801, ("4 labels", False): 0.806, ("full", True): 0.728}


def accept(seeds: int, data: Path | None) -> Iterator[Row]:
    """Yield each cell of the table that the gate was proposed with, then harder changes."""
    every = range(1, min(seeds, MOST_SEEDS) + 1)
    for (name, noise), before in BEFORE.items():
        if name == "digits" or has(data, name):
            yield from _cell(name, noise, before, parts(name, data), every)
        else:
            yield not_run(f"{name}, label noise {noise:g}", f"needs --data with {name}")
    yield from _harder(parts("digits", data)[0], every)
    if has(data, "mnist"):
        images = parts("mnist", data)[0]
        for (kind, gradual), least in MNIST_HARDER.items():
            found = _drifts(images, "mnist", FLUSH, every, kind, gradual)
            yield _about(f"mnist, {_said(kind, gradual)}: accuracy", least, found)


def _cell(
    name: str, noise: float, before: Figures, images: tuple[Images, Images], every: Sequence[int]
) -> Iterator[Row]:
    learn, tested = images
    title = f"{name}, label noise {noise:g}"
    sgd, keep, gated = (
        [drift(_body(learn, name, o, s), drifting(learn, s, noise=noise)) for s in every]
        for o in (SGD, KEEP, FLUSH)
    )
    beside = f"SGD {_mean(sgd):.3f}, without the gate {_mean(keep):.3f}"
    yield _about(f"{title}, labels change 5 times: accuracy ({beside})", before.drift, gated)
    if (name, noise) == ("mnist", 0.0):
        gain = [a.accuracy - b.accuracy for a, b in zip(gated, sgd, strict=True)]
        yield at_least(f"{title}: above SGD", 0.05, gain)
    last = [each.last for each in gated]
    yield at_least(f"{title}: in the last segment", before.last - NOISE, last)
    yield near(f"{title}: times the gate fired", 5.0, 0.5, [each.fired for each in gated])
    for stream, least in ((split, before.split), (stationary, before.stationary)):
        said = "two new classes, five times" if stream is split else "nothing changes"
        make = partial(stream, learn, noise=noise)
        plain, found = (
            [learned(_body(learn, name, o, s), make(seed=s), tested) for s in every]
            for o in (KEEP, FLUSH)
        )
        base = statistics.fmean(right for right, _ in plain)
        right = [each for each, _ in found]
        title_of = f"{title}, {said}: accuracy at the end (without the gate {base:.3f})"
        yield at_least(title_of, least - NOISE, right)
        yield at_most(
            f"{title}, {said}: what the gate costs", 0.01, [base - statistics.fmean(right)]
        )
        fired = [times for _, times in found]
        if stream is split:
            yield at_most(f"{title}, {said}: times the gate fired", 0.3, fired)
        else:
            yield never(f"{title}, {said}: times the gate fired", fired)


def _harder(images: Images, every: Sequence[int]) -> Iterator[Row]:
    for (kind, gradual), figures in HARDER.items():
        sgd = _drifts(images, "digits", SGD, every, kind, gradual)
        for options, said, (least, times) in zip(
            (FLUSH, DROP), ("one gate", "a gate by label"), figures, strict=True
        ):
            found = _drifts(images, "digits", options, every, kind, gradual)
            title = f"digits, {_said(kind, gradual)}, {said}"
            yield _about(f"{title}: accuracy (SGD {_mean(sgd):.3f})", least, found)
            if times is not None:
                fired = [each.fired for each in found]
                yield near(f"{title}: times it fired", times, times / 4, fired)


def _drifts(
    images: Images, name: str, options: Any, every: Sequence[int], kind: str, gradual: bool
) -> list[Drifting]:
    return [
        drift(_body(images, name, options, s), drifting(images, s, kind, gradual=gradual))
        for s in every
    ]


def _body(images: Images, name: str, options: Any, seed: int) -> Body:
    return network(images, hidden=(64,), rate=RATES[name], options=options, seed=seed)


def _about(statement: str, least: float, found: Sequence[Drifting]) -> Row:
    return at_least(statement, round(least - NOISE, 3), [each.accuracy for each in found])


def _said(kind: str, gradual: bool) -> str:
    return "all labels change slowly" if gradual else f"{kind} change"


def _mean(found: Sequence[Drifting]) -> float:
    return statistics.fmean(each.accuracy for each in found)
