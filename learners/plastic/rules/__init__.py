"""The learning rules, by name."""

from __future__ import annotations

from collections.abc import Mapping

from learners.plastic.rule import Rule
from learners.plastic.rules.equilibrium_propagation import EquilibriumPropagation
from learners.plastic.rules.exponentiated_gradient import ExponentiatedGradient
from learners.plastic.rules.sgd import Sgd

RULES: Mapping[str, type[Rule]] = {
    each.name: each for each in (Sgd, ExponentiatedGradient, EquilibriumPropagation)
}
