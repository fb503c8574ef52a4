"""Sparse matrices of PyTensor: native where the structure of the result is known."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytensor = pytest.importorskip("pytensor")
ss = pytest.importorskip("scipy.sparse")
pytestmark = pytest.mark.filterwarnings("ignore")

with warnings.catch_warnings():  # of PyTensor's about its own past and compilers that are not there
    warnings.simplefilter("ignore")
    import pytensor.sparse as ps
    import pytensor.tensor as pt
    from pytensor.compile.mode import Mode
    from pytensor.ifelse import ifelse

    import symgraph.interop.pytensor as door

COLUMN = np.arange(3.0)[:, None]
RNG = np.random.default_rng(3)
D, E, V, W = (RNG.normal(size=s) for s in ((4, 3), (5, 4), (4,), (5,)))


def matrix(format: str, rows: int, columns: int) -> Any:
    found = ss.random(rows, columns, 0.5, format=format, random_state=rows)
    return getattr(ss, f"{format}_matrix")(found)


def dense(x: Any) -> Any:
    return x.toarray() if ss.issparse(x) else x


def same(build: Callable[..., Any], format: str, values: tuple[Any, ...] = ()) -> Any:
    """Compile in both modes with a matrix [5, 4], a square one and dense arguments; compare."""
    kinds = [ps.SparseTensorType(format, "float64")] * 2
    inputs = [*(k() for k in kinds), pt.dmatrix(), pt.dmatrix(), pt.dvector(), pt.dvector()]
    given = values or (matrix(format, 5, 4), matrix(format, 5, 5), D, E, V, W)
    outs = build(*inputs)
    found = []
    for mode in ("SYMGRAPH", Mode("py", "fast_run")):
        found.append(pytensor.function(inputs, outs, mode=mode, on_unused_input="ignore"))
    for a, b in zip(*(f(*given) for f in found), strict=True):
        assert type(a) is type(b) and a.dtype == b.dtype
        np.testing.assert_allclose(dense(a), dense(b), rtol=1e-12, strict=True)
    return found[0]


def products(x: Any, q: Any, d: Any, e: Any, v: Any, w: Any) -> list[Any]:
    structured = ps.structured_dot(x, d)
    return [
        ps.dot(x, d), ps.dot(x, v), ps.dot(w, x), structured, ps.structured_dot(d.T, x.T),
        pytensor.grad(structured.sum(), x), pytensor.grad(structured.sum(), d),
        ps.usmm(pt.constant([[2.0]]), x, d, pt.ones((5, 3))), ps.sampling_dot(e, pt.eye(4), x),
    ]  # fmt: skip


def elements(x: Any, q: Any, d: Any, e: Any, v: Any, w: Any) -> list[Any]:
    return [
        ps.transpose(x) * 2.0, ps.multiply(x, v), ps.multiply(x, e), ps.sqr(x), x * x,
        ps.structured_exp(x), ps.add(x, ps.sqr(x)), ps.structured_add_s_v(x, v), ps.add(x, x * 2.0),
        ps.col_scale(x, v), ps.row_scale(x, w), ps.cast(x, "float32"), ps.hstack([x, x]),
        ps.vstack([x, x], format="csr"), pytensor.grad(ps.sp_sum(x * x, 1, True).sum(), x), x,
    ]  # fmt: skip


def reductions(x: Any, q: Any, d: Any, e: Any, v: Any, w: Any) -> list[Any]:
    return [
        ps.dense_from_sparse(x), ps.add(x, e), ps.sp_sum(x), ps.sp_sum(x, 0), ps.sp_sum(x, 1),
        ps.diag(q), x[1, 2], x[-1, 0], ps.lt(x, e), ps.gt(e, x), ps.eq(x, e), x.shape, x.shape[0],
        *ps.csm_properties(x),
    ]  # fmt: skip


@pytest.mark.parametrize("format", ("csr", "csc"))
@pytest.mark.parametrize("family", (products, elements, reductions), ids=lambda f: f.__name__)
def test_native_ops(family: Any, format: str) -> None:
    assert same(family, format).vm.program.performed == []


@pytest.mark.parametrize("format", ("csr", "csc"))
def test_what_runs_by_perform(format: str) -> None:
    def build(x: Any, q: Any, d: Any, e: Any, v: Any, w: Any) -> list[Any]:
        other = ps.SparseFromDense(format)(e)
        cut = x[1:4, 0:2]
        return [ps.add(x, other), x * other, ps.true_dot(q, q), cut, ps.dense_from_sparse(cut),
                ps.clean(x), ps.sp_sum(ps.add(x, other), 0), ps.eq(x, other)]  # fmt: skip

    named = {type(node.op).__name__ for node, _ in same(build, format).vm.program.performed}
    assert {"TrueDot", "GetItem2d", "Remove0"} <= named


@pytest.mark.parametrize("format", ("csr", "csc"))
def test_elements_in_any_order_and_twice(format: str) -> None:
    def build(x: Any, q: Any, d: Any, e: Any, v: Any, w: Any) -> list[Any]:
        return [ps.dot(x, d), x, ps.ensure_sorted_indices(x), ps.dense_from_sparse(x), x[1, 2],
                ps.sp_sum(x, 0), ps.multiply(x, v), x * x, ps.add(x, x)]  # fmt: skip

    kind = getattr(ss, f"{format}_matrix")
    ends = [0, 2, 5, 5, 5, 6] if format == "csr" else [0, 2, 5, 5, 6]
    for places in ([3, 1, 2, 0, 1, 2], [3, 1, 2, 0, 2, 2]):
        given = kind((np.arange(1.0, 7.0), places, ends), shape=(5, 4))
        same(build, format, (given, matrix(format, 5, 5), D, E, V, W))


def test_a_matrix_of_parts_and_its_gradient() -> None:
    data, indices, indptr = pt.dvector(), pt.ivector(), pt.ivector()
    x = ps.CSR(data, indices, indptr, pt.as_tensor(np.array([2, 3])))
    slope = pytensor.grad((ps.structured_dot(x, pt.constant(COLUMN)) ** 2).sum(), data)
    f = pytensor.function([data, indices, indptr], [x, slope], mode="SYMGRAPH")
    found, g = f([1.0, 2.0, 3.0], np.array([2, 0, 1], "int32"), np.array([0, 1, 3], "int32"))
    np.testing.assert_array_equal(found.toarray(), [[0, 0, 1], [2, 3, 0]])
    np.testing.assert_array_equal(g, [2 * 2 * 2, 0, 2 * 3 * 1])
    with pytest.raises(IndexError):
        f([1.0, 2.0, 3.0], np.array([2, 0, 7], "int32"), np.array([0, 1, 3], "int32"))


def test_shared_matrices_constants_and_copies() -> None:
    start, fixed = matrix("csr", 5, 4), matrix("csc", 4, 4)
    x = pytensor.shared(start.copy())
    f = pytensor.function([], [x, ps.dot(x, pt.constant(D))], updates={x: x * 2.0}, mode="SYMGRAPH")
    first, product = f()
    np.testing.assert_allclose(product, start @ D)
    first.data[:] = 0  # the caller's own
    np.testing.assert_allclose(x.get_value().toarray(), 2 * start.toarray())
    known = ps.as_sparse_variable(fixed)
    g = pytensor.function([], ps.structured_dot(known, x.shape[0] * pt.constant(D)),
                          mode="SYMGRAPH")  # fmt: skip
    np.testing.assert_allclose(g(), fixed @ D * 5)


def test_wrong_shapes_are_errors() -> None:
    x, d = ps.csr_matrix(dtype="float64"), pt.dmatrix()
    f = pytensor.function([x, d], [ps.dot(x, d)], mode="SYMGRAPH")
    with pytest.raises(ValueError):
        f(matrix("csr", 5, 4), np.ones((5, 3)))
    square = pytensor.function([x], ps.diag(x), mode="SYMGRAPH")
    with pytest.raises(ValueError):
        square(matrix("csr", 5, 4))


def test_matrices_in_loops_and_branches() -> None:
    q = matrix("csr", 5, 5)
    x, go = ps.csr_matrix(dtype="float64"), pt.scalar(dtype="bool")
    found = pytensor.scan(lambda v, m: ps.dot(m, v), outputs_info=[pt.ones(5)], non_sequences=[x],
                          n_steps=3)  # fmt: skip
    values = found[0] if isinstance(found, tuple) else found
    f = pytensor.function([x], values, mode="SYMGRAPH")
    np.testing.assert_allclose(f(q)[-1], q @ (q @ (q @ np.ones(5))))
    choice = pytensor.function([go, x], ps.sp_sum(ifelse(go, x, ps.sqr(x))), mode="SYMGRAPH")
    np.testing.assert_allclose(choice(True, q), q.sum())
    np.testing.assert_allclose(choice(False, q), q.power(2).sum())
    assert door.mode() is not None
