"""Linear algebra, while the graph is built and at a call."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.LinAlgError,
    "cholesky: matrix is not positive definite (leading minor 1)",
    caret="sg.linalg.cholesky(a)",
    hint='add a multiple of the identity, or use on_failure="nan"',
    operands="a: float64[?, ?]",
)
def cholesky_not_pd(mode: str) -> Any:
    a = sg.matrix("a")
    low = sg.linalg.cholesky(a)  # <-
    sg.compile([a], low * 2, mode=mode)(-np.eye(2))


@mistake(
    e.ShapeError,
    "cholesky: the matrix is not square: 2 and 3",
    caret='sg.linalg.cholesky(sg.matrix("a", shape=(2, 3)))',
    hint="sg.linalg.lstsq, pinv, qr and svd take matrices of any shape",
    operands="a: float64[2, 3]",
)
def cholesky_not_square() -> Any:
    return sg.linalg.cholesky(sg.matrix("a", shape=(2, 3)))  # <-


@mistake(
    e.InputValueError,
    "cholesky: the matrix is not square: 2 and 3",
    caret="sg.linalg.cholesky(a)",
    hint='axes that belong together may share a name: shape=("n",),',
    operands="a: float64[?, ?]",
)
def cholesky_not_square_call(mode: str) -> Any:
    a = sg.matrix("a")
    low = sg.linalg.cholesky(a)  # <-
    sg.compile([a], low, mode=mode)(np.ones((2, 3)))


@mistake(
    e.LinAlgError,
    "solve: the matrix is singular (element 1 of the diagonal is 0)",
    caret="sg.linalg.solve(a, b)",
    hint="sg.linalg.lstsq or pinv accept it",
    operands="a: float64[?, ?], b: float64[?]",
)
def solve_singular(mode: str) -> Any:
    a, b = sg.matrix("a"), sg.vector("b")
    x = sg.linalg.solve(a, b)  # <-
    sg.compile([a, b], x.sum(), mode=mode)(np.ones((2, 2)), np.ones(2))


@mistake(
    e.LinAlgError,
    "solve: the matrix is singular (element 0 of the diagonal is 0)",
    caret="sg.linalg.inv(a)",
    hint="sg.linalg.lstsq or pinv accept it",
    operands="a: float64[?, ?]",
)
def inv_singular(mode: str) -> Any:
    a = sg.matrix("a")
    x = sg.linalg.inv(a)  # <-
    sg.compile([a], x.sum(), mode=mode)(np.zeros((2, 2)))


@mistake(
    e.LinAlgError,
    "solve_triangular: the matrix is singular (element 0 of the diagonal is 0)",
    caret="sg.linalg.solve_triangular(a, b)",
    hint="sg.linalg.lstsq or pinv accept it",
    operands="a: float64[?, ?], b: float64[?]",
)
def solve_triangular_zero(mode: str) -> Any:
    a, b = sg.matrix("a"), sg.vector("b")
    x = sg.linalg.solve_triangular(a, b)  # <-
    sg.compile([a, b], x.sum(), mode=mode)(np.zeros((2, 2)), np.ones(2))


@mistake(
    e.LinAlgError,
    "svd: the iteration did not converge",
    caret="sg.linalg.svd(a)",
    hint="the matrix may hold NaN or infinities",
    operands="a: float64[?, ?]",
)
def svd_nan(mode: str) -> Any:
    a = sg.matrix("a")
    s = sg.linalg.svd(a)[1]  # <-
    sg.compile([a], s.sum(), mode=mode)(np.full((2, 2), np.nan))


@mistake(
    e.RankError,
    "eigh: needs a matrix, got float64[?]",
    caret='sg.linalg.eigh(sg.vector("a"))',
    operands="a: float64[?]",
)
def eigh_vector() -> Any:
    return sg.linalg.eigh(sg.vector("a"))  # <-


@mistake(
    e.ShapeError,
    "solve: sizes differ: 3 and 4",
    caret='sg.linalg.solve(sg.matrix("a", shape=(3, 3)), sg.vector("b", shape=(4,)))',
    operands="a: float64[3, 3], b: float64[4]",
)
def solve_sizes() -> Any:
    return sg.linalg.solve(sg.matrix("a", shape=(3, 3)), sg.vector("b", shape=(4,)))  # <-


@mistake(
    e.ShapeError,
    "det: the matrix is not square: 3 and 4",
    caret='sg.linalg.det(sg.matrix("a", shape=(3, 4)))',
    hint="sg.linalg.lstsq, pinv, qr and svd take matrices of any shape",
    operands="a: float64[3, 4]",
)
def det_nonsquare() -> Any:
    return sg.linalg.det(sg.matrix("a", shape=(3, 4)))  # <-


@mistake(
    e.ShapeError,
    "logm: the matrix is not square: 2 and 3",
    caret='sg.linalg.logm(sg.matrix("a", shape=(2, 3)))',
    hint="sg.linalg.lstsq, pinv, qr and svd take matrices of any shape",
    operands="a: float64[2, 3]",
)
def logm_bad() -> Any:
    return sg.linalg.logm(sg.matrix("a", shape=(2, 3)))  # <-


@mistake(
    e.ArgumentError,
    "norm: matrices have no norm 'two'",
    caret='sg.linalg.norm(sg.matrix("a"), ord="two")',
)
def norm_ord() -> Any:
    return sg.linalg.norm(sg.matrix("a"), ord="two")  # <-


@mistake(
    e.LinAlgError,
    "cholesky: matrix is not positive definite (leading minor 1)",
    caret="sg.linalg.cholesky(m)",
    hint='add a multiple of the identity, or use on_failure="nan"',
    operands="a[t]: float64[2, 2]",
)
def cholesky_in_scan(mode: str) -> Any:
    a = sg.tensor("a", shape=("n", 2, 2))
    low = sg.scan(lambda m: sg.linalg.cholesky(m), [a])  # <-
    sg.compile([a], low, mode=mode)(np.stack([np.eye(2), -np.eye(2)]))
