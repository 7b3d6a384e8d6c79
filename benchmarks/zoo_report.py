"""What the trials came to: figures over the seeds, and the page that tells which fits which."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.spread import Json, spread
from benchmarks.zoo_arms import BASELINES, RIVER, SGD
from benchmarks.zoo_runs import Run
from benchmarks.zoo_streams import Stream

Runs = Mapping[str, Sequence[Run]]
FIGURES = ("accuracy", "later", "final", "forgotten", "microseconds", "bytes")
CLEARLY = 0.02
"""A difference of less is taken for noise; one of more has to be there with every seed."""

_INTRODUCTION = """\
Written by `synaptide bench zoo --seeds {seeds} --page docs/zoo.md`; with `--data DIR` it has MNIST
too. Each learner, rule and option has four settings to choose from, by a part of the stream that is
not judged; accuracies are prequential, means over the seeds. A gain is told where it is
{clearly:.0%} or more over plain SGD in the mean, and above 0 with every seed."""
_LEGEND = """\
`kept` is the accuracy on held-out events of all phases after the last one; `forgotten` what a
phase lost from its end to the end of all. Times are of a shared machine: compare them within one
table."""


def figures(runs: Runs) -> Json:
    """Return each arm's figures over its seeds, those that it has."""
    return {
        arm: {
            name: spread(values)
            for name in FIGURES
            if len(values := [v for r in found if (v := getattr(r, name)) is not None])
        }
        for arm, found in runs.items()
    }


def table(stream: Stream, found: Json) -> Table:
    """Return the figures of a stream as a person reads them, baselines first."""
    out = Table(stream.name, "accuracy", "range", "last quarter", "kept", "forgotten", "µs", "kB")
    for arm in in_order(found):
        out.add_row(arm, *_cells(found[arm]))
    return out


def _cells(row: Json) -> list[str]:
    def share(name: str) -> str:
        return f"{row[name]['mean']:.3f}" if name in row else ""

    accuracy = row["accuracy"]
    return [
        share("accuracy"),
        f"{accuracy['min']:.3f} to {accuracy['max']:.3f}",
        share("later"),
        share("final"),
        share("forgotten"),
        f"{row['microseconds']['mean']:.0f}",
        f"{row['bytes']['mean'] / 1e3:.0f}" if "bytes" in row else "",
    ]


def in_order(found: Json) -> list[str]:
    """Return the arms: baselines, then by accuracy."""
    rest = [arm for arm in found if arm not in BASELINES]
    rest.sort(key=lambda arm: -found[arm]["accuracy"]["mean"])
    return [*(arm for arm in BASELINES if arm in found), *rest]


def clearly_better(runs: Runs, than: str = SGD) -> dict[str, float]:
    """Return by how much arms are better than another, those that are so with every seed."""
    out = {}
    for arm, found in runs.items():
        gains = [a.accuracy - b.accuracy for a, b in zip(found, runs[than], strict=True)]
        if arm not in BASELINES and statistics.fmean(gains) >= CLEARLY and min(gains) > 0.0:
            out[arm] = statistics.fmean(gains)
    return dict(sorted(out.items(), key=lambda each: -each[1]))


def clearly_worse(runs: Runs) -> list[str]:
    """Return the arms that are worse than plain SGD with every seed."""
    return [
        arm
        for arm, found in runs.items()
        if arm not in BASELINES
        and all(a.accuracy < b.accuracy - CLEARLY for a, b in zip(found, runs[SGD], strict=True))
    ]


def write_page(
    path: Path, streams: Sequence[Stream], all_runs: Mapping[str, Runs], seeds: int
) -> None:
    """Write the page: what fits which stream, then every figure."""
    path.write_text("\n".join(_page(streams, all_runs, seeds)) + "\n", "utf-8")


def _page(streams: Sequence[Stream], all_runs: Mapping[str, Runs], seeds: int) -> Iterator[str]:
    yield "# Which learner fits which stream"
    yield ""
    yield from _INTRODUCTION.format(seeds=seeds, clearly=CLEARLY).splitlines()
    yield ""
    yield "| stream | SGD | best of River | what is clearly better than SGD | worse than SGD |"
    yield "|---|---|---|---|---|"
    for stream in streams:
        yield _summary(stream, all_runs[stream.name])
    for stream in streams:
        found = figures(all_runs[stream.name])
        yield from ("", f"## {stream.name}", "", f"{stream.what[0].upper()}{stream.what[1:]}.", "")
        yield "| | accuracy | range | last quarter | kept | forgotten | µs an event | kB |"
        yield "|---|---|---|---|---|---|---|---|"
        for arm in in_order(found):
            yield f"| {arm} | {' | '.join(_cells(found[arm]))} |"
    yield ""
    yield from _LEGEND.splitlines()


def _summary(stream: Stream, runs: Runs) -> str:
    better = clearly_better(runs)
    told = ", ".join(f"`{arm}` +{gain:.3f}" for arm, gain in list(better.items())[:4])
    worse = clearly_worse(runs)
    sgd, river = (f"{statistics.fmean(r.accuracy for r in runs[a]):.3f}" for a in (SGD, RIVER))
    told = told or "nothing: use SGD"
    less = ", ".join(f"`{arm}`" for arm in worse) or "none"
    return f"| {stream.what} | {sgd} | {river} | {told} | {less} |"
