"""Kernels compiled before the first event has to wait for them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from typing import Any

from service.catalog import INDICATORS, LEARNERS
from service.schemas import Event, StreamSpec
from service.stream import Stream

WITHOUT_KERNELS = {"river"}
"""Kinds that are not compiled here, and say nothing without parameters."""

SLOWEST = ("sequence_memory", "hebbian_adaptation")
"""Kinds that take half of the time to compile."""

MOST_PROCESSES = 3
"""None can be done before the slowest kind is, and each takes half a gigabyte."""

AT_ONCE = 8
"""How many indicators a spec may have."""


def warm() -> None:
    """Compile every kernel, or load it from the cache that an earlier time left on disk."""
    for kind in sorted(LEARNERS.keys() - WITHOUT_KERNELS):
        _warm_kind(kind)
    indicators = [{"kind": kind} for kind in INDICATORS]
    for i in range(0, len(indicators), AT_ONCE):
        part = indicators[i : i + AT_ONCE]
        _step({"learner": {"kind": "rolling_zscore"}, "indicators": part})


def _step(spec: dict[str, Any]) -> None:
    stream = Stream(StreamSpec.model_validate(spec))
    for value in range(3):
        # The last one has no label, for who adapts where labels stop.
        y = float(value) if value < 2 else None
        stream.step(Event(x={"value": float(value)}, y=y), float(value))


def _at_once() -> None:
    """Compile in several processes, the longest work first; each leaves what it has on disk."""
    kinds = [*SLOWEST, *sorted(LEARNERS.keys() - WITHOUT_KERNELS - set(SLOWEST))]
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    # Where there is no room for processes, or one is killed for want of memory, `warm` does it all.
    with (
        suppress(OSError, BrokenProcessPool),
        ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool,
    ):
        for _ in pool.map(_warm_kind, kinds):
            pass


def _warm_kind(kind: str) -> None:
    for params in ({}, *LEARNERS[kind].variants()):
        _step({"learner": {"kind": kind, **params}, "indicators": []})


def command(arguments: argparse.Namespace) -> int:
    """Run the command `warm`, which an image or an installation does once, ahead of any start."""
    print("compiling the learners: some two minutes, the first time", file=sys.stderr)
    begun = time.monotonic()
    _at_once()
    warm()  # What two processes compiled at once, one of them may have written over.
    print(f"learners ready after {time.monotonic() - begun:.1f} seconds", file=sys.stderr)
    return 0
