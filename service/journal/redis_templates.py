"""Templates in the server: one hash, which every process reads anew."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import from_json, to_json

from service.errors import TemplateNotFound
from service.journal.base import TemplateRow
from service.journal.redis_server import Server


class Templates:
    """Specs for streams that are made when their first event comes."""

    def __init__(self, server: Server, prefix: str, clock: Callable[[], float]) -> None:
        self._server = server
        self._key = f"{prefix}:templates"
        self._clock = clock

    async def put(self, name: str, pattern: str, spec: bytes) -> tuple[TemplateRow, bool]:
        """Make or replace a template; return it, and whether it was made now."""
        old = {row.name: row for row in await self.all()}.get(name)
        row = TemplateRow(name, pattern, spec, self._clock() if old is None else old.created_at)
        said = to_json([pattern, spec.decode(), row.created_at])
        await self._server.call("HSET", self._key, name, said)
        return row, old is None

    async def delete(self, name: str) -> None:
        """Remove a template, or raise `TemplateNotFound`."""
        if not await self._server.call("HDEL", self._key, name):
            raise TemplateNotFound(f"template: got {name!r}, expected one that exists")

    async def all(self) -> list[TemplateRow]:
        """Return every template, by name."""
        found = await self._server.call("HGETALL", self._key)
        said = {name.decode(): from_json(value) for name, value in sorted(found.items())}
        return [
            TemplateRow(name, pattern, spec.encode(), created_at)
            for name, (pattern, spec, created_at) in said.items()
        ]
