"""The options, by name, in the order in which they act."""

from __future__ import annotations

from collections.abc import Mapping

from learners.plastic.option import Option
from learners.plastic.options.classp import Classp
from learners.plastic.options.dynamic_pruning import DynamicPruning
from learners.plastic.options.fast_slow import FastSlow
from learners.plastic.options.group_sparsity import GroupSparsity
from learners.plastic.options.orthogonal_projection import OrthogonalProjection
from learners.plastic.options.rehearsal import Rehearsal

OPTIONS: Mapping[str, type[Option]] = {
    each.name: each
    for each in (
        Classp,
        DynamicPruning,
        FastSlow,
        OrthogonalProjection,
        GroupSparsity,
        Rehearsal,
    )
}
