"""A server whose every commit is sent twice, as by a worker that never heard of the first.

It adds a line to the file named by its first argument for each second commit: `refused`, or
`taken`, which must never be. The other arguments are those of `synaptide serve`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from service import app, cli
from service.errors import Stale
from service.journal.base import Applied
from service.journal.sqlite import SqliteJournal

TALLY = Path(sys.argv[1]) if __name__ == "__main__" else Path(os.devnull)


class Resending(SqliteJournal):
    """The embedded journal, behind a worker that repeats itself."""

    async def commit(
        self,
        partition: int,
        previous: int,
        upto: int,
        applied: Sequence[Applied],
        replies: Mapping[int, list[bytes]],
    ) -> None:
        """Commit, and commit the same again."""
        await super().commit(partition, previous, upto, applied, replies)
        if upto == previous:
            return  # Nothing but snapshots: as good twice as once.
        try:
            await super().commit(partition, previous, upto, applied, replies)
        except Stale:
            _note("refused\n")
        else:
            _note("taken\n")


def _note(line: str) -> None:
    with TALLY.open("a") as tally:
        tally.write(line)


if __name__ == "__main__":
    app.SqliteJournal = Resending  # type: ignore[attr-defined]
    sys.exit(cli.main(["serve", *sys.argv[2:]]))
