"""Calls that may wait for long, and end when the journal is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from service.errors import JournalUnavailable
from service.tasks import end

T = TypeVar("T")


class Calls:
    """The calls under way."""

    def __init__(self) -> None:
        self._calls: dict[asyncio.Task[Any], None] = {}  # A set has no order to end them in.

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what a call returns, or raise `JournalUnavailable` if it was ended."""
        call = asyncio.ensure_future(work)
        self._calls[call] = None
        call.add_done_callback(self._called)
        try:
            await asyncio.wait((call,))
        except asyncio.CancelledError:
            await end([call])
            raise
        if call.cancelled():
            raise JournalUnavailable("the journal is closed", retry_after_seconds=1)
        return call.result()

    async def end(self) -> None:
        """End all of them."""
        await end([*self._calls])

    def _called(self, call: asyncio.Task[Any]) -> None:
        self._calls.pop(call, None)
        if not call.cancelled():
            call.exception()  # Marks it as seen: its caller may have gone away.
