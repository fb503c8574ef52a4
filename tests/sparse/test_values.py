"""What can be done with sparse matrices, against SciPy; compiled and interpreted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg

import symgraph as sg
from symgraph import config
from tests.sparse.matrices import agrees, matrix

S = sg.sparse
CSR, CSC = matrix(4, 5), matrix(4, 5, seed=1, format="csc")
EMPTY, NONE = scipy.sparse.csr_array((3, 5)), scipy.sparse.csr_array((0, 5))
EACH = pytest.mark.parametrize("a", [CSR, CSC, EMPTY, NONE], ids=["csr", "csc", "empty", "none"])
SOME = pytest.mark.parametrize("a", [CSR, CSC], ids=["csr", "csc"])
RNG = np.random.default_rng(5)
X, ROWS = RNG.normal(size=5), RNG.normal(size=(5, 3))


def toarray(function: Any) -> Any:
    """A SciPy function whose result, and operands, are taken dense."""
    return lambda *xs: function(*(x.toarray() if scipy.sparse.issparse(x) else x for x in xs))


# products -----------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("x", [X, ROWS, ROWS[:, :1], ROWS[:, :0], RNG.normal(size=(2, 5, 3))],
                         ids=lambda x: str(x.shape))  # fmt: skip
def test_products_with_dense(a: Any, x: Any) -> None:
    agrees(lambda a, x: a @ x, toarray(np.matmul), a, x)
    agrees(lambda a, x: a @ x, toarray(np.matmul), a, x, symbolic=False)
    turned = x if x.ndim == 1 else x.swapaxes(-1, -2)
    agrees(lambda x, a: x @ a.T, toarray(lambda x, a: x @ a.T), turned, a)


@pytest.mark.parametrize("columns", [1, 3, 8, 9, 33])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "int16", "complex64"])
def test_turned_products(columns: int, dtype: str) -> None:
    """Elements are sorted by column where a row's number fits beside one, else each block of
    columns has sums of its own; any number of threads gives the same bits."""
    for shape, known in (((70, 50), False), ((3, 400), True), ((400, 3), False)):
        a = scipy.sparse.random_array(shape, density=0.2, format="csr", rng=RNG)
        a.data[:] = RNG.integers(1, 9, a.nnz) if "int" in dtype else RNG.normal(size=a.nnz)
        a = a.astype(dtype)
        x = (RNG.normal(size=(shape[0], columns)) * 50).astype(dtype)
        held = S.shared(a)
        given = sg.tensor("x", shape=x.shape if known else (None, None), dtype=dtype)
        f = sg.compile([given], held.T @ given)
        found = []
        for count in (1, 2, 5):
            with config.change(parallel_from=0, num_threads=count):
                found.append(np.asarray(f(x)))
        assert all((r == found[0]).all() for r in found)
        dense = a.toarray().T
        wanted = (
            dense.astype(np.result_type(dtype, "float64")) @ x if "int" not in dtype else dense @ x
        )
        bound = 0 if "int" in dtype else 8 * np.finfo(dtype).eps * (abs(dense) @ abs(x))
        assert (abs(found[0] - wanted) <= bound).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_of_any_length_times_a_vector(dtype: str) -> None:
    """Short rows are a step or a few under a mask, long ones blocks whose rounding errors are
    kept: lengths on both sides of each limit."""
    lengths = np.array([0, 1, 3, 15, 16, 17, 0, 31, 33, 511, 512, 513, 1024, 1025, 1300, 2, 0])
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    indices = np.concatenate([np.sort(RNG.permutation(1300)[:n]) for n in lengths])
    data = RNG.normal(size=indices.size).astype(dtype)
    a = scipy.sparse.csr_array((data, indices, indptr), shape=(lengths.size, 1300))
    x = RNG.normal(size=1300).astype(dtype)
    held, given = S.shared(a), sg.vector("x", dtype=dtype)
    f = sg.compile([given], held @ given)
    found = []
    for count in (1, 3):
        with config.change(parallel_from=0, num_threads=count):
            found.append(np.asarray(f(x)))
    assert (found[0] == found[1]).all()
    wanted = a.astype("float64") @ x.astype("float64")
    size = abs(a).astype("float64") @ abs(x).astype("float64")
    assert (abs(found[0] - wanted) <= 20 * np.finfo(dtype).eps * size).all()


@pytest.mark.parametrize("index", ["int32", "int64"])
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_looks_at_the_structure_block_by_block(
    turned: bool, columns: int, index: str
) -> None:
    """One wrong number in any block fails the call; any number of threads gives the same bits."""
    a = scipy.sparse.random_array((200, 90), density=0.1, format="csr", rng=RNG)
    parts = [sg.vector(n, dtype=d) for n, d in (("d", "float64"), ("i", index), ("p", index))]
    x = sg.matrix("x")
    held = S.CSR(*parts, (200, 90))
    f = sg.compile([*parts, x], (held.T if turned else held) @ x)
    dense = a.T if turned else a
    data, indices, indptr = a.data, a.indices.astype(index), a.indptr.astype(index)
    given = RNG.normal(size=(dense.shape[1], columns))
    found = []
    for count in (1, 3):
        with config.change(parallel_from=0, num_threads=count):
            found.append(np.asarray(f(data, indices, indptr, given)))
    np.testing.assert_array_equal(*found)
    np.testing.assert_allclose(found[0], dense.toarray() @ given, atol=1e-12)
    most = np.iinfo(index).max
    for at in (0, indices.size // 2, indices.size - 1):
        for wrong in (90, -1, most, -most - 1):
            broken = indices.copy()
            broken[at] = wrong
            with pytest.raises(sg.errors.IndexOutOfRange):
                f(data, broken, indptr, given)
    for at in (0, 1, 63, 64, 65, 128, 199, 200):
        for wrong in (-1, most, -most - 1, indptr[at] + 300, indptr[at] - 300):
            broken = indptr.copy()
            broken[at] = wrong
            with pytest.raises(sg.errors.IndexOutOfRange):
                f(data, indices, broken, given)


def test_a_wide_product_runs_as_vectors() -> None:
    a, x = matrix(30, 40, seed=2), RNG.normal(size=(40, 37))
    for dtype in ("float32", "float64", "complex128"):
        found = sg.compile([], S.as_sparse_variable(a.astype(dtype)) @ x.astype(dtype))()
        assert found.dtype == dtype
        near = 1e-4 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(found, a @ x, rtol=near, atol=near)
    counts = matrix(6, 40, dtype="int8")
    agrees(lambda a, x: a @ x, toarray(np.matmul), counts, np.arange(80).reshape(40, 2))


@pytest.mark.parametrize("formats", ["csr csr", "csr csc", "csc csr", "csc csc"])
def test_products_of_sparse(formats: str) -> None:
    left, right = formats.split()
    b = matrix(5, 6, seed=3, format=right)
    found = agrees(lambda a, b: a @ b, lambda a, b: a @ b, CSR.asformat(left), b)
    assert found.format == left
    agrees(lambda a, b: a @ b, lambda a, b: a @ b, EMPTY.asformat(left), b)


def test_products_by_name() -> None:
    agrees(S.dot, toarray(np.matmul), CSR, ROWS)
    agrees(S.structured_dot, toarray(np.matmul), CSC, ROWS)
    agrees(S.true_dot, lambda a, b: a @ b, CSR, CSC.T.tocsr())
    z = RNG.normal(size=(4, 3))
    agrees(lambda a, x, z: S.usmm(0.5, a, x, z), lambda a, x, z: 0.5 * (a @ x) + z, CSR, ROWS, z)


@SOME
def test_sampling_dot(a: Any) -> None:
    x, y = RNG.normal(size=(4, 2)), RNG.normal(size=(5, 2))
    agrees(S.sampling_dot, lambda x, y, p: p.multiply(x @ y.T), x, y, a)


@SOME
def test_spsolve(a: Any) -> None:
    square = (matrix(5, 5, seed=7) + 9 * scipy.sparse.eye_array(5)).asformat(a.format)
    for b in (X, ROWS):
        agrees(S.spsolve, lambda a, b: np.linalg.solve(a.toarray(), b), square, b)
    with pytest.raises(sg.errors.LinAlgError, match="singular"):
        S.spsolve(scipy.sparse.csr_array((2, 2)), [1.0, 2.0]).eval()


# elements -----------------------------------------------------------------------------------------


@EACH
def test_sums_and_differences(a: Any) -> None:
    other = matrix(*a.shape, seed=9, format="csc")
    agrees(lambda a, b: a + b, lambda a, b: a + b, a, other)
    agrees(lambda a, b: a - b, lambda a, b: a - b, a, other)
    agrees(lambda a: a + 2 * a, lambda a: a + 2 * a, a)
    agrees(lambda a: a - a, lambda a: a * 0, a)
    d = RNG.normal(size=a.shape)
    agrees(lambda a, d: a + d, lambda a, d: a + d, a, d)
    agrees(lambda a, d: d - a, lambda a, d: d - a, a, d)
    agrees(lambda a: a + 1.5, toarray(lambda a: a + 1.5), a)


@EACH
def test_elementwise_products(a: Any) -> None:
    other = matrix(*a.shape, seed=9, format="csc")
    agrees(lambda a, b: a * b, lambda a, b: a.multiply(b), a, other)
    agrees(lambda a: a * (a + a), lambda a: a.multiply(2 * a), a)
    for d in (X, RNG.normal(size=(a.shape[0], 1)), RNG.normal(size=a.shape), np.array(2.5)):
        known = {"symbolic": False}  # a size of 1 broadcasts where it is known
        agrees(lambda a, d: a * d, toarray(lambda a, d: a * d), a, d, **known)
        agrees(lambda a, d: d * a, toarray(lambda a, d: a * d), a, d, **known)
        agrees(lambda a, d: a / d, toarray(lambda a, d: a / d), a, d, **known)
    agrees(lambda a: a * 2, lambda a: a * 2, a)
    agrees(lambda a: -a / 2, lambda a: -a / 2, a)
    agrees(lambda a, s: S.col_scale(a, s), toarray(lambda a, s: a * s), a, X)
    rows = RNG.normal(size=a.shape[0])
    agrees(lambda a, s: S.row_scale(a, s), toarray(lambda a, s: a * s[:, None]), a, rows)


def test_products_keep_the_structure_of_the_first() -> None:
    a, b = S.csr_matrix("a", shape=(4, 5)), S.csr_matrix("b", shape=(4, 5))
    f = sg.compile([a, b], a * b)
    assert "parts" not in f.statistics
    assert f(CSR, matrix(4, 5, seed=4)).nnz == CSR.nnz


_SAME = "sign sqrt floor ceil trunc rint sin tan arcsin arctan sinh tanh arcsinh arctanh expm1"
_ABOVE = {"sqrt", "log1p"}


@pytest.mark.parametrize("name", [*_SAME.split(), "log1p", "deg2rad", "rad2deg"])
def test_functions_that_keep_zeros(name: str) -> None:
    a = CSR / 5
    a = abs(a) if name in _ABOVE else a
    agrees(getattr(S, name), getattr(scipy.sparse.csr_array, name), a)


def test_functions_of_elements() -> None:
    agrees(abs, abs, CSR)
    agrees(S.abs, abs, CSC)
    agrees(S.square, lambda a: a.power(2), CSR)
    agrees(lambda a: a**3, lambda a: a.power(3), CSC)
    agrees(S.relu, lambda a: a.maximum(0), CSR)
    agrees(S.negative, lambda a: -a, CSR)
    agrees(S.conj, lambda a: a.conj(), CSR * (1 + 2j))

    def mapped(function: Any) -> Any:
        return lambda a, *xs: scipy.sparse.csr_array(
            (function(a.data, *xs), a.indices, a.indptr), shape=a.shape)  # fmt: skip

    agrees(S.structured_exp, mapped(np.exp), CSR)
    agrees(S.structured_log, mapped(np.log), abs(CSR))
    agrees(S.structured_sigmoid, mapped(lambda x: 1 / (1 + np.exp(-x))), CSR)
    for name, ufunc in (("add", np.add), ("maximum", np.maximum), ("minimum", np.minimum)):
        agrees(lambda a, n=name: getattr(S, f"structured_{n}")(a, 0.5),
               mapped(lambda x, u=ufunc: u(x, 0.5)), CSR)  # fmt: skip
    agrees(lambda a: S.structured_pow(a, 2), mapped(np.square), CSR)
    agrees(S.ones_like, mapped(np.ones_like), CSR)
    agrees(S.zeros_like, mapped(np.zeros_like), CSC.tocsr())
    found = agrees(lambda a: a.astype("float32"), lambda a: a.astype("float32"), CSR)
    assert found.dtype == "float32"
    with pytest.raises(sg.errors.ArgumentError, match="zeros would not stay zeros"):
        S.as_sparse_variable(CSR) ** -1


@pytest.mark.parametrize("name", ["less", "less_equal", "greater", "greater_equal", "equal",
                                  "not_equal"])  # fmt: skip
def test_comparisons_are_dense(name: str) -> None:
    ufunc = getattr(np, name)
    agrees(getattr(S, name), toarray(ufunc), CSR, CSC)
    agrees(getattr(S, name), toarray(ufunc), CSR, RNG.integers(-1, 2, CSR.shape) / 2)
    operator = {"less": "__lt__", "greater": "__gt__", "equal": "__eq__"}.get(name)
    if operator:
        agrees(lambda a: getattr(a, operator)(1.0), toarray(lambda a: ufunc(a, 1.0)), CSR)


# sums and parts -----------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_sums_over_axes(a: Any, axis: Any) -> None:
    agrees(lambda a: a.sum(axis), toarray(lambda a: a.sum(axis)), a)
    if a.shape[0]:
        agrees(lambda a: S.mean(a, axis), toarray(lambda a: a.mean(axis)), a)


def test_sums_of_integers_are_wide() -> None:
    a = matrix(3, 4, dtype="int8")
    f = sg.compile([], [S.sum(a, 0), S.sum(a), S.sp_sum(a, 1)])
    assert [str(v.dtype) for v in f()] == ["int64"] * 3


@SOME
def test_diagonals_and_norms(a: Any) -> None:
    agrees(S.diag, lambda a: a.diagonal(), a)
    agrees(lambda a: a.T.diagonal(), lambda a: a.T.diagonal(), a)
    square = matrix(5, 5, seed=8, format=a.format)
    agrees(S.trace, lambda a: np.asarray(a.trace()), square)
    for ord in (None, "fro", 1, np.inf):
        kind = "fro" if ord is None else ord
        agrees(lambda a, o=ord: S.norm(a, o), lambda a, k=kind: scipy.sparse.linalg.norm(a, k), a)
    agrees(S.square_diagonal, lambda x: scipy.sparse.diags_array(x, format="csr"), X)
    np.testing.assert_array_equal(S.eye(3, format="csc").eval().toarray(), np.eye(3))


@EACH
def test_conversions(a: Any) -> None:
    agrees(lambda a: a.toarray(), lambda a: a.toarray(), a)
    agrees(lambda a: a.T, lambda a: a.T, a)
    for convert in ("tocsr", "tocsc"):
        found = agrees(lambda a, c=convert: getattr(a, c)(), lambda a: a, a)
        assert found.format == convert[2:]
    agrees(S.csr_from_dense, lambda d: d, a.toarray())
    found = agrees(S.csc_from_dense, lambda d: d, a.toarray())
    assert (found.format, found.nnz) == ("csc", a.nnz)
    assert agrees(S.clean, lambda a: a, a * 0).nnz == 0
    agrees(lambda a: S.clean(a * (a > 0)), lambda a: a.maximum(0), a)


def test_coo() -> None:
    data = np.array([1.0, 2.0, 4.0, 8.0])
    row, col = np.array([2, 0, 2, 1]), np.array([1, 3, 1, 0])

    def reference(data: Any, row: Any, col: Any) -> Any:
        return scipy.sparse.coo_array((data, (row, col)), shape=(3, 4))

    for format in ("csr", "csc"):
        agrees(lambda d, i, j, f=format: S.coo(d, i, j, (3, 4), format=f), reference,
               data, row, col)  # fmt: skip
    d, i, j = (sg.vector(n, dtype=t) for n, t in (("d", "float64"), ("i", "int64"), ("j", "int64")))
    f = sg.compile([d, i, j], S.coo(d, i, j, (3, 4), sum_duplicates=False))
    assert "parts" not in f.statistics
    found = f(data[1:], row[1:], col[1:])
    np.testing.assert_array_equal(found.toarray(), reference(data[1:], row[1:], col[1:]).toarray())
    with pytest.raises(sg.errors.IndexOutOfRange):
        f(data, row + 1, col)


_KEYS = [1, -1, slice(1, 3), slice(None, None, -1), slice(3, 0, -2), [2, 0, 2],
         np.array([True, False, True, True])]  # fmt: skip


@SOME
@pytest.mark.parametrize("key", _KEYS, ids=str)
def test_indexing(a: Any, key: Any) -> None:
    rows = [key] if isinstance(key, int) else key
    agrees(lambda a: a[key], toarray(lambda a: a[rows]), a)
    agrees(lambda a: a[1:, key], toarray(lambda a: a[1:, rows]), a[:, :4])
    agrees(lambda a: a[key, ::2], toarray(lambda a: a[rows, ::2]), a)


@SOME
def test_indexing_with_tensors(a: Any) -> None:
    rows = np.array([3, 1, 1])
    agrees(lambda a, i: a[i], toarray(lambda a, i: a[i]), a, rows)
    agrees(lambda a, i: a[:, i], toarray(lambda a, i: a[:, i]), a, rows)
    agrees(lambda a, i: a[i, i], toarray(lambda a, i: a[i, i]), a, rows)
    agrees(lambda a: a[2, -1], toarray(lambda a: a[2, -1]), a)
    agrees(lambda a: a[a.sum(1) > 0], toarray(lambda a: a[a.sum(1) > 0]), a)
    for key in ((None, 1), (1, 2, 3), ...):
        with pytest.raises(sg.errors.ArgumentError):
            S.as_sparse_variable(a)[key]
    with pytest.raises(sg.errors.IndexOutOfRange):
        S.as_sparse_variable(a)[9].eval()


@SOME
def test_stacks(a: Any) -> None:
    b = matrix(*a.shape, seed=11, format="csc")
    for name in ("vstack", "hstack"):
        reference = getattr(scipy.sparse, name)
        found = agrees(lambda a, b, n=name: getattr(S, n)([a, b, a]),
                       lambda a, b, r=reference: r([a, b, a]), a, b)  # fmt: skip
        assert found.format == a.format
    assert S.vstack([a, b], format="csc").format == "csc"
    with pytest.raises(sg.errors.ShapeError, match="vstack: sizes differ on axis 1: 5 and 4"):
        S.vstack([a, b[:, :4]])


@pytest.mark.parametrize("join", ("hstack", "vstack", "add", "multiply"))
@pytest.mark.parametrize("mode", ("run", "interpret"))
def test_sizes_that_differ_at_a_call_are_errors(join: str, mode: str) -> None:
    a, b = S.csc_matrix("A", shape=("n", "m")), S.csr_matrix("B", shape=("k", "l"))
    both = ([a, b],) if "stack" in join else (a, b)
    f = sg.compile([a, b], getattr(S, join)(*both), mode=mode)
    assert f(CSC, CSR).shape[0] in (4, 8)
    with pytest.raises(ValueError, match="sizes differ"):
        f(CSC, matrix(5, 6))
