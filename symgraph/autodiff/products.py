"""Products with Jacobians and Hessians, and these matrices themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symgraph import dtypes
from symgraph.autodiff.reverse import as_list, grad, like, or_zeros, reverse_pass
from symgraph.errors import ArgumentError, GradientError
from symgraph.ir.graph import Input, Variable
from symgraph.ops.cast import to_dtype
from symgraph.ops.comparison import equal
from symgraph.ops.creation import iota
from symgraph.ops.scanning import scan
from symgraph.ops.shape import broadcast_to, reshape
from symgraph.scalar import product

__all__ = ["hessian", "hvp", "jacobian", "jvp"]


def jvp(outputs: Any, inputs: Any, tangents: Any) -> Any:
    """The Jacobian-vector product: the derivative of the outputs along ``tangents`` of the inputs.

    It is the transpose of the transpose: a vjp is linear in its cotangent, and the vjp of that map
    is the jvp. The structure of ``outputs`` is returned.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.jvp(x * x, x, sg.constant([1.0, 0.0])).eval({x: [3.0, 4.0]}).tolist()
    [6.0, 0.0]
    """
    ys, xs, ts = as_list(outputs), as_list(inputs), as_list(tangents)
    if len(xs) != len(ts):
        raise ArgumentError(f"jvp: {len(xs)} inputs and {len(ts)} tangents")
    seeds = [Input(y.type) if dtypes.is_float(y.dtype) else None for y in ys]
    pulled = reverse_pass(ys, seeds, xs)
    rows = zip(pulled, ts, xs, strict=True)
    pairs = [(p, _as_tangent(t, x)) for p, t, x in rows if p is not None]
    real = [s for s in seeds if s is not None]
    found = iter(reverse_pass([p for p, _ in pairs], [t for _, t in pairs], real))
    pushed = [None if s is None else next(found) for s in seeds]
    return like(outputs, or_zeros(pushed, ys))


def _as_tangent(t: Any, x: Variable) -> Variable:
    return broadcast_to(to_dtype(t, x.dtype), x.shape)


def hvp(cost: Variable, wrt: Any, vectors: Any) -> Any:
    """The product of the Hessian of a scalar cost with ``vectors``: the gradient of
    ``sum(grad(cost) * vectors)``, without building the matrix. Returns the structure of ``wrt``.

    >>> import symgraph as sg
    >>> x = sg.vector("x")
    >>> sg.hvp(sg.sum(x**3), x, sg.constant([1.0, 0.0])).eval({x: [2.0, 5.0]}).tolist()
    [12.0, 0.0]
    """
    xs = as_list(wrt)
    first = grad(cost, xs, disconnected="zero")
    vs = [_as_tangent(v, x) for v, x in zip(as_list(vectors), xs, strict=True)]
    return like(wrt, or_zeros(reverse_pass(first, vs, xs), xs))


def jacobian(outputs: Variable, wrt: Any) -> Any:
    """All derivatives of a tensor: the shape of ``outputs``, then that of ``wrt``.

    One reverse pass for each element of the outputs, in a loop that computes the forward values
    once. Raises GradientError for integers. Returns the structure of ``wrt``.

    >>> import symgraph as sg
    >>> x = sg.vector("x", shape=(2,))
    >>> sg.jacobian(x * x, x).eval({x: [1.0, 2.0]}).tolist()
    [[2.0, 0.0], [0.0, 4.0]]
    """
    y, xs = outputs, as_list(wrt)
    if not dtypes.is_float(y.dtype) or any(not dtypes.is_float(x.dtype) for x in xs):
        raise GradientError("jacobian: only floats have derivatives")
    if y.ndim == 0:
        return grad(y, wrt, disconnected="zero")
    count = product(y.shape)

    def row(k: Variable) -> list[Variable]:
        unit = to_dtype(equal(iota(count), k), y.dtype)
        return or_zeros(reverse_pass([y], [reshape(unit, y.shape)], xs), xs)

    rows: Sequence[Variable] = scan(row, iota(count))
    return like(wrt, [reshape(r, (*y.shape, *x.shape)) for r, x in zip(rows, xs, strict=True)])


def hessian(cost: Variable, wrt: Variable) -> Variable:
    """All second derivatives of a scalar cost: the shape of ``wrt`` twice.

    >>> import symgraph as sg
    >>> x = sg.vector("x", shape=(2,))
    >>> sg.hessian(x[0] * x[0] * x[1], x).eval({x: [1.0, 3.0]}).tolist()
    [[6.0, 2.0], [2.0, 0.0]]
    """
    return jacobian(grad(cost, wrt), wrt)  # type: ignore[no-any-return]
