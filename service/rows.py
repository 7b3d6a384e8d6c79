"""Event files: CSV or JSON lines, plain or gzipped, read row by row into events."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from service.cells import number, rfc3339

MAX_LINE_BYTES = 16 << 20
TIME_NAMES = ("timestamp", "time", "date", "datetime", "ts")
_ROWS_LOOKED_AT = 100
_NUPIC_TYPES = frozenset({"datetime", "float", "int", "string", "bool", "sdr", "list"})
_NUPIC_FLAGS = frozenset({"", "t", "r", "s", "c", "l"})
_GZIP = b"\x1f\x8b"


class InputError(ValueError):
    """The input cannot be used as it stands; the message names file, line and field."""


@dataclass(slots=True)
class Row:
    """One event, the line it begins on, and its timestamp as it was written."""

    line: int
    timestamp: str
    event: dict[str, Any]


@dataclass(slots=True)
class _Columns:
    names: Sequence[str]
    timestamp: int | None
    values: list[int]


class EventFile:
    """A file of events, read once from start to end in constant memory.

    In CSV the first line names the columns; NuPIC's two further header lines are passed over. JSON
    lines hold events (`{"ts": …, "x": {…}}`) or flat objects, whose keys are the columns. Raises
    `InputError` when it is opened or when it comes to a line that cannot be used.
    """

    def __init__(
        self, path: str | Path, values: Sequence[str] = (), timestamp: str | None = None
    ) -> None:
        self.path = Path(path)
        self._values, self._timestamp = values, timestamp

    def __enter__(self) -> Self:
        try:
            self._raw: IO[bytes] = self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be opened: {error.strerror}") from None
        try:
            self.size = self.path.stat().st_size
            self._begin()
        except BaseException:
            self._raw.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._raw.close()

    @property
    def position(self) -> int:
        """How many bytes of the file have been read so far, of `size`."""
        return self._raw.tell()

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def _begin(self) -> None:
        zipped = self._raw.read(2) == _GZIP
        self._raw.seek(0)
        binary: IO[bytes] = gzip.GzipFile(fileobj=self._raw) if zipped else self._raw  # type: ignore[assignment]
        lines = _lines(self.path, binary)
        first = next(((n, text) for n, text in lines if text.strip()), None)
        if first is None:
            raise InputError(f"{self.path}: got an empty file, expected rows of events")
        if first[1].lstrip().startswith("{"):
            self._begin_json(_objects(self.path, chain((first,), lines)))
        else:
            self._begin_table(_cells(self.path, first, lines))

    def _begin_table(self, rows: Iterator[tuple[int, list[str]]]) -> None:
        _, header = next(rows)
        names = [name.strip() for name in header]
        sample = list(islice(rows, _ROWS_LOOKED_AT))
        types = _nupic_types(sample)
        if types:
            del sample[: 2 if len(sample) > 1 and _has_only(sample[1][1], _NUPIC_FLAGS) else 1]
        columns = self._choose(names, [cells for _, cells in sample], types)
        self._rows = self._from_cells(columns, chain(sample, rows))

    def _begin_json(self, objects: Iterator[tuple[int, dict[str, Any]]]) -> None:
        sample = list(islice(objects, _ROWS_LOOKED_AT))
        first = sample[0][1]
        objects = chain(sample, objects)
        if isinstance(first.get("x"), dict):
            for name in _split_names(self._values, list(first["x"])):
                place(self.path, name, list(first["x"]))
            self._rows = self._from_events(objects)
            return
        names = list(first)
        columns = self._choose(names, [[each.get(name) for name in names] for _, each in sample])
        rows = ((line, [each.get(name) for name in names]) for line, each in objects)
        self._rows = self._from_cells(columns, rows)

    def _choose(
        self, names: Sequence[str], sample: Sequence[Sequence[object]], types: Sequence[str] = ()
    ) -> _Columns:
        """Find the columns that were asked for, or those that look like it."""
        if self._timestamp is not None:
            timestamp: int | None = place(self.path, self._timestamp, names)
        elif "datetime" in types:
            timestamp = types.index("datetime")
        else:
            lower = [name.lower() for name in names]
            timestamp = next((i for i, name in enumerate(lower) if name in TIME_NAMES), None)
        wanted = _split_names(self._values, names)
        if not wanted:
            return _Columns(names, timestamp, [self._default_value(names, sample, timestamp)])
        return _Columns(names, timestamp, [place(self.path, name, names) for name in wanted])

    def _default_value(
        self, names: Sequence[str], sample: Sequence[Sequence[object]], timestamp: int | None
    ) -> int:
        others = [i for i, name in enumerate(names) if i != timestamp and name]
        for i in others:
            if names[i].lower() == "value":
                return i
        for i in others:
            if _is_numeric([cells[i] for cells in sample if i < len(cells)]):
                return i
        raise InputError(
            f"{self.path}: got no column of numbers to take as the value; "
            f"name one of the columns: {_listed(names)}"
        )

    def _from_cells(
        self, columns: _Columns, rows: Iterator[tuple[int, Sequence[object]]]
    ) -> Iterator[Row]:
        names, width = columns.names, len(columns.names)
        for line, cells in rows:
            if len(cells) != width:
                got = f"got {len(cells)} cells, expected {width}"
                raise InputError(f"{self.path}:{line}: {got}: {_listed(names)}")
            x = {names[i]: self._number(line, names[i], cells[i]) for i in columns.values}
            if columns.timestamp is None:
                yield Row(line, "", {"x": x})
                continue
            cell = cells[columns.timestamp]
            ts = self._moment(line, names[columns.timestamp], cell)
            yield Row(line, str(cell).strip(), {"ts": ts, "x": x})

    def _from_events(self, objects: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[Row]:
        for line, event in objects:
            x = event.get("x")
            if not isinstance(x, dict):
                raise InputError(f"{self.path}:{line}: x: got {_shown(x)}, expected an object")
            if self._values:
                names = _split_names(self._values, list(x))
                event = event | {"x": {name: x.get(name) for name in names}}
            yield Row(line, str(event.get("ts") or ""), event)

    def _number(self, line: int, name: str, cell: object) -> float | None:
        try:
            return number(cell)
        except ValueError:
            raise InputError(
                f"{self.path}:{line}: {name}: got {_shown(cell)}, expected a number"
            ) from None

    def _moment(self, line: int, name: str, cell: object) -> str:
        try:
            return rfc3339(str(cell).strip())
        except (ValueError, OverflowError, OSError):
            raise InputError(
                f"{self.path}:{line}: {name}: got {_shown(cell)}, expected a time such as "
                "2014-07-01 00:00:00, 7/1/14 0:00 (month first) or seconds since 1970"
            ) from None


def _lines(path: Path, binary: IO[bytes]) -> Iterator[tuple[int, str]]:
    """Yield numbered lines of text; a byte order mark is passed over."""
    number = 0
    while True:
        number += 1
        try:
            line = binary.readline(MAX_LINE_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}:{number}: cannot be read: {error}") from None
        if not line:
            return
        if len(line) == MAX_LINE_BYTES:
            raise InputError(f"{path}:{number}: got a line of over {MAX_LINE_BYTES} bytes")
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}:{number}: got text that is not UTF-8: {error}") from None


def _cells(
    path: Path, first: tuple[int, str], lines: Iterator[tuple[int, str]]
) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row with the line it begins on; blank lines are passed over."""
    reader = csv.reader(chain((first[1],), (text for _, text in lines)), strict=True)
    before = first[0] - 1
    while True:
        line = before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}:{line}: not CSV: {error}") from None
        if cells:
            yield line, cells


def _objects(path: Path, lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in lines:
        if not text.strip():
            continue
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{line}: not JSON: {error}") from None
        if not isinstance(content, dict):
            raise InputError(f"{path}:{line}: got {_shown(content)}, expected an object")
        yield line, content


def _nupic_types(sample: Sequence[tuple[int, list[str]]]) -> list[str]:
    """Return the types NuPIC writes below the names, or nothing if the file is not one of its."""
    if not sample or not _has_only(sample[0][1], _NUPIC_TYPES):
        return []
    return [cell.strip().lower() for cell in sample[0][1]]


def _has_only(cells: Sequence[str], allowed: frozenset[str]) -> bool:
    return all(cell.strip().lower() in allowed for cell in cells)


def _is_numeric(cells: Sequence[object]) -> bool:
    try:
        numbers = [number(cell) for cell in cells]
    except ValueError:
        return False
    return any(each is not None for each in numbers)


def _split_names(wanted: Sequence[str], names: Sequence[str]) -> list[str]:
    """Split at commas, unless a column is named with them."""
    split: list[str] = []
    for name in wanted:
        parts = [name] if name in names else [part.strip() for part in name.split(",")]
        split += [part for part in parts if part and part not in split]
    return split


def place(path: Path, name: str, names: Sequence[str]) -> int:
    """Return where a column stands, or raise `InputError`."""
    count = list(names).count(name)
    if count != 1:
        got = "twice or more" if count else "not among the columns"
        raise InputError(f"{path}: column {name!r}: {got}: {_listed(names)}")
    return names.index(name)


def _listed(names: Sequence[str], at_most: int = 20) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more


def _shown(cell: object) -> str:
    text = repr(cell)
    return text if len(text) <= 60 else text[:60] + "…"
