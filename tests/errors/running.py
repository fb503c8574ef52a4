"""What is seen at a call only."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.InputValueError,
    "subtract: sizes differ on axis 0: n = 3 and m = 4",
    caret="x - y",
    hint='axes that belong together may share a name: shape=("n",),',
    operands="x: float64[n], y: float64[m]",
)
def named_sizes_differ() -> Any:
    x = sg.vector("x", shape=("n",))
    y = sg.vector("y", shape=("m",))
    z = x - y  # <-
    return sg.compile([x, y], z)(np.ones(3), np.ones(4))


@mistake(
    e.InputValueError,
    "input x is float64[?]; the value given is {'x': array([1., 1., 1.])}",
    caret='f({"x": np.ones(3)})',
    hint="write f(**values) to give inputs by their names",
    operands="x: float64[?]",
)
def call_with_dict(mode: str) -> Any:
    x = sg.vector("x")
    f = sg.compile([x], x + 1, mode=mode)
    f({"x": np.ones(3)})  # <-


@mistake(
    e.InputValueError,
    "input x is float32[?]; the value given has dtype float64",
    caret="f(np.ones(3))",
    hint="convert it: array.astype('float32')",
    operands="x: float32[?]",
)
def call_float64_for_float32(mode: str) -> Any:
    x = sg.vector("x", dtype="float32")
    f = sg.compile([x], x + 1, mode=mode)
    f(np.ones(3))  # <-


@mistake(
    e.InputValueError,
    "input x is float64[?]; the value given has 0 dimensions (shape ())",
    caret="f(3, np.ones(2))",
    hint="the order is x, n; or give them by name: f(x=...)",
    operands="x: float64[?]",
)
def call_wrong_order(mode: str) -> Any:
    x, n = sg.vector("x"), sg.scalar("n", dtype="int64")
    f = sg.compile([x, n], x + n, mode=mode)
    f(3, np.ones(2))  # <-


@mistake(
    e.InputValueError,
    "input n is int64; the value given has dtype float64",
    caret="f(2.5)",
    hint="convert it: array.astype('int64')",
    operands="n: int64",
)
def call_float_int(mode: str) -> Any:
    n = sg.scalar("n", dtype="int64")
    f = sg.compile([n], n + 1, mode=mode)
    f(2.5)  # <-


@mistake(
    e.InputValueError,
    "axis 1 of input x has size 5, expected 3",
    caret="f(np.ones((3, 5)))",
    hint="declare the axis as None or by a name where x is made, to",
    operands="x: float64[n, 3]",
)
def call_transposed(mode: str) -> Any:
    x = sg.matrix("x", shape=("n", 3))
    f = sg.compile([x], sg.sum(x, 1), mode=mode)
    f(np.ones((3, 5)))  # <-


@mistake(
    e.InputValueError,
    "input x is float64[?, ?]; the value given has dtype object",
    caret='f(np.array([["a", "b"]], dtype=object))',
    operands="x: float64[?, ?]",
)
def call_dataframe(mode: str) -> Any:
    x = sg.matrix("x")
    f = sg.compile([x], x, mode=mode)
    f(np.array([["a", "b"]], dtype=object))  # <-


@mistake(
    e.ArgumentError,
    "argument 0 of function: expected a dict with the keys ['w', 'b'], not keys ['w']",
    caret='f({"w": np.ones(2)})',
    hint="an argument has the nesting of the input it is for",
)
def call_nested_struct(mode: str) -> Any:
    p = {"w": sg.vector("w"), "b": sg.scalar("b")}
    f = sg.compile([p], p["w"] + p["b"], mode=mode)
    f({"w": np.ones(2)})  # <-


@mistake(
    e.ArgumentError,
    "argument 0 of function: expected a dict with the keys ['w', 'b'], not ndarray",
    caret="f(np.ones(2))",
    hint="an argument has the nesting of the input it is for",
)
def call_nested_wrong(mode: str) -> Any:
    p = {"w": sg.vector("w"), "b": sg.scalar("b")}
    f = sg.compile([p], p["w"] + p["b"], mode=mode)
    f(np.ones(2))  # <-


@mistake(
    e.InputValueError,
    "axis 0 of input y has size 5, expected b = 4 as axis 0 of x",
    caret="f(np.ones((4, 3)), np.ones((5, 3)))",
    hint="axes that share a name have one size; give one another name",
    operands="y: float64[b, 3]",
)
def symbolic_batch(mode: str) -> Any:
    x = sg.matrix("x", shape=("b", 3))
    y = sg.matrix("y", shape=("b", 3))
    f = sg.compile([x, y], sg.mean((x - y) ** 2), mode=mode)
    f(np.ones((4, 3)), np.ones((5, 3)))  # <-


@mistake(
    e.SpecifiedShapeError,
    "specify_shape: sizes differ on axis 0: 4 and 3",
    caret="sg.specify_shape(x, (3,))",
    operands="x: float64[?]",
)
def specify_shape_call(mode: str) -> Any:
    x = sg.vector("x")
    y = sg.specify_shape(x, (3,))  # <-
    sg.compile([x], y * 2, mode=mode)(np.ones(4))


@mistake(
    e.InputValueError,
    "add: sizes differ on axis 0: n = 5 and 3",
    caret="w + x",
    hint='axes that belong together may share a name: shape=("n",),',
    operands="w: float64[n], x: float64[?]",
)
def shared_changes_shape(mode: str) -> Any:
    w = sg.shared(np.ones(3), "w", shape=("n",))
    x = sg.vector("x")
    y = w + x  # <-
    f = sg.compile([x], y, mode=mode)
    w.set_value(np.ones(5))
    f(np.ones(3))


@mistake(
    e.IndexOutOfRange,
    "index 3 is out of range for axis 0 of size 3",
    caret="sg.take(x, i)",
    hint="indices run from -size to size - 1",
    operands="x: float64[?], i: int64[?]",
)
def take_range(mode: str) -> Any:
    x = sg.vector("x")
    i = sg.vector("i", dtype="int64")
    y = sg.take(x, i)  # <-
    sg.compile([x, i], y, mode=mode)(np.ones(3), np.array([3]))


@mistake(
    e.IndexOutOfRange,
    "index 3 is out of range for axis 1 of size 3",
    caret="sg.take_along_axis(x, i, 1)",
    hint="indices run from -size to size - 1",
    operands="x: float64[?, ?], i: int64[?, ?]",
)
def take_along(mode: str) -> Any:
    x = sg.matrix("x")
    i = sg.matrix("i", dtype="int64")
    y = sg.take_along_axis(x, i, 1)  # <-
    sg.compile([x, i], y, mode=mode)(np.ones((2, 3)), np.array([[3], [0]]))


@mistake(
    e.IndexOutOfRange,
    "index -4 is out of range for axis 0 of size 3",
    caret="a[i]",
    hint="indices run from -size to size - 1",
    operands="add: float64[?, ?], i: int64[?]",
)
def fused_index(mode: str) -> Any:
    x = sg.matrix("x")
    i = sg.vector("i", dtype="int64")
    a = sg.exp(x) + 1
    b = a[i]  # <-
    c = sg.tanh(b) * 2
    sg.compile([x, i], sg.sum(c), mode=mode)(np.ones((3, 3)), np.array([0, -4]))


@mistake(
    e.IndexOutOfRange,
    "bincount: -2 is in none of the 2 bins",
    caret="sg.bincount(x)",
    hint="bins count from 0",
    operands="x: int64[?]",
)
def bincount_negative(mode: str) -> Any:
    x = sg.vector("x", dtype="int64")
    y = sg.bincount(x)  # <-
    sg.compile([x], y, mode=mode)(np.array([1, -2]))


@mistake(
    e.ShapeError,
    "argmax over axes that have no elements",
    caret="sg.argmax(x)",
    operands="x: float64[?]",
)
def mean_empty(mode: str) -> Any:
    x = sg.vector("x")
    y = sg.argmax(x)  # <-
    sg.compile([x], y, mode=mode)(np.zeros(0))


@mistake(
    e.InputValueError,
    "reshape: numbers of elements differ: 5 and 6",
    caret="sg.reshape(x, (2, 3))",
    operands="x: float64[?]",
)
def choice_out(mode: str) -> Any:
    x = sg.vector("x")
    y = sg.reshape(x, (2, 3))  # <-
    sg.compile([x], y, mode=mode)(np.ones(5))


@mistake(
    e.InputValueError,
    "concatenate: sizes differ on axis 0: 2 and 3",
    caret="sg.concatenate([x, y], axis=1)",
    hint='axes that belong together may share a name: shape=("n",),',
    operands="x: float64[?, ?], y: float64[?, ?]",
)
def concat_at_call(mode: str) -> Any:
    x, y = sg.matrix("x"), sg.matrix("y")
    z = sg.concatenate([x, y], axis=1)  # <-
    sg.compile([x, y], z * 2, mode=mode)(np.ones((2, 3)), np.ones((3, 3)))


@mistake(
    e.InputValueError,
    "reshape: numbers of elements differ: 10 and 9",
    caret="sg.split(x, 3)",
    operands="x: float64[?]",
)
def split_at_call(mode: str) -> Any:
    x = sg.vector("x")
    a, b, _ = sg.split(x, 3)  # <-
    sg.compile([x], a + b, mode=mode)(np.ones(10))


@mistake(
    e.AssertionFailed,
    "x is a length",
    caret='sg.assert_(x, x > 0, "x is a length")',
    operands="x: float64, less: bool",
)
def assert_fails(mode: str) -> Any:
    x = sg.scalar("x")
    y = sg.assert_(x, x > 0, "x is a length")  # <-
    sg.compile([x], y * 2, mode=mode)(-1.0)


@mistake(
    e.NonFiniteError,
    "f: divide makes nan at [0] of finite operands; the output is nan at [0]",
    caret="x / sg.sum(x)",
    hint="where the operation is meant to be undefined, keep such",
    operands="x: float64[?] = 0.0 at [0], sum: float64 = 0.0",
)
def nan_div() -> Any:
    x = sg.vector("x")
    y = x / sg.sum(x)  # <-
    sg.compile([x], sg.exp(y), mode="nan", name="f")(np.zeros(2))


@mistake(
    e.NonFiniteError,
    "f: log makes nan",
    caret="sg.log(r)",
    hint="where the operation is meant to be undefined, keep such",
)
def nan_in_scan() -> Any:
    x = sg.vector("x")
    y = sg.scan(lambda r: sg.log(r), [x])  # <-
    sg.compile([x], y, mode="nan", name="f")(np.array([1.0, -1.0]))
