"""A service that now and then stops short before a commit for longer than its lease.

With `--unguarded` as its first argument, its journal also takes any commit: from a former owner,
from a stale place, of phantoms. What holds with the guards must fail without them. The other
arguments are those of `synaptide serve`.
"""

from __future__ import annotations

import os
import random
import re
import sys
import time
from collections.abc import Sequence
from typing import Any

from service import cli
from service.journal import redis_server
from tests.acceptance.fleet import LEASE_SECONDS

GUARDS = re.compile(r"return \{'(FENCED|STALE|PHANTOM)'.*\}")
COMMITS_BETWEEN = (30, 300)
SECONDS_BEYOND_LEASE = (1.0, 2.5)
HESITATED = "stopped short before a commit"
"""What a process says when it waits."""


def without_guards(text: str) -> str:
    """Return a script that says nothing where it should refuse."""
    found = GUARDS.sub("", text)
    assert found != text
    return found


class Hesitant(redis_server.Server):
    """A server that is reached late, as by a process that was not let run for a while."""

    guarded = True
    random = random.Random(os.environ.get("SEED", "1") + os.environ.get("FLEET_MEMBER", "0"))
    left = random.randint(*COMMITS_BETWEEN) // 3

    def __init__(self, url: str) -> None:
        super().__init__(url)
        if not self.guarded:
            self._texts["commit"] = without_guards(self._texts["commit"])

    async def run(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script, at once or much later."""
        if name == "commit":
            Hesitant.left -= 1
            if Hesitant.left == 0:
                Hesitant.left = self.random.randint(*COMMITS_BETWEEN)
                print(HESITATED, file=sys.stderr, flush=True)
                # The whole process is to stand still.
                time.sleep(LEASE_SECONDS + self.random.uniform(*SECONDS_BEYOND_LEASE))  # noqa: ASYNC251
        return await super().run(name, keys, *arguments)


if __name__ == "__main__":
    from service.journal import redis

    given = sys.argv[1:]
    if given[:1] == ["--unguarded"]:
        Hesitant.guarded = False
        given = given[1:]
    redis.Server = Hesitant  # type: ignore[attr-defined]
    sys.exit(cli.main(["serve", *given]))
