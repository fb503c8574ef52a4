"""Matrices with known properties: what is found, and that the short ways mean the long ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgraph as sg
from symgraph.errors import ArgumentError, AssertionFailed, LinAlgError
from symgraph.ops.assumptions import _HOLDS
from symgraph.passes.pipeline import optimize
from symgraph.passes.properties import properties

L = sg.linalg
N = 4
x = sg.matrix("x", shape=("n", "n"))
v = sg.vector("v", shape=("n",))
m = sg.matrix("m", shape=("n", "k"))
_random = np.random.default_rng(5)
X = _random.normal(size=(N, N)) + 3 * np.eye(N)
V, M = _random.random(N) + 0.5, _random.normal(size=(N, 2))
DEFINITE = X @ X.T


def ops(e: Any) -> set[str]:
    """The ops that are left of an expression, constants and counters aside."""
    return {n.op.name for n in optimize(sg.Graph([x, v, m], [e])).toposort()}


def value(e: Any, a: Any = X, mode: str = "run") -> Any:
    return sg.compile([x, v, m], e, on_unused_input="ignore", mode=mode)(a, V, M)


def definite() -> Any:
    return L.assume(x, "positive_definite")


FACTORS = {"lu_factor", "permute_rows"}
# name: (expression, the same in NumPy of x, v and m, ops that are not there, ops that are)
CASES: dict[str, tuple[Any, Callable[..., Any], set[str], set[str]]] = {
    "inverse of a triangle": (
        L.inv(sg.tril(x)) @ m, lambda x, v, m: np.linalg.inv(np.tril(x)) @ m,
        FACTORS, {"triangular_solve"},
    ),
    "upper system": (
        L.solve(sg.triu(x), m), lambda x, v, m: np.linalg.solve(np.triu(x), m),
        FACTORS, {"triangular_solve"},
    ),
    "transposed triangle": (
        L.solve(sg.tril(x).T, m), lambda x, v, m: np.linalg.solve(np.tril(x).T, m),
        FACTORS, {"triangular_solve"},
    ),
    "diagonal system": (
        L.solve(sg.diag(v), m), lambda x, v, m: m / v[:, None],
        FACTORS | {"triangular_solve", "diagonal_embed"}, {"divide"},
    ),
    "sum of diagonals": (
        L.solve(sg.diag(v) + 2 * sg.eye(v.shape[0]), m), lambda x, v, m: m / (v[:, None] + 2),
        FACTORS | {"triangular_solve"}, {"divide"},
    ),
    "inverse twice": (
        L.inv(L.inv(sg.diag(v))) @ m, lambda x, v, m: v[:, None] * m,
        FACTORS | {"triangular_solve", "matmul"}, set(),
    ),
    "scaled rows": (sg.diag(v) @ m, lambda x, v, m: v[:, None] * m, {"matmul"}, {"multiply"}),
    "scaled columns": (m.T @ sg.diag(v), lambda x, v, m: m.T * v, {"matmul"}, {"multiply"}),
    "determinant": (
        L.det(sg.tril(x)), lambda x, v, m: np.linalg.det(np.tril(x)), FACTORS, {"prod"},
    ),
    "logarithm of a determinant": (
        sg.log(L.det(sg.triu(sg.exp(x)))), lambda x, v, m: np.trace(x), FACTORS, {"log"},
    ),
    "size and sign": (
        sg.stack(L.slogdet(sg.tril(-x))), lambda x, v, m: np.stack(np.linalg.slogdet(np.tril(-x))),
        FACTORS, {"sign"},
    ),
    "factor of a diagonal": (
        L.cholesky(sg.diag(v)), lambda x, v, m: np.diag(np.sqrt(v)), {"cholesky"}, {"sqrt"},
    ),
    "inverse of a factor": (
        L.inv(L.cholesky(definite())), lambda x, v, m: np.linalg.inv(np.linalg.cholesky(x)),
        FACTORS, {"triangular_solve"},
    ),
    "definite system": (
        L.solve(definite(), m), lambda x, v, m: np.linalg.solve(x, m), FACTORS, {"cholesky"},
    ),
    "definite determinant": (
        L.slogdet(definite())[1], lambda x, v, m: np.linalg.slogdet(x)[1], FACTORS, {"cholesky"},
    ),
    "definite sign": (L.slogdet(definite())[0], lambda x, v, m: 1.0, FACTORS, set()),
    "orthogonal system": (
        L.solve(L.qr(x)[0], m), lambda x, v, m: np.linalg.qr(x)[0].T @ m, FACTORS, {"matmul"},
    ),
    "orthogonal twice": (
        (lambda q: q.T @ q)(L.eigh(x)[1]), lambda x, v, m: np.eye(len(x)), {"matmul", "eigh"},
        set(),
    ),
    "diagonal of a product": (
        L.diagonal(m @ m.T), lambda x, v, m: (m * m).sum(1), {"matmul"}, {"sum"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_short_ways(name: str) -> None:
    e, reference, gone, there = CASES[name]
    found = ops(e)
    assert not found & gone and found >= there, found
    a = DEFINITE if "definite" in name or "inverse of a factor" in name else X
    wanted = reference(a, V, M)
    for mode in ("run", "interpret", "debug"):
        np.testing.assert_allclose(value(e, a, mode), wanted, rtol=1e-10, atol=1e-12)


def test_a_factor_of_a_factor_squared_is_the_factor() -> None:
    factor = L.cholesky(x)
    e = L.cholesky(factor @ factor.T)
    kept = [n for n in optimize(sg.Graph([x], [e])).toposort() if n.op.name == "cholesky"]
    assert len(kept) == 1
    np.testing.assert_allclose(value(e, DEFINITE), np.linalg.cholesky(DEFINITE))


def test_a_normal_density_with_independent_elements_costs_no_matrices() -> None:
    cov = sg.diag(sg.exp(v))
    whitened = L.solve_triangular(L.cholesky(cov), m, lower=True)
    cost = L.slogdet(cov)[1] + (whitened**2).sum()
    e = sg.grad(cost, v)
    assert not ops(e) & (FACTORS | {"matmul", "cholesky", "triangular_solve", "diagonal_embed"})
    np.testing.assert_allclose(value(e), 1 - (M**2).sum(1) / np.exp(V), rtol=1e-12)


BATCH = sg.tensor("b", "float64", shape=("batch", "n", "n"))


def test_batches() -> None:
    b = _random.normal(size=(3, N, N)) + 3 * np.eye(N)
    for e, wanted in (
        (L.solve(sg.tril(BATCH), m), np.linalg.solve(np.tril(b), M)),
        (L.det(sg.triu(BATCH)), np.linalg.det(np.triu(b))),
        (sg.vmap(lambda a: L.solve(L.assume(sg.tril(a), "lower_triangular"), m))(BATCH),
         np.linalg.solve(np.tril(b), M)),
    ):  # fmt: skip
        graph = optimize(sg.Graph([BATCH, m], [e]))
        assert not {n.op.name for n in graph.toposort()} & FACTORS
        np.testing.assert_allclose(
            sg.compile([BATCH, m], e, on_unused_input="ignore")(b, M), wanted
        )


# errors are those of the long way -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["run", "interpret"])
@pytest.mark.parametrize(
    ("e", "words"),
    [
        (L.solve(sg.diag(v), m), "singular"),
        (L.solve(sg.tril(x), m), "singular"),
        (L.solve(x, m, "diagonal"), "singular"),
        (L.cholesky(sg.diag(v)), "not positive definite"),
        (L.inv(sg.diag(v)), "singular"),
    ],
)
def test_what_has_no_solution_is_an_error(e: Any, words: str, mode: str) -> None:
    zeros = np.array([1.0, 0.0, 2.0, 3.0])
    f = sg.compile([x, v, m], e, on_unused_input="ignore", mode=mode)
    with pytest.raises(LinAlgError, match=words):
        f(np.diag(zeros), zeros, M)


def test_nan_on_failure_stays() -> None:
    e = L.solve(sg.tril(x), m, on_failure="nan")
    a = np.tril(X)
    a[1, 1] = 0
    assert np.isnan(value(e, a)).all()


# assumptions --------------------------------------------------------------------------------------


def test_what_is_stated_is_believed_by_machine_code_and_looked_at_otherwise() -> None:
    e = L.solve(L.assume(x, "diagonal"), m)
    np.testing.assert_allclose(value(e), M / np.diagonal(X)[:, None])
    for mode in ("interpret", "debug"):
        with pytest.raises(AssertionFailed, match="assume: a matrix is not diagonal"):
            value(e, mode=mode)


@pytest.mark.parametrize("name", _HOLDS)
def test_each_property_is_looked_at(name: str) -> None:
    e = L.assume(x, name)
    good = {"positive_definite": DEFINITE, "symmetric": DEFINITE, "lower_triangular": np.tril(X),
            "upper_triangular": np.triu(X), "diagonal": np.diag(V),
            "orthogonal": np.linalg.qr(X)[0]}  # fmt: skip
    np.testing.assert_array_equal(value(e, good[name], "interpret"), good[name])
    with pytest.raises(AssertionFailed, match=name.replace("_", " ")):
        value(e, X, "interpret")


def test_refused() -> None:
    with pytest.raises(ArgumentError, match="unknown property 'banded'"):
        L.assume(x, "banded")
    with pytest.raises(ArgumentError, match="no property"):
        L.assume(x)
    with pytest.raises(ValueError, match="square"):
        L.assume(sg.matrix("z", shape=(2, 3)), "diagonal")


# what is found, against the matrices themselves ---------------------------------------------------

_q, _w = L.qr(x)[0], L.eigh(x @ x.T)[1]
_low = L.cholesky(x @ x.T + sg.eye(x.shape[0]))
EXPRESSIONS = [
    x, x.T, sg.tril(x), sg.triu(x), sg.tril(x, -1), sg.tril(x, 1), sg.triu(x, -1), sg.triu(x, 1),
    sg.tril(x) @ sg.tril(x), sg.tril(x) @ sg.triu(x), sg.tril(x) * x, sg.triu(x) / (1 + x * x),
    sg.tril(x).T, sg.tril(x).T @ sg.triu(x), -sg.tril(x), 3 * sg.diag(v), sg.diag(v) * x,
    sg.diag(v) @ sg.diag(v), sg.diag(v) + sg.eye(v.shape[0]), sg.diag(v) - x, sg.diag(v, 1),
    x + x.T, x @ x.T, x.T @ x, (x @ x.T) * (x + x.T), -(x @ x.T), (x @ x.T) / 2, x * v,
    _low, _low.T, _low @ _low.T, L.inv(_low), L.inv(sg.diag(v)), L.inv(x @ x.T),
    L.inv(L.assume(x @ x.T, "positive_definite")), 2 * L.assume(x @ x.T, "positive_definite"),
    -2 * L.assume(x @ x.T, "positive_definite"), L.qr(x)[1], _q, _q.T, _q @ _w, _w, _q + _w,
    sg.eye(x.shape[0]), sg.eye(x.shape[0], k=1), sg.eye(3), sg.exp(sg.tril(x)),
    sg.constant(np.triu(np.ones((N, N)))), sg.constant(DEFINITE), sg.tril(x) + 1.0,
    sg.tril(x) + v, sg.broadcast_to(sg.diag(v), (2, *x.shape)), sg.where(x > 0, x, 0),
]  # fmt: skip


@pytest.mark.parametrize("k", range(len(EXPRESSIONS)))
def test_what_is_found_holds(k: int) -> None:
    (e,) = optimize(sg.Graph([x, v], [EXPRESSIONS[k]])).outputs
    array = np.asarray(sg.compile([x, v], e, on_unused_input="ignore", mode="interpret")(X, V))
    for found in (properties(e), properties(EXPRESSIONS[k])):
        for name in found:
            assert _HOLDS[name](array), (name, array)


def test_much_is_found() -> None:
    told = {k: properties(optimize(sg.Graph([x, v], [e])).outputs[0])
            for k, e in enumerate(EXPRESSIONS)}  # fmt: skip
    assert sum(map(bool, told.values())) >= 36
    assert not told[0] and not told[5] and "diagonal" in told[17]


def test_a_chain_is_not_followed_for_ever() -> None:
    e = sg.diag(v)
    for _ in range(5000):
        e = e @ sg.tril(x)
    assert properties(e) == frozenset()
