"""What the routes share: settings, journal, metrics, and whether the service is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from service.errors import NotReady, Unreadable
from service.journal.base import Journal, StreamRow
from service.metrics import Metrics
from service.settings import Settings


class Api:
    """One object, built with the application and opened when it starts."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.warm = False
        self.draining = asyncio.Event()
        self._journal: Journal | None = None
        self._healthy: Callable[[], bool] = lambda: False

    def open(self, journal: Journal, healthy: Callable[[], bool]) -> None:
        """Hand over the journal, and a way to ask whether it is being followed."""
        self._journal, self._healthy = journal, healthy

    def drain(self) -> None:
        """Take no more events, and let replies that have no end come to one."""
        self.draining.set()

    @property
    def journal(self) -> Journal:
        """The journal, or `NotReady` before it is open."""
        if self._journal is None:
            raise NotReady("the journal is not open yet", retry_after_seconds=1)
        return self._journal

    def writable(self) -> Journal:
        """Return the journal, unless the service is stopping."""
        if self.draining.is_set():
            raise NotReady("the service is stopping", retry_after_seconds=2)
        return self.journal

    def why_not_ready(self) -> str:
        """Return the reason why an event posted now would wait or be refused, or nothing."""
        if self._journal is None or not self.warm:
            return "the learners are being compiled"
        if self.draining.is_set():
            return "the service is stopping"
        return "" if self._healthy() else "the journal cannot be written"


def check_alive(row: StreamRow | None) -> None:
    """Raise `Unreadable` for a stream that cannot be brought back."""
    if row is not None and row.unreadable:
        raise Unreadable(row.unreadable)


def api_of(connection: HTTPConnection) -> Api:
    """Return the object the application was built with."""
    api: Api = connection.app.state.api
    return api


async def _depend(connection: HTTPConnection) -> Api:
    # Not `api_of` itself: what is no coroutine is called in a thread, for each request anew.
    return api_of(connection)


ApiState = Annotated[Api, Depends(_depend)]
