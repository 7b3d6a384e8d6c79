"""The one way this project compiles a function."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def njit(function: F) -> F:
    """Compile `function` without the interpreter lock, cached on disk, with IEEE arithmetic.

    `fastmath` stays off and nothing runs in parallel: a replay must give the same bits.
    """
    return cast(F, numba.njit(nogil=True, cache=True, fastmath=False)(function))
