"""Which event ids a stream has seen, and where: bounded, and part of its state."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np

from learners.base import StateError


class DuplicateRing:
    """The last ids of a stream, as 64-bit hashes, with the offsets of their results."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._ids = np.zeros(capacity, np.uint64)
        self._offsets = np.zeros(capacity, np.int64)
        self._count = 0
        self._index: dict[int, int] = {}

    def offset_of(self, event_id: str) -> int | None:
        """Return the offset of the result this id was first answered with."""
        return self._index.get(_hash64(event_id))

    def add(self, event_id: str, offset: int) -> None:
        """Remember an id and forget the oldest one beyond the capacity."""
        if not self.capacity:
            return
        slot = self._count % self.capacity
        if self._count >= self.capacity:
            self._index.pop(int(self._ids[slot]), None)
        key = _hash64(event_id)
        self._ids[slot], self._offsets[slot] = key, offset
        self._index[key] = offset
        self._count += 1

    def held_bytes(self) -> int:
        """Return about how many bytes it holds: the arrays, and an entry of the index an id."""
        return 16 * self.capacity + 120 * len(self._index)

    def resized(self, capacity: int) -> DuplicateRing:
        """Return a ring of another capacity that remembers the newest of these."""
        other = DuplicateRing(capacity)
        ids, offsets = self._ordered()
        kept = min(capacity, len(ids))
        other._fill(ids[len(ids) - kept :], offsets[len(ids) - kept :])
        return other

    def _ordered(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        if self._count <= self.capacity:
            return self._ids[: self._count], self._offsets[: self._count]
        first = self._count % self.capacity
        return np.roll(self._ids, -first), np.roll(self._offsets, -first)

    def _fill(self, ids: np.ndarray[Any, Any], offsets: np.ndarray[Any, Any]) -> None:
        self._count = len(ids)
        self._ids[: len(ids)], self._offsets[: len(ids)] = ids, offsets
        self._index = dict(zip(ids.tolist(), offsets.tolist(), strict=True))

    def get_state(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the remembered ids and offsets, oldest first."""
        ids, offsets = self._ordered()
        return {"duplicate_ids": ids.copy(), "duplicate_offsets": offsets.copy()}

    def set_state(self, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
        """Take over remembered ids, or raise `StateError`."""
        if arrays.keys() != {"duplicate_ids", "duplicate_offsets"}:
            raise StateError(f"arrays: got {sorted(arrays)}, expected the two of the duplicates")
        ids, offsets = arrays["duplicate_ids"], arrays["duplicate_offsets"]
        fits = ids.ndim == 1 and ids.shape == offsets.shape and len(ids) <= self.capacity
        if not fits or ids.dtype != np.uint64 or offsets.dtype != np.int64:
            raise StateError(
                f"duplicate_ids: got {ids.dtype}{list(ids.shape)}, "
                f"expected at most uint64[{self.capacity}]"
            )
        self._fill(ids, offsets)


def _hash64(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
