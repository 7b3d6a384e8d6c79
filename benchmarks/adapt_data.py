"""Images as they would be seen through a worse camera, one condition after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.images import Images

Floats = NDArray[np.float64]
Generator = np.random.Generator

FIVE = ("gauss", "impulse", "contrast", "brightness", "inversion")
"""The corruptions that published means are over."""
STOPS = ("clean", *FIVE, "blur", "shot")
ROUTE = (*STOPS, *STOPS[-2::-1])
"""There and back."""


def _gauss(x: Floats, draw: Generator) -> Floats:
    return (x + draw.normal(0.0, 0.6, x.shape)).clip(0.0, 1.0)


def _impulse(x: Floats, draw: Generator) -> Floats:
    chance = draw.random(x.shape)
    return np.where(chance < 0.125, 0.0, np.where(chance < 0.25, 1.0, x))


def _blur(x: Floats, draw: Generator) -> Floats:
    side = int(np.sqrt(x.shape[1]))
    apart = np.subtract.outer(np.arange(side), np.arange(side))
    spread = np.exp(-0.5 * (apart / (1.5 * side / 28)) ** 2)
    spread /= spread.sum(1, keepdims=True)
    image = x.reshape(-1, side, side)
    return np.asarray(spread @ image @ spread.T).reshape(x.shape)


CORRUPTIONS: Mapping[str, Callable[[Floats, Generator], Floats]] = {
    "clean": lambda x, draw: x,
    "gauss": _gauss,
    "impulse": _impulse,
    "contrast": lambda x, draw: (x - 0.5) * 0.3 + 0.5,
    "brightness": lambda x, draw: (x + 0.4).clip(0.0, 1.0),
    "inversion": lambda x, draw: 1.0 - x,
    "blur": _blur,
    "shot": lambda x, draw: (draw.poisson(3.0 * x) / 3.0).clip(0.0, 1.0),
}
"""Gauss of deviation .6; 25 % of pixels black or white; contrast x .3; brightness + .4; inversion;
blur of 1.5 of 28 pixels; shot noise of 3 photons."""


def corrupted(images: Images, seed: int) -> dict[str, Images]:
    """Return the images under each corruption."""
    draw = np.random.default_rng(1_000 + seed)
    return {
        name: Images(name, corruption(images.x, draw), images.y)
        for name, corruption in CORRUPTIONS.items()
    }


def moving(conditions: Mapping[str, Images], length: int) -> Images:
    """Return a stream of `length` images in each condition of the route, none twice in a row."""
    places = [np.arange(i * length, (i + 1) * length) for i in range(len(ROUTE))]
    parts = [
        conditions[name].at(each % len(conditions[name]))
        for name, each in zip(ROUTE, places, strict=True)
    ]
    return Images(
        "moving", np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])
    )
