"""Cells of a table: numbers and times as files write them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
_MILLISECONDS_BEYOND = 2e10
"""From here on the service, too, takes a number for milliseconds."""
_US_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2}) (\d{1,2}):(\d{2})(?::(\d{2}))?")


def number(cell: object) -> float | None:
    """Return a cell's finite number, or `None` if it is missing; else raise `ValueError`."""
    if cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING):
        return None
    if isinstance(cell, bool) or not isinstance(cell, int | float | str) or "_" in str(cell):
        raise ValueError(cell)
    try:
        value = float(cell)
    except OverflowError:
        raise ValueError(cell) from None
    if math.isnan(value):
        return None
    if math.isinf(value):
        raise ValueError(cell)
    return value


def rfc3339(text: str) -> str:
    """Return a time as the service reads it; UTC if it has no zone. Raises `ValueError`."""
    try:
        seconds = float(text)
    except ValueError:
        moment = _from_text(text)
    else:
        milliseconds = abs(seconds) > _MILLISECONDS_BEYOND
        moment = datetime.fromtimestamp(seconds / 1_000 if milliseconds else seconds, UTC)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat() + "Z"


def _from_text(text: str) -> datetime:
    match = _US_DATE.fullmatch(text)
    if match is None:
        return datetime.fromisoformat(text)
    month, day, year, hour, minute, second = (int(part or 0) for part in match.groups())
    return datetime(year + 2_000 if year < 100 else year, month, day, hour, minute, second)
