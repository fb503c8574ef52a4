"""Linear algebra, and Blockwise: the same for each matrix of a batch."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from symgraph import api as sg
from symgraph.interop.pytensor.elementwise import identity
from symgraph.interop.pytensor.scalars import to
from symgraph.interop.pytensor.table import OPS, Untranslatable, row_of, translates
from symgraph.ops.assumptions import PROPERTIES

linalg = sg.linalg
# rows below that work on the last axes of any batch
_BATCHED: set[str] = set()


def _matrix_op(*names: str) -> Any:
    _BATCHED.update(names)

    def register(function: Any) -> Any:
        @functools.wraps(function)
        def row(op: Any, node: Any, t: Any) -> Any:
            t.raises["a matrix"] = (np.linalg.LinAlgError, "")  # which PyTensor's users expect
            return function(op, node, t)

        return translates(*names)(row)

    return register


def _operand(v: Any, node: Any, t: Any) -> Any:
    return to(t.get(v), node.outputs[0].type.dtype)


@translates("SpecifyAssumptions")
def assumed(op: Any, node: Any, t: Any) -> Any:
    """The input, of which symgraph is told what its rules know of."""
    x = node.inputs[0]
    matrix = getattr(x.type, "ndim", 0) > 1 and x.type.dtype.startswith("float")
    stated = {key.name for key, state in op.assumptions if state.name == "TRUE"}
    known = stated & PROPERTIES.keys() if matrix else set()
    return linalg.assume(t.get(x), *known) if known else identity(op, node, t)


assumed.objects = True  # type: ignore[attr-defined]


@_matrix_op("Cholesky")
def cholesky(op: Any, node: Any, t: Any) -> Any:
    """The triangular root of a positive definite matrix."""
    nan = getattr(op, "on_error", "nan") == "nan"
    a = _operand(node.inputs[0], node, t)
    return linalg.cholesky(
        a, lower=op.lower, symmetrize=False, on_failure="nan" if nan else "raise"
    )


def _batches(a: Any, b: Any, core: tuple[int, int]) -> tuple[Any, Any]:
    """Two operands with the same batch axes."""
    cut = a.ndim - core[0], b.ndim - core[1]
    batch = sg.broadcast_shapes(a.shape[: cut[0]], b.shape[: cut[1]])
    if a.shape[: cut[0]] != batch:
        a = sg.broadcast_to(a, (*batch, *a.shape[cut[0] :]))
    if b.shape[: cut[1]] != batch:
        b = sg.broadcast_to(b, (*batch, *b.shape[cut[1] :]))
    return a, b


def _solved(op: Any, node: Any, t: Any, solve: Any) -> Any:
    a, b = (_operand(v, node, t) for v in node.inputs)
    a, b = _batches(a, b, (2, op.b_ndim))
    if op.b_ndim == 1:
        return sg.squeeze(solve(a, sg.expand_dims(b, -1)), -1)
    return solve(a, b)


@_matrix_op("SolveTriangular")
def solve_triangular(op: Any, node: Any, t: Any) -> Any:
    """The solution of triangular systems."""
    unit = bool(getattr(op, "unit_diagonal", False))
    trans = getattr(op, "trans", 0)
    return _solved(
        op, node, t,
        lambda a, b: linalg.solve_triangular(
            a, b, trans=trans, lower=op.lower, unit_diagonal=unit, on_failure="nan"),
    )  # fmt: skip


@_matrix_op("Solve")
def solve(op: Any, node: Any, t: Any) -> Any:
    """The solution of linear systems."""
    kinds = {"gen": "gen", "general": "gen", "sym": "sym", "pos": "pos", "her": "her"}
    kinds |= {"symmetric": "sym", "positive definite": "pos", "hermitian": "her"}
    if op.assume_a not in kinds:
        raise Untranslatable(f"systems that are {op.assume_a}")
    kind = kinds[op.assume_a]
    lower = bool(getattr(op, "lower", False))

    def one(a: Any, b: Any) -> Any:
        a = a if kind == "gen" else _mirrored(a, lower, kind != "sym")
        return linalg.solve(a, b, assume_a="pos" if kind == "pos" else "gen", on_failure="nan")

    return _solved(op, node, t, one)


def _mirrored(a: Any, lower: bool, conjugated: bool) -> Any:
    """A symmetric or Hermitian matrix of one triangle, as LAPACK reads it."""
    half = sg.tril(a) if lower else sg.triu(a)
    rest = sg.swapaxes(sg.tril(a, -1) if lower else sg.triu(a, 1), -1, -2)
    if not conjugated or not a.dtype.startswith("complex"):
        return half + rest
    on_diagonal = sg.eye(a.shape[-1], dtype="bool")
    return sg.where(on_diagonal, sg.cast(sg.real(half), a.dtype), half) + sg.conj(rest)


@_matrix_op("CholeskySolve")
def cholesky_solve(op: Any, node: Any, t: Any) -> Any:
    """The solution from a triangular root."""
    return _solved(
        op, node, t, lambda c, b: linalg.cho_solve((c, op.lower), b, on_failure="nan")
    )  # fmt: skip


@_matrix_op("MatrixInverse")
def inverse(op: Any, node: Any, t: Any) -> Any:
    """The inverse."""
    return linalg.inv(_operand(node.inputs[0], node, t))


@_matrix_op("MatrixPinv")
def pseudo_inverse(op: Any, node: Any, t: Any) -> Any:
    """The pseudo-inverse."""
    return linalg.pinv(_operand(node.inputs[0], node, t), hermitian=op.hermitian)


@_matrix_op("Det")
def det(op: Any, node: Any, t: Any) -> Any:
    """The determinant."""
    return linalg.det(_operand(node.inputs[0], node, t))


@_matrix_op("SLogDet")
def slogdet(op: Any, node: Any, t: Any) -> Any:
    """Sign and logarithm of the determinant."""
    return tuple(linalg.slogdet(_operand(node.inputs[0], node, t)))


@_matrix_op("Eigh")
def eigh(op: Any, node: Any, t: Any) -> Any:
    """Eigenvalues and vectors of a symmetric matrix."""
    lower = op.UPLO == "L" if hasattr(op, "UPLO") else op.lower
    found = [t.get(v) for v in node.inputs]
    if not any(x.dtype.startswith("complex") for x in found):
        found = [to(x, node.outputs[0].type.dtype) for x in found]
    return tuple(linalg.eigh(*found, UPLO="L" if lower else "U", symmetrize=False))


@_matrix_op("SVD")
def svd(op: Any, node: Any, t: Any) -> Any:
    """Singular values and vectors."""
    found = linalg.svd(
        t.get(node.inputs[0]), full_matrices=op.full_matrices, compute_uv=op.compute_uv
    )
    return tuple(found) if op.compute_uv else found


@_matrix_op("LUFactor")
def lu_factor(op: Any, node: Any, t: Any) -> Any:
    """Both triangles in one matrix, and the rows exchanged."""
    return tuple(linalg.lu_factor(t.get(node.inputs[0])))


@_matrix_op("Expm")
def expm(op: Any, node: Any, t: Any) -> Any:
    """The exponential of a matrix."""
    return linalg.expm(_operand(node.inputs[0], node, t))


@_matrix_op("Dot")
def dot(op: Any, node: Any, t: Any) -> Any:
    """Products of matrices."""
    dtype = node.outputs[0].type.dtype
    return sg.matmul(*(to(t.get(v), dtype) for v in node.inputs))


@translates("Blockwise")
def blockwise(op: Any, node: Any, t: Any) -> Any:
    """An op for each element of a batch."""
    core = op.core_op
    names = {c.__name__ for c in type(core).__mro__ if c.__module__.startswith("pytensor.")}
    row = row_of(core, OPS)
    if row is not None and names & _BATCHED:
        if type(core).__name__ == "Dot" and any(len(s) != 2 for s in op.inputs_sig):
            raise Untranslatable("a product of vectors in a batch")
        return row(core, node, t)
    raise Untranslatable(f"a batch of {type(core).__name__}")
