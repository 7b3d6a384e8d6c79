"""A process of its own that grows learners and prints by how much it grew: bytes a learner."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.htm_memory import FILE, read, repeated
from learners.sequence_memory import SequenceMemory


def resident_bytes() -> int:
    """Return the bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def grown(data: Path, age: int, learners: int) -> int:
    """Return the bytes by which the process grows with each learner of so many records."""
    steps = repeated(read(data / FILE), age)
    kept = [SequenceMemory()]
    before = 0
    for i in range(learners + 1):
        for t, value in steps:
            kept[-1].step_one({"value": value}, t=t)
        if i == 0:
            before = resident_bytes()
        if i < learners:
            kept.append(SequenceMemory())
    return (resident_bytes() - before) // learners


if __name__ == "__main__":
    print(grown(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
