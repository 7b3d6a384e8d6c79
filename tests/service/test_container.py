"""The container: what goes in comes out, and whatever is damaged is refused by name."""

from __future__ import annotations

import json
import random
import struct
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from service.container import MAGIC, MAX_HEADER_BYTES, pack, unpack
from service.errors import SnapshotError

LIMIT = 1 << 24

HEADER = {"format": 1, "kind": "rolling_zscore", "digest": "ab" * 16}
ARRAYS: dict[str, np.ndarray[Any, Any]] = {
    "learner/ring": np.arange(600, dtype=np.float64).reshape(20, 30) / 7,
    "learner/none": np.zeros((0, 4), np.int32),
    "stream/ids": np.arange(50, dtype=np.uint64),
    "scalar": np.array(3, np.int64),
}


def sealed(start: bytes) -> bytes:
    """Put a checksum that is right under whatever it is."""
    return start + blake2b(start, digest_size=16).digest()


def made(head: bytes, frame: bytes, length: int | None = None) -> bytes:
    """Build a container by hand."""
    size = len(head) if length is None else length
    return sealed(MAGIC + struct.pack("<I", size) + head + frame)


def frame(body: bytes = b"", **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(body or save({}))


def same(got: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> bool:
    return got.dtype == want.dtype and got.shape == want.shape and bool((got == want).all())


@given(
    header=st.dictionaries(
        st.text(max_size=20),
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64)
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        max_size=8,
    ),
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=4),
    dtype=st.sampled_from(["f8", "f4", "i8", "i4", "u8", "u1", "?"]),
    seed=st.integers(0, 2**32),
)
def test_round_trip(header: dict[str, Any], shapes: list[list[int]], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = {f"a{i}": rng.integers(0, 9, shape).astype(dtype) for i, shape in enumerate(shapes)}
    got_header, got = unpack(pack(header, arrays), LIMIT)
    assert got_header == header
    assert got.keys() == arrays.keys()
    assert all(same(got[name], arrays[name]) for name in arrays)


def test_arrays_that_are_not_in_order_come_back_right() -> None:
    base = np.arange(120, dtype=np.int32).reshape(4, 5, 6)
    arrays = {
        "fortran": np.asfortranarray(base),
        "strided": base[::2, :, 1::3],
        "reversed": base[:, ::-1],
        "turned": base.T,
        "spread": np.broadcast_to(np.int32(7), (3, 4)),
    }
    _, got = unpack(pack({}, arrays), LIMIT)
    assert all(same(got[name], want) for name, want in arrays.items())


def test_bits_of_floats_are_kept() -> None:
    bits = np.array([0x7FF8000000000001, 0x8000000000000000, 1, 0x7FF0000000000000], np.uint64)
    _, got = unpack(pack({}, {"a": bits.view(np.float64)}), LIMIT)
    assert (got["a"].view(np.uint64) == bits).all()


def test_cut_short_anywhere_is_refused() -> None:
    blob = pack(HEADER, ARRAYS)
    for end in range(0, len(blob), 3):
        with pytest.raises(SnapshotError):
            unpack(blob[:end], LIMIT)
    with pytest.raises(SnapshotError):
        unpack(blob + b"\0", LIMIT)


def test_flipped_bits_are_refused() -> None:
    blob = pack(HEADER, ARRAYS)
    draw = random.Random(1)
    for _ in range(2_000):
        damaged = bytearray(blob)
        damaged[draw.randrange(len(blob))] ^= 1 << draw.randrange(8)
        with pytest.raises(SnapshotError):
            unpack(bytes(damaged), LIMIT)


def test_flipped_bits_under_a_right_checksum_raise_nothing_else() -> None:
    start = pack(HEADER, ARRAYS)[:-16]
    draw = random.Random(2)
    refused = 0
    for _ in range(2_000):
        damaged = bytearray(start)
        damaged[draw.randrange(len(start))] ^= 1 << draw.randrange(8)
        try:
            unpack(sealed(bytes(damaged)), LIMIT)
        except SnapshotError:
            refused += 1
    assert refused > 500


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        pytest.param(b"", "begins", id="nothing"),
        pytest.param(b"PK\x03\x04" + bytes(99), "begins", id="another program's"),
        pytest.param(MAGIC, "checksum", id="magic alone"),
        pytest.param(sealed(MAGIC), "cannot be read", id="no length"),
        pytest.param(made(b"{}", frame(), length=2**32 - 1), "header of 4294967295", id="length"),
        pytest.param(
            made(b" " * MAX_HEADER_BYTES + b"{}", frame()), "header of 1048578", id="long header"
        ),
        pytest.param(made(b"{", frame()), "cannot be read", id="no JSON"),
        pytest.param(made(b"\xff\xfe", frame()), "cannot be read", id="no text"),
        pytest.param(made(b"[" * 100_000, frame()), "cannot be read", id="deep"),
        pytest.param(made(b"9" * 5_000, frame()), "cannot be read", id="long number"),
        pytest.param(made(b"[]", frame()), "not an object", id="a list"),
        pytest.param(made(b"{}", b"no frame"), "inflated", id="no frame"),
        pytest.param(made(b"{}", b""), "inflated", id="empty frame"),
        pytest.param(made(b"{}", frame(write_content_size=False)), "got -1", id="unknown size"),
        pytest.param(made(b"{}", frame(bytes(LIMIT + 1))), "inflated", id="bomb"),
        pytest.param(made(b"{}", frame(b"x" * 40)), "cannot be read", id="no arrays"),
        pytest.param(
            made(b"{}", frame(struct.pack("<Q", 2**60) + b"{}")), "cannot be read", id="lengths"
        ),
        pytest.param(bytes(LIMIT + 1), "at most 16777216", id="too long"),
    ],
)
def test_what_is_no_container_is_refused(blob: bytes, reason: str) -> None:
    with pytest.raises(SnapshotError, match=reason):
        unpack(blob, LIMIT)


def test_a_frame_that_grows_beyond_what_it_says_is_refused() -> None:
    # A header that says 1 byte over a frame of a million.
    honest = frame(bytes(1_000_000))
    assert zstandard.frame_content_size(honest) == 1_000_000
    lying = bytearray(honest)
    at = honest.index(struct.pack("<I", 1_000_000))
    lying[at : at + 4] = struct.pack("<I", 1)
    with pytest.raises(SnapshotError, match="inflated"):
        unpack(made(b"{}", bytes(lying)), LIMIT)


@pytest.mark.parametrize(
    "array",
    [
        {"dtype": "OBJECT", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]},
        {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": "I64", "shape": [-1], "data_offsets": [0, 8]},
        {"dtype": "I64", "shape": [2**62, 2**62], "data_offsets": [0, 8]},
        {"dtype": "I64", "shape": [1], "data_offsets": [8, 0]},
        {"dtype": "I64", "shape": [1], "data_offsets": [0, 2**60]},
    ],
)
def test_arrays_that_cannot_be_are_refused(array: dict[str, Any]) -> None:
    head = json.dumps({"a": array}).encode()
    body = struct.pack("<Q", len(head)) + head + bytes(8)
    with pytest.raises(SnapshotError, match="cannot be read"):
        unpack(made(b"{}", frame(body)), LIMIT)


def test_a_header_without_a_number_for_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack({"last_score": float("nan")}, {})
