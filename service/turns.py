"""Whose entries this process steps: those of all partitions at once, or of one alone.

When a process ends, each note of an entry that was about to be stepped is held against that entry.
So while one partition goes an entry at a time, and notes each, none of the others steps anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """The turns that the partitions of one process take."""

    def __init__(self) -> None:
        self._entry = asyncio.Lock()
        self._together = 0
        self._nobody = asyncio.Event()
        self._nobody.set()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Step while others do, once nobody steps alone."""
        async with self._entry:
            self._together += 1
            self._nobody.clear()
        try:
            yield
        finally:
            self._together -= 1
            if not self._together:
                self._nobody.set()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Step while nobody else does."""
        async with self._entry:
            await self._nobody.wait()
            yield
