"""What Python itself asks of an array: its length, iteration, truth and number of elements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from symgraph.errors import ArgumentError, RankError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import in_language
from symgraph.ir.types import Size, normalize_axis
from symgraph.loops.compute import elements
from symgraph.ops.indexing import getitem
from symgraph.ops.operands import as_variable

__all__ = ["size"]


@in_language("size")
def size(x: Any, axis: int | None = None) -> Size:
    """The number of elements, or the size of an axis: an int, or an expression over the symbolic
    sizes, which counts as a Python int where it meets tensors. Raises AxisError.

    >>> import symgraph as sg
    >>> sg.size(sg.zeros((2, 3))), str(sg.size(sg.tensor("x", shape=("n", 2))))
    (6, '2*n')
    """
    x = as_variable(x)
    if axis is None:
        return elements(x.shape)
    return x.shape[normalize_axis(axis, x.ndim, "size: axis")]


def _first(x: Variable, what: str, hint: str) -> int:
    if x.ndim == 0:
        raise RankError(f"{what} of a 0-d tensor: it has no axes")
    found = x.shape[0]
    if not isinstance(found, int):
        raise ArgumentError(f"{what}: the size {found} is known only at run time", hint=hint)
    return found


@in_language("length")
def length(x: Variable) -> int:
    """``len(x)``. Raises RankError for 0-d, ArgumentError when the size is symbolic."""
    return _first(x, "len()", "x.shape[0] is the symbolic size")


@in_language("iterate")
def iterate(x: Variable) -> Iterator[Variable]:
    """``for row in x``, unrolled. Raises RankError for 0-d, ArgumentError for a symbolic size."""
    count = _first(x, "iteration", "sg.scan loops over an axis of any size")
    return iter([getitem(x, k) for k in range(count)])


@in_language("truth")
def truth(x: Variable) -> bool:
    """``bool(x)``: refused, since a symbolic tensor has no value yet. Raises ArgumentError."""
    raise ArgumentError(
        f"the truth of {x.label()} is not known while the graph is built",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint="use sg.where or sg.cond instead of if, & and | instead of and and or",
    )


@in_language("number")
def number(x: Variable) -> Any:
    """``float(x)``, ``int(x)``, ``range(x)``: refused, as :func:`truth`. Raises ArgumentError."""
    raise ArgumentError(
        f"{x.label()} is no number while the graph is built",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint="compile it, or ask for its value by .eval(); sizes are ints, names or x.shape[0]",
    )


@in_language("as_array")
def as_array(x: Variable) -> Any:
    """``np.asarray(x)``, which NumPy and SciPy also do by themselves with what they are given:
    refused, since a symbolic tensor has no elements yet. Raises ArgumentError."""
    raise ArgumentError(
        f"{x.label()} is no array while the graph is built",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint="call the function of symgraph (sg.exp for np.exp); for its value: x.eval({...})",
    )


@in_language("assign")
def assign(x: Variable) -> Any:
    """``x[i] = v``: refused, since tensors do not change. Raises ArgumentError."""
    raise ArgumentError(
        f"{x.label()} cannot be changed in place: a tensor of a graph is a value",
        operands=[(x.label(), x.type.text(), x.origin)],
        hint="x.at[i].set(v) and x.at[i].add(v) give a changed copy",
    )
