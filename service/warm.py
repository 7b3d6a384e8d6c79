"""Kernels compiled before the first event has to wait for them."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import product
from typing import Any

from service.catalog import INDICATORS, LEARNERS
from service.schemas import Event, StreamSpec
from service.stream import Stream

WITHOUT_KERNELS = {"river"}
"""Kinds that are not compiled here, and say nothing without parameters."""

AT_ONCE = 8
"""How many indicators a spec may have."""


def warm() -> None:
    """Compile every kernel, or load it from the cache that an earlier time left on disk."""
    indicators = [{"kind": kind} for kind in INDICATORS]
    parts = [indicators[i : i + AT_ONCE] for i in range(0, len(indicators), AT_ONCE)]
    kinds = sorted(LEARNERS.keys() - WITHOUT_KERNELS)
    for kind, part in product(kinds, parts):
        _step({"learner": {"kind": kind}, "indicators": part})
    for kind in kinds:
        for params in LEARNERS[kind].variants():
            _step({"learner": {"kind": kind, **params}, "indicators": []})


def _step(spec: dict[str, Any]) -> None:
    stream = Stream(StreamSpec.model_validate(spec))
    for value in range(3):
        # The last one has no label, for who adapts where labels stop.
        y = float(value) if value < 2 else None
        stream.step(Event(x={"value": float(value)}, y=y), float(value))


def command(arguments: argparse.Namespace) -> int:
    """Run the command `warm`, which an image or an installation does once, ahead of any start."""
    print("compiling the learners: a minute, the first time", file=sys.stderr)
    begun = time.monotonic()
    warm()
    print(f"learners ready after {time.monotonic() - begun:.1f} seconds", file=sys.stderr)
    return 0
