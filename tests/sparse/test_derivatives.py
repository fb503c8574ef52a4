"""Derivatives through sparse matrices, first and second; batches; loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgraph as sg
from tests.sparse.matrices import dense, matrix

S = sg.sparse
CSR, CSC = matrix(4, 5), matrix(4, 5, seed=1, format="csc")
B = matrix(5, 3, seed=2)
SQUARE = (matrix(4, 4, seed=3) + 9 * S.eye(4).eval()).tocsr()
RNG = np.random.default_rng(3)
X, ROWS, LEFT = RNG.normal(size=5), RNG.normal(size=(5, 2)), RNG.normal(size=(2, 4))


def of(data: Any, m: Any) -> Any:
    """The symbolic matrix with the structure of m and these elements."""
    return S.as_sparse_variable(m).with_data(data)


def weighted(y: Any) -> Any:
    y = y.toarray() if isinstance(y, S.SparseVariable) else y
    return sg.sin(y)


CASES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "vector": (lambda d, x: of(d, CSR) @ x, (CSR.data, X)),
    "matrix": (lambda d, x: of(d, CSR) @ x, (CSR.data, ROWS)),
    "columns": (lambda d, x: of(d, CSC) @ x, (CSC.data, ROWS)),
    "left": (lambda x, d: x @ of(d, CSR), (LEFT, CSR.data)),
    "left columns": (lambda x, d: x @ of(d, CSC), (LEFT, CSC.data)),
    "sparse": (lambda d, e: of(d, CSR) @ of(e, B), (CSR.data, B.data)),
    "sparse columns": (lambda d, e: of(d, CSC) @ of(e, B), (CSC.data, B.data)),
    "gram": (lambda d: of(d, CSR) @ of(d, CSR).T, (CSR.data,)),
    "sum": (lambda d, e: of(d, CSR) + of(e, CSC), (CSR.data, CSC.data)),
    "product": (lambda d, e: of(d, CSR) * of(e, CSC), (CSR.data, CSC.data)),
    "scaled": (lambda d, x: of(d, CSR) * x, (CSR.data, X)),
    "sampling": (
        lambda d, x, y: S.sampling_dot(x.T, y, of(d, CSR)), (CSR.data, LEFT, ROWS)
    ),
    "solve": (lambda d, x: S.spsolve(of(d, SQUARE), x), (SQUARE.data, LEFT[0])),
    "solve columns": (
        lambda d, x: S.spsolve(of(d, SQUARE).T, x.T), (SQUARE.data, LEFT)
    ),
    "rows": (lambda d: of(d, CSR).sum(1), (CSR.data,)),
    "diagonal": (lambda d: of(d, CSR).diagonal(), (CSR.data,)),
    "index": (lambda d: of(d, CSR)[[2, 0], 1:], (CSR.data,)),
    "stack": (lambda d, e: S.hstack([of(d, CSR), of(e, CSC)]), (CSR.data, CSC.data)),
    "converted": (lambda d: of(d, CSR).tocsc() * 2, (CSR.data,)),
    "dense": (S.csr_from_dense, (RNG.normal(size=(2, 3)),)),
    "coo": (lambda d: S.coo(d, [0, 1, 0], [2, 0, 2], (2, 3)), (X[:3],)),
    "functions": (lambda d: S.tanh(of(d, CSR)), (CSR.data,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_first(name: str) -> None:
    function, values = CASES[name]
    sg.verify_grad(lambda *xs: weighted(function(*xs)), values)


@pytest.mark.parametrize("name", CASES)
def test_second(name: str) -> None:
    function, values = CASES[name]

    def slopes(*xs: Any) -> Any:
        return sg.grad(sg.sum(weighted(function(*xs))), list(xs))

    sg.verify_grad(slopes, values, rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_compiled(name: str) -> None:
    function, values = CASES[name]
    inputs = [sg.tensor(f"x{k}", shape=v.shape) for k, v in enumerate(values)]
    cost = sg.sum(weighted(function(*inputs)))
    outputs = [cost, *sg.grad(cost, inputs)]
    found = [sg.compile(inputs, outputs, mode=m)(*values) for m in ("run", "interpret")]
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_gradient_is_a_matrix_of_the_same_structure() -> None:
    a, x = S.csr_matrix("A", shape=("n", "m")), sg.vector("x", shape=("m",))
    cost = sg.sum((a @ x) ** 2) / 2
    g = sg.grad(cost, {"a": a, "x": x})
    f = sg.compile([a, x], [g["a"], g["x"]])
    assert isinstance(g["a"], S.SparseVariable)
    by_a, by_x = f(CSR, X)
    wanted = np.outer(CSR @ X, X) * (CSR.toarray() != 0)
    np.testing.assert_allclose(by_a.toarray(), wanted)
    np.testing.assert_allclose(by_x, CSR.T @ (CSR @ X))
    along = sg.hvp(cost, x, sg.constant(X[::-1].copy()))
    np.testing.assert_allclose(along.eval({a: CSR, x: X}), CSR.T @ (CSR @ X[::-1]))


def test_complex_gradients_follow_the_convention() -> None:
    data = CSR.data * (1 + 0.5j)
    sg.verify_grad(lambda d, b: of(d, CSR) @ b, (data, ROWS * (1 - 1j)))


def test_vmap() -> None:
    a = S.as_sparse_variable(CSR)
    xs, wide = sg.matrix("xs"), sg.tensor("wide", shape=(None, 5, 2))
    found = sg.vmap(lambda x: a @ x)(xs)
    batch = RNG.normal(size=(3, 5))
    np.testing.assert_allclose(found.eval({xs: batch}), batch @ CSR.T.toarray())
    f = sg.compile([wide], sg.vmap(lambda x: a @ x)(wide))
    stack = RNG.normal(size=(3, 5, 2))
    np.testing.assert_allclose(f(stack), CSR.toarray() @ stack)
    ds = sg.matrix("ds", shape=(None, CSR.nnz))
    each = sg.vmap(lambda d: a.with_data(d) @ X)(ds)
    np.testing.assert_allclose(
        each.eval({ds: np.stack([CSR.data, 2 * CSR.data])}), np.stack([CSR @ X, 2 * (CSR @ X)])
    )
    jacobian = sg.jacobian(a @ xs[0], xs)
    np.testing.assert_allclose(jacobian.eval({xs: batch})[:, 0], CSR.toarray())


def test_in_loops() -> None:
    a, x = S.csr_matrix("A", shape=(4, 4)), sg.vector("x", shape=(4,))
    powers = sg.scan(lambda v: a @ v, outputs_info=x, n_steps=3)
    found = sg.compile([a, x], powers)(SQUARE, LEFT[0])
    v, wanted = LEFT[0], []
    for _ in range(3):
        v = SQUARE @ v
        wanted.append(v)
    np.testing.assert_allclose(found, wanted)
    chosen = sg.cond(x[0] > 0, lambda: a * 2, lambda: -a)
    for sign in (1, -1):
        value = sg.compile([a, x], chosen)(SQUARE, sign * np.abs(LEFT[0]))
        np.testing.assert_allclose(dense(value), dense(SQUARE) * (2 if sign > 0 else -1))
    halved = sg.fori_loop(0, 2, lambda i, m: m * 0.5, a)
    np.testing.assert_allclose(dense(halved.eval({a: SQUARE})), dense(SQUARE) / 4)
