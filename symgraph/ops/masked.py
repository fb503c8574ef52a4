"""Reductions of some elements only, and from a value on: ``where`` and ``initial`` of NumPy's."""

from __future__ import annotations

from typing import Any

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError
from symgraph.ir.graph import Variable
from symgraph.ops.cast import cast, to_dtype
from symgraph.ops.comparison import where as chosen
from symgraph.ops.operands import as_variable
from symgraph.ops.shape import broadcast_to


def mask_of(x: Variable, where: Any, name: str) -> Variable | None:
    """The mask over all elements of x; None where all count. Raises DTypeError for one that is not
    of bools, ShapeError for one that does not fit x."""
    if where is None or where is True:
        return None
    mask = as_variable(where)
    if mask.dtype != "bool":
        raise DTypeError(
            f"{name}: where is of bools, not {mask.dtype}",
            operands=[(mask.label(), mask.type.text(), mask.origin)],
            hint="compare, as in where=x > 0",
        )
    return broadcast_to(mask, x.shape)


def masked(x: Variable, where: Any, neutral: Any, name: str) -> Variable:
    """x with what changes nothing in the place of the elements that do not count."""
    mask = mask_of(x, where, name)
    return x if mask is None else chosen(mask, x, to_dtype(as_variable(neutral), x.dtype))


def counted(x: Variable, where: Any, name: str) -> Variable | None:
    """Ones for the elements that count, in the dtype of x; None where all do."""
    mask = mask_of(x, where, name)
    return None if mask is None else cast(mask, dtypes.real_of(x.dtype))


def initial_of(x: Variable, initial: Any, where: Any, name: str) -> Variable | None:
    """What an extreme begins with, in the dtype of x; a mask without it is an ArgumentError."""
    if initial is not None:
        return to_dtype(as_variable(initial), x.dtype)
    if where is not None and where is not True:
        raise ArgumentError(
            f"{name}: with where= an initial= is needed, as there may be nothing to choose from",
            hint='initial=-float("inf") for a maximum of floats',
        )
    return None
