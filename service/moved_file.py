"""The file streams are moved in: frames, each a header that people can read and a body.

Layout: magic, then for each frame the lengths of header and body, the header as JSON, the body as
a zstandard frame, and 16 bytes of blake2b over the check of the frame before and all of this one.
So a frame that was changed, left out or put elsewhere is noticed, and a missing end too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Container, Iterable, Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import zstandard
from pydantic_core import from_json, to_json

from service.journal.base import DeadLetter, Moved, Record, SnapshotRow, StreamRow, TemplateRow
from service.journal.moved import payload_of
from service.rows import InputError
from service.schemas import decode_entry

MAGIC = b"SYNAPTM1"
FORMAT = 1
BODY_BYTES = 1 << 22
"""How much of a log or of results goes into one frame."""
RESULTS_TOGETHER = 4_096
_CHECK_BYTES = 16
_LENGTHS = struct.Struct("<IQ")

Header = dict[str, Any]
Tick = Callable[[int], None]
"""Takes how many bytes of the file have been read."""


class Writer:
    """Writes one file, frame by frame."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._check = MAGIC
        self.streams = 0
        file.write(MAGIC)

    def begin(self, version: str, created_at: float) -> None:
        """Say what the file is."""
        self._put({"kind": "streams", "format": FORMAT, "by": version, "created_at": created_at})

    def template(self, row: TemplateRow) -> None:
        """Write a template."""
        header = {"name": row.name, "pattern": row.pattern, "spec": row.spec.decode()}
        self._put({"kind": "template", **header, "created_at": row.created_at})

    def stream(self, moved: Moved) -> None:
        """Write a stream with all that is kept of it."""
        row = moved.row
        self._put(
            {
                "kind": "stream",
                "name": row.name,
                "version": row.version,
                "created_at": row.created_at,
                "offset": row.offset,
                "digest": row.digest,
                "status": row.status,
                "before": moved.before,
                "spec_bytes": len(row.spec),
            },
            row.spec + row.first_spec,
        )
        for each, blob in moved.snapshots:
            place = {"id": each.id, "position": each.position, "offset": each.offset}
            about = {"created_at": each.created_at, "kept": each.kept}
            self._put({"kind": "snapshot", **place, **about}, blob)
        for lines in _bodies(moved.records):
            self._put({"kind": "records"}, lines)
        for i in range(0, len(moved.results), RESULTS_TOGETHER):
            self._put({"kind": "results"}, b"\n".join(moved.results[i : i + RESULTS_TOGETHER]))
        for letter in moved.dead:
            self._put(
                {
                    "kind": "dead",
                    "position": letter.position,
                    "index": letter.index,
                    "reason": letter.reason,
                    "detail": letter.detail,
                    "created_at": letter.created_at,
                },
                letter.entry,
            )
        self.streams += 1

    def end(self) -> None:
        """Say that nothing is missing."""
        self._put({"kind": "end", "streams": self.streams})

    def _put(self, header: Header, body: bytes = b"") -> None:
        head, packed = to_json(header), zstandard.ZstdCompressor(level=3).compress(body)
        lengths = _LENGTHS.pack(len(head), len(packed))
        self._check = _check(self._check, lengths, head, packed)
        for part in (lengths, head, packed, self._check):
            self._file.write(part)


def _check(*parts: bytes) -> bytes:
    check = blake2b(digest_size=_CHECK_BYTES)
    for part in parts:
        check.update(part)
    return check.digest()


def _bodies(records: Iterable[Record]) -> Iterator[bytes]:
    """Return records as lines: position, time and number of entries, then the entries."""
    lines, size = list[bytes](), 0
    for record in records:
        lines.append(to_json([record.position, record.received_at, len(record.entries)]))
        lines.append(payload_of(record))
        size += len(lines[-1])
        if size >= BODY_BYTES:
            yield b"\n".join(lines)
            lines, size = [], 0
    if lines:
        yield b"\n".join(lines)


def headers(path: Path, tick: Tick) -> list[Header]:
    """Check the whole file and return the headers of its templates and streams.

    Raises `InputError`, which says where the file is damaged.
    """
    return [header for header, _ in _frames(path, tick) if header["kind"] in ("template", "stream")]


def contents(path: Path, left_out: Container[str], tick: Tick) -> Iterator[TemplateRow | Moved]:
    """Return templates and streams, one after the other, without the streams that are left out."""
    moved, passing = None, False
    for header, packed in _frames(path, tick):
        kind = header["kind"]
        if kind in ("template", "stream", "end"):
            if moved is not None:
                yield moved
            moved, passing = None, kind == "stream" and header["name"] in left_out
        if passing:
            continue
        body = zstandard.ZstdDecompressor().decompress(packed)
        if kind == "template":
            spec = header["spec"].encode()
            yield TemplateRow(header["name"], header["pattern"], spec, header["created_at"])
        elif kind == "stream":
            moved = _stream_in(header, body)
        elif moved is not None:
            _add(moved, header, body)


def _stream_in(header: Header, body: bytes) -> Moved:
    spec, first_spec = body[: header["spec_bytes"]], body[header["spec_bytes"] :]
    made = (header["version"], header["created_at"], first_spec)
    stands = (header["offset"], header["digest"], header["status"])
    row = StreamRow(0, header["name"], spec, *made, *stands)
    return Moved(row, header["before"], [], [], [], [])


def _add(moved: Moved, header: Header, body: bytes) -> None:
    match header["kind"]:
        case "records":
            moved.records += _records(body)
        case "results":
            moved.results += body.split(b"\n")
        case "snapshot":
            stands = (header["id"], 0, header["position"], header["offset"])
            row = SnapshotRow(*stands, header["created_at"], len(body), header["kept"])
            moved.snapshots.append((row, body))
        case "dead":
            moved.dead.append(
                DeadLetter(
                    stream=0,
                    position=header["position"],
                    index=header["index"],
                    reason=header["reason"],
                    detail=header["detail"],
                    entry=body,
                    created_at=header["created_at"],
                )
            )


def _records(body: bytes) -> Iterator[Record]:
    lines = iter(body.split(b"\n"))
    for line in lines:
        position, received_at, n = from_json(line)
        entries = [decode_entry(next(lines)) for _ in range(n)]
        yield Record(position, 0, received_at, entries)


def _frames(path: Path, tick: Tick) -> Iterator[tuple[Header, bytes]]:
    """Return header and packed body of each frame, all of them checked, or raise `InputError`."""
    try:
        with path.open("rb") as file:
            yield from _read(path, file, tick)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _read(path: Path, file: BinaryIO, tick: Tick) -> Iterator[tuple[Header, bytes]]:
    check, where, kind = MAGIC, "its beginning", ""
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise InputError(f"{path}: got a file that begins {magic!r}, expected {MAGIC!r}")
    size = path.stat().st_size
    while kind != "end":
        lengths = file.read(_LENGTHS.size)
        left = size - file.tell() - _CHECK_BYTES
        if len(lengths) < _LENGTHS.size or sum(_LENGTHS.unpack(lengths)) > left:
            raise InputError(f"{path}: damaged or cut short after {where}")
        head, body = (file.read(length) for length in _LENGTHS.unpack(lengths))
        check = _check(check, lengths, head, body)
        if file.read(_CHECK_BYTES) != check:
            raise InputError(f"{path}: damaged after {where}: the checksum does not match")
        header = from_json(head)
        kind = header["kind"]
        if header.get("format", FORMAT) != FORMAT:
            raise InputError(f"{path}: got format {header['format']}, expected {FORMAT}")
        if kind in ("template", "stream"):
            where = f"the beginning of {kind} {header['name']!r}"
        tick(file.tell())
        yield header, body
    if file.read(1):
        raise InputError(f"{path}: got more after its end, expected none")
