"""How a memory takes its inputs."""

from __future__ import annotations

from typing import Literal

from learners.inputs import Inputs
from learners.parameters import require

Scaling = Literal["standardize", "center", "none"]
"""By running mean and deviation; less the running mean; as they come."""


def scaled_inputs(width: int, scaling: Scaling) -> Inputs:
    """Return inputs of a width, or raise `ValueError` for a scaling that there is not."""
    known = ("standardize", "center", "none")
    require(scaling in known, "scaling", scaling, f"one of {', '.join(known)}")
    return Inputs(width, scaling == "standardize", scaling == "center")
