"""Tasks that have to come to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they end; what they failed with is theirs to have told.

    Once is not enough: the client for Redis forgets a cancellation that comes at the same moment as
    a reply, and what was to end goes on.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.05)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # Marks it as seen.
