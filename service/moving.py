"""The commands `export` and `import`: streams out of one journal and into another.

They work on a journal that no service is at work on. A stream is taken in whole or not at all, so
an import that was broken off is run again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from service import moved_file
from service.commands import UsageError
from service.errors import NotStill, ResultsExpired
from service.journal.base import START, DeadLetter, Journal, Moved, Record, StreamRow, TemplateRow
from service.journal.sqlite_schema import FILE_NAME
from service.moved_file import Header, Writer
from service.progress import progress
from service.rows import InputError
from service.schemas import Command, encode_entry
from service.settings import Settings
from service.transport import Json
from service.version import VERSION

END = 2**62
"""A position above all there are."""
ALL = 2**31 - 1
RESULTS_AT_ONCE = 10_000

Counts = dict[str, int]


def export_streams(arguments: argparse.Namespace) -> int:
    """Write streams to a file."""
    settings = _settings(arguments)
    if settings.redis is None and not (settings.data_dir / FILE_NAME).is_file():
        raise UsageError(f"--data-dir: got {settings.data_dir}, in which there is no journal")
    if arguments.file.exists():
        raise InputError(f"{arguments.file}: is there already, and is not written over")
    counts = asyncio.run(_export(settings, arguments.file, arguments.stream))
    return _said(arguments.file, counts)


def import_streams(arguments: argparse.Namespace) -> int:
    """Take in the streams of a file, all of which is checked before the first."""
    settings, path = _settings(arguments), arguments.file
    size = path.stat().st_size if path.is_file() else 0
    with progress("check", size) as tick:
        told = moved_file.headers(path, lambda done: tick(done, 0))
    return _said(path, asyncio.run(_import(settings, path, size, told)))


def _settings(arguments: argparse.Namespace) -> Settings:
    chosen: Json = {"role": "all"}
    if arguments.data_dir is not None:
        chosen |= {"data_dir": arguments.data_dir, "redis": None}
    elif arguments.redis is not None:
        chosen |= {"redis": arguments.redis}
    try:
        return Settings(**chosen)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _said(path: Path, counts: Counts) -> int:
    print(json.dumps({"file": str(path), **counts, "bytes": path.stat().st_size}))
    return 0


@asynccontextmanager
async def _still(settings: Settings) -> AsyncIterator[Journal]:
    """Open a journal that no process applies, or raise `NotStill` or `SettingsError`."""
    from service import logs
    from service.app import open_journal

    logs.configure("warning")
    journal = open_journal(settings)
    await journal.open()
    try:
        others = [name for name in await journal.present() if name != journal.name]
        await journal.leave()
        if others:
            raise NotStill(f"journal: got {', '.join(others)} at work on it; stop the service")
        yield journal
    finally:
        await journal.close()


# Out


async def _export(settings: Settings, path: Path, names: Iterable[str]) -> Counts:
    async with _still(settings) as journal:
        rows = _chosen(journal, names)
        templates = await journal.templates()
        with _appearing(path) as file, progress("export", len(rows)) as tick:
            writer, entries = Writer(file), 0
            writer.begin(VERSION, time.time())
            for template in templates:
                writer.template(template)
            for row in rows:
                moved = await moved_of(journal, row)
                writer.stream(moved)
                entries += sum(len(record.entries) for record in moved.records)
                tick(writer.streams, entries)
            writer.end()
    return {"streams": len(rows), "entries": entries, "templates": len(templates)}


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """Write a file that has its name only when it is whole."""
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _chosen(journal: Journal, names: Iterable[str]) -> list[StreamRow]:
    rows = {row.name: row for row in journal.streams()}
    wanted = sorted(set(names) or rows)
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        raise UsageError(f"--stream: got {', '.join(unknown)}, expected streams that exist")
    return [rows[name] for name in wanted]


async def moved_of(journal: Journal, row: StreamRow) -> Moved:
    """Return a stream with all that another store needs, or raise `NotStill`."""
    snapshots = [
        (each, await journal.snapshot(row.uid, each.id))
        for each in reversed(await journal.snapshots(row.uid))
    ]
    own = [each.position for each, _ in snapshots if each.position >= 0]
    # With one snapshot alone, recovery without it begins at the first entry.
    start = own[-2] if len(own) > 1 else START
    records = await journal.history(row.uid, start, END)
    kept, whole = await journal.entries_after(row.uid, START)
    gone = 0 if whole or not row.offset else 1
    before = kept - sum(len(record.entries) for record in records) + gone
    dead = await _dead_letters(journal, row, start, records)
    results = await _results(journal, row)
    held = await _held(journal, row, records)
    return Moved(held, before, records, snapshots, results, dead)


async def _held(journal: Journal, row: StreamRow, records: list[Record]) -> StreamRow:
    """Return the row with the position after which its records wait, if any do."""
    if row.held_after is not None:
        return row
    applied = await journal.committed(journal.partition_of(row.uid))
    waiting = [record for record in records if record.position > applied]
    for record in waiting:
        command = record.entries[0]
        if isinstance(command, Command) and command.command != "revive":
            # What is held passes over commands: they were answered as refused.
            raise NotStill(
                f"{row.name}: got the command {command.command!r} that waits to be applied; "
                "run the service on it until it is"
            )
    if waiting:
        row.status = {**row.status, "held_after": applied}
    return row


async def _dead_letters(
    journal: Journal, row: StreamRow, start: int, records: list[Record]
) -> list[DeadLetter]:
    """Return the dead letters, and one for each entry passed over whose own is gone."""
    letters = await journal.dead_letters(row.uid, ALL)
    told = {(each.position, each.index) for each in letters}
    there = {record.position: record for record in records}
    missing = []
    for position, index in sorted(await journal.passed_over(row.uid, start) - told):
        if record := there.get(position):
            entry, at = encode_entry(record.entries[index]), record.received_at
            missing.append(DeadLetter(row.uid, position, index, "raised", "", entry, at))
    return missing + letters


async def _results(journal: Journal, row: StreamRow) -> list[bytes]:
    """Return all results that are kept and reach to the stream's offset."""
    results, after = list[bytes](), 0
    while after < row.offset:
        try:
            results += await journal.results(row.uid, after, RESULTS_AT_ONCE)
            after = json.loads(results[-1])["offset"]
        except ResultsExpired as expired:
            results, after = [], expired.facts["oldest"] - 1
    return results


# In


async def _import(settings: Settings, path: Path, size: int, told: list[Header]) -> Counts:
    counts = {"streams": 0, "entries": 0, "templates": 0, "there_already": 0}
    streams = {header["name"] for header in told if header["kind"] == "stream"}
    async with _still(settings) as journal:
        await _refuse_taken(journal, path, told)
        there = streams & {row.name for row in journal.streams()}
        counts["there_already"] = len(there)
        with progress("import", size) as tick:
            for each in moved_file.contents(path, there, lambda n: tick(n, counts["entries"])):
                if isinstance(each, TemplateRow):
                    await journal.put_template(each.name, each.pattern, each.spec)
                    counts["templates"] += 1
                elif await journal.adopt(each) is None:
                    raise NotStill(f"{each.row.name}: got a stream that was made meanwhile")
                else:
                    counts["streams"] += 1
                    counts["entries"] += sum(len(record.entries) for record in each.records)
    return counts


async def _refuse_taken(journal: Journal, path: Path, told: list[Header]) -> None:
    """Raise `InputError` if anything of the file is there already, and is not just that."""
    rows = {row.name: row for row in journal.streams()}
    templates = {row.name: row for row in await journal.templates()}
    taken = []
    for header in told:
        name = header["name"]
        if header["kind"] == "template":
            row = templates.get(name)
            said = None if row is None else (row.pattern, row.spec.decode())
            other = said not in (None, (header["pattern"], header["spec"]))
        else:
            other = name in rows and not _same(rows[name], header)
        if other:
            taken.append(f"{header['kind']} {name!r}")
    if taken:
        more = f" and {len(taken) - 5} more" if len(taken) > 5 else ""
        raise InputError(
            f"{path}: got {', '.join(taken[:5])}{more}, there already and not the same; "
            "delete what is there, or export the others with --stream"
        )


def _same(row: StreamRow, header: Header) -> bool:
    """Say whether a stream is what an import of this file left, and nothing since."""
    stands: tuple[Any, ...] = (row.created_at, row.version, row.offset, row.digest)
    return stands == (header["created_at"], header["version"], header["offset"], header["digest"])
