"""One process a folder: a lock file that the system frees when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from service.errors import SettingsError


class FolderLock:
    """An exclusive `flock` on a file in a folder; the file holds the process id of its holder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._path = folder / name
        self._file: int | None = None

    def acquire(self) -> None:
        """Make the folder if need be and lock it.

        Raises `SettingsError` when the folder cannot be made or written, or another process has it.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SettingsError(
                f"data_dir: got {self._folder}, which cannot be written ({error.strerror}), "
                "expected a folder this process may write to"
            ) from error
        try:
            self._take(file)
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def release(self) -> None:
        """Let the folder go. The file stays: removing it would race with the next holder."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _take(self, file: int) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise SettingsError(
                f"data_dir: got {self._folder}, which is in use by process {holder}, "
                "expected a folder of its own for each process"
            ) from None
        except OSError as error:
            raise SettingsError(
                f"data_dir: got {self._folder}, which cannot be locked ({error.strerror}), "
                "expected a folder on a local disk"
            ) from error
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode("ascii"), 0)
        except OSError:
            pass  # The disk is full: the lock holds all the same, only its holder is not named.
