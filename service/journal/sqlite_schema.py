"""The embedded engine's file: its tables, how it is opened, and which files are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from service.errors import SettingsError

FORMAT = 2
FILE_NAME = "synaptide.db"
LOCK_NAME = "synaptide.lock"

Synchronous = Literal["FULL", "NORMAL"]

# Positions are never used again although no counter is stored: a row of the log is deleted only
# once it is committed, so the larger of the last row and the commit is at or above all there were.
# The log has no foreign key: rows that are not yet applied outlive their stream as empty ones, so
# that a commit which covers them still finds its last record.
# `results` has no unique key: that a commit is applied once rests on its `previous` alone.
TABLES = (
    "CREATE TABLE meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """CREATE TABLE streams(
        uid INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        spec BLOB NOT NULL,
        version INTEGER NOT NULL,
        created_at REAL NOT NULL,
        first_spec BLOB NOT NULL)""",
    """CREATE TABLE heads(
        uid INTEGER PRIMARY KEY REFERENCES streams ON DELETE CASCADE,
        offset INTEGER NOT NULL,
        digest TEXT NOT NULL,
        status BLOB NOT NULL)""",
    "CREATE TABLE partition(id INTEGER PRIMARY KEY, committed INTEGER NOT NULL)",
    # `total` counts the stream's entries up to and with this record: it makes trimming cheap.
    """CREATE TABLE log(
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        received_at REAL NOT NULL,
        n INTEGER NOT NULL,
        total INTEGER NOT NULL,
        payload BLOB NOT NULL)""",
    "CREATE INDEX log_by_stream ON log(stream)",
    """CREATE TABLE results(
        id INTEGER PRIMARY KEY,
        uid INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
        last INTEGER NOT NULL,
        n INTEGER NOT NULL,
        payload BLOB NOT NULL)""",
    "CREATE INDEX results_by_offset ON results(uid, last)",
    """CREATE TABLE snapshots(
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        uid INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
        position INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        created_at REAL NOT NULL,
        size INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        blob BLOB NOT NULL)""",
    "CREATE INDEX snapshots_by_stream ON snapshots(uid)",
    """CREATE TABLE dead(
        id INTEGER PRIMARY KEY,
        uid INTEGER NOT NULL REFERENCES streams ON DELETE CASCADE,
        position INTEGER NOT NULL,
        place INTEGER NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT NOT NULL,
        entry BLOB NOT NULL,
        created_at REAL NOT NULL)""",
    "CREATE INDEX dead_by_stream ON dead(uid)",
    # Deleted streams whose rows of the log are still to be cleared, some at a time.
    "CREATE TABLE gone(uid INTEGER PRIMARY KEY)",
    """CREATE TABLE templates(
        name TEXT PRIMARY KEY,
        pattern TEXT NOT NULL,
        spec BLOB NOT NULL,
        created_at REAL NOT NULL) WITHOUT ROWID""",
    "INSERT INTO partition VALUES (0, 0)",
    f"INSERT INTO meta VALUES ('format', {FORMAT})",
)


class Cursor(Protocol):
    """What the transactions need of a database cursor."""

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """Run one statement."""

    def executemany(self, sql: str, rows: Iterable[Any], /) -> Any:
        """Run one statement for each row of parameters."""

    def fetchone(self) -> Any:
        """Return the next row, or `None`."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""


def pragmas(synchronous: Synchronous) -> tuple[str, ...]:
    """Return what every writing connection is set to."""
    return (
        "PRAGMA busy_timeout = 5000",
        "PRAGMA journal_mode = WAL",
        f"PRAGMA synchronous = {synchronous}",
        "PRAGMA foreign_keys = ON",
        "PRAGMA wal_autocheckpoint = 4000",  # pages: a checkpoint each 16 MB, not each 4
        "PRAGMA journal_size_limit = 67108864",
    )


def open_writer(folder: Path, synchronous: Synchronous) -> sqlite3.Connection:
    """Open the file for writing, create its tables or check them.

    Raises `SettingsError` when the file is damaged, is not one of ours, or is of another format.
    """
    path = folder / FILE_NAME
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    try:
        _check_format(connection, path)
        for pragma in pragmas(synchronous):
            connection.execute(pragma)
        _check_health(connection, path)
        create_tables(connection.cursor())
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(folder: Path) -> sqlite3.Connection:
    """Open a second connection, which cannot write."""
    connection = sqlite3.connect(folder / FILE_NAME, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA busy_timeout = 5000")
    connection.execute("PRAGMA query_only = ON")
    return connection


def create_tables(cursor: Cursor) -> None:
    """Create the tables in an empty file, all or none."""
    cursor.execute("BEGIN IMMEDIATE")
    cursor.execute("SELECT count(*) FROM sqlite_master")
    if cursor.fetchone()[0] == 0:
        for statement in TABLES:
            cursor.execute(statement)
    cursor.execute("COMMIT")


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return
    found: Any = None
    if "meta" in tables:
        try:
            row = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
        except sqlite3.OperationalError:  # a table of that name, but another's
            row = None
        found = row[0] if row else None
    if found != FORMAT:
        got = "no format number" if found is None else f"format {found}"
        hint = "; it was written by a newer version" if _newer(found) else ""
        raise SettingsError(f"{path}: got {got}, expected format {FORMAT}{hint}")


def _newer(found: Any) -> bool:
    return isinstance(found, int) and found > FORMAT


def _check_health(connection: sqlite3.Connection, path: Path) -> None:
    (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise SettingsError(f"{path}: got a damaged file ({said}), expected a sound one")


def _unusable(path: Path, error: sqlite3.Error) -> SettingsError:
    return SettingsError(
        f"{path}: got {error}, expected a database file this process may read and write"
    )
