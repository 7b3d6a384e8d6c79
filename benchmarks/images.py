"""Images as rows of numbers in [0, 1], with their classes: digits, MNIST and Fashion-MNIST.

The latter two are folders `mnist` and `fashion` with the four original files each, which are big-
endian: a magic number whose last byte counts the dimensions, their sizes, then bytes.
"""

from __future__ import annotations

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.rows import InputError

PARTS = {"train": "train", "test": "t10k"}


@dataclass(frozen=True)
class Images:
    """Images x float64[N, pixels] of classes y int64[N]."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)

    def at(self, places: NDArray[np.int64]) -> Images:
        """Return the images at some places, in their order."""
        return Images(self.name, self.x[places], self.y[places])

    def shuffled(self, seed: int) -> Images:
        """Return all of them in the order of a seed."""
        return self.at(np.random.default_rng(seed).permutation(len(self)))

    def of_each_class(self, count: int) -> Images:
        """Return the first `count` of each class, in the order in which they come."""
        classes = np.unique(self.y)
        places = [np.flatnonzero(self.y == each)[:count] for each in classes]
        return self.at(np.sort(np.concatenate(places)))


def digits() -> Images:
    """Return the 1,797 digits of 8 x 8 pixels that come with scikit-learn."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError:
        raise InputError("digits: scikit-learn has them, and it is not installed") from None
    found = load_digits()
    return Images("digits", found.data / 16.0, found.target.astype(np.int64))


def has(data: Path | None, name: str) -> bool:
    """Whether a folder holds `mnist` or `fashion`."""
    return data is not None and (data / name).is_dir()


def read(data: Path | None, name: str, part: str = "train") -> Images:
    """Return `mnist` or `fashion`, its part `train` or `test`; raise `InputError` without it."""
    if data is None or not has(data, name):
        raise InputError(f"--data: expected a folder that holds {name}, got {data}")
    begin = data / name / PARTS[part]
    x = _idx(begin.with_name(f"{begin.name}-images-idx3-ubyte.gz"), 3)
    y = _idx(begin.with_name(f"{begin.name}-labels-idx1-ubyte.gz"), 1)
    if len(x) != len(y):
        raise InputError(f"{begin}: got {len(x)} images and {len(y)} labels")
    return Images(name, x.reshape(len(x), -1) / 255.0, y.astype(np.int64))


def _idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array of bytes in a packed file."""
    try:
        packed = gzip.decompress(path.read_bytes())
        magic, *shape = struct.unpack_from(f">{1 + dimensions}I", packed)
        if magic != 0x800 + dimensions:
            raise ValueError(f"got magic number {magic}, expected {0x800 + dimensions}")
        found = np.frombuffer(packed, np.uint8, offset=4 + 4 * dimensions)
        return found.reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise InputError(f"{path}: {error}") from None
