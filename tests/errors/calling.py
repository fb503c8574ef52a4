"""Mistakes seen at a call: the line is the call's, or that of the expression that fails."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


def function(mode: str) -> Any:
    x = sg.matrix("x", shape=("batch", 3))
    y = sg.vector("y", dtype="int64", shape=("batch",))
    return sg.compile([x, y], sg.sum(x, 1) * y, mode=mode, name="score")


X, Y = np.ones((2, 3)), np.ones(2, "int64")


@mistake(e.ArgumentError, "score lacks the input y")
def missing_argument(mode: str) -> None:
    f = function(mode)
    f(X)  # <-


@mistake(e.ArgumentError, "score lacks the inputs x, y")
def no_arguments(mode: str) -> None:
    f = function(mode)
    f()  # <-


@mistake(e.ArgumentError, "score takes 2 inputs (x, y), got 3")
def too_many_arguments(mode: str) -> None:
    f = function(mode)
    f(X, Y, Y)  # <-


@mistake(e.ArgumentError, "score has no input 'z'")
def unknown_keyword(mode: str) -> None:
    f = function(mode)
    f(X, z=Y)  # <-


@mistake(e.ArgumentError, "score: input 'x' is given twice")
def argument_given_twice(mode: str) -> None:
    f = function(mode)
    f(X, Y, x=X)  # <-


@mistake(e.InputValueError, "input y is int64[batch]; the value given has dtype float64")
def argument_of_a_lossy_dtype(mode: str) -> None:
    f = function(mode)
    f(X, Y.astype("float64"))  # <-


@mistake(e.InputValueError, "input x is float64[batch, 3]; the value given has dtype complex128")
def argument_of_complex_numbers(mode: str) -> None:
    f = function(mode)
    f(X.astype(complex), Y)  # <-


@mistake(e.InputValueError, "input y is int64[batch]; the value given has dtype float64")
def list_of_floats_for_integers(mode: str) -> None:
    f = function(mode)
    f(X, [1.5, 2.0])  # <-


@mistake(
    e.InputValueError,
    "input x is float64[batch, 3]; the value given has 1 dimension (shape (3,))",
)
def argument_of_the_wrong_rank(mode: str) -> None:
    f = function(mode)
    f(X[0], Y)  # <-


@mistake(e.InputValueError, "axis 1 of input x has size 4, expected 3")
def argument_of_the_wrong_size(mode: str) -> None:
    f = function(mode)
    f(np.ones((2, 4)), Y)  # <-


@mistake(e.InputValueError, "axis 0 of input y has size 5, expected batch = 2 as axis 0 of x")
def arguments_whose_sizes_disagree(mode: str) -> None:
    f = function(mode)
    f(X, np.ones(5, "int64"))  # <-


@mistake(
    e.InputValueError,
    "input x is float64[batch, 3]; the value given is no array",
)
def ragged_list(mode: str) -> None:
    f = function(mode)
    f([[1.0, 2.0, 3.0], [4.0]], Y)  # <-


@mistake(e.InputValueError, "input x is float64[batch, 3]; the value given is 'data.csv'")
def text_argument(mode: str) -> None:
    f = function(mode)
    f("data.csv", Y)  # <-


@mistake(e.InputValueError, "input x is float64[batch, 3]; the value given is None")
def none_argument(mode: str) -> None:
    f = function(mode)
    f(None, Y)  # <-


@mistake(
    e.InputValueError,
    "input x is float64[batch, 3]; the value given is a tensor without a value",
)
def symbolic_argument(mode: str) -> None:
    f = function(mode)
    f(sg.matrix("z"), Y)  # <-


@mistake(e.InputValueError, "input x is uint8[?]; the value given holds values out of range")
def number_out_of_range(mode: str) -> None:
    x = sg.vector("x", dtype="uint8")
    f = sg.compile([x], x + 1, mode=mode)
    f([1, 256])  # <-


@mistake(e.InputValueError, "input x is int64; the value given is out of range")
def huge_integer(mode: str) -> None:
    x = sg.scalar("x", dtype="int64")
    f = sg.compile([x], x + 1, mode=mode)
    f(10**30)  # <-


@mistake(e.InputValueError, "multiply: sizes differ on axis 0: 3 and 4")
def sizes_that_meet_at_the_call(mode: str) -> None:
    x, y = sg.vector("x"), sg.vector("y")
    z = x * y  # <-
    f = sg.compile([x, y], z, mode=mode)
    f(np.ones(3), np.ones(4))


@mistake(e.InputValueError, "matmul: inner sizes differ: d = 3 and k = 4")
def named_sizes_that_meet_at_the_call(mode: str) -> None:
    x, w = sg.matrix("x", shape=("batch", "d")), sg.matrix("w", shape=("k", 10))
    z = x @ w  # <-
    f = sg.compile([x, w], z, mode=mode)
    f(np.ones((2, 3)), np.ones((4, 10)))


@mistake(e.InputValueError, "reshape: numbers of elements differ: 10 and 8")
def a_size_that_does_not_divide(mode: str) -> None:
    x = sg.vector("x")
    rows = x.reshape((-1, 4))  # <-
    f = sg.compile([x], sg.sum(rows, 1), mode=mode)
    f(np.ones(10))


@mistake(e.InputValueError, "axis 0 of input w has size 3, expected n = 4 as axis 0 of x")
def a_shared_variable_of_another_size(mode: str) -> None:
    w = sg.shared(np.ones(3), "w", shape=("n",))
    x = sg.vector("x", shape=("n",))
    f = sg.compile([x], x + w, mode=mode)
    f(np.ones(4))  # <-


@mistake(
    e.IndexOutOfRange,
    "index 3 is out of range for axis 0 of size 3",
)
def index_out_of_range_at_the_call(mode: str) -> None:
    x, i = sg.vector("x"), sg.scalar("i", dtype="int64")
    item = x[i]  # <-
    f = sg.compile([x, i], item * 2, mode=mode)
    f(np.ones(3), 3)


@mistake(
    e.IndexOutOfRange,
    "index -5 is out of range for axis 1 of size 4",
)
def index_array_out_of_range_at_the_call(mode: str) -> None:
    x, i = sg.matrix("x", shape=("n", 4)), sg.vector("i", dtype="int32")
    picked = sg.exp(x)[:, i]  # <-
    f = sg.compile([x, i], sg.sum(picked), mode=mode)
    f(np.ones((2, 4)), np.array([0, -5], "int32"))


@mistake(
    e.IndexOutOfRange,
    "index 3 is out of range for axis 0 of size 3",
)
def write_out_of_range(mode: str) -> None:
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    y = x.at[i].add(1.0)  # <-
    f = sg.compile([x, i], y, mode=mode)
    f(np.ones(3), np.array([0, 3]))


@mistake(e.IndexOutOfRange, "label 3 is not one of 3 classes")
def label_out_of_range(mode: str) -> None:
    x, y = sg.matrix("x", shape=("batch", 3)), sg.vector("y", dtype="int64", shape=("batch",))
    loss = sg.nn.softmax_cross_entropy(x, y)  # <-
    f = sg.compile([x, y], sg.mean(loss), mode=mode)
    f(X, np.array([0, 3]))


@mistake(e.IndexOutOfRange, "index 2 is out of range for axis 0 of size 2")
def fixed_index_into_too_few_rows(mode: str) -> None:
    x = sg.matrix("x")
    third = x[2]  # <-
    f = sg.compile([x], third, mode=mode)
    f(X)


@mistake(e.ShapeError, "max over axes that have no elements")
def maximum_of_nothing_at_the_call(mode: str) -> None:
    x = sg.vector("x")
    top = sg.max(x)  # <-
    f = sg.compile([x], top + 1, mode=mode)
    f(np.ones(0))


@mistake(e.NonFiniteError, "f: log makes nan at [1] of finite operands; the output is nan")
def logarithm_of_a_negative_number() -> None:
    x = sg.vector("x")
    y = sg.sum(sg.log(x))  # <-
    sg.compile([x], y, mode="nan", name="f")(np.array([1.0, -1.0]))


@mistake(e.NonFiniteError, "f: exp makes inf at [0] of finite operands; subtract")
def overflow_that_becomes_nan() -> None:
    x = sg.vector("x")
    y = sg.exp(x)  # <-
    sg.compile([x], y - y * 2, mode="nan", name="f")(np.array([1e3]))


@mistake(e.NonFiniteError, "f: the input x holds nan at [1]; the output is nan at [1]")
def argument_that_holds_nan() -> None:
    x = sg.vector("x")  # <-
    sg.compile([x], sg.sin(x), mode="nan", name="f")(np.array([1.0, np.nan]))
