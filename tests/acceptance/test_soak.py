"""A fleet under load for a while: neither memory nor open files grow."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from tests import valkey
from tests.acceptance.fleet import PARTITIONS, fleet
from tests.acceptance.load import settled, under_load

SAMPLES_PER_THIRD = 20
MOST_GROWTH = 0.05
"""From the second third of the time to the last; in the first all finds its size."""
MOST_NEW_FILES = PARTITIONS
"""Connections are kept once there are so many: one more a partition is a peak, and no leak."""


def memory_bytes(pid: int) -> int:
    """Return how much memory a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def open_files(pid: int) -> int:
    """Return how many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.long
def test_neither_memory_nor_files_leak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("there is no /proc here")
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    with valkey.running(tmp_path / "valkey") as server, fleet(tmp_path, server.url) as ours:
        members = {role: ours.start(role) for role in ("api", "worker")}
        for member in members.values():
            member.wait_until_ready()
        memory: dict[str, list[int]] = {role: [] for role in members}
        files: dict[str, list[int]] = {role: [] for role in members}
        with under_load([members["api"].url]) as posters:
            begun = time.monotonic()
            for i in range(3 * SAMPLES_PER_THIRD):
                time.sleep(
                    max(0.0, begun + (i + 1) * seconds / (3 * SAMPLES_PER_THIRD) - time.monotonic())
                )
                for role, member in members.items():
                    memory[role].append(memory_bytes(member.process.pid))
                    files[role].append(open_files(member.process.pid))
        outcome = settled(server, posters, ours, [members["worker"]])
    thirds = [slice(i * SAMPLES_PER_THIRD, (i + 1) * SAMPLES_PER_THIRD) for i in range(3)]
    megabytes = {
        role: [round(sum(found[third]) / SAMPLES_PER_THIRD / 1e6, 1) for third in thirds]
        for role, found in memory.items()
    }
    most_files = {role: [max(found[third]) for third in thirds] for role, found in files.items()}
    measured = {"seconds": seconds, "megabytes": megabytes, "files": most_files}
    with capsys.disabled():
        print(f"\n{json.dumps(measured | asdict(outcome))}")
    assert outcome.violations == []
    for role in members:
        assert megabytes[role][2] < megabytes[role][1] * (1 + MOST_GROWTH), role
        assert most_files[role][2] <= most_files[role][1] + MOST_NEW_FILES, role
