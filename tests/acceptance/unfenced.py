"""A service whose journal takes any commit: from a former owner, from a stale place, of phantoms.

The arguments are those of `synaptide serve`. What holds with the guards must fail without them.
"""

from __future__ import annotations

import re
import sys

from service import cli
from service.journal import redis_server

GUARDS = re.compile(r"return \{'(FENCED|STALE|PHANTOM)'.*\}")


def without_guards(text: str) -> str:
    """Return a script that says nothing where it should refuse."""
    found = GUARDS.sub("", text)
    assert found != text
    return found


def disarm() -> None:
    """Have every server get the script without its guards."""
    original = redis_server.Server.__init__

    def disarmed(self: redis_server.Server, url: str) -> None:
        original(self, url)
        self._texts["commit"] = without_guards(self._texts["commit"])

    redis_server.Server.__init__ = disarmed  # type: ignore[method-assign]


if __name__ == "__main__":
    disarm()
    sys.exit(cli.main(["serve", *sys.argv[1:]]))
