"""Failovers under load: what is left is consistent, and what was lost is counted."""

from __future__ import annotations

import json
import os
import random
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.acceptance.fleet import fleet
from tests.acceptance.hesitant import HESITATED
from tests.acceptance.load import settled, under_load
from tests.acceptance.nemesis import Nemesis
from tests.acceptance.site import Site

HESITANT = [sys.executable, "-m", "tests.acceptance.hesitant"]
FAILOVERS = 3


def everything_at_once(
    folder: Path,
    ack: Literal["logged", "replicated"] = "logged",
    careful: bool = False,
    guarded: bool = True,
) -> dict[str, Any]:
    """Kill and stop processes and promote replicas under load; return what was found."""
    seconds, seed = float(os.environ.get("SECONDS_UNDER_LOAD", "60")), os.environ.get("SEED", "1")
    command = HESITANT if guarded else [*HESITANT, "--unguarded"]
    with ExitStack() as stack:
        site = Site(folder, stack, careful)
        site.begin()
        ours = stack.enter_context(fleet(folder, site.primary.url, command))
        nemesis = Nemesis(site, ours, random.Random(seed))
        apis = [nemesis.start("api") for _ in range(2)]
        for member in [*apis, *(nemesis.start("worker") for _ in range(3))]:
            member.wait_until_ready()
        with under_load([member.url for member in apis], ack) as posters:
            nemesis.run(seconds, FAILOVERS)
        outcome = settled(site.primary, posters, ours, nemesis.of("worker"))
        hesitated = ours.said().count(HESITATED)
    return {
        "seed": int(seed),
        "ack": ack,
        "min_replicas_to_write": int(careful),
        "guarded": guarded,
        "seconds": seconds,
        "did": dict(sorted(nemesis.done.items())),
        "hesitated": hesitated,
        **asdict(outcome),
    }


@pytest.mark.long
@pytest.mark.parametrize(
    ("ack", "careful"), [("logged", False), ("replicated", False), ("logged", True)]
)
def test_what_failovers_leave_is_consistent(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    ack: Literal["logged", "replicated"],
    careful: bool,
) -> None:
    found = everything_at_once(tmp_path, ack, careful)
    with capsys.disabled():
        print(f"\n{json.dumps(found)}")
    assert found["violations"] == []
    if ack == "replicated":
        assert found["acknowledged_and_lost"] == 0
    assert found["events"] > 500
    assert found["did"]["failover"] == FAILOVERS


@pytest.mark.long
def test_without_the_fence_the_same_run_is_not_consistent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = everything_at_once(tmp_path, guarded=False)
    with capsys.disabled():
        print(f"\n{json.dumps(found)}")
    assert found["violations"] != []
