"""What users may pass to an operation, and the tensors it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symgraph import dtypes
from symgraph.errors import ArgumentError, DTypeError, SymgraphError
from symgraph.ir.graph import Constant, Variable, apply, constant
from symgraph.ir.op import Op
from symgraph.ir.types import TensorType
from symgraph.loops.compute import Compute, Operand, pointwise
from symgraph.scalar import Expr, as_expr, as_size

_WEAK = (bool, int, float, complex)


class SizeValue(Op):
    """A size as a 0-d int64 tensor, where an expression over sizes meets tensors."""

    name = "size_value"
    size: Any

    def infer(self) -> TensorType:
        return TensorType("int64", ())

    def reference(self) -> Any:
        return np.asarray(self.size, "int64")

    def vjp(self, g: Variable, y: Variable) -> tuple[()]:
        return ()

    def lower(self, out: TensorType, *xs: Operand) -> Compute:
        return pointwise((), lambda: as_expr(self.size))


def as_variable(value: Any, dtype: str | None = None) -> Variable:
    """The tensor that a user's operand stands for: a variable, a number, an array, nested lists or
    a size expression. ``dtype`` is the dtype of a new constant.

    Raises DTypeError for anything else.

    >>> as_variable([1, 2]).type.text()
    'int64[2]'
    """
    if isinstance(value, Variable):
        return value
    if isinstance(value, Expr):
        size = as_size(value)
        return constant(size) if isinstance(size, int) else apply(SizeValue(size), ()).outputs[0]
    if type(value) in _WEAK or isinstance(value, np.ndarray | np.generic):
        return constant(value, dtype)
    try:
        return constant(value, dtype)
    except (TypeError, ValueError):
        hint = _mend(value)
        if getattr(value, "outranks_tensors", False):
            hint = "sg.sparse has functions of sparse matrices; A.toarray() is dense"
        if type(value).__module__.startswith("scipy.sparse"):
            hint = "sg.sparse.as_sparse_variable(value) is a sparse matrix of the graph"
        raise DTypeError(f"cannot make a tensor of {type(value).__name__}", hint=hint) from None


def _mend(value: Any) -> str:
    """What a user may have meant by a value that is no tensor."""
    if _holds_tensor(value):
        return "a list that holds tensors becomes one by sg.stack"
    if value is None:
        return "a Python function without a return gives None"
    if isinstance(value, str):
        return "write the variable, not its name; texts are no tensors"
    if isinstance(value, dict | set):
        return "take its values: [*d.values()]"
    if callable(value):
        return "call it first: give its result"
    return "numbers, NumPy arrays and nested lists of numbers become tensors"


def traced(function: Callable[..., Any], arguments: Sequence[Any], what: str) -> Any:
    """What a user's function makes of tensors; ``what`` names it in messages.

    Raises ArgumentError when it takes another number of arguments, or is no function.
    """
    try:
        return function(*arguments)
    except TypeError as error:
        place = error.__traceback__
        if isinstance(error, SymgraphError) or place is None or place.tb_next is not None:
            raise  # it comes from inside the function
        given = ", ".join(v.label() if isinstance(v, Variable) else repr(v) for v in arguments)
        said = str(error).rpartition("<locals>.")[2]
        raise ArgumentError(
            f"{what} is called with {len(arguments)} argument{'s' * (len(arguments) != 1)}"
            f"{f' ({given})' if given else ''}: {said}",
            operands=describe(tuple(v for v in arguments if isinstance(v, Variable))),
            hint="give it one parameter for each",
        ) from None


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(v, Variable) or _holds_tensor(v) for v in value
    )


def promotable(value: Any) -> Any:
    """What :func:`dtypes.promote` wants to know of an operand: its dtype, or the Python number or
    type that is weak (a size expression is a weak integer)."""
    if isinstance(value, Variable):
        return value.type.dtype
    if type(value) in _WEAK:
        return value
    if isinstance(value, Expr):
        return int
    return as_variable(value).type.dtype


def describe(values: tuple[Any, ...]) -> tuple[tuple[str, str, Any], ...]:
    """The operands of a failed call, as errors list them."""
    found = []
    for v in values:
        if isinstance(v, Variable):
            found.append((v.label(), v.type.text(), v.origin))
        else:
            found.append(("", f"{type(v).__name__} {v!r}", None))
    return tuple(found)


def converted(value: Any, dtype: str) -> Any:
    """The operand in the dtype when that takes no op (it has it, or is a constant), else None."""
    if type(value) in _WEAK:
        return constant(value, dtype)
    found = as_variable(value)
    if found.type.dtype == dtype:
        return found
    if isinstance(found, Constant):
        with np.errstate(all="ignore"):
            parts = dtypes.is_complex(found.dtype) and dtypes.kind(dtype) not in "bc"
            data = found.data.real if parts else found.data
            return constant(data.astype(dtypes.numpy_dtype(dtype)))
    return None
