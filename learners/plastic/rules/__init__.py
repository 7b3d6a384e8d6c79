"""The learning rules, by name."""

from __future__ import annotations

from collections.abc import Mapping

from learners.plastic.rule import Rule
from learners.plastic.rules.bidirectional import Bidirectional
from learners.plastic.rules.binary_variational import BinaryVariational
from learners.plastic.rules.counter_current import CounterCurrent
from learners.plastic.rules.curl_descent import CurlDescent
from learners.plastic.rules.discrete_conductance import DiscreteConductance
from learners.plastic.rules.equilibrium_propagation import EquilibriumPropagation
from learners.plastic.rules.exponentiated_gradient import ExponentiatedGradient
from learners.plastic.rules.node_perturbation import NodePerturbation
from learners.plastic.rules.noprop import Noprop
from learners.plastic.rules.sgd import Sgd
from learners.plastic.rules.symmetric_stdp import SymmetricStdp

_ALL: tuple[type[Rule], ...] = (
    Sgd,
    Bidirectional,
    BinaryVariational,
    CounterCurrent,
    CurlDescent,
    DiscreteConductance,
    EquilibriumPropagation,
    ExponentiatedGradient,
    NodePerturbation,
    Noprop,
    SymmetricStdp,
)
RULES: Mapping[str, type[Rule]] = {each.name: each for each in _ALL}
