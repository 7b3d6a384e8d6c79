"""The ways this project compiles a function, and the short way to call one."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": False}
_LEAN = _OPTIONS | {"_nrt": False}


def njit(function: F) -> F:
    """Compile `function` without the interpreter lock, cached on disk, with IEEE arithmetic.

    `fastmath` stays off and nothing runs in parallel: a replay must give the same bits.
    """
    return cast(F, numba.njit(**_OPTIONS)(function))


def lean_njit(function: F) -> F:
    """Compile as `njit` does, without numba's own memory: for kernels of the hot path.

    Such a kernel cannot allocate, and no array that it hands on or cuts a row from is counted,
    which a step through the temporal memory does thousands of times.
    """
    return cast(F, numba.njit(**_LEAN)(function))


def inlined_njit(function: F) -> F:
    """Compile as `lean_njit` does, and write the code into that of every caller.

    A call hands over every field of every array of a tuple, some two hundred words for those of
    the temporal memory, which may take longer than the work to be done.
    """
    return cast(F, numba.njit(**_LEAN, forceinline=True)(function))


def entry(kernel: F, *like: object) -> F:
    """Return the machine code of `kernel` for arguments of the types of `like`, and no others.

    A kernel looks at the types of its arguments at each call, which for tuples of some ninety
    arrays takes ten times as long as to hand them over. What is returned here does not look.
    """
    types = tuple(numba.typeof(each) for each in like)  # type: ignore[no-untyped-call]
    return cast(F, cast(Any, kernel).compile(types))
