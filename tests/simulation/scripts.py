"""The service's own Lua scripts, run over the model of a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lupa.lua51 import LuaError, LuaRuntime

from tests.simulation.values import Refusal, Reply, Values


class Scripts:
    """Runs scripts by their text; each is compiled once."""

    def __init__(self) -> None:
        self._lua = LuaRuntime(encoding=None, unpack_returned_tuples=False)
        self._compiled: dict[str, Callable[..., Any]] = {}
        self._values = Values()
        self._refusal: Refusal | None = None
        module = self._lua.table()
        module[b"call"] = self._call
        self._lua.globals()[b"redis"] = module

    def run(
        self, text: str, keys: Sequence[bytes], words: Sequence[bytes], values: Values
    ) -> Reply:
        """Run a script over a server's values, or raise `Refusal`; nothing is undone then."""
        run = self._compiled.get(text)
        if run is None:
            body = text.partition("\n")[2] if text.startswith("#!") else text
            source = f"return function(KEYS, ARGV)\n{body}\nend"
            run = self._compiled[text] = self._lua.execute(source.encode())
        self._values, self._refusal = values, None
        try:
            return self._reply(run(self._table(keys), self._table(words)))
        except LuaError as error:
            raise self._refusal or Refusal(f"ERR {error}") from None

    def _table(self, items: Sequence[Any]) -> Any:
        table = self._lua.table()
        for i, item in enumerate(items):
            table[i + 1] = item
        return table

    def _call(self, *words: Any) -> Any:
        try:
            return self._value(self._values.run([_wire(word) for word in words]))
        except Refusal as refusal:
            self._refusal = refusal
            raise

    def _value(self, reply: Reply) -> Any:
        """Turn a reply into what Lua sees of it."""
        if reply is None:
            return False
        return (
            self._table([self._value(each) for each in reply]) if isinstance(reply, list) else reply
        )

    def _reply(self, value: Any) -> Reply:
        """Turn what a script returns into a reply: a number is cut, a list ends at a nil."""
        if value is None or value is False:
            return None
        if value is True:
            return 1
        if isinstance(value, bytes):
            return value
        if isinstance(value, int | float):
            return int(value)
        found, i = [], 1
        while (each := value[i]) is not None:
            found.append(self._reply(each))
            i += 1
        return found


def _wire(word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    return b"%d" % int(word) if word == int(word) else b"%.17g" % word
