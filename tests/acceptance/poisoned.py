"""A service that ends, as by a crash of compiled code, whenever it steps the value 666.

The arguments are those of `synaptide serve`.
"""

from __future__ import annotations

import os
import signal
import sys

from service import cli
from service.schemas import Event, Label
from service.stream import Reply, Stream

POISON = 666.0


def poison() -> None:
    """Have every stream end the process at that value."""
    original = Stream.apply

    def deadly(self: Stream, entry: Event | Label, received_at: float) -> Reply:
        if isinstance(entry, Event) and entry.x.get("value") == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, entry, received_at)

    Stream.apply = deadly  # type: ignore[method-assign]


if __name__ == "__main__":
    poison()
    sys.exit(cli.main(["serve", *sys.argv[1:]]))
