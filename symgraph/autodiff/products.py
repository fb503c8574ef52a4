"""Products with Jacobians and Hessians, and these matrices themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from symgraph import dtypes
from symgraph.autodiff.forward import forward_pass
from symgraph.autodiff.reverse import (
    as_list,
    check_wrt,
    grad,
    like,
    or_zeros,
    repaired,
    reverse_pass,
)
from symgraph.errors import ArgumentError, GradientError, RankError, ShapeError
from symgraph.ir.graph import Variable
from symgraph.ir.operators import LANGUAGE
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import equal
from symgraph.ops.creation import iota
from symgraph.ops.operands import as_variable
from symgraph.ops.scanning import scan
from symgraph.ops.shape import broadcast_to, moveaxis, reshape
from symgraph.scalar import product

__all__ = ["hessian", "hvp", "jacobian", "jvp", "linearize"]


def jvp(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """The Jacobian-vector product: the derivative of the outputs along ``tangents`` of the inputs,
    in forward mode, so through :func:`while_loop` too. The structure of ``outputs`` is returned.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.jvp(x * x, x, sg.constant([1.0, 0.0])).eval({x: [3.0, 4.0]}).tolist()
    [6.0, 0.0]
    """
    ys, xs, ts = as_list(outputs), as_list(inputs), as_list(tangents)
    if len(xs) != len(ts):
        raise ArgumentError(f"jvp: {len(xs)} inputs and {len(ts)} tangents")
    for x in xs:
        check_wrt(x, "jvp")
    moved = {x: _as_tangent(t, x) for x, t in zip(xs, ts, strict=True)}
    return like(outputs, or_zeros(forward_pass(repaired(ys, xs), moved), ys))


def linearize(outputs: Any, inputs: Any) -> Callable[..., Any]:
    """The derivative of the outputs at the inputs as a linear function: ``f(*tangents)`` is
    ``jvp(outputs, inputs, tangents)``. What does not depend on the tangents is computed once,
    however often the function is used in a graph.

    >>> import symgraph as sg
    >>> x = sg.scalar("x")
    >>> along = sg.linearize(sg.sin(x), x)
    >>> (along(1.0) + along(2.0)).eval({x: 0.0}).item()
    3.0
    """
    return lambda *tangents: jvp(outputs, as_list(inputs), list(tangents))


def _as_tangent(t: Any, x: Variable) -> Variable:
    try:
        return broadcast_to(to_dtype(t, x.dtype), x.shape)
    except (ShapeError, RankError):
        raise ShapeError(
            f"a tangent or cotangent of {x.label()} has its shape: {x.type.text()}, "
            f"not {as_variable(t).type.text()}"
        ) from None


def hvp(cost: Variable, wrt: Any, vectors: Any) -> Any:
    """The product of the Hessian of a scalar cost with ``vectors``: the derivative of the gradient
    along them, without building the matrix (Pearlmutter 1994). Returns the structure of ``wrt``.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.hvp(sg.sum(x**3), x, sg.constant([1.0, 0.0])).eval({x: [2.0, 5.0]}).tolist()
    [12.0, 0.0]
    """
    xs = as_list(wrt)
    first = repaired(grad(cost, xs, disconnected="zero"), xs)
    pairs = zip(xs, as_list(vectors), strict=True)
    moved = {x: _as_tangent(v, x) for x, v in pairs}
    return like(wrt, or_zeros(forward_pass(first, moved), xs))


def jacobian(outputs: Any, wrt: Any, mode: str = "reverse", vectorize: bool = True) -> Any:
    """All derivatives of a tensor: the shape of ``outputs``, then that of ``wrt``.

    ``mode`` is "reverse", one pass for each element of the outputs, or "forward", one for each
    element of wrt: take the side that has fewer. The passes run all at once, as one batch; with
    ``vectorize=False`` one after the other in a native loop, which needs less memory. Raises
    GradientError for integers. Returns the structure of ``wrt``.

    >>> import symgraph as sg
    >>> x = sg.vector("x", shape=(2,))
    >>> sg.jacobian(x * x, x).eval({x: [1.0, 2.0]}).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    if mode not in ("reverse", "forward"):
        raise ArgumentError(f'jacobian: mode is "reverse" or "forward", not {mode!r}')
    y, xs = as_variable(outputs), as_list(wrt)
    for x in xs:
        check_wrt(x, "jacobian")
    if not dtypes.is_float(y.dtype):
        raise GradientError(f"jacobian: the outputs are {y.dtype}; only floats have derivatives")
    (y,) = repaired([y], xs)
    if mode == "forward":
        return like(wrt, [_columns(y, x, vectorize) for x in xs])
    if y.ndim == 0:
        return grad(y, wrt, disconnected="zero")
    rows = _for_units(y, lambda unit: or_zeros(reverse_pass([y], [unit], xs), xs), vectorize)
    return like(wrt, [reshape(r, (*y.shape, *x.shape)) for r, x in zip(rows, xs, strict=True)])


def _columns(y: Variable, x: Variable, vectorize: bool) -> Variable:
    """The Jacobian by tangents of x, whose axes come last."""
    if x.ndim == 0:
        unit = broadcast_to(to_dtype(1, x.dtype), ())
        return or_zeros(forward_pass([y], {x: unit}), [y])[0]
    (found,) = _for_units(x, lambda unit: or_zeros(forward_pass([y], {x: unit}), [y]), vectorize)
    last = moveaxis(found, 0, -1)
    return reshape(last, (*y.shape, *x.shape))


def _for_units(
    like_this: Variable, derivative: Callable[[Variable], list[Variable]], vectorize: bool
) -> Sequence[Variable]:
    """The derivatives for all unit tensors of a variable's type, along a leading axis."""
    count, dtype, shape = product(like_this.shape), like_this.dtype, like_this.shape

    def of(k: Variable) -> list[Variable]:
        return derivative(reshape(to_dtype(equal(iota(count), k), dtype), shape))

    batched = LANGUAGE["vmap"](of) if vectorize else None
    rows: Any = batched(iota(count)) if batched else scan(of, iota(count))
    return rows if isinstance(rows, list) else [rows]


def hessian(cost: Variable, wrt: Any, vectorize: bool = True) -> Any:
    """All second derivatives of a scalar cost: the shape of ``wrt`` twice. Of several variables a
    nest of blocks: ``h[i][j]`` for the i-th and the j-th. Forward derivatives of the gradient.

    >>> import symgraph as sg
    >>> x = sg.vector("x", shape=(2,))
    >>> sg.hessian(x[0] * x[0] * x[1], x).eval({x: [1.0, 3.0]}).tolist()
    [[6.0, 2.0], [2.0, 0.0]]
    """
    xs = as_list(wrt)
    first = grad(cost, xs, disconnected="zero" if len(xs) > 1 else "raise")
    blocks = [jacobian(g, wrt, "forward", vectorize) for g in first]
    return like(wrt, blocks)
