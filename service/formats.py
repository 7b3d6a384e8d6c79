"""Formats of what processes write for each other, and the way from each to the next.

One number stands for all that a build writes where processes of another build read it: snapshots,
states of learners and indicators, and what commits tell. A build reads its own format and the one
before, and can write both.

Format 2 has the state schema of the learner alone. Format 3 has that of every part, and always says
what was asked of the governor; what commits tell begins with the format.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

FORMAT = 3
OLDEST = FORMAT - 1
RAISED: frozenset[str] = frozenset()
"""Kinds of learners and indicators whose state schema rose with `FORMAT`."""

START_BYTES = 64
"""As much of a snapshot as tells its format, which stands first in every format."""
_START = re.compile(rb'[A-Z0-9]{8}.{4}\{"format":(\d{1,9})[,}]', re.DOTALL)

Document = tuple[dict[str, Any], dict[str, Any]]
"""Header and arrays of a snapshot."""
Step = Callable[[dict[str, Any], dict[str, Any]], Document]


def format_in(start: bytes) -> int:
    """Return the format of a snapshot that begins so, or 0 if it has none that can be read."""
    found = _START.match(start)
    return int(found[1]) if found else 0


def upgraded(header: dict[str, Any], arrays: dict[str, Any]) -> Document:
    """Return a snapshot in the newest format, or raise `ValueError` if it is in one not known.

    A header that none of these formats has is a `KeyError` or a `TypeError`.
    """
    got = header.get("format")
    while got != FORMAT:
        if got not in UPGRADES:
            raise ValueError(f"format: got {got!r}, expected {OLDEST} or {FORMAT}")
        header, arrays = UPGRADES[got](dict(header), dict(arrays))
        got = header["format"]
    return header, arrays


def _two_to_three(header: dict[str, Any], arrays: dict[str, Any]) -> Document:
    indicators = range(len(header["spec"]["indicators"]))
    schemas = {"learner": header.pop("state_schema")} | {f"indicator{i}": 1 for i in indicators}
    # Format 2 was written before there was a governor too.
    return {"asked": "auto"} | header | {"format": 3, "schemas": schemas}, arrays


def _three_to_two(header: dict[str, Any], arrays: dict[str, Any]) -> Document:
    schemas = header.pop("schemas")
    return header | {"format": 2, "state_schema": schemas["learner"]}, arrays


UPGRADES: Mapping[Any, Step] = {2: _two_to_three}
"""By the format they begin at."""
DOWNGRADES: Mapping[int, Step] = {FORMAT: _three_to_two}
