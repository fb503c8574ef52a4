"""Gradients and other derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

import symgraph as sg
from symgraph import errors as e
from tests.errors.mistakes import mistake


@mistake(
    e.ArgumentError,
    "grad: wrt is a variable, not float",
    caret="sg.grad(x * x, 3.0)",
    hint="give the variable itself: sg.grad(cost, x)",
)
def grad_wrt_number() -> Any:
    x = sg.scalar("x")
    return sg.grad(x * x, 3.0)  # <-


@mistake(
    e.ArgumentError,
    "grad: wrt is a variable, not str",
    caret='sg.grad(x * x, "x")',
    hint="give the variable itself: sg.grad(cost, x)",
)
def grad_wrt_name() -> Any:
    x = sg.scalar("x")
    return sg.grad(x * x, "x")  # <-


@mistake(
    e.ArgumentError,
    "grad: the cost is a tensor of the graph, not Function",
    caret="sg.grad(f, x)",
    hint="give the expression, not the function compiled from it",
)
def grad_wrt_function_of() -> Any:
    x = sg.scalar("x")
    f = sg.compile([x], x * x)
    return sg.grad(f, x)  # <-


@mistake(
    e.GradientError,
    "grad: x is int64; only floats have derivatives",
    caret="sg.grad(x * x, x)",
    hint='declare it with dtype "float32" or "float64"',
    operands="x: int64",
)
def grad_of_int_cost() -> Any:
    x = sg.scalar("x", dtype="int64")
    return sg.grad(x * x, x)  # <-


@mistake(
    e.GradientError,
    "grad: the cost does not depend on add",
    caret="sg.grad(sg.exp(x * x + 1), x + 1)",
    hint="build the cost from this very tensor (y = ...; cost =",
    operands="add: float64",
)
def grad_wrt_later_expr() -> Any:
    x = sg.scalar("x")
    return sg.grad(sg.exp(x * x + 1), x + 1)  # <-


@mistake(
    e.GradientError,
    "grad: the cost depends on x only through cast",
    caret='sg.grad(sg.cast(sg.cast(x, "int64"), "float64"), x)',
    hint='disconnected="zero" gives zeros instead',
    operands="x: float64",
)
def grad_through_int() -> Any:
    x = sg.scalar("x")
    return sg.grad(sg.cast(sg.cast(x, "int64"), "float64"), x)  # <-


@mistake(
    e.GradientError,
    "grad: the cost depends on x only through stop_gradient",
    caret="sg.grad(sg.stop_gradient(x), x)",
    hint='disconnected="zero" gives zeros instead',
    operands="x: float64",
)
def grad_through_stop() -> Any:
    x = sg.scalar("x")
    return sg.grad(sg.stop_gradient(x), x)  # <-


@mistake(
    e.GradientError,
    "grad: the cost is no scalar but float64[?]",
    caret="sg.hessian(x * x, x)",
    hint="take sg.sum or sg.mean of it, or use sg.vjp or sg.jacobian",
    operands="multiply: float64[?]",
)
def hessian_vec() -> Any:
    x = sg.vector("x")
    return sg.hessian(x * x, x)  # <-


@mistake(
    e.ShapeError,
    "a tangent or cotangent of x has its shape: float64[3], not float64[4]",
    caret="sg.jvp(x * x, x, np.ones(4))",
    operands="multiply: float64[3], x: float64[3]",
)
def jvp_shapes() -> Any:
    x = sg.vector("x", shape=(3,))
    return sg.jvp(x * x, x, np.ones(4))  # <-


@mistake(
    e.ShapeError,
    "broadcast_to: sizes differ on axis 0: 4 and 3",
    caret="sg.vjp(x * x, x, np.ones(4))",
    operands="multiply: float64[3], x: float64[3]",
)
def vjp_shapes() -> Any:
    x = sg.vector("x", shape=(3,))
    return sg.vjp(x * x, x, np.ones(4))  # <-


@mistake(
    e.GradientError,
    "double: this Python function has no derivative",
    caret="sg.grad(sg.sum(double(x)), x)",
    hint="give vjp= or jvp= (docs/custom-ops.md), or sg.stop_gradient",
    operands="sum: float64, x: float64[?]",
)
def grad_python_op() -> Any:
    @sg.python_op(infer="float64[n] -> float64[n]")
    def double(a: Any) -> Any:
        return a * 2

    x = sg.vector("x")
    return sg.grad(sg.sum(double(x)), x)  # <-


@mistake(
    e.GradientError,
    "grad: the cost is no scalar but float64[?]",
    caret="sg.value_and_grad(x * 2, x)",
    hint="take sg.sum or sg.mean of it, or use sg.vjp or sg.jacobian",
    operands="multiply: float64[?]",
)
def value_and_grad_vec() -> Any:
    x = sg.vector("x")
    return sg.value_and_grad(x * 2, x)  # <-


@mistake(
    e.GradientError,
    "grad: the cost does not depend on x",
    caret="sg.grad(None, x)",
    hint='disconnected="zero" gives zeros instead',
    operands="x: float64[?]",
)
def grad_none() -> Any:
    x = sg.vector("x")
    return sg.grad(None, x)  # <-
