"""Requests counted by route, and by how they ended."""

from __future__ import annotations

from prometheus_client import Counter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""A route or a method that the service does not have: what a client makes up is never a label."""


class CountedRequests:
    """Middleware: one look-up and one addition a request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._counter = metrics.requests
        self._counters: dict[tuple[str, str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count it when its reply begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                self._count(scope, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            if not begun:  # What the service failed on is answered further out.
                self._count(scope, 500)

    def _count(self, scope: Scope, status: int) -> None:
        method, route = scope["method"], _template(scope)
        key = (method if method in _METHODS else OTHER, route, status // 100)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = self._counter.labels(*key[:2], f"{key[2]}xx")
        counter.inc()


def _template(scope: Scope) -> str:
    return getattr(scope.get("route"), "path_format", None) or OTHER
