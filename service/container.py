"""The state container: a header that people can read and named arrays, with no code in it.

Layout: magic, length of the header as a little-endian u32, header as JSON, the arrays as a
zstandard frame of a safetensors document, and 16 bytes of blake2b over all that stands before.
A file never decides structure: what is read is compared with a freshly built learner.
"""

from __future__ import annotations

import json
import struct
from hashlib import blake2b
from typing import Any

import numpy as np
import zstandard
from safetensors import SafetensorError
from safetensors.numpy import load, save

from learners.base import Arrays
from service.errors import SnapshotError

MAGIC = b"SYNAPTD1"
MAX_HEADER_BYTES = 1 << 20
_CHECK_BYTES = 16
_LENGTH = struct.Struct("<I")


def pack(header: dict[str, Any], arrays: Arrays) -> bytes:
    """Return the container of a header and named arrays."""
    # A strided array would be written scrambled, without an error.
    body = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    head = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    start = b"".join(
        (MAGIC, _LENGTH.pack(len(head)), head, zstandard.ZstdCompressor(level=1).compress(body))
    )
    return start + blake2b(start, digest_size=_CHECK_BYTES).digest()


def unpack(blob: bytes, max_bytes: int) -> tuple[dict[str, Any], Arrays]:
    """Return header and arrays, or raise `SnapshotError`; `max_bytes` bounds both sizes."""
    if len(blob) > max_bytes:
        raise SnapshotError(f"snapshot: got {len(blob)} bytes, expected at most {max_bytes}")
    if not blob.startswith(MAGIC):
        raise SnapshotError(f"snapshot: got a file that begins {blob[:8]!r}, expected {MAGIC!r}")
    start, check = blob[:-_CHECK_BYTES], blob[-_CHECK_BYTES:]
    if blake2b(start, digest_size=_CHECK_BYTES).digest() != check:
        raise SnapshotError("snapshot: the checksum does not match; it was cut short or changed")
    try:
        (length,) = _LENGTH.unpack_from(start, len(MAGIC))
        first = len(MAGIC) + _LENGTH.size
        if length > min(MAX_HEADER_BYTES, len(start) - first):
            raise SnapshotError(f"snapshot: got a header of {length} bytes, expected fewer")
        header = json.loads(start[first : first + length])
        arrays = load(_inflate(start[first + length :], max_bytes))
    # A type that numpy does not have is a KeyError.
    except (struct.error, ValueError, KeyError, RecursionError, SafetensorError) as error:
        raise SnapshotError(f"snapshot: cannot be read: {error}") from None
    if not isinstance(header, dict):
        raise SnapshotError("snapshot: got a header that is not an object")
    return header, arrays


def _inflate(frame: bytes, max_bytes: int) -> bytes:
    try:
        size = zstandard.frame_content_size(frame)
        # Unknown sizes are refused too: the frame could grow without bound.
        if not 0 <= size <= max_bytes:
            raise SnapshotError(f"snapshot: got {size} bytes inflated, expected 0 to {max_bytes}")
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=max_bytes)
    except zstandard.ZstdError as error:
        raise SnapshotError(f"snapshot: cannot be inflated: {error}") from None
