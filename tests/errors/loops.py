"""scan, while_loop, fori_loop, cond, map and vmap."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ArgumentError,
    "scan: the step is called with 2 arguments (x[t], y[t]): <lambda>()",
    caret='sg.scan(lambda a: a, [sg.vector("x"), sg.vector("y")])',
    hint="give it one parameter for each",
    operands="x[t]: float64, y[t]: float64",
)
def scan_wrong_args() -> Any:
    return sg.scan(lambda a: a, [sg.vector("x"), sg.vector("y")])  # <-


@mistake(
    e.DTypeError,
    "cannot make a tensor of NoneType",
    caret='sg.scan(lambda a: None, [sg.vector("x")])',
    hint="a Python function without a return gives None",
    operands="x: float64[?]",
)
def scan_returns_none() -> Any:
    return sg.scan(lambda a: None, [sg.vector("x")])  # <-


@mistake(
    e.ArgumentError,
    "scan: the step returned 1 outputs, outputs_info has 2",
    caret='sg.scan(lambda a, s: s + a, [sg.vector("x")], [sg.constant(0.0), None])',
    hint="give None for an output that the step does not read",
)
def scan_outputs_count2() -> Any:
    return sg.scan(lambda a, s: s + a, [sg.vector("x")], [sg.constant(0.0), None])  # <-


@mistake(
    e.ShapeError,
    "scan: output 0 begins as float64[2], the step makes it float64[4]",
    caret="sg.scan(lambda s: sg.concatenate([s, s]), None, [sg.zeros(2)], n_steps=3)",
    hint="sg.broadcast_to gives the initial value the full shape",
    operands="broadcast_to: float64[2]",
)
def scan_shape_changes() -> Any:
    return sg.scan(lambda s: sg.concatenate([s, s]), None, [sg.zeros(2)], n_steps=3)  # <-


@mistake(
    e.ShapeError,
    "scan: sequence 0 is a scalar; it needs a leading axis of steps",
    caret='sg.scan(lambda a: a, [sg.scalar("x")])',
    operands="x: float64",
)
def scan_scalar_sequence() -> Any:
    return sg.scan(lambda a: a, [sg.scalar("x")])  # <-


@mistake(
    e.ShapeError,
    "scan: n_steps: a size cannot be negative: -2",
    caret="sg.scan(lambda s: s + 1, None, [sg.constant(0.0)], n_steps=-2)",
    operands="outputs_info: float64",
)
def scan_negative_steps() -> Any:
    return sg.scan(lambda s: s + 1, None, [sg.constant(0.0)], n_steps=-2)  # <-


@mistake(
    e.ArgumentError,
    "the truth of less is not known while the graph is built",
    caret="a > 0",
    hint="sg.where or sg.cond for if; & and | for and and or, also in",
    operands="less: bool",
)
def scan_if() -> Any:
    def step(a: Any) -> Any:
        if a > 0:  # <-
            return a
        return -a

    return sg.scan(step, [sg.vector("x")])


@mistake(
    e.ShapeError,
    "matmul: inner sizes differ: 3 and 4",
    caret="r @ w",
    operands="x[t]: float64[3], w: float64[4, 4]",
)
def scan_shape_inside() -> Any:
    x = sg.matrix("x", shape=("n", 3))
    w = sg.shared(np.zeros((4, 4)), "w")

    def step(r: Any) -> Any:
        return r @ w  # <-

    return sg.scan(step, [x])


@mistake(e.ShapeError, "scan: x with taps [-1, -2] needs 2 initial rows")
def scan_taps() -> Any:
    return sg.scan(
        lambda s: s, None, [dict(initial=sg.vector("x", shape=(1,)), taps=[-1, -2])], n_steps=3
    )  # <-


@mistake(
    e.IndexOutOfRange,
    "index 5 is out of range for axis 0 of size 3",
    caret="x[k]",
    hint="indices run from -size to size - 1",
    operands="x: float64[?], i[t]: int64",
)
def scan_step_index(mode: str) -> Any:
    x, i = sg.vector("x"), sg.vector("i", dtype="int64")
    y = sg.scan(lambda k: x[k], [i])  # <-
    sg.compile([x, i], y, mode=mode)(np.ones(3), np.array([0, 5]))


@mistake(
    e.RankError,
    "while_loop: the condition is a scalar, got bool[2]",
    caret="sg.while_loop(lambda s: s > 0, lambda s: s - 1, sg.constant([3.0, 1.0]))",
    operands="init: float64[2]",
)
def while_vector_cond() -> Any:
    return sg.while_loop(lambda s: s > 0, lambda s: s - 1, sg.constant([3.0, 1.0]))  # <-


@mistake(
    e.DTypeError,
    "while_loop: state 0 begins as int64, the body makes it float64",
    caret="sg.while_loop(lambda s: s < 5, lambda s: s * 1.5, sg.constant(1))",
    hint="cast one of them",
    operands="init: int64",
)
def while_dtype() -> Any:
    return sg.while_loop(lambda s: s < 5, lambda s: s * 1.5, sg.constant(1))  # <-


@mistake(
    e.ShapeError,
    "while_loop: state 0 begins as float64[2], the body makes it float64[4]",
    hint="sg.broadcast_to gives the initial value the full shape",
    operands="broadcast_to: float64[2]",
)
def while_shape() -> Any:
    return sg.while_loop(lambda s: s[0] < 5, lambda s: sg.concatenate([s, s]), sg.zeros(2))  # <-


@mistake(
    e.GradientError,
    "while_loop: the number of turns is known at run time only",
    caret="sg.grad(y, x)",
    hint="say how many turns there can be: maximum=100; or",
    operands="sum: float64, x: float64[?]",
)
def while_grad() -> Any:
    x = sg.vector("x")
    y = sg.sum(sg.map(lambda e: sg.while_loop(lambda s: s < 5, lambda s: s * 2, e), x))
    return sg.grad(y, x)  # <-


@mistake(
    e.IndexOutOfRange,
    "index 3 is out of range for axis 0 of size 3",
    caret="x[place]",
    hint="indices run from -size to size - 1",
    operands="x: float64[?], value: int64",
)
def while_index(mode: str) -> Any:
    x = sg.vector("x")

    def turn(s: Any) -> Any:
        place, total = s
        return place + 1, total + x[place]  # <-

    start = (sg.constant(0), sg.constant(0.0))
    _, y = sg.while_loop(lambda s: s[1] < 10, turn, start)
    sg.compile([x], y, mode=mode)(np.ones(3))


@mistake(
    e.ShapeError,
    "cond: the branches give 2 and 1 values",
    caret="sg.cond(x > 0, lambda: (x, x), lambda: x)",
    hint="both return the same nest of tensors",
    operands="less: bool",
)
def cond_structures() -> Any:
    x = sg.scalar("x")
    return sg.cond(x > 0, lambda: (x, x), lambda: x)  # <-


@mistake(
    e.IndexOutOfRange,
    "index 9 is out of range for axis 0 of size 3",
    caret="x[i]",
    hint="indices run from -size to size - 1",
    operands="x: float64[?], i: int64",
)
def cond_index(mode: str) -> Any:
    x = sg.vector("x")
    i = sg.scalar("i", dtype="int64")
    y = sg.cond(i > 0, lambda: x[i], lambda: x[0])  # <-
    sg.compile([x, i], y, mode=mode)(np.ones(3), 9)


@mistake(
    e.ArgumentError,
    "fori_loop: a bound is an integer, a size or a tensor, not 2.5",
    caret="sg.fori_loop(0, 2.5, lambda i, s: s, sg.constant(0.0))",
    hint="write n // 2 for a whole number",
)
def fori_float() -> Any:
    return sg.fori_loop(0, 2.5, lambda i, s: s, sg.constant(0.0))  # <-


@mistake(
    e.ArgumentError,
    "scan: the step is called with 1 argument (x[t]): <lambda>()",
    caret='sg.map(lambda a, b: a, sg.vector("x"))',
    hint="give it one parameter for each",
    operands="x[t]: float64",
)
def map_two() -> Any:
    return sg.map(lambda a, b: a, sg.vector("x"))  # <-


@mistake(
    e.AxisError,
    "vmap: axis 1 is out of range for 1 dimension",
    caret='sg.vmap(lambda a: a * 2, in_axes=1)(sg.vector("x"))',
    hint="axes run from 0 to 0, or from -1 to -1 counted from the end",
    operands="x: float64[?]",
)
def vmap_axis() -> Any:
    return sg.vmap(lambda a: a * 2, in_axes=1)(sg.vector("x"))  # <-


@mistake(e.ShapeError, "vmap: batch sizes differ: 3 and 4", operands="x: float64[3], y: float64[4]")
def vmap_size() -> Any:
    return sg.vmap(lambda a, b: a * b)(sg.vector("x", shape=(3,)), sg.vector("y", shape=(4,)))  # <-


@mistake(
    e.ArgumentError,
    "the truth of less is not known while the graph is built",
    caret="a > 0",
    hint="sg.where or sg.cond for if; & and | for and and or, also in",
    operands="less: bool",
)
def vmap_if() -> Any:
    def f(a: Any) -> Any:
        if a > 0:  # <-
            return a
        return -a

    return sg.vmap(f)(sg.vector("x"))
