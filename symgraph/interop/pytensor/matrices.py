"""Linear algebra, and Blockwise: the same for each matrix of a batch."""

from __future__ import annotations

from typing import Any

from symgraph import api as sg
from symgraph.interop.pytensor.scalars import to
from symgraph.interop.pytensor.table import OPS, Untranslatable, row_of, translates

linalg = sg.linalg
# rows below that work on the last axes of any batch
_BATCHED: set[str] = set()


def _matrix_op(*names: str) -> Any:
    _BATCHED.update(names)
    return translates(*names)


def _operand(v: Any, node: Any, t: Any) -> Any:
    return to(t.get(v), node.outputs[0].type.dtype)


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
            a, b, trans=trans, lower=op.lower, unit_diagonal=unit),
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
    return _solved(op, node, t, lambda a, b: linalg.solve(a, b, assume_a=kind, lower=lower))


@_matrix_op("CholeskySolve")
def cholesky_solve(op: Any, node: Any, t: Any) -> Any:
    """The solution from a triangular root."""
    return _solved(op, node, t, lambda c, b: linalg.cho_solve((c, op.lower), b))


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
    if len(node.inputs) > 1:
        raise Untranslatable("a generalized problem")
    lower = op.UPLO == "L" if hasattr(op, "UPLO") else op.lower
    return tuple(linalg.eigh(_operand(node.inputs[0], node, t), UPLO="L" if lower else "U",
                             symmetrize=False))  # fmt: skip


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
