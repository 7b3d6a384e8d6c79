"""One statement about a system, what was expected of it, and what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.spread import Json, spread


@dataclass(frozen=True)
class Row:
    """A statement with what was measured of it, one value a seed; with none, it was not run."""

    statement: str
    expected: str
    measured: Sequence[float]
    met: bool

    @property
    def verdict(self) -> str:
        """Whether it was met, missed or not run."""
        return ("met" if self.met else "missed") if self.measured else "not run"

    def to_json(self) -> Json:
        """Return it as the report has it."""
        return {
            "statement": self.statement,
            "expected": self.expected,
            "measured": spread(self.measured) if self.measured else None,
            "verdict": self.verdict,
        }


def at_least(statement: str, least: float, measured: Sequence[float]) -> Row:
    """Expect a mean of `least` or more."""
    return Row(statement, f"at least {least:g}", measured, statistics.fmean(measured) >= least)


def at_most(statement: str, most: float, measured: Sequence[float]) -> Row:
    """Expect a mean of `most` or less."""
    return Row(statement, f"at most {most:g}", measured, statistics.fmean(measured) <= most)


def near(statement: str, value: float, by: float, measured: Sequence[float]) -> Row:
    """Expect a mean that is off a value by `by` or less."""
    off = abs(statistics.fmean(measured) - value)
    return Row(statement, f"{value:g} +- {by:g}", measured, off <= by)


def never(statement: str, counted: Sequence[float]) -> Row:
    """Expect that something is counted 0 times, with every seed."""
    return Row(statement, "never", counted, not any(counted))


def not_run(statement: str, reason: str) -> Row:
    """Say that something could not be measured, and why."""
    return Row(statement, reason, (), met=False)
