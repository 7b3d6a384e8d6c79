"""A progress bar on a terminal, and silence anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tick = Callable[[int, int], None]
"""Takes how much is done, and how many events that was."""


@contextmanager
def progress(title: str, total: int, shown: bool = True) -> Iterator[Tick]:
    """Show a bar on standard error until the end of the block."""
    if not shown or not sys.stderr.isatty():
        yield lambda done, events: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[events]:,} events"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task(title, total=total, events=0)
        yield lambda done, events: bar.update(task, completed=done, events=events)
