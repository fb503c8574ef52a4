"""Sparse matrices as inputs, outputs, state and constants of compiled functions; mistakes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse

import symgraph as sg
from symgraph.errors import (
    ArgumentError,
    DTypeError,
    IndexOutOfRange,
    InputValueError,
    RankError,
    ShapeError,
)
from tests.sparse.matrices import matrix

S = sg.sparse
M, N = matrix(4, 5), matrix(4, 5, seed=1)


def product(**options: Any) -> Any:
    a, x = S.csr_matrix("A", shape=("n", "m"), **options), sg.vector("x", shape=("m",))
    return sg.compile([a, x], {"y": a @ x, "half": a / 2})


def test_arguments_and_results() -> None:
    f = product()
    x = np.arange(5.0)
    for call in (lambda: f(M, x), lambda: f(A=M, x=x), lambda: f(M, x=x)):
        found = call()
        np.testing.assert_allclose(found["y"], M @ x)
        assert isinstance(found["half"], scipy.sparse.csr_array)
        np.testing.assert_array_equal(found["half"].toarray(), M.toarray() / 2)
    np.testing.assert_allclose(f(scipy.sparse.csr_matrix(M), x)["y"], M @ x)
    np.testing.assert_allclose(f(N[:2], x)["y"], N[:2] @ x)
    copy = pickle.loads(pickle.dumps(f))
    np.testing.assert_allclose(copy(M, x)["y"], M @ x)


def test_elements_in_any_order_and_twice() -> None:
    data, columns = np.array([1.0, 2.0, 3.0, 4.0]), np.array([3, 0, 0, 1])
    mixed = scipy.sparse.csr_array((data, columns, np.array([0, 3, 4])), shape=(2, 4))
    a = S.csr_matrix("A")
    np.testing.assert_array_equal(S.diag(a).eval({a: mixed}), [5.0, 4.0])
    np.testing.assert_array_equal(mixed.indices, [3, 0, 0, 1])  # the caller's matrix stays


def test_dtypes_at_the_border() -> None:
    f = product(dtype="float64")
    np.testing.assert_allclose(f(M.astype("float32"), np.ones(5))["y"], M.sum(1))
    with pytest.raises(InputValueError, match="has dtype complex128"):
        f(M.astype("complex128"), np.ones(5))
    a = S.csr_matrix("A", index_dtype="int64")
    assert a.eval({a: M}).indices.dtype == "int64"
    with pytest.raises(ArgumentError, match="int32 or int64"):
        S.csr_matrix("A", index_dtype="int16")


def test_wrong_arguments() -> None:
    f = product()
    with pytest.raises(InputValueError, match=r"A is csr .*has the format csc") as error:
        f(M.tocsc(), np.ones(5))
    assert "tocsr" in error.value.hint
    with pytest.raises(InputValueError, match=r"is ndarray, not a matrix of scipy\.sparse"):
        f(M.toarray(), np.ones(5))
    with pytest.raises(
        InputValueError, match="axis 0 of input x has size 4, expected m = 5 as axis 1 of A"
    ):
        f(M, np.ones(4))
    fixed = S.csr_matrix("A", shape=(4, 7))
    with pytest.raises(InputValueError, match="has shape"):
        sg.compile([fixed], fixed.sum())(M)
    y = sg.scalar("y")
    with pytest.raises(ArgumentError, match=r"no output depends on the input A\n"):
        sg.compile([S.csr_matrix("A"), y], y)
    with pytest.raises(ArgumentError):
        sg.compile([S.as_sparse_variable(M)], [])


def test_one_part_of_an_input_is_enough() -> None:
    a = S.csr_matrix("A")
    f = sg.compile([a], sg.sum(a.data))
    assert f(M).item() == M.sum()
    rows = sg.compile([a], a.sum(0))  # where no other input tells the number of columns
    np.testing.assert_allclose(rows(M), M.sum(0))


def test_structures_are_checked() -> None:
    i, p = sg.vector("i", dtype="int64"), sg.vector("p", dtype="int64")
    f = sg.compile([i, p], S.CSR(i * 0.5, i, p, (2, 3)) @ np.ones(3))
    np.testing.assert_allclose(f(np.array([0, 2]), np.array([0, 1, 2])), [0.0, 1.0])
    for indices, ends in (
        ([0, 3], [0, 1, 2]), ([-1, 0], [0, 1, 2]), ([0, 1], [0, 2, 1]), ([0, 1], [0, 1, 1]),
        ([0, 1], [1, 1, 2]),
    ):  # fmt: skip
        with pytest.raises(IndexOutOfRange, match="do not fit each other"):
            f(np.array(indices), np.array(ends))
        # and so for what finds the row of each element, which writes as many as there are
        for part in (lambda a: a.sum(1), lambda a: a.tocsc(), lambda a: a[[1, 0]]):
            with pytest.raises(IndexOutOfRange, match="do not fit each other"):
                built = sg.compile([i, p], part(S.CSR(i * 0.5, i, p, (2, 3))))
                built(np.array(indices), np.array(ends))
    with pytest.raises(ShapeError, match="2 elements with 3 indices"):
        S.CSR([1.0, 2.0], [0, 1, 2], [0, 1, 2], (2, 3))
    with pytest.raises(ShapeError, match="indptr has 3 elements for 4 rows"):
        S.CSR([1.0, 2.0], [0, 1], [0, 1, 2], (4, 3))
    with pytest.raises(DTypeError, match="integers"):
        S.CSR([1.0], [0.0], [0, 1], (1, 1))
    with pytest.raises(RankError):
        S.CSR([1.0], [0], [0, 1], (1, 1, 1))


def test_mistakes_name_the_line() -> None:
    a, x = S.csr_matrix("A", shape=(4, 5)), sg.vector("x", shape=(4,))
    with pytest.raises(ShapeError, match="inner sizes differ: 5 and 4") as error:
        a @ x
    assert {o[0] for o in error.value.operands} == {"A", "x"}
    for mistake in (lambda: a + S.csr_matrix("B", shape=(4, 6)), lambda: S.spsolve(a, x)):
        with pytest.raises(ShapeError):
            mistake()
    for mistake in (lambda: a @ 2.0, lambda: 2.0 @ a, lambda: a * np.ones((2, 4, 5))):
        with pytest.raises(RankError):
            mistake()
    for mistake in (lambda: 1 / a, lambda: len(a), lambda: bool(a), lambda: list(a),
                    lambda: S.matmul(x, x), lambda: S.sum(x)):  # fmt: skip
        with pytest.raises(ArgumentError):
            mistake()
    with pytest.raises(DTypeError, match="sparse"):
        sg.exp(a)


def test_state() -> None:
    a = S.shared(M, name="A")
    x = sg.vector("x", shape=(5,))
    f = sg.compile([x], a @ x, updates={a: a * 2})
    np.testing.assert_allclose(f(np.ones(5)), M.sum(1))
    np.testing.assert_allclose(f(np.ones(5)), 2 * M.sum(1))
    a.set_value(N)  # another structure
    assert a.get_value().nnz == N.nnz
    np.testing.assert_allclose(f(np.ones(5)), N.sum(1))
    np.testing.assert_allclose(a.get_value().toarray(), 2 * N.toarray())
    with pytest.raises(InputValueError):
        a.set_value(N.T)
    slope = sg.grad(sg.sum((a @ x) ** 2), a)
    step = sg.compile([x], [], updates={a: a - 0.1 * slope})
    before = a.get_value()
    step(np.ones(5))
    wanted = before.toarray() - 0.2 * (before.toarray() != 0) * before.sum(1)[:, None]
    np.testing.assert_allclose(a.get_value().toarray(), wanted)


def test_givens_and_eval() -> None:
    a, b = S.csr_matrix("A"), S.csr_matrix("B")
    f = sg.compile([b], a.sum(1), givens={a: b})
    np.testing.assert_allclose(f(M), M.sum(1))
    np.testing.assert_allclose(a.sum(1).eval({a: M}), M.sum(1))
    np.testing.assert_allclose((a @ b.T).eval({a: M, b: N}).toarray(), (M @ N.T).toarray())
    assert repr(a) == "<A: csr float64[?0, ?1]>" or repr(a).startswith("<A: csr float64[")


def test_a_second_process_finds_the_code(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("SYMGRAPH_CACHE_DIR", str(tmp_path))
    x = np.arange(5.0)
    first, second = product(), product()
    np.testing.assert_allclose(first(M, x)["y"], second(M, x)["y"])


def test_containers_of_users() -> None:
    class Pair:
        def __init__(self, left: Any, right: Any) -> None:
            self.left, self.right = left, right

    sg.register_container(Pair, lambda p: ((p.left, p.right), None), lambda _, xs: Pair(*xs))
    p = Pair(sg.vector("a"), [sg.scalar("b")])
    f = sg.compile([p], {"p": Pair(p.left * 2, p.right[0]), "s": sg.sum(p.left)})
    found = f(Pair([1.0, 2.0], [3.0]))
    assert found["p"].left.tolist() == [2.0, 4.0] and found["p"].right.item() == 3.0
    g = sg.grad(sg.sum(p.left**2) * p.right[0], p)
    assert g.left.eval({p.left: [1.0, 2.0], p.right[0]: 3.0}).tolist() == [6.0, 12.0]
    with pytest.raises(ArgumentError, match="expected Pair"):
        f(3.0)
