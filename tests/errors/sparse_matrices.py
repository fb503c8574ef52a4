"""Sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ShapeError,
    "matmul: inner sizes differ: 4 and 5",
    caret='sg.sparse.dot(a, sg.matrix("b", shape=(5, 2)))',
    operands="a: csr float64[3, 4], b: float64[5, 2]",
)
def sparse_plus_dense_shape() -> Any:
    a = sg.sparse.csr_matrix("a", shape=(3, 4))
    return sg.sparse.dot(a, sg.matrix("b", shape=(5, 2)))  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of SparseVariable",
    caret="sg.exp(a)",
    hint="sg.sparse has functions of sparse matrices; A.toarray() is",
    operands="SparseVariable <a: csr float64[3, 4]>",
)
def sparse_exp() -> Any:
    a = sg.sparse.csr_matrix("a", shape=(3, 4))
    return sg.exp(a)  # <-


@mistake(
    e.InputValueError,
    "a is csr float64[3, 4]; the value given is ndarray, not a matrix of scipy.sparse",
    caret="f(np.ones((3, 4)))",
    hint="scipy.sparse.csr_array(value)",
)
def sparse_dense_arg(mode: str) -> Any:
    a = sg.sparse.csr_matrix("a", shape=(3, 4))
    f = sg.compile([a], a.sum(), mode=mode)
    f(np.ones((3, 4)))  # <-


@mistake(
    e.InputValueError,
    "a is csr float64[3, 4]; the value given has shape (4, 4) (axis 0)",
    caret="f(ss.csr_matrix(np.ones((4, 4))))",
)
def sparse_call_shape(mode: str) -> Any:
    import scipy.sparse as ss

    a = sg.sparse.csr_matrix("a", shape=(3, 4))
    f = sg.compile([a], a.sum(), mode=mode)
    f(ss.csr_matrix(np.ones((4, 4))))  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of csr_matrix",
    caret='sg.matrix("x") @ ss.csr_matrix(np.ones((4, 4)))',
    hint="sg.sparse.as_sparse_variable(value) is a sparse matrix of",
    operands="x: float64[?, ?]",
)
def sparse_scipy_operand() -> Any:
    import scipy.sparse as ss

    return sg.matrix("x") @ ss.csr_matrix(np.ones((4, 4)))  # <-


@mistake(
    e.ShapeError,
    "add: sizes differ on axis 0: 3 and 4",
    caret="a + b",
    operands="a: csr float64[3, 4], b: csr float64[4, 3]",
)
def sparse_add_shapes() -> Any:
    a = sg.sparse.csr_matrix("a", shape=(3, 4))
    b = sg.sparse.csr_matrix("b", shape=(4, 3))
    return a + b  # <-
