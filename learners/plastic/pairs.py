"""Which rules and options go together; what does not is refused by both names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from learners.plastic.option import Option
from learners.plastic.rule import FactorRule, Rule

REFUSED: Mapping[tuple[str, str], str] = {
    ("node_perturbation", "dynamic_pruning"): "which perturbs units that a mask has set to 0",
    ("node_perturbation", "fast_slow"): "which measures losses without the fast memory",
    ("counter_current", "fast_slow"): "whose hidden layers learn nothing of the fast memory",
}
"""Pairs (rule, option) or (option, option) that could be put together and make no sense."""


def why_not(rule: type[Rule], option: type[Option]) -> str | None:
    """Return why an option is refused with a rule, or `None`."""
    if option.needs_factors and not issubclass(rule, FactorRule):
        return "which needs a step in factors, and the rule writes its weights itself"
    if option.needs_layers and rule.predict is not Rule.predict:
        return "which needs to see layer by layer, and the rule answers in a way of its own"
    return REFUSED.get((rule.name, option.name))


def why_not_both(one: type[Option], other: type[Option]) -> str | None:
    """Return why two options are refused together, or `None`."""
    if one.writes and other.writes:
        return "and each writes the step"
    return REFUSED.get((one.name, other.name)) or REFUSED.get((other.name, one.name))


def require_pairs(rule: type[Rule], options: Sequence[type[Option]]) -> None:
    """Raise `ValueError` naming the first two that do not go together."""
    for i, option in enumerate(options):
        reason = why_not(rule, option)
        if reason is not None:
            raise ValueError(f"options: got {option.name!r} with rule {rule.name!r}, {reason}")
        for other in options[:i]:
            reason = why_not_both(other, option)
            if reason is not None:
                raise ValueError(f"options: got {other.name!r} and {option.name!r}, {reason}")
        missing = set(option.needs) - {each.name for each in options}
        if missing:
            raise ValueError(f"options: got {option.name!r} without {sorted(missing)[0]!r}")
