"""Commands to a stream, as they come in its log: restore, snapshot, configure, resume, learning."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from pydantic_core import to_json

from service.errors import NoSnapshots, SpecConflict, SynaptideError
from service.journal.base import Journal
from service.saving import Saver
from service.schemas import Command, StreamSpec
from service.snapshots import restored
from service.work import Work


class Commands:
    """Carries commands out; a snapshot keeps what they changed."""

    def __init__(
        self, journal: Journal, saver: Saver, pool: ThreadPoolExecutor, max_snapshot_bytes: int
    ) -> None:
        self._journal = journal
        self._saver = saver
        self._pool = pool
        self._max_snapshot_bytes = max_snapshot_bytes

    async def carry_out(self, work: Work, command: Command) -> bytes:
        """Carry out a command; return the answer to it."""
        try:
            if work.base is None:  # Else it is what the stream began anew with.
                await self._change(work, command)
        except SynaptideError as error:
            return to_json({"status": error.status} | error.problem())
        except ValueError as error:
            return to_json({"status": 409} | SpecConflict(str(error)).problem())
        stream, size = work.live.stream, 0
        if stream.keeps_state:
            await self._saver.take(work, kept=command.command == "snapshot")
            size = len(work.snapshots[-1].blob)
        return to_json(
            {
                "command": command.command,
                "offset": stream.offset,
                "digest": stream.digest.hex(),
                "size_bytes": size,
            }
        )

    async def _change(self, work: Work, command: Command) -> None:
        stream = work.live.stream
        if command.command in ("restore", "snapshot") and not stream.keeps_state:
            raise NoSnapshots(f"{work.row.name}: its learner is recovered by replaying its log")
        if command.command == "restore":
            await self._restore(work, command.snapshot or 0)
        elif command.command == "configure":
            spec = StreamSpec.model_validate_json(to_json(command.spec))
            stream.configure(spec)
            work.spec = spec.to_json()
        elif command.command == "resume":
            stream.resume()
        elif command.command == "learning":
            stream.ask(command.state or "auto")

    async def _restore(self, work: Work, snapshot_id: int) -> None:
        """Restore into a copy, so that a snapshot that does not fit changes nothing."""
        blob = await self._journal.snapshot(work.row.uid, snapshot_id)
        work.live.stream = await asyncio.get_running_loop().run_in_executor(
            self._pool, restored, work.live.stream, blob, self._max_snapshot_bytes
        )
