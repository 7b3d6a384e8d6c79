"""Thousands of schedules of workers, leases and journal, each of them what its seed says.

The seed of one that fails is printed with its story: `python -m tests.simulation SEED`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ResponseError

from tests import valkey
from tests.simulation.network import Done, shaped
from tests.simulation.values import Stream
from tests.simulation.world import Outcome, World, patched, simulate

ROOT = Path(__file__).parents[2]
GROUPS, EACH = 5, 6
"""`make simulate` looks at a thousand more."""


def assert_sound(outcome: Outcome) -> None:
    """Fail with the story of a schedule that went wrong."""
    told = "\n".join(["", *outcome.story, f"seed {outcome.seed}:", *outcome.violations])
    assert not outcome.violations, told


@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_lost_or_doubled(group: int) -> None:
    outcomes = [simulate(seed) for seed in range(group * EACH, (group + 1) * EACH)]
    for outcome in outcomes:
        assert_sound(outcome)
    assert sum(outcome.events for outcome in outcomes) > 200


def test_schedules_have_failovers() -> None:
    assert any(simulate(seed).failovers for seed in range(30))


def test_seed_says_all() -> None:
    """The same things happen in the same order, in another process with other hashes too."""
    marks = [simulate(seed).mark for seed in (7, 8)]
    said = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "7", "--marks", "2"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split("\n")[:2] == marks


@pytest.mark.parametrize("seed", [3, 9])
def test_model_does_what_a_server_does(seed: int, tmp_path: Path) -> None:
    """Whatever a schedule asks of the model, a real server answers in the same way."""
    world = World(seed, {})
    world.network.primary.asked = []
    world.forbid_failovers()
    with patched(world):
        world.begin()
        world.disturb()
        assert world.heal() == []
    node = world.network.primary
    world.machine.close()
    assert node.asked is not None
    with valkey.running(tmp_path, "--appendonly", "no") as server:
        for done in node.asked:
            got, want = _asked(server, done), _comparable(done)
            if done.words[0] in (b"HKEYS", b"HVALS") or "HGETALL" in done.text:
                got, want = sorted(_leaves(got)), sorted(_leaves(want))  # A hash has no order.
            assert got == want, done.words[:4]
        for key, value in node.values.kept.items():
            assert _held(server, key) == _plain(value), key
        assert int(server.ask("DBSIZE")) == len(node.values.kept)
    assert len(node.asked) > 500


CHECKS = (
    "own[1] ~= ARGV[2] or own[2] ~= ARGV[3]",
    "(head[1] or '0') ~= previous",
    "tonumber(upto) <= tonumber(previous)",
    "fields['x'] ~= ARGV[7]",
    "tonumber(fields['k']) - tonumber(ordinal) ~= tonumber(ARGV[6])",
    "tonumber(ARGV[a + 8]) > 0 and ARGV[a + 1] - ARGV[a + 8] < stands",
)
"""Of a commit. Each catches most of what the others are there for, so all have to be out."""


def test_without_the_checks_of_a_commit_schedules_go_wrong() -> None:
    mutants = {"commit": [(check, "false") for check in CHECKS]}
    assert any(simulate(seed, mutants).violations for seed in range(100))


def _asked(server: valkey.Server, done: Done) -> Any:
    """Ask a real server the same, as if it had the model's clock."""
    words: list[Any] = [done.words[0].decode(), *done.words[1:]]
    if done.text:
        seconds, micros = int(done.now), int((done.now - int(done.now)) * 1e6)
        text = done.text.replace("redis.call('TIME')", f"{{'{seconds}', '{micros}'}}")
        words[:2] = ["EVAL", text.replace("'*'", f"'{int(done.now * 1_000)}-*'")]
    elif words[0] == "XREAD" and b"BLOCK" in words:
        at = words.index(b"BLOCK")
        del words[at : at + 2]
    elif words[0] in ("TIME", "WAIT"):
        return _comparable(done)
    try:
        return server.ask(*words)
    except ResponseError as error:
        return str(error)


def _comparable(done: Done) -> Any:
    if isinstance(done.reply, Exception):
        return str(done.reply)
    return shaped(done.words[0], done.reply)


def _leaves(reply: Any) -> list[bytes]:
    if isinstance(reply, list):
        return [leaf for each in reply for leaf in _leaves(each)]
    return [reply if isinstance(reply, bytes) else str(reply).encode()]


def _held(server: valkey.Server, key: bytes) -> Any:
    kind = server.ask("TYPE", key)
    if kind == b"stream":
        return server.ask("XRANGE", key, "-", "+")
    if kind == b"zset":
        flat = server.ask("ZRANGE", key, 0, -1, "WITHSCORES")
        return dict(zip(flat[::2], map(float, flat[1::2]), strict=True))
    return server.ask({b"hash": "HGETALL", b"string": "GET"}[kind], key)


def _plain(value: Any) -> Any:
    if not isinstance(value, Stream):
        return value
    ids = [b"%d-%d" % each for each in value.ids]
    return shaped(b"XRANGE", [list(pair) for pair in zip(ids, value.entries, strict=True)])
