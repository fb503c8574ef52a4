"""`keras.ops.linalg`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src import tree

import symgraph as sg
from keras_symgraph.src.ops.numpy_reductions import axes_of
from keras_symgraph.src.ops.promotion import floating, promoted
from keras_symgraph.src.tensor import (
    Tensor,
    is_tracing,
    known,
    leaf,
    materialize,
    node_of,
    recording,
    wrap,
)
from symgraph import Variable, linalg
from symgraph.errors import ArgumentError


def cholesky(a: Any, upper: bool = False) -> Tensor:
    """Computed at once where the matrix is known, so that the call itself raises ValueError for
    one that is not positive definite."""
    factor: Tensor = wrap(linalg.cholesky(floating(a), lower=not upper))
    if not is_tracing():
        materialize(factor)
    return factor


def cholesky_inverse(a: Any, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor `a` is."""
    factor = floating(a)
    one = sg.eye(factor.shape[-1], dtype=factor.dtype)
    inverse = linalg.solve_triangular(factor, one, lower=not upper)
    turned = sg.matrix_transpose(inverse)
    return wrap(sg.matmul(inverse, turned) if upper else sg.matmul(turned, inverse))


def det(a: Any) -> Tensor:
    return wrap(linalg.det(floating(a)))


def eig(x: Any) -> tuple[Tensor, Tensor]:
    values, vectors = linalg.eig(floating(x))
    return wrap(values), wrap(vectors)


def eigh(x: Any) -> tuple[Tensor, Tensor]:
    values, vectors = linalg.eigh(floating(x))
    return wrap(values), wrap(vectors)


def inv(a: Any) -> Tensor:
    return wrap(linalg.inv(floating(a)))


def lu_factor(x: Any) -> tuple[Tensor, Tensor]:
    factors, pivots = linalg.lu_factor(floating(x))
    return wrap(factors), wrap(pivots.astype("int32"))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Raises ValueError for a norm that vectors, or matrices, do not have."""
    try:
        return wrap(linalg.norm(floating(x), ord, axes_of(axis), keepdims))
    except ArgumentError as error:
        raise ValueError(str(error)) from None


def qr(x: Any, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Raises ValueError for other modes than "reduced" and "complete"."""
    if mode not in {"reduced", "complete"}:
        raise ValueError(
            "`mode` argument value not supported. Expected one of {'reduced', 'complete'}. "
            f"Received: mode={mode}"
        )
    q, r = linalg.qr(floating(x), mode)
    return wrap(q), wrap(r)


def solve(a: Any, b: Any) -> Tensor:
    """`b` with one axis less than `a` holds vectors."""
    matrix, right = promoted(a, b, also=(float,))
    if right.ndim == matrix.ndim - 1:
        return wrap(sg.squeeze(linalg.solve(matrix, sg.expand_dims(right, -1)), -1))
    return wrap(linalg.solve(matrix, right))


def solve_triangular(a: Any, b: Any, lower: bool = False) -> Tensor:
    """`b` with one axis less than `a` holds vectors."""
    matrix, right = promoted(a, b, also=(float,))
    if right.ndim == matrix.ndim - 1:
        column = sg.expand_dims(right, -1)
        return wrap(sg.squeeze(linalg.solve_triangular(matrix, column, lower=lower), -1))
    return wrap(linalg.solve_triangular(matrix, right, lower=lower))


def svd(x: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    node = floating(x)
    if not compute_uv:
        return wrap(linalg.svdvals(node))
    u, s, vh = linalg.svd(node, full_matrices)
    return wrap(u), wrap(s), wrap(vh)


def lstsq(a: Any, b: Any, rcond: float | None = None) -> Tensor:
    matrix, right = promoted(a, b, also=(float,))
    return wrap(linalg.lstsq(matrix, right, rcond)[0])


def matrix_rank(x: Any, tol: Any = None) -> Tensor:
    node = _matrices(x)
    bound = tol if tol is None or isinstance(tol, int | float) else node_of(tol)
    return wrap(linalg.matrix_rank(node, bound).astype("int32"))


def matrix_power(a: Any, n: int) -> Tensor:
    return wrap(linalg.matrix_power(_matrices(a), n))


def pinv(x: Any, rcond: Any = None) -> Tensor:
    node = _matrices(x)
    bound = rcond if rcond is None or isinstance(rcond, int | float) else node_of(rcond)
    return wrap(linalg.pinv(node, bound))


def _matrices(x: Any) -> Variable:
    node = floating(x)
    if node.ndim < 2:
        raise ValueError(
            f"Expected input to have rank >= 2. Received input with shape {node.shape}."
        )
    return node


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """The outputs of `fun` and how they move when the primals move along the tangents; a third
    result is what `fun` returns beside, with ``has_aux``."""
    inputs = [_fresh(p) for p in tree.flatten(tuple(primals))]
    pairs = zip(tree.flatten(tuple(tangents)), inputs, strict=True)
    moves = [node_of(t, v.dtype) for t, v in pairs]
    with recording():
        out = fun(*tree.pack_sequence_as(tuple(primals), [wrap(v) for v in inputs]))
        value, aux = out if has_aux else (out, None)
        outputs = [node_of(v) for v in tree.flatten(value)]
    found = sg.jvp(outputs, inputs, moves)
    moved = tree.pack_sequence_as(value, [wrap(v) for v in found])
    return (value, moved, aux) if has_aux else (value, moved)


def _fresh(x: Any) -> Variable:
    """A variable that nothing else is made of."""
    value = known(x)
    return sg.copy(node_of(x)) if value is None else leaf(value)
