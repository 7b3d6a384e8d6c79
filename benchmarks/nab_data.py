"""A folder laid out as the Numenta Anomaly Benchmark's: series by category, and their windows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.nab_scoring import Marks, marks
from service.cells import rfc3339
from service.rows import EventFile, InputError, Row

LABELS = Path("labels") / "combined_windows.json"


@dataclass(frozen=True, slots=True)
class Series:
    """One file: its name below the folder, its events in order, and what detections are worth."""

    name: str
    events: Sequence[dict[str, Any]]
    marks: Marks

    @property
    def category(self) -> str:
        """The folder it lies in."""
        return self.name.partition("/")[0]


def read_corpus(folder: Path) -> list[Series]:
    """Return every `<category>/<file>.csv` of a folder, with windows from `labels/`.

    Raises
    ------
    InputError
        If the folder, its windows, or a column is not there, or a window is not of its file.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: --data: there is no such folder")
    windows = _read_windows(folder / LABELS)
    files = sorted(path for path in folder.glob("*/*.csv") if path.is_file())
    if not files:
        raise InputError(f"{folder}: --data: got no <category>/<file>.csv")
    return [_read_series(path, path.relative_to(folder).as_posix(), windows) for path in files]


def _read_windows(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: got {type(found).__name__}, expected an object")
    return found


def _read_series(path: Path, name: str, windows: Mapping[str, Any]) -> Series:
    if name not in windows:
        raise InputError(f"{path}: {LABELS} has no entry {name!r}")
    with EventFile(path, ("value",), "timestamp") as file:
        rows = list(file)
    return Series(
        name, [row.event for row in rows], marks(len(rows), _places(path, rows, windows[name]))
    )


def _places(path: Path, rows: Sequence[Row], windows: Any) -> list[tuple[int, int]]:
    """Return the rows where windows begin and end: of rows of one time, the first."""
    place: dict[str, int] = {}
    for i, row in enumerate(rows):
        place.setdefault(str(row.event["ts"]), i)
    try:
        return sorted((place[rfc3339(left)], place[rfc3339(right)]) for left, right in windows)
    except KeyError as error:
        raise InputError(f"{path}: {LABELS}: no row has the time {error}") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {LABELS}: got {windows!r}: {error}") from None
