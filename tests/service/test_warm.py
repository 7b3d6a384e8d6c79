"""After the command `warm`, no event of any learner waits for a compiler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from service.cli import main

SIGNATURES = """
import importlib, pkgutil
from numba.core.dispatcher import Dispatcher
import learners.kernels
from service.catalog import LEARNERS
from service.schemas import Event, StreamSpec
from service.stream import Stream
from service.warm import WITHOUT_KERNELS, warm

modules = [
    importlib.import_module(f"learners.kernels.{module.name}")
    for module in pkgutil.iter_modules(learners.kernels.__path__)
]

def compiled():
    kernels = [each for module in modules for each in vars(module).values()]
    return sum(len(each.signatures) for each in kernels if isinstance(each, Dispatcher))

warm()
before = compiled()
assert before > 0
for kind, params in [
    (kind, params)
    for kind in LEARNERS.keys() - WITHOUT_KERNELS
    for params in LEARNERS[kind].variants()
]:
    stream = Stream(StreamSpec.model_validate({"learner": {"kind": kind, **params}}))
    for i in range(500):
        y = float(i % 2) if i < 250 else None
        stream.step(Event(x={"value": float(i * i % 11)}, y=y), 60.0 * i)
assert compiled() == before, (before, compiled())
"""


def test_no_event_waits_for_a_compiler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNATURES], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["warm"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "learners ready after" in said.err


def _die(kind: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_it_is_warm_also_if_its_processes_are_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("service.warm._warm_kind", _die)
    done: list[bool] = []
    monkeypatch.setattr("service.warm.warm", lambda: done.append(True))
    assert main(["warm"]) == 0
    assert done == [True]
    assert "learners ready after" in capsys.readouterr().err
