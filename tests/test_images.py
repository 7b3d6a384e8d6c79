"""Images as the benchmarks read them: from packed files made here, and scikit-learn's digits."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from benchmarks.images import digits, has, read
from service.rows import InputError


def pack(path: Path, magic: int, *shape: int, values: bytes) -> None:
    path.write_bytes(gzip.compress(struct.pack(f">{1 + len(shape)}I", magic, *shape) + values))


def write(folder: Path, labels: bytes = b"\x03\x01\x03") -> Path:
    inner = folder / "fashion"
    inner.mkdir()
    for part in ("train", "t10k"):
        images = inner / f"{part}-images-idx3-ubyte.gz"
        pack(images, 2051, 3, 2, 2, values=bytes([0, 51, 102, 255, *range(8)]))
        names = inner / f"{part}-labels-idx1-ubyte.gz"
        pack(names, 2049, len(labels), values=labels)
    return folder


@pytest.mark.parametrize("part", ["train", "test"])
def test_packed_files_are_read(tmp_path: Path, part: str) -> None:
    images = read(write(tmp_path), "fashion", part)
    assert (images.name, len(images), images.x.shape) == ("fashion", 3, (3, 4))
    assert images.x[0].tolist() == [0.0, 0.2, 0.4, 1.0]
    assert images.y.tolist() == [3, 1, 3]
    first = images.of_each_class(1)
    assert first.y.tolist() == [3, 1]
    np.testing.assert_array_equal(first.x, images.x[:2])


def test_shuffled_keeps_an_image_with_its_class(tmp_path: Path) -> None:
    images = read(write(tmp_path, b"\x00\x01\x02"), "fashion")
    mixed = images.shuffled(4)
    assert sorted(mixed.y.tolist()) == [0, 1, 2]
    np.testing.assert_array_equal(mixed.x, images.x[mixed.y])
    np.testing.assert_array_equal(mixed.y, images.shuffled(4).y)


def test_a_folder_without_them_is_an_error_of_the_user(tmp_path: Path) -> None:
    assert not has(tmp_path, "mnist")
    for folder in (None, tmp_path):
        with pytest.raises(InputError, match="mnist"):
            read(folder, "mnist")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (b"no gzip", "gzip"),
        (gzip.compress(b"\x00\x00\x08"), "buffer"),
        (gzip.compress(struct.pack(">2I", 2050, 3) + b"abc"), "got magic number 2050"),
        (gzip.compress(struct.pack(">2I", 2049, 9) + b"abc"), "reshape"),
        (gzip.compress(struct.pack(">2I", 2049, 2) + b"ab"), "3 images and 2 labels"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, damage: bytes, problem: str) -> None:
    write(tmp_path)
    (tmp_path / "fashion" / "train-labels-idx1-ubyte.gz").write_bytes(damage)
    with pytest.raises(InputError, match=problem):
        read(tmp_path, "fashion")


def test_digits() -> None:
    images = digits()
    assert images.x.shape == (1797, 64)
    assert (images.x.min(), images.x.max()) == (0.0, 1.0)
    assert np.bincount(images.y).min() > 150
