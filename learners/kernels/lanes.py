"""Sixteen synapses at a time: which of their cells are in a set, how their permanences move.

A compiler left to itself looks cells up by the processor's gather instruction, several times
slower than plain loads where its microcode is patched, and moves permanences in wider numbers than
they need. So this code is written out. Sixteen lanes are read, and written back, whatever the
length of the row: the arrays must go on for 16 entries more. A mask has bit i set for the lane at
`start` + i.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from learners.kernels.bits import ONE
from learners.kernels.jit import lean_njit

LANES = 16
PAGE = 64  # lanes of bytes


def emitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return what kernels call to get the code that `function` emits, without its context."""
    return cast(Callable[..., Any], intrinsic(function))


def _place(context: Any, builder: Any, array_type: Any, array: Any, start: Any) -> Any:
    """Return the address of an array's entry `start`."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [start])


def _load_lanes(builder: Any, place: Any, bits: int, lanes: int) -> tuple[Any, Any]:
    """Return the address as that of a vector, and the vector."""
    address = builder.bitcast(place, ir.VectorType(ir.IntType(bits), lanes).as_pointer())
    return address, builder.load(address, align=bits // 8)


def _spread(builder: Any, number: Any, lanes: int) -> Any:
    """Return a vector of copies of a number."""
    one = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    one = builder.insert_element(one, number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(one, one, zeros)


@emitted
def lanes_in(_context: Any, words: Any, cells: Any, start: Any) -> Any:
    """Return the mask of cells[start:start + 16] that are in a set of bits."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word_type, word_bits = signature.args[0], ir.IntType(64)
        first = _place(context, builder, signature.args[1], arguments[1], arguments[2])
        found = word_bits(0)
        for lane in range(LANES):
            cell = builder.load(builder.gep(first, [ir.IntType(64)(lane)]))
            cell = builder.zext(cell, word_bits)
            place = _place(
                context, builder, word_type, arguments[0], builder.lshr(cell, word_bits(6))
            )
            word = builder.load_atomic(place, "monotonic", 8)  # a plain load, but never gathered
            bit = builder.lshr(word, builder.and_(cell, word_bits(63)))
            bit = builder.and_(bit, word_bits(1))
            found = builder.or_(found, builder.shl(bit, word_bits(lane)))
        return found

    return types.uint64(words, cells, types.int64), emit


@emitted
def lanes_from(_context: Any, row: Any, start: Any, least: Any) -> Any:
    """Return the mask of row[start:] that is `least` or more: 64 lanes of bytes, else 16."""
    bits = row.dtype.bitwidth
    lanes = PAGE if bits == 8 else LANES

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments[0], arguments[1])
        _, numbers = _load_lanes(builder, place, bits, lanes)
        least = builder.trunc(arguments[2], ir.IntType(bits))
        mask = builder.icmp_unsigned(">=", numbers, _spread(builder, least, lanes))
        mask = builder.bitcast(mask, ir.IntType(lanes))
        return mask if lanes == PAGE else builder.zext(mask, ir.IntType(64))

    return types.uint64(row, types.int64, types.int64), emit


@emitted
def move_lanes(
    _context: Any, row: Any, start: Any, up: Any, plus: Any, down: Any, minus: Any
) -> Any:
    """Add `plus` to the uint16 lanes of one mask, take `minus` from the other's; saturate.

    Returns the mask of those that are zero then.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, signature.args[0], arguments[0], arguments[1])
        address, lanes = _load_lanes(builder, place, 16, LANES)
        zero = ir.Constant(lanes.type, [0] * LANES)
        masked = ir.VectorType(ir.IntType(1), LANES)
        for name, mask, step in (("uadd", *arguments[2:4]), ("usub", *arguments[4:6])):
            mask = builder.bitcast(builder.trunc(mask, ir.IntType(16)), masked)
            step = _spread(builder, builder.trunc(step, ir.IntType(16)), LANES)
            kind = ir.FunctionType(lanes.type, [lanes.type] * 2)
            saturate = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
                builder.module, kind, f"llvm.{name}.sat.v{LANES}i16"
            )
            lanes = builder.call(saturate, [lanes, builder.select(mask, step, zero)])
        builder.store(lanes, address, align=2)
        mask = builder.bitcast(builder.icmp_unsigned("==", lanes, zero), ir.IntType(16))
        return builder.zext(mask, ir.IntType(64))

    mask, step = types.uint64, types.int64
    return types.uint64(row, types.int64, mask, step, mask, step), emit


@lean_njit
def first_lanes(n: int) -> Any:
    """Return the mask of the first `n` of sixteen lanes, all if there are more."""
    return (ONE << np.uint64(min(n, LANES))) - ONE
